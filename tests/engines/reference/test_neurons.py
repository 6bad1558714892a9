"""Neurons beyond what Norse has: r, resets, exact decay, and a neuron that others ran."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nrf_deploy.engines.reference import run
from nrf_deploy.ir.network import (
    IF,
    LI,
    LIF,
    Array,
    CubaLI,
    I,
    Input,
    Linear,
    Network,
    Output,
    Population,
)
from nrf_deploy.ir.recording import Recording, Trace
from nrf_deploy.neurons import Spikes
from tests.builders.random_networks import networks, random_network, random_recording

from .test_run import assert_same, chain, full, given_frames, through

# --- neurons beyond Norse ---


def test_r_scales_the_input_of_every_kind() -> None:
    x = np.random.default_rng(0).integers(0, 2, (30, 1)).astype(np.float32)
    one, tau = full(1.0, 1), full(5.0, 1)

    def kinds(r: Array) -> list[Population]:
        shared: dict[str, Any] = {"name": "y", "r": r, "v_leak": 0 * one}
        cuba = CubaLI(tau_mem=tau, tau_syn=tau, w_in=one, **shared)
        return [LI(tau=tau, **shared), I(name="y", r=r), cuba]

    for scaled, plain in zip(kinds(4 * one), kinds(one), strict=True):
        expected = through(plain, 4 * x)
        assert np.abs(expected).max() > 0
        np.testing.assert_allclose(through(scaled, x), expected, rtol=1e-6)


@pytest.mark.parametrize(("fires", "spikes"), [("above", [0, 1, 1]), ("at", [1, 1, 1])])
@pytest.mark.parametrize("decay", ["euler", "exact"])
def test_a_neuron_may_fire_at_its_threshold(fires: Any, spikes: list[int], decay: Any) -> None:
    """The potential v is exactly at the threshold in the first step."""
    neurons = IF(name="y", r=full(1, 1), v_threshold=full(0.5, 1), v_reset=full(0, 1), fires=fires)
    network = chain(Input(name="x", port_shape=(1,)), neurons)
    frames = np.array([[0.5], [0.75], [1.0]], np.float32)
    trace = run(network, Recording.from_dense(frames), decay=decay)
    assert trace.outputs["y"].dense().ravel().tolist() == spikes


def test_v_starts_at_the_leak_or_for_an_if_at_the_reset() -> None:
    zero = np.zeros((1, 1), np.float32)
    li = LI(name="y", tau=full(5, 1), r=full(1, 1), v_leak=full(0.25, 1))
    assert through(li, zero).item() == 0.25
    network = chain(
        Input(name="x", port_shape=(1,)),
        IF(name="y", r=full(1, 1), v_threshold=full(1, 1), v_reset=full(-2, 1)),
    )
    assert run(network, Recording.from_dense(zero), states=["y"]).states["y"]["v"].item() == -2


def test_a_threshold_that_is_only_reached_does_not_fire() -> None:
    neuron = IF(name="y", r=full(1, 1), v_threshold=full(1, 1), v_reset=full(0, 1))
    np.testing.assert_array_equal(through(neuron, full(0.5, 6, 1)).ravel(), [0, 0, 1, 0, 0, 1])


def test_a_subtracting_reset_keeps_what_was_above_the_threshold() -> None:
    neuron = IF(
        name="y", r=full(1, 1), v_threshold=full(1, 1), v_reset=full(0, 1), reset="subtract"
    )
    np.testing.assert_array_equal(through(neuron, full(0.75, 6, 1)).ravel(), [0, 1, 1, 0, 1, 1])


# --- exact decay ---

TAUS = st.floats(1.0, 50.0)


def exact(node: Population, frames: Array) -> Trace:
    network = chain(Input(name="x", port_shape=node.shape), node)
    return run(network, given_frames(frames), states=["y"], decay="exact")


@given(TAUS, st.floats(-2, 2), st.floats(-1, 1))
@settings(max_examples=25, deadline=None)
def test_exact_li_is_the_closed_form(tau: float, x: float, leak: float) -> None:
    """Under a constant input v moves exponentially from v_leak to x + v_leak."""
    x, leak = float(np.float32(x)), float(np.float32(leak))
    node = LI(name="y", tau=np.array([tau]), r=full(1, 1), v_leak=full(leak, 1))
    trace = exact(node, full(x, 100, 1))
    t = np.arange(1, 101)
    expected = leak - x * np.expm1(-t / tau)
    np.testing.assert_allclose(trace.states["y"]["v"].ravel(), expected, rtol=1e-6, atol=1e-7)
    assert trace.engine == "reference-exact"


@given(TAUS, st.one_of(TAUS, st.none()), st.floats(-1, 1))
@settings(max_examples=25, deadline=None)
def test_exact_cuba_is_the_closed_form(mem: float, syn: float | None, leak: float) -> None:
    """After one jump of 1, v is the difference of two exponentials (t*exp where they meet)."""
    syn, leak = mem if syn is None else syn, float(np.float32(leak))
    node = CubaLI(
        name="y",
        tau_mem=np.array([mem]),
        tau_syn=np.array([syn]),
        r=full(2, 1),
        v_leak=full(leak, 1),
        w_in=np.array([syn]),
    )
    trace = exact(node, np.eye(100, 1))
    t = np.arange(1, 101)
    if abs(mem - syn) < 1e-6:
        pulse = t / mem * np.exp(-t / mem)
    else:
        pulse = syn / (mem - syn) * (np.exp(-t / mem) - np.exp(-t / syn))
    np.testing.assert_allclose(
        trace.states["y"]["i"].ravel(), np.exp(-t / syn), rtol=1e-6, atol=1e-9
    )
    np.testing.assert_allclose(
        trace.states["y"]["v"].ravel(), leak + 2 * pulse, rtol=1e-5, atol=1e-7
    )


@pytest.mark.parametrize("kind", ["LI", "CubaLI"])
def test_euler_comes_to_the_exact_decay_as_dt_shrinks(kind: str) -> None:
    """Half the step, half the error."""
    one = np.ones(1)
    errors = []
    for fine in (1, 2, 4):
        shared: dict[str, Any] = {"name": "y", "r": one, "v_leak": 0 * one}
        node: Population = LI(tau=10 * one, **shared)
        if kind == "CubaLI":
            node = CubaLI(tau_mem=10 * one, tau_syn=6 * one, w_in=one, **shared)
        network = chain(Input(name="x", port_shape=(1,)), node, dt=1 / fine)
        frames = given_frames(np.repeat(np.eye(40, 1), fine, axis=0))
        euler, best = (run(network, frames, decay=d).outputs["y"] for d in ("euler", "exact"))
        errors.append(float(np.abs(euler.dense() - best.dense()).max()))
    assert 0 < errors[1] < 0.6 * errors[0]
    assert 0 < errors[2] < 0.6 * errors[1]


@given(networks(neurons=("IF",), readout=("I",)), st.integers(0, 2**32 - 1))
@settings(max_examples=10, deadline=None)
def test_nothing_decays_in_an_if(network: Network, seed: int) -> None:
    recording = random_recording(network, seed, 20)
    euler, best = (run(network, recording, decay=d) for d in ("euler", "exact"))
    assert_same(euler, best)


def test_exact_spiking_neurons_spike_and_reset() -> None:
    network = random_network(11, 2, neurons=("LIF",))
    trace = run(network, random_recording(network, 11, 60), states=["n0"], decay="exact")
    n0 = network["n0"]
    assert type(n0) is Population
    assert type(n0.rule) is Spikes
    spiked = trace.outputs["n0"].dense().astype(bool)
    assert spiked.any()
    assert (trace.states["n0"]["v"] <= n0.rule.threshold)[~spiked].all()


# --- a neuron that others made ---


def test_the_one_neuron_of_the_nir_paper(shared: Path) -> None:
    """The spikes of a real Loihi 2 in a run by others, and the floats of a plain loop."""
    with h5py.File(shared / "conformance/nir/lif_norse.nir") as file:
        nodes = file["node/nodes"]
        neuron = {k: nodes[f"1/{k}"][()] for k in ("tau", "r", "v_leak", "v_threshold")}
        weight, bias = nodes["0/weight"][()], nodes["0/bias"][()]
    paper = np.load(shared / "conformance/silicon/nir_paper_01_lif.npz")
    spikes = paper["input"].reshape(-1, 1)
    dt = 1e-4
    network = chain(
        Input(name="input", port_shape=(1,)),
        Linear(name="0", weight=weight, bias=bias),
        LIF(name="1", v_reset=full(0, 1), **neuron),
        Output(name="output", port_shape=(1,)),
        dt=dt,
    )
    trace = run(network, Recording.from_dense(spikes), states=["1"], record=["1", "output"])
    f = np.float32
    k, threshold, v = f(dt) * f(1 / float(neuron["tau"][0])), neuron["v_threshold"][0], f(0)
    for t, current in enumerate(spikes[:, 0]):
        v = v + k * (f(current) - v)
        z = v - threshold > 0
        v = f(0) if z else v
        assert trace.outputs["1"].frame(t).item() == z
        assert trace.states["1"]["v"][t].item() == v
    assert trace.outputs["output"].same(trace.outputs["1"])
    loihi = np.flatnonzero(paper["s_loihi"]) - 1  # a spike reaches the neuron one step later there
    np.testing.assert_array_equal(trace.outputs["1"].step, loihi)
