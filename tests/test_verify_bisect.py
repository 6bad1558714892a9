"""The smallest part and the shortest input that still differ."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from test_verify_attribution import flipped_linear, lost_bias, network, recording, transposed

import nrf_deploy as nd
from nrf_deploy.cli import main
from nrf_deploy.findings import UsageError
from nrf_deploy.program import Program
from nrf_deploy.recordings import read, write
from nrf_deploy.verification.bisect import Part, bisect

SOUND = network()


def part(chip: str, broken: Callable[[Program], Program], bias: float = 0.0) -> Part:
    bundle = nd.compile(network(bias=bias) if bias else SOUND, chip)
    bundle = replace(bundle, program=broken(bundle.program))
    return bisect(bundle, recording(), nd.verify(bundle, recording()), nd.verify)


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
    report = nd.verify(bundle, recording(), "emulator", "emulator")
    with pytest.raises(UsageError, match="nothing to find"):
        bisect(bundle, recording(), report, nd.verify)


def test_the_verb_writes_a_bundle_and_a_recording_that_differ_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = nd.compile(SOUND, "loihi2")
    nd.save(replace(bundle, program=flipped_linear(bundle.program)), tmp_path / "m.nrfb")
    write(recording(), tmp_path / "in.npz")
    words = ["verify", str(tmp_path / "m.nrfb"), "--input", str(tmp_path / "in.npz")]
    main([*words, "--bisect", str(tmp_path / "small")])
    assert "VERIFY-BISECTED" in capsys.readouterr().out
    small = nd.load(tmp_path / "small.nrfb")
    given, _ = read(tmp_path / "small.npz")
    assert not nd.verify(small, given).comparison.exact
    words = ["verify", str(tmp_path / "small.nrfb"), "--input", str(tmp_path / "small.npz")]
    assert main([*words, "--exact"]) == 1
