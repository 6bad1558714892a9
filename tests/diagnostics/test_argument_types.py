"""Arguments of a wrong type in Python: a finding names the type to pass, before any work."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nrf_deploy as nd
from nrf_deploy.bundle.pipeline import check
from nrf_deploy.diagnostics.findings import UsageError
from nrf_deploy.ir.recording import Recording

Call = Callable[[Any, Any, Any], object]


@pytest.fixture
def given(model: Path, bundle: Path, events: Path) -> tuple[Any, Any, Any]:
    made = nd.load(bundle)
    return nd.read(model), made, nd.read_recording(events, made)


TYPES: dict[str, tuple[Call, str]] = {
    "read a number": (lambda m, b, r: nd.read(3), "3 (int) is not a path"),
    "dt as text": (lambda m, b, r: nd.read("x.nir", dt="1e-3"), "dt: '1e-3' (str)"),
    "load a number": (lambda m, b, r: nd.load(3), "3 (int) is not a path"),
    "a recording's path": (lambda m, b, r: nd.read_recording(None, b), "None (NoneType) is not"),
    "chip": (lambda m, b, r: nd.compile(m, None), "is not the name of a chip"),
    "chip of check": (lambda m, b, r: check(m, 8), "is not the name of a chip"),
    "calibration path": (lambda m, b, r: nd.compile(m, "loihi2", "e.npz"), "not a recording"),
    "calibration array": (lambda m, b, r: nd.compile(m, "loihi2", np.ones((5, 3))), "not a rec"),
    "scheme of 3": (lambda m, b, r: nd.compile(m, "loihi2", scheme=3), "3 (int) is not a scheme"),
    "scheme mapping": (lambda m, b, r: nd.compile(m, "loihi2", scheme={}), "{} (dict) is not a"),
    "allow": (lambda m, b, r: nd.compile(m, "loihi2", allow="exact-decay"), "allow: 'exact-decay'"),
    "allow 3": (lambda m, b, r: nd.compile(m, "loihi2", allow=[3]), "3 (int) is not a name"),
    "limits": (lambda m, b, r: nd.verify(b, r, limits={}), "{} (dict) is not limits"),
    "behind": (lambda m, b, r: nd.verify(b, r, behind=1.0), "behind: 1.0 (float)"),
    "labels": (lambda m, b, r: nd.verify(b, r, labels=3), "3 (int) is not labels"),
    "every limits": (lambda m, b, r: nd.compare_engines([b], r, limits={}), "is not limits"),
    "every labels": (lambda m, b, r: nd.compare_engines([b], r, labels=3), "is not labels"),
    "one bundle": (lambda m, b, r: nd.compare_engines(b, r), "is not a list"),
    "layer": (lambda m, b, r: nd.run(b, r, layer=3), "layer: 3 (int)"),
    "layer, reference": (lambda m, b, r: nd.run(b, r, "reference", layer=[3]), "3 (int) is"),
    "states": (lambda m, b, r: nd.run(b, r, states="last"), "states: 'last' (str)"),
    "steps": (lambda m, b, r: nd.run(b, r, steps=2.5), "steps: 2.5 (float)"),
    "steps of true": (lambda m, b, r: nd.run(b, r, steps=True), "steps: True (bool)"),
    "case": (lambda m, b, r: nd.run_conformance("loihi2", case="drift"), "case: 'drift' (str)"),
    "kit": (lambda m, b, r: nd.run_conformance("loihi2", kit="folder"), "kit: 'folder' (str)"),
    "limit": (lambda m, b, r: nd.verify(b, r, limit="0.1"), "limit: '0.1' (str)"),
}


@pytest.mark.parametrize("name", TYPES)
def test_another_kind_is_refused_with_what_was_expected(
    name: str, given: tuple[Any, Any, Any]
) -> None:
    call, says = TYPES[name]
    with pytest.raises(UsageError) as refused:
        call(*given)
    (finding,) = refused.value.findings
    assert finding.code == "ARGUMENT-TYPE"
    assert says in finding.what
    assert finding.fix.startswith("pass ")


@pytest.mark.parametrize("engine", ["emulator", "reference"])
@pytest.mark.parametrize(
    ("asked", "code", "says"),
    [
        ({"layer": ["lst"]}, "LAYER-UNKNOWN", "'lst'"),
        ({"states": ["lst"]}, "LAYER-UNKNOWN", "'lst'"),
        ({"layer": [], "states": ["last", "in "]}, "LAYER-UNKNOWN", "'in '"),
        ({"steps": -1}, "RUN-STEPS", "steps is -1; expected 0 or more"),
    ],
)
def test_a_run_is_asked_for_what_is_there(
    engine: str, asked: dict[str, Any], code: str, says: str, given: tuple[Any, Any, Any]
) -> None:
    _, bundle, recording = given
    with pytest.raises(UsageError) as refused:
        nd.run(bundle, recording, engine, **asked)
    (finding,) = refused.value.findings
    assert (finding.code, says in finding.what) == (code, True)


def test_an_unknown_keyword_of_a_recording_is_named(events: Path, bundle: Path) -> None:
    with pytest.raises(UsageError) as refused:
        nd.read_recording(events, bundle, bni=1e-3)  # type: ignore[call-arg]
    (finding,) = refused.value.findings
    assert (finding.code, finding.fix) == ("ARGUMENT-UNKNOWN", "did you mean 'bin'?")
    assert "'bni'" in finding.what


def test_numbers_of_numpy_and_any_list_of_names_are_taken(given: tuple[Any, Any, Any]) -> None:
    _, bundle, recording = given
    names = (name for name in ("hidden", "last"))
    trace = nd.run(bundle, recording, layer=names, states={"last"}, steps=np.int64(7))
    assert {n: r.steps for n, r in trace.outputs.items()} == {"hidden": 7, "last": 7}
    assert nd.run(bundle, recording, steps=0).outputs["last"].steps == 0
    assert nd.verify(bundle, recording, behind=np.int32(0)).passed


# --- a recording in other steps than the model's ------------------------------


@pytest.fixture
def slow(given: tuple[Any, Any, Any]) -> Recording:
    return Recording.from_dense(given[2].dense(), 2e-3)


def test_other_steps_are_a_finding_of_the_report(
    given: tuple[Any, Any, Any], slow: Recording
) -> None:
    _, bundle, recording = given
    for found in (nd.verify(bundle, slow), nd.compare_engines([bundle], slow)):
        (told,) = [f for f in found.findings if f.code == "RECORDING-BIN-DIFFERS"]  # type: ignore[attr-defined]
        assert told.what == "the recording has steps of 0.002 s, the model has dt = 0.001"
    unstated = Recording.from_dense(recording.dense())
    for fits in (recording, unstated):
        codes = [f.code for f in nd.verify(bundle, fits).findings]
        assert "RECORDING-BIN-DIFFERS" not in codes


def test_other_steps_of_a_calibration_are_a_finding_of_the_bundle(
    given: tuple[Any, Any, Any], slow: Recording
) -> None:
    model, _, recording = given
    (told,) = [
        f for f in nd.compile(model, "loihi2", slow).findings if f.code == "RECORDING-BIN-DIFFERS"
    ]
    assert told.what.startswith("the calibration recording has steps of 0.002 s")
    codes = [f.code for f in nd.compile(model, "loihi2", recording).findings]
    assert "RECORDING-BIN-DIFFERS" not in codes


@pytest.mark.parametrize("engine", ["emulator", "reference"])
def test_other_steps_are_a_finding_of_the_run(
    engine: str, given: tuple[Any, Any, Any], slow: Recording
) -> None:
    _, bundle, recording = given
    codes = [f.code for f in nd.run(bundle, slow, engine).findings]
    assert codes.count("RECORDING-BIN-DIFFERS") == 1
    codes = [f.code for f in nd.run(bundle, recording, engine).findings]
    assert "RECORDING-BIN-DIFFERS" not in codes


def test_the_command_line_says_it_once(
    model: Path, bundle: Path, slow: Recording, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from nrf_deploy.cli.main import main
    from nrf_deploy.io.recordings import write

    path, made = str(tmp_path / "slow.npz"), str(tmp_path / "made.nrfb")
    write(slow, path)
    for words in (
        ["run", str(bundle), "--input", path, "-o", str(tmp_path / "o.npz")],
        ["verify", str(bundle), "--input", path],
        ["verify", str(bundle), "--input", path, "--engine", "all"],
        ["check", str(model), "--target", "loihi2", "--calibrate", path],
        ["compile", str(model), "--target", "loihi2", "--calibrate", path, "-o", made],
    ):
        capsys.readouterr()
        main(words)
        told = capsys.readouterr()
        assert (told.out + told.err).count("RECORDING-BIN-DIFFERS") == 1, words
        main([*words, "--json"])
        assert capsys.readouterr().out.count("RECORDING-BIN-DIFFERS") in (1, 2), words
