"""Reports on large losses by rounding: in weights, and in thresholds."""

from __future__ import annotations

import numpy as np
import pytest

from nrf_deploy.bundle import pipeline
from nrf_deploy.compiler.quantize.rules import LayerRules, Rules
from nrf_deploy.diagnostics.findings import Finding
from nrf_deploy.ir.network import IF
from nrf_deploy.ir.recording import Recording

from .test_input_bounds import model


def told(
    code: str,
    weight: np.ndarray,
    rules: Rules,
    threshold: float = 100.0,
    data: Recording | None = None,
) -> list[Finding]:
    ones = np.ones(len(weight))
    neurons = IF(name="n", r=1000 * ones, v_threshold=threshold * ones, v_reset=0 * ones)
    findings = pipeline.check(model(weight, neurons), "loihi2", data, rules).findings
    return [f for f in findings if f.code == code]


@pytest.mark.parametrize(("bits", "count"), [(8, 0), (2, 1)])
def test_weights_that_are_more_than_a_tenth_off_are_a_warning(bits: int, count: int) -> None:
    weight = np.random.default_rng(0).normal(0, 1, (5, 40))
    found = told("LOIHI-WEIGHTS-COARSE", weight, Rules(weight_bits=bits))
    assert [(f.severity, f.layer) for f in found] == [("warning", "w")] * count
    assert all(f"{bits} bits" in f.what and "--scheme" in f.fix for f in found)


@pytest.mark.parametrize("calibrated", [False, True])
@pytest.mark.parametrize("bits", [6, 8])
def test_only_what_can_help_is_proposed(bits: int, calibrated: bool) -> None:
    """One large weight takes the levels from four thousand small ones."""
    weight = np.random.default_rng(0).normal(0, 0.2, (1, 4000))
    weight[0, 0] = 100.0
    data = Recording.from_dense(np.ones((3, 4000), np.int64), 1e-3) if calibrated else None
    (found,) = told("LOIHI-WEIGHTS-COARSE", weight, Rules(weight_bits=bits), 1e3, data)
    assert ("weight_bits" in found.fix) == (bits < 8)
    assert ("--calibrate" in found.fix) == (not calibrated)
    assert "train with weights of more equal size" in found.fix


@pytest.mark.parametrize(("threshold", "count"), [(20.25, 1), (20.125, 0), (20.0, 0), (200.25, 0)])
def test_a_threshold_that_is_more_than_a_hundredth_off_is_a_warning(
    threshold: float, count: int
) -> None:
    """With a gain of 1 the threshold counts in the units of the weights."""
    rules = Rules(layers={"w": LayerRules(gain=1.0)})
    found = told("LOIHI-THRESHOLD-COARSE", 2.0 * np.eye(3), rules, threshold)
    assert [(f.severity, f.layer) for f in found] == [("warning", "n")] * count
    assert all("20.25 integer units becomes 20: 1.2% off" in f.what for f in found)
