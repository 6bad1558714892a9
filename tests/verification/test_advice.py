"""Ways out of a broken limit: only those that follow from the numbers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import nrf_deploy as nd
from nrf_deploy.bundle.bundle import Bundle
from nrf_deploy.cli.main import main
from nrf_deploy.compare.compare import compare
from nrf_deploy.compare.comparison import Comparison
from nrf_deploy.io.recordings import write
from nrf_deploy.verification import Limits, Report, judge
from nrf_deploy.verification.advice import Advice
from nrf_deploy.verification.attribution.causes import Attribution, LayerCauses, Ways
from nrf_deploy.verification.engine_table.compare_engines import compare_engines
from nrf_deploy.verification.engine_table.text import engines_text
from nrf_deploy.verification.limits import DEFAULTS
from tests.builders.cli_calls import unwrapped
from tests.builders.verify_traces import spikes, trace

from .test_engine_table import RECORDING, network

LIMITS = Limits(exact=False, defaults=DEFAULTS)
MODEL = {name: spikes(k, rate=0.4) for k, name in enumerate(("one", "two"))}


def lost(name: str, share: float) -> np.ndarray:
    """Drop a share of the spikes of a layer of the model."""
    return np.where(np.random.default_rng(3).random(MODEL[name].shape) < share, 0, MODEL[name])


def runs(one: float, two: float) -> Comparison:
    chip = {"one": lost("one", one), "two": lost("two", two)}
    return compare(trace("chip", chip), trace("model", MODEL), order=list(MODEL))


def shares(cause: str, ways: Ways) -> Attribution:
    layers = (LayerCauses(n, 9, 0.5, {cause: 0.4, "decay": 0.1}, 0, "places") for n in MODEL)
    return Attribution(tuple(layers), {}, ways)


def fixes(comparison: Comparison, advice: Advice) -> dict[str | None, str]:
    return {f.layer: f.fix for f in judge(comparison, LIMITS, advice)}


def test_a_layer_that_is_good_in_isolation_sends_the_reader_to_those_before_it() -> None:
    told = fixes(runs(0.3, 0.5), Advice(alone=runs(0.3, 0.05)))
    assert "check the layers before it, first at 'one' (" in told["two"]
    assert "% off in isolation)" in told["two"]
    assert told["one"].startswith("nrf-deploy verify ... --attribute shows the cause")
    alone = fixes(runs(0.3, 0.5), Advice(alone=runs(0.3, 0.4)))
    assert alone["two"].startswith("nrf-deploy verify ... --attribute shows the cause")


@pytest.mark.parametrize("calibrated", [False, True])
@pytest.mark.parametrize("cause", ["weights", "saturation", "order", "arithmetic", "threshold"])
def test_calibrating_is_a_way_out_only_where_it_can_help(cause: str, calibrated: bool) -> None:
    """For a bundle that was not calibrated, and for causes that calibration decides."""
    ways = Ways(calibrated=calibrated, by_event=True)
    told = fixes(runs(0.3, 0.3), Advice(ways, "", shares(cause, ways)))
    (said,) = (f for f in shares(cause, ways).told())
    for fix in (told["one"], said.fix):
        assert ("--calibrate" in fix) == (cause in ("weights", "saturation") and not calibrated)
    assert f"{cause} is its largest cause (0.4): {said.fix}" in told["one"]
    assert ("no option removes it" in said.fix) == (cause in ("order", "arithmetic"))


def test_what_was_done_already_is_no_way_out() -> None:
    asked = replace(shares("weights", Ways()), layers=(), left_out={"one": "it is of another kind"})
    told = fixes(runs(0.3, 0.3), Advice(Ways(), "", asked))
    assert told["one"] == "accept it with a wider --limit"


@pytest.fixture(scope="module")
def speck() -> Bundle:
    return nd.compile(nd.io.model.Model(network()), "speck2b")


def said(report: Report) -> str:
    return " ".join(f.fix for f in report.findings)


def test_speck_is_not_told_to_calibrate_where_the_order_of_events_decides(speck: Bundle) -> None:
    report = nd.verify(speck, RECORDING)
    assert not report.passed
    assert "--calibrate" not in said(report)
    assert "nrf-deploy verify ... --attribute shows the cause" in said(report)
    assert "--engine steps what the integers alone cost" in said(report)
    counts = [f for f in report.findings if f.code == "VERIFY-COUNT"]
    assert counts
    assert all("takes events one by one" in f.why for f in counts)
    assert report.attribution is None
    report = nd.verify(speck, RECORDING, attribute=True)
    assert report.attribution is not None
    assert {x.dominant for x in report.attribution.layers} == {"order"}
    assert "order is its largest cause" in said(report)
    assert "no option removes it: the chip has no time step" in said(report)
    steps = nd.verify(speck, RECORDING, engine="steps", limit=0.0)
    assert not any("one by one" in f.why for f in steps.findings)
    assert "shorten the step" not in said(report)
    assert "--calibrate" not in said(report)
    assert "--attribute" not in said(report)


def test_another_engine_is_told_where_causes_can_be_found(speck: Bundle) -> None:
    limits = Limits(exact=False, spike_count_error=0.0)
    assert "--engine emulator --attribute" in said(
        nd.verify(speck, RECORDING, "steps", limits=limits)
    )
    assert "--attribute" not in said(nd.verify(speck, RECORDING, "emulator", "steps"))


def test_speck_says_which_engine_the_silicon_follows(
    speck: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = "silicon: the chip follows the engine emulator, event by event"
    report = nd.verify(speck, RECORDING, "steps")
    assert words in unwrapped(report.text())
    assert "no board was at hand" in report.as_json()["context"]["silicon"]
    assert words.capitalize() in unwrapped(nd.report_html(report, speck, RECORDING))
    table = unwrapped(engines_text(compare_engines([speck], RECORDING)))
    assert f"Silicon of speck2b: {words.removeprefix('silicon: ')}" in table
    files = [str(tmp_path / n) for n in ("b.nrfb", "e.npz", "o.npz")]
    nd.save(speck, files[0])
    write(RECORDING, files[1])
    assert main(["run", files[0], "--input", files[1], "-o", files[2]]) == 0
    told = capsys.readouterr().out
    assert words in unwrapped(told)
    assert max(map(len, told.splitlines())) <= 80
    loihi = nd.verify(nd.compile(nd.io.model.Model(network()), "loihi2"), RECORDING)
    assert "silicon" not in loihi.text()
    assert "silicon" not in loihi.as_json()["context"]
