"""The time-causal limit kernel: its mass, its moments, and what a stretch of time does to it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nrf_deploy.engines.reference import run
from nrf_deploy.ir.network import LI, Input, Linear, Network, Output
from nrf_deploy.ir.recording import Recording
from nrf_research.limit_kernel import cascade, constants, impulse, levels, means

bounded = settings(max_examples=30, deadline=None, derandomize=True)
cascades = st.tuples(st.floats(2, 200), st.floats(1.2, 3), st.integers(1, 8))


@given(cascades)
@bounded
def test_scales_are_a_ladder_and_add_up(given_: tuple[float, float, int]) -> None:
    slowest, ratio, count = given_
    tau = levels(slowest, ratio, count)
    assert tau[-1] == pytest.approx(slowest)
    np.testing.assert_allclose(tau[1:] / tau[:-1], ratio**2)
    np.testing.assert_allclose(np.cumsum(constants(*given_) ** 2), tau)
    m = means(*given_)
    np.testing.assert_allclose(np.cumsum(m**2 + m), tau)


@given(cascades)
@bounded
def test_the_mean_delay_has_its_closed_form(given_: tuple[float, float, int]) -> None:
    slowest, c, count = given_
    lost = c ** (1 - count)
    closed = math.sqrt(slowest) * (lost + math.sqrt(c * c - 1) * (1 - lost) / (c - 1))
    assert constants(*given_).sum() == pytest.approx(closed)


def test_the_limit_of_many_integrators() -> None:
    """Mean delay sqrt((c + 1)/(c - 1)) sqrt(tau_max)."""
    assert constants(9.0, 2.0, 40).sum() == pytest.approx(math.sqrt(3) * 3)


@given(cascades)
@bounded
def test_kernels_in_steps_have_the_mass_and_moments_that_are_asked_for(
    given_: tuple[float, float, int],
) -> None:
    m = means(*given_)
    stages = impulse(m, int(40 * (m.max() + 1) + 20 * m.sum()))
    t = np.arange(stages.shape[1])
    np.testing.assert_allclose(stages.sum(1), 1, atol=1e-9)
    mean = (stages * t).sum(1)
    np.testing.assert_allclose(mean, np.cumsum(m), rtol=1e-6)
    variance = (stages * t**2).sum(1) - mean**2
    np.testing.assert_allclose(variance, levels(*given_), rtol=1e-6)
    assert stages.min() >= 0


def test_every_integrator_is_a_leaky_integrator_of_a_network() -> None:
    """By Euler's step, with the time constant 1 + m."""
    m, dt = means(16.0, 2.0, 3), 1e-3
    ones, zero = np.ones(1), np.zeros(1)
    nodes: list[Any] = [Input(name="x", port_shape=(1,))]
    edges, before = [], "x"
    for k in range(3):
        tau = (1 + m[k]) * dt * ones
        nodes.append(Linear(name=f"w{k}", weight=np.ones((1, 1), np.float32)))
        nodes.append(LI(name=f"v{k}", tau=tau, r=ones, v_leak=zero))
        edges += [(before, f"w{k}"), (f"w{k}", f"v{k}")]
        before = f"v{k}"
    nodes.append(Output(name="y", port_shape=(1,)))
    network = Network(tuple(nodes), (*edges, (before, "y")), dt)
    frames = np.random.default_rng(0).integers(0, 3, (50, 1))
    outputs = run(network, Recording.from_dense(frames, dt)).outputs
    ours = cascade(m, frames)
    for k in range(3):
        np.testing.assert_allclose(outputs[f"v{k}"].dense(), ours[k], atol=1e-5)


# --- a stretch of time by the ladder's ratio ---------------------------------------


def spectrum(mu: np.ndarray[Any, Any], omega: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the spectrum of a cascade in continuous time."""
    return np.asarray(np.prod(1 / (1 + 1j * np.multiply.outer(mu, omega)), axis=0))


def deviation(ratio: float, stage: int, rungs: int = 1) -> float:
    """Return the largest difference of the spectra of a stage and a later one of the cascade.

    The other stage is `rungs` further on, with time stretched by ratio^rungs.
    """
    mu = constants(1.0, ratio, stage + rungs)
    omega = np.geomspace(1e-3, 1e3, 4000) * ratio**rungs
    return float(np.abs(spectrum(mu[:stage], omega) - spectrum(mu, omega / ratio**rungs)).max())


@pytest.mark.parametrize(("ratio", "stages"), [(2.0, (2, 4, 6, 8)), (math.sqrt(2), (2, 6, 10, 14))])
def test_a_stretch_moves_each_stage_to_the_next_in_the_limit(
    ratio: float, stages: tuple[int, ...]
) -> None:
    """The error falls as c^-k: one integrator stands for all the finer ones."""
    errors = [deviation(ratio, k) for k in stages]
    steps = stages[1] - stages[0]
    falls = np.divide(errors[:-1], errors[1:])
    np.testing.assert_allclose(falls[1:], ratio**steps, rtol=0.05)
    assert deviation(ratio, stages[-1], rungs=2) < 3 * errors[-1]


@pytest.mark.parametrize(
    ("ratio", "stage", "error"),
    [
        (2.0, 2, 0.141),
        (2.0, 4, 0.0331),
        (2.0, 8, 0.002),
        (math.sqrt(2), 4, 0.1),
        (math.sqrt(2), 8, 0.0243),
    ],
)
def test_how_far_a_short_cascade_is_from_covariant(ratio: float, stage: int, error: float) -> None:
    """The numbers of docs/receptive-fields.md."""
    assert deviation(ratio, stage) == pytest.approx(error, rel=0.05)


def test_in_steps_slower_scales_come_nearer() -> None:
    """A step is not stretched: what is left falls with the kernel's width."""
    errors = []
    for slowest in (16.0, 64.0, 256.0):
        fast, slow = impulse(means(slowest, 2.0, 8), 400)[-2:]
        binned = slow.reshape(-1, 2).sum(1)
        errors.append(float(np.abs(binned - fast[:200]).sum()))
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 0.15


@pytest.mark.parametrize("wrong", [(0.0, 2.0, 3), (4.0, 1.0, 3), (4.0, 2.0, 0)])
def test_impossible_cascades_are_refused(wrong: tuple[float, float, int]) -> None:
    with pytest.raises(ValueError, match="no cascade"):
        levels(*wrong)
