"""One model on every engine of several bundles, in one table."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nrf_deploy as nd
from nrf_deploy.bundle.bundle import Bundle
from nrf_deploy.cli.main import main
from nrf_deploy.diagnostics.findings import MissingError, UsageError, error
from nrf_deploy.engines.emulator import golden
from nrf_deploy.engines.sdk.environments import status
from nrf_deploy.ir.network import Flatten, Network
from nrf_deploy.ir.program import Program
from nrf_deploy.ir.recording import Recording, Trace
from nrf_deploy.verification import Limits
from nrf_deploy.verification.engine_table.compare_engines import Engines, as_json, compare_engines
from nrf_deploy.verification.engine_table.text import engines_table, engines_text
from nrf_loihi import target as loihi
from nrf_loihi.arithmetic.rules import LoihiArithmetic
from nrf_loihi.lava import engine as lava
from nrf_speck import target as speck
from nrf_speck.arithmetic.rules import StepsArithmetic
from nrf_speck.sinabs import client
from tests.builders.cli_calls import USAGE, answer, refusal, unwrapped
from tests.builders.speck_networks import chain, conv, eighths, linear, neurons, pool, some_events

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "engines.py"
DOCUMENT = Path(__file__).parents[2] / "docs" / "engines.md"
Change = Callable[[Recording], Recording]


def network(seed: int = 0) -> Network:
    return chain(
        (1, 6, 6),
        conv("conv", eighths((2, 1, 3, 3), seed), (6, 6), pad=1),
        neurons("first", (2, 6, 6), 1.5),
        pool("pool", (2, 6, 6), 2),
        Flatten(name="flat", flat_input=(2, 3, 3), start=0, end=-1),
        linear("linear", eighths((3, 18), seed + 1)),
        neurons("last", (3,), 2.0),
    )


@pytest.fixture(scope="module")
def bundles() -> list[Bundle]:
    model = nd.io.model.Model(network())
    return [nd.compile(model, chip) for chip in ("loihi2", "speck2b")]


RECORDING = some_events((1, 6, 6), 60, 1, 0.3)


def same(recording: Recording) -> Recording:
    return recording


def without_one(recording: Recording) -> Recording:
    """Drop the first event of a recording."""
    counts = np.diff(recording.start)
    counts[recording.step[0]] -= 1
    start = np.concatenate([[0], np.cumsum(counts)])
    return replace(recording, start=start, index=recording.index[1:], value=recording.value[1:])


def simulator(rules: golden.Arithmetic, change: Change, **notes: str) -> Any:
    """Run the plain emulator in a vendor's place; `change` is applied to the last output."""

    def run(program: Program, recording: Recording, **asked: Any) -> Trace:
        trace = golden.run(program, rules, recording, **asked)
        held = {n: change(r) if n == "last" else r for n, r in trace.outputs.items()}
        return Trace("a simulator", held, trace.states, notes)

    return run


def refusing(code: str) -> Any:
    def run(program: Program, recording: Recording, **asked: Any) -> Trace:
        raise MissingError(error(code, "it is not here", fix="fetch it"))

    return run


