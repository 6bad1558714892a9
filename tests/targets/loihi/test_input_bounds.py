"""Bounds of the input: never above what cannot overflow, or what was recorded."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nrf_deploy as nd
from nrf_deploy.bundle import pipeline
from nrf_deploy.bundle.bundle import Bundle
from nrf_deploy.diagnostics.findings import InputError
from nrf_deploy.ir.network import LI, Input, Network, Node, Output, Population, SumPool
from nrf_deploy.ir.recording import Recording

from .test_lower import if_layer, linear, noise


def model(weight: np.ndarray, population: Population | None = None) -> Network:
    neurons = population or if_layer("n", (len(weight),), 1.0)
    nodes: tuple[Node, ...] = (
        Input(name="x", port_shape=(weight.shape[1],)),
        linear("w", weight),
        neurons,
        Output(name="y", port_shape=neurons.shape),
    )
    return Network(nodes, tuple(pairwise(n.name for n in nodes)), 1e-3)


def refused(bundle: Bundle, frame: np.ndarray) -> list[str]:
    with pytest.raises(InputError) as refusal:
        nd.run(bundle, Recording.from_dense(frame[None]))
    return [f.code for f in refusal.value.findings]


def frame(size: int, value: int) -> np.ndarray:
    made = np.zeros(size, np.int64)
    made[0] = value
    return made


def test_a_chip_of_binary_spikes_refuses_a_value_below_0() -> None:
    """It would count as a spike, like every value that is not 0."""
    bundle = pipeline.compile(model(np.eye(3)), "loihi1")
    assert [p.range for p in bundle.program.ports] == [(0, 1)]
    assert refused(bundle, frame(3, -1)) == ["RECORDING-NEGATIVE"]
    assert refused(bundle, frame(3, 2)) == ["RECORDING-TOO-LARGE"]


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.integers(0, 9999), st.integers(1, 400))
def test_up_to_the_peak_no_current_wraps_and_beyond_it_one_may(seed: int, inputs: int) -> None:
    weight = np.random.default_rng(seed).normal(0, 1, (3, inputs))
    bundle = pipeline.compile(model(weight), "loihi2")
    (port,) = bundle.program.ports
    (found,) = [f for f in bundle.findings if f.code == "LOIHI-INPUT-PEAK"]
    assert str(port.peak) in found.what
    assert "--calibrate" in found.fix
    (synapses,) = bundle.program.synapses
    worst = 64 * np.abs(synapses.weight).sum(axis=1).max()
    assert worst * port.peak < 2**23 <= worst * (port.peak + 1) + 64


def test_larger_input_is_refused_with_the_way_out_which_works() -> None:
    network = model(np.random.default_rng(0).normal(0, 1, (2, 300)))
    bundle = pipeline.compile(network, "loihi2")
    large = 10 * bundle.program.ports[0].peak
    data = Recording.from_dense(np.stack([frame(300, large), frame(300, -large)]))
    with pytest.raises(InputError) as refusal:
        nd.run(bundle, data)
    assert [f.code for f in refusal.value.findings] == ["RECORDING-TOO-LARGE"] * 2
    assert all("--calibrate" in f.fix for f in refusal.value.findings)
    (said,) = (f for f in refusal.value.findings if "above" in f.what)
    assert "compiled for values up to" in said.why
    assert "24 bits could overflow" in said.why
    assert f"--clip {bundle.program.ports[0].peak}" in said.fix
    calibrated = pipeline.compile(network, "loihi2", data)
    assert calibrated.program.ports[0].peak >= large
    nd.run(calibrated, data)


def test_a_potential_that_is_read_stays_below_its_limit_up_to_the_peak() -> None:
    ones = np.ones(2)
    readout = LI(name="n", tau=ones * 0.01, r=ones, v_leak=0 * ones)
    weight = np.random.default_rng(1).uniform(0.1, 1, (2, 20))
    bundle = pipeline.compile(model(weight, readout), "loihi2")
    (port,) = bundle.program.ports
    steady = Recording.from_dense(np.full((300, 20), port.peak))
    v = nd.run(bundle, steady, states=["n"]).states["n"]["v"]
    assert np.all(np.diff(v, axis=0) >= 0), "it never starts again at 0"


def test_what_a_pool_adds_up_counts_too() -> None:
    """A pool that cannot be folded sends sums of four inputs."""
    pool = SumPool(
        name="p", pool_input=(1, 4, 4), window=(2, 2), stride=(1, 1), padding=((1, 1), (1, 1))
    )
    nodes: tuple[Node, ...] = (
        Input(name="x", port_shape=(1, 4, 4)),
        pool,
        if_layer("n", pool.shape, 3.0),
        Output(name="y", port_shape=pool.shape),
    )
    network = Network(nodes, tuple(pairwise(n.name for n in nodes)), 1e-3)
    bundle = pipeline.compile(network, "loihi2")
    (synapses,) = bundle.program.synapses
    worst = 64 * 4 * int(synapses.weight.max())
    assert bundle.program.ports[0].peak == (2**23 - 1) // worst


@pytest.mark.parametrize("chip", ["loihi1", "loihi2"])
def test_four_thousand_inputs_may_spike_at_once(chip: str) -> None:
    """A neuron with 4,000 equal weights and a threshold of 1 fires in each step that has input."""
    bundle = pipeline.compile(model(np.ones((2, 4000))), chip)
    trace = nd.run(bundle, noise((4000,), 3, 0.5))
    latency = bundle.program.origin("n").latency
    assert trace.outputs["n"].dense()[latency:].tolist() == [[1, 1]] * 3
