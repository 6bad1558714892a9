"""The smallest part and the shortest input that still differ."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import nrf_deploy as nd
from nrf_deploy.cli.main import main
from nrf_deploy.diagnostics.findings import UsageError, info, warning
from nrf_deploy.io.recordings import read, write
from nrf_deploy.ir.program import Program
from nrf_deploy.verification.bisect import Part

from .attribution.test_attribution import flipped_linear, lost_bias, network, recording, transposed

SOUND = network()


def part(chip: str, broken: Callable[[Program], Program], bias: float = 0.0) -> Part:
    bundle = nd.compile(network(bias=bias) if bias else SOUND, chip)
    bundle = replace(bundle, program=broken(bundle.program))
    return nd.bisect(bundle, recording(), report=nd.verify(bundle, recording()))


@pytest.mark.parametrize("chip", ["loihi2", "emulator"])
@pytest.mark.parametrize(
    ("broken", "layer", "bias"),
    [(transposed, "first", 0.0), (flipped_linear, "last", 0.0), (lost_bias, "first", 0.125)],
)
def test_one_layer_and_the_steps_until_it_differs_are_left(
    chip: str, broken: Callable[[Program], Program], layer: str, bias: float
) -> None:
    found = part(chip, broken, bias)
    assert [o.population for o in found.bundle.program.origins] == [layer]
    assert found.recording.steps == found.divergence.step + 1
    again = nd.verify(found.bundle, found.recording).comparison
    assert again.first_divergence is not None
    assert again.first_divergence.layer == layer
    shorter = nd.verify(found.bundle, found.recording.until(found.recording.steps - 1))
    assert shorter.comparison.layers[0].mismatches == 0


def test_runs_that_do_not_differ_are_refused() -> None:
    bundle = nd.compile(SOUND, "loihi2")
    report = nd.verify(bundle, recording(), "emulator", "reference")
    same = replace(report.comparison, first_divergence=None)
    report = replace(report, comparison=same, alone=None)
    with pytest.raises(UsageError, match="nothing to find"):
        nd.bisect(bundle, recording(), report=report)


def test_the_verb_writes_a_bundle_and_a_recording_that_differ_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = nd.compile(SOUND, "loihi2")
    nd.save(replace(bundle, program=flipped_linear(bundle.program)), tmp_path / "m.nrfb")
    write(recording(), tmp_path / "in.npz")
    words = ["verify", str(tmp_path / "m.nrfb"), "--input", str(tmp_path / "in.npz")]
    main([*words, "--bisect", str(tmp_path / "small")])
    said = " ".join(capsys.readouterr().out.split())
    assert "VERIFY-BISECTED" in said
    assert "this layer has the largest error" in said
    small = tmp_path / "small"
    assert f"nrf-deploy verify {small}.nrfb --input {small}.npz --exact" in said
    given, _ = read(tmp_path / "small.npz")
    assert not nd.verify(nd.load(tmp_path / "small.nrfb"), given).comparison.exact
    words = ["verify", str(tmp_path / "small.nrfb"), "--input", str(tmp_path / "small.npz")]
    assert main([*words, "--exact"]) == 1


def test_a_part_still_says_where_its_firing_rule_comes_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = nd.compile(SOUND, "loihi2")
    rules = (
        warning("NIR-RULE-UNSTATED", "the file does not state how its neurons reset"),
        info("NIR-RULE-OPTION", "fires = at is stated by --fires"),
    )
    broken = flipped_linear(bundle.program)
    bundle = replace(bundle, program=broken, findings=(*rules, info("OTHER", "of the whole")))
    found = nd.bisect(bundle, recording(), report=nd.verify(bundle, recording()))
    assert found.bundle.findings == rules
    nd.save(found.bundle, tmp_path / "part.nrfb")
    assert main(["inspect", str(tmp_path / "part.nrfb")]) == 0
    said = capsys.readouterr().out
    assert "NIR-RULE-UNSTATED" in said
    assert "NIR-RULE-OPTION" in said


def test_it_says_why_another_layer_is_handed_on_than_the_one_where_the_runs_part() -> None:
    bundle = nd.compile(SOUND, "loihi2")
    bundle = replace(bundle, program=flipped_linear(bundle.program))
    report = nd.verify(bundle, recording())
    parts = report.comparison.first_divergence
    assert parts is not None
    elsewhere = replace(parts, layer="first", step=1)
    told = replace(report, comparison=replace(report.comparison, first_divergence=elsewhere))
    found = nd.bisect(bundle, recording(), report=told)
    assert found.said().layer == "last"
    assert "the whole runs first differ in layer 'first', at step 1" in found.said().why
