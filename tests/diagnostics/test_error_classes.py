"""Refusals as Python's own exceptions: a missing file, a wrong type, a wrong value."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from inspect import isfunction, signature
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nrf_deploy as nd
from nrf_deploy.diagnostics.findings import (
    ArgumentTypeError,
    InputError,
    MissingFileError,
    NrfError,
    TargetError,
    UsageError,
    error,
)
from nrf_deploy.engines.emulator.soundness import findings as soundness
from nrf_deploy.io.files import reading, write_atomically
from nrf_deploy.testing.conformance import read_kit

Call = Callable[[Any, Any, Any], object]

CASES: dict[str, tuple[Call, type[Exception], str, int]] = {
    "no model": (lambda m, b, r: nd.read("away.nir"), FileNotFoundError, "INPUT-UNREADABLE", 2),
    "no bundle": (lambda m, b, r: nd.load("away.nrfb"), FileNotFoundError, "INPUT-UNREADABLE", 2),
    "no recording": (
        lambda m, b, r: nd.read_recording("away.npz", b), FileNotFoundError, "INPUT-UNREADABLE", 2,
    ),
    "no folder to write to": (
        lambda m, b, r: nd.save(b, "away/b.nrfb"), FileNotFoundError, "OUTPUT-UNWRITABLE", 2,
    ),
    "no kit": (lambda m, b, r: read_kit("away"), FileNotFoundError, "KIT-MISSING", 2),
    "type of a recording": (lambda m, b, r: nd.run(b, 3), TypeError, "ARGUMENT-TYPE", 2),  # type: ignore[arg-type]
    "type of a model": (lambda m, b, r: nd.compile(3, "loihi2"), TypeError, "ARGUMENT-TYPE", 2),  # type: ignore[arg-type]
    "type of steps": (lambda m, b, r: nd.run(b, r, steps=2.5), TypeError, "ARGUMENT-TYPE", 2),  # type: ignore[arg-type]
    "type of an option": (
        lambda m, b, r: nd.read_recording("events.npz", b, bin="1"), TypeError, "ARGUMENT-TYPE", 2,  # type: ignore[arg-type]
    ),
    "no such engine": (lambda m, b, r: nd.run(b, r, "nobody"), ValueError, "ENGINE-UNKNOWN", 2),
    "no such chip": (lambda m, b, r: nd.compile(m, "nochip"), ValueError, "TARGET-UNKNOWN", 2),
    "shape": (
        lambda m, b, r: nd.run(b, nd.Recording.from_dense(np.ones((3, 1), np.int64))),
        ValueError, "RECORDING-SHAPE", 3,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_refusal_is_the_exception_that_python_s_habits_expect(
    name: str, model: Path, bundle: Path, events: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    made = nd.load(bundle)
    given = nd.read(model), made, nd.read_recording(events, made)
    monkeypatch.chdir(tmp_path)
    call, kind, code, exit_code = CASES[name]
    with pytest.raises(kind) as refused:
        call(*given)
    assert isinstance(refused.value, NrfError)
    assert (refused.value.findings[0].code, refused.value.exit_code) == (code, exit_code)
    assert str(refused.value).startswith(f"error[{code}]")


FIRST = [n for n in nd.__all__ if isfunction(getattr(nd, n))]
"""The public functions."""


@pytest.mark.parametrize("name", FIRST)
def test_a_first_argument_of_a_wrong_type_is_a_finding(name: str, bundle: Path) -> None:
    function = getattr(nd, name)
    if name == "from_torch":
        pytest.importorskip("torch")
    others = {
        p.name: None
        for p in list(signature(function).parameters.values())[1:]
        if p.default is p.empty and p.kind is not p.VAR_KEYWORD
    }
    with pytest.raises(UsageError) as refused:
        function(3.5, **others)
    assert refused.value.findings
    assert isinstance(refused.value, TypeError) or name == "sdk"


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda b, r: nd.latency(b, "emulatr"), "ENGINE-UNKNOWN"),
        (lambda b, r: nd.unit(b, "lst"), "LAYER-UNKNOWN"),
        (lambda b, r: nd.verify(b, r, limit=float("nan")), "LIMITS-VALUE"),
        (lambda b, r: nd.verify(b, r, limit=-0.1), "LIMITS-VALUE"),
        (lambda b, r: nd.verify(b, r, limits=nd.Limits(exact=False, cosine=float("nan"))),
         "LIMITS-VALUE"),
        (lambda b, r: nd.verify(b, r, limits=nd.Limits(exact=False, layers={"x": {"csine": 1}})),
         "LIMITS-UNKNOWN"),
        (lambda b, r: nd.compile(b.network, "loihi2", scheme=nd.Rules(method="fitt")),
         "SCHEME-VALUE"),
        (lambda b, r: nd.compile(b.network, "loihi2", scheme=nd.Rules(
            layers={"hidden": nd.LayerRules(gain=-1.0)})), "SCHEME-VALUE"),
        (lambda b, r: nd.align(b, nd.align(b, nd.run(b, r))), "TRACE-ALIGNED"),
        (lambda b, r: nd.flash(b, tick=0.0), "FLASH-TICK"),
        (lambda b, r: nd.bench(repeats=0), "BENCH-COUNT"),
    ],
)  # fmt: skip
def test_a_value_that_would_give_another_answer_is_refused(
    call: Callable[[Any, Any], object], code: str, bundle: Path, events: Path
) -> None:
    made = nd.load(bundle)
    with pytest.raises(UsageError) as refused:
        call(made, nd.read_recording(events, made))
    assert refused.value.findings[0].code == code
    assert isinstance(refused.value, ValueError)


def test_a_file_that_exists_is_no_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        nd.read(tmp_path)
    assert not isinstance(refused.value, FileNotFoundError)
    (tmp_path / "empty.nir").write_bytes(b"")
    with pytest.raises(InputError) as damaged:
        nd.read(tmp_path / "empty.nir")
    assert not isinstance(damaged.value, FileNotFoundError)


def test_a_chip_that_cannot_hold_a_model_is_no_wrong_value() -> None:
    assert not issubclass(TargetError, ValueError | TypeError | OSError)


@pytest.mark.parametrize("kind", [UsageError, ArgumentTypeError, MissingFileError, InputError])
def test_a_refusal_goes_to_another_process_and_back(kind: type[NrfError]) -> None:
    refusal = kind([error("A", "one"), error("B", "two", layer="x")])
    again = pickle.loads(pickle.dumps(refusal))
    assert type(again) is kind
    assert again.findings == refusal.findings
    assert str(again) == str(refusal)


# --- what catches OSError or ValueError of the system lets a refusal through ------


@pytest.mark.parametrize("kind", [UsageError, ArgumentTypeError, MissingFileError, InputError])
def test_a_refusal_within_reading_or_writing_keeps_its_code(
    kind: type[NrfError], tmp_path: Path
) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"1")
    with pytest.raises(kind, match="INNER"), reading(path):
        raise kind(error("INNER", "said inside"))

    def refuse(stream: object) -> None:
        raise kind(error("INNER", "said inside"))

    with pytest.raises(kind, match="INNER"):
        write_atomically(path, refuse)
    assert path.read_bytes() == b"1"


def test_a_kit_without_a_manifest_is_a_missing_file_and_no_bad_json(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match="INPUT-UNREADABLE"):
        read_kit(tmp_path)


def test_a_refusal_of_an_arithmetic_is_no_unsound_program(bundle: Path) -> None:
    class Refusing:
        def faults(self, program: object) -> list[object]:
            raise UsageError(error("OWN", "by the target"))

    with pytest.raises(UsageError, match="OWN"):
        soundness(nd.load(bundle).program, Refusing())