@pytest.fixture
def vendors(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Put stand-ins in the places of Lava and sinabs."""

    def put(loihis: Any = None, specks: Any = None) -> None:
        loihis = loihis or simulator(LoihiArithmetic(), same)
        specks = specks or simulator(StepsArithmetic(), same, arithmetic="speck.steps")
        monkeypatch.setitem(loihi.engines, "lava", loihis)  # type: ignore[arg-type]
        monkeypatch.setitem(speck.engines, "sinabs", specks)  # type: ignore[arg-type]

    return put


def wide(share: float = 20.0) -> Limits:
    return Limits(exact=False, spike_count_error=share)


def found_by(bundles: list[Bundle], **options: Any) -> Engines:
    return compare_engines(bundles, RECORDING, limits=wide(), **options)


def test_every_engine_of_every_bundle_has_its_rows(bundles: list[Bundle], vendors: Any) -> None:
    vendors()
    found = found_by(bundles)
    names = ["loihi2 emulator", "loihi2 lava"]
    names += [f"speck2b {e}" for e in ("emulator", "steps", "sinabs")]
    assert [row.name for row in found.rows] == names
    assert [row.agrees for row in found.rows] == [True, None, None, True, None]
    assert found.passed
    lines = engines_text(found).splitlines()
    assert max(map(len, lines)) <= 80
    rows = [line.split("  ")[0] for line in lines if not line.startswith("  ")]
    assert [r for r in rows if r in names] == names
    assert len(engines_table(found).splitlines()) == 2 + (2 + 1) * (1 + len(names))
    assert "verdict: passed: within the limits, 2 engines exact beside the vendor's" in lines[-2]
    assert lines[-1].strip() == "= read: unknown)"
    assert "trained = read: unknown" in lines
    assert "emulator = vendor: 2 of 2 runs exact" in lines


def test_the_numbers_are_those_of_verify(bundles: list[Bundle], vendors: Any) -> None:
    vendors()
    rows = {row.name: row for row in found_by(bundles).rows}
    for bundle in bundles:
        for engine in ("emulator", *list(nd.bundle.pipeline.target_of(bundle).engines)):
            report = nd.verify(bundle, RECORDING, engine)
            row = rows[f"{bundle.chip} {engine}"]
            assert row.against.layers == report.comparison.layers
            assert row.spikes == {
                x.layer: x.spikes_left + x.outside_left for x in report.comparison.layers
            }
            assert row.task == report.task


def test_spikes_of_several_in_a_step_are_all_counted(bundles: list[Bundle], vendors: Any) -> None:
    vendors()
    (_, bundle) = bundles
    flood = replace(RECORDING, value=RECORDING.value * 9)
    found = compare_engines([bundle], flood, limits=wide(1e9))
    trace = nd.run(bundle, flood)
    assert trace.outputs["first"].value.max() > 1
    assert found.rows[0].spikes["first"] == trace.outputs["first"].value.sum()


def test_an_engine_that_is_unlike_its_vendors_simulator_fails_and_is_placed(
    bundles: list[Bundle], vendors: Any
) -> None:
    vendors(simulator(LoihiArithmetic(), without_one))
    found = found_by(bundles)
    assert not found.passed
    (wrong,) = (f for f in found.findings if f.severity == "error")
    assert (wrong.code, wrong.layer) == ("VERIFY-DIVERGED", "last")
    assert wrong.what.startswith("loihi2 emulator: ")
    first = nd.run(bundles[0], RECORDING).outputs["last"]
    assert f"at step {int(first.step[0]) - 2} " in engines_text(found)
    assert "verdict: differs: loihi2 emulator" in engines_text(found)


def test_a_simulator_of_another_arithmetic_is_shown_and_not_demanded(
    bundles: list[Bundle], vendors: Any
) -> None:
    vendors(specks=simulator(StepsArithmetic(), without_one, arithmetic="speck.steps"))
    found = compare_engines(bundles[1:], RECORDING, limits=wide())
    emulator, steps, _ = found.rows
    assert emulator.vendor is not None
    assert not emulator.vendor.exact
    assert (emulator.agrees, steps.agrees) == (None, False)
    shown = [f"({x.mismatches:,})" for x in emulator.vendor.layers if not x.exact]
    assert shown
    assert all(s in engines_table(found) for s in shown)
    assert {f.what.partition(":")[0] for f in found.findings} == {"speck2b steps"}


@pytest.mark.parametrize(("code", "severity"), [("SDK-MISSING", "info"), ("SDK-DIED", "warning")])
def test_what_is_missing_is_named_and_the_others_go_on(
    bundles: list[Bundle], vendors: Any, code: str, severity: str
) -> None:
    vendors(refusing(code))
    found = compare_engines(bundles[:1], RECORDING, limits=wide())
    assert [row.name for row in found.rows] == ["loihi2 emulator"]
    (told,) = found.findings
    assert (told.code, told.severity, told.fix) == (code, severity, "fetch it")
    assert "loihi2 lava was left out" in told.what
    assert found.rows[0].vendor is None


def test_bundles_of_two_models_are_refused(bundles: list[Bundle]) -> None:
    other = nd.compile(nd.io.model.Model(network(seed=3)), "loihi2")
    slower = replace(bundles[1], network=replace(bundles[1].network, dt=2.0))
    for second in (other, slower):
        pair = [replace(b, source_sha256=None) for b in (bundles[0], second)]
        with pytest.raises(UsageError, match="ENGINES-MODELS"):
            compare_engines(pair, RECORDING)
    same_file = [replace(b, source_sha256="1" * 64) for b in (bundles[0], slower)]
    with pytest.raises(UsageError, match="ENGINES-MODELS"):
        compare_engines(same_file, RECORDING)


def test_json_holds_every_number(bundles: list[Bundle], vendors: Any) -> None:
    vendors()
    told = json.loads(json.dumps(as_json(found_by(bundles)), allow_nan=False))
    assert told["layers"] == ["first", "last"]
    assert [e["engine"] for e in told["engines"]] == ["emulator", "lava", "emulator", "steps",
                                                     "sinabs"]  # fmt: skip
    assert [e["same_arithmetic"] for e in told["engines"]] == [True, False, False, True, False]
    assert told["engines"][0]["against_simulator"]["exact"] is True
    assert told["engines"][1]["against_simulator"] is None
    assert len(told["engines"][0]["against_reference"]["layers"]) == 2
    assert told["reference"]["spikes"].keys() == {"first", "last"}


def test_places_and_values_have_their_columns() -> None:
    """A model whose output are maps, and no spikes, with and without labels."""
    from .task.test_task import bundled, labelled, maps, moving

    bundle, recording = bundled(maps()), moving()
    without = compare_engines([bundle], recording)
    assert " apart " in engines_table(without).splitlines()[0]
    (row,) = without.rows
    assert row.task is not None
    assert f"{row.task.change:.3g}" in _line(without, "emulator emulator")
    labels = labelled(np.arange(10), np.zeros((10, 2)))
    told = compare_engines([bundle], recording, labels=labels)
    assert " off " in engines_table(told).splitlines()[0]
    assert told.answer is not None
    verdict = unwrapped(engines_text(told)).partition("verdict: ")[2]
    off = f"mean pixels off the labels: reference {told.answer.error:.3g}, emulator emulator "
    assert verdict.startswith(off)
    for found, name in ((told.answer, "reference"), (told.rows[0].task, "emulator emulator")):
        own = getattr(found, "left", found)
        assert f"{own.error:.3g}" in _line(told, name)
    assert "%" in _line(told, "  n")
    layers = [line.split()[1] for line in engines_table(told).splitlines() if "  n " in line]
    assert layers == ["values", "values"], "the reference and the emulator"


def _line(found: Engines, name: str) -> str:
    """Return the last line, which is the chip's."""
    return [x for x in engines_table(found).splitlines() if x.startswith(f"{name} ")][-1]


# --- the command line -----------------------------------------------------------


@pytest.fixture
def files(bundles: list[Bundle], tmp_path: Path) -> list[str]:
    from nrf_deploy.io.recordings import write

    paths = [str(tmp_path / f"{b.chip}.nrfb") for b in bundles]
    sums = {b.chip: replace(b, source_sha256="1" * 64) for b in bundles}
    for path, bundle in zip(paths, sums.values(), strict=True):
        nd.save(bundle, path)
    write(RECORDING, tmp_path / "events.npz")
    return [*paths, "--input", str(tmp_path / "events.npz")]


def test_several_bundles_make_the_table(
    files: list[str], vendors: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    vendors()
    report = tmp_path / "all.json"
    assert main(["verify", *files, "--limit", "20", "--report", str(report)]) == 0
    text = capsys.readouterr().out
    assert text.startswith("run, layer ")
    assert main(["verify", *files, "--limit", "20", "--json"]) == 0
    assert answer(capsys)["engines"] == json.loads(report.read_text())
    assert main(["verify", files[0], *files[2:], "--engine", "all", "--limit", "20"]) == 0
    assert "speck2b" not in capsys.readouterr().out


def test_options_of_a_pair_are_refused(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for options in (["--attribute"], ["--bisect", "b"], ["--against", "lava"], ["--exact"]):
        assert main(["verify", *files, *options]) == USAGE
        text = refusal(capsys)
        assert "ENGINES-OPTION" in text
        assert options[0] in text
    assert main(["verify", *files, "--report", str(tmp_path / "page.html")]) == USAGE
    assert "OUTPUT-SUFFIX" in refusal(capsys)


def test_runs_with_the_same_counts_are_one_finding(vendors: Any) -> None:
    """Two chips of one family give the same, and so do an engine and its vendor's simulator."""
    vendors()
    model = nd.io.model.Model(network())
    found = compare_engines(
        [nd.compile(model, chip) for chip in ("speck2b", "speck2f")], RECORDING, limits=wide(0.0)
    )
    text = engines_text(found)
    counted = [f for f in found.findings if f.code == "VERIFY-COUNT"]
    assert len(counted) > 4
    assert 1 <= text.count("error[VERIFY-COUNT]") <= 2
    flat = unwrapped(text)
    assert "spikes of speck2b emulator, speck2f emulator, for those of the reference: " in flat
    for f in counted:
        layer = next(
            x
            for row in found.rows
            if f in row.findings
            for x in row.against.layers
            if x.layer == f.layer
        )
        assert f"layer {f.layer!r} {layer.spikes_left:,} for {layer.spikes_right:,} (" in flat


# --- the network of the NIR paper -------------------------------------------------


@pytest.mark.conformance
def test_the_document_shows_what_all_six_engines_give(shared: Path) -> None:
    for sdk in (lava.sdk, client.sdk):
        if not status(sdk).installed:
            pytest.skip(f"{sdk.name} is not installed: {status(sdk).todo}")
    done = subprocess.run(
        [sys.executable, str(BENCHMARK), "--print"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert f"```\n{done.stdout}```\n" in DOCUMENT.read_text("utf-8")
