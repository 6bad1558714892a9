"""Neurons that fire at v >= threshold, on a chip that asks for v > threshold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from nrf_deploy.bundle import pipeline
from nrf_deploy.engines.reference import run
from nrf_deploy.ir.network import IF, Conv, Linear, Network, Node, Population
from nrf_deploy.ir.recording import Recording
from nrf_deploy.neurons import Integrator, Spikes
from tests.builders.random_networks import networks, random_recording

from .test_initial_state import behind, leaky
from .test_lower import coarse, demand_equal, exact


def at_whole_units(network: Network) -> Network:
    """Draw neurons that fire at their threshold, and numbers with which v often equals it."""

    def one(node: Node) -> Node:
        if type(node) is Population and type(node.rule) is Spikes:
            assert type(node.membrane) is Integrator
            whole = np.maximum(np.rint(node.rule.threshold * 8), 1) / 8
            return node.with_(fires="at", threshold=whole, reset_to=0 * whole)
        if isinstance(node, Linear | Conv):
            bias = None if node.bias is None else np.rint(node.bias * 8) / 8
            return replace(node, weight=np.rint(node.weight * 8) / 8, bias=bias)
        return node

    return replace(network, nodes=tuple(one(n) for n in network.nodes))


def with_fires(network: Network, fires: str) -> Network:
    nodes = (
        n.with_(fires=fires) if type(n) is Population and n.spikes else n for n in network.nodes
    )
    return replace(network, nodes=tuple(nodes))


@settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.filter_too_much],
)
@given(
    networks(
        neurons=("IF",),
        resets=("value",),
        connections=("Linear", "Conv", "SumPool"),
        readout=("",),
        unit_gain=True,
    ).map(coarse).map(at_whole_units),
    st.integers(0, 99),
)  # fmt: skip
def test_networks_that_fire_at_their_threshold_lose_nothing(network: Network, seed: int) -> None:
    recording = random_recording(network, seed, steps=30)
    verdict = pipeline.check(network, "loihi2", scheme=exact(network))
    program = verdict.program
    assume(program is not None and not verdict.refused)
    assume(all(np.abs(s.weight).max() < 254 for s in program.synapses))
    assert not [f for f in verdict.findings if f.code == "LOIHI-FIRES-AT"]
    demand_equal(network, recording)


def test_the_two_ways_to_fire_differ() -> None:
    """Otherwise the property above would be empty."""
    network = behind(2, 0.125, IF(name="n", r=np.full(2, 1e3), v_threshold=np.full(2, 0.5),
                                  v_reset=np.zeros(2)))  # fmt: skip
    frames = Recording.from_dense(np.zeros((12, 2), np.int64))
    counts = []
    for fires in ("above", "at"):
        model = with_fires(network, fires)
        demand_equal(model, frames)
        counts.append(int(run(model, frames).outputs["n"].dense().sum()))
    assert counts == [2 * 2, 2 * 3]


@pytest.mark.parametrize(
    ("last", "bias", "severity"),
    [
        (leaky(10).with_(fires="at"), 0.0, "info"),
        (replace(behind(0, 0, leaky(3))["n"]), 0.0, None),
    ],
)
def test_where_v_has_steps_between_two_thresholds_it_is_told(
    last: Population, bias: float, severity: str | None
) -> None:
    found = pipeline.check(behind(0, bias, last), "loihi2").findings
    told = [f.severity for f in found if f.code == "LOIHI-FIRES-AT"]
    assert told == ([severity] if severity else [])


def test_a_bias_between_two_units_is_a_warning() -> None:
    neurons = IF(name="n", r=np.full(2, 1e3), v_threshold=np.full(2, 0.5), v_reset=np.zeros(2),
                 fires="at")  # fmt: skip
    found = pipeline.check(behind(0, 0.1234, neurons), "loihi2").findings
    (told,) = [f for f in found if f.code == "LOIHI-FIRES-AT"]
    assert told.severity == "warning"
    assert "whole number of weight units" in told.fix


def test_a_threshold_of_0_that_is_fired_at_is_refused() -> None:
    neurons = IF(name="n", r=np.full(2, 1e3), v_threshold=np.zeros(2), v_reset=np.zeros(2))
    codes = {
        fires: [f.code for f in pipeline.check(with_fires(behind(0, 0.0, neurons), fires),
                                               "loihi2").findings if f.severity == "error"]
        for fires in ("above", "at")
    }  # fmt: skip
    assert codes == {"above": [], "at": ["LOIHI-THRESHOLD-NEGATIVE"]}
