"""Neurons that rest after a spike, from the model to Loihi 2: exact, or refused by name."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import nrf_deploy as nd
from nrf_deploy.bundle import pipeline
from nrf_deploy.diagnostics.findings import TargetError
from nrf_deploy.engines.reference import run
from nrf_deploy.ir.network import Input, Linear, Network, Node, Output, Population
from nrf_deploy.ir.recording import Recording
from nrf_deploy.neurons import CurrentLeaky, Integrator, Leaky, Membrane, Spikes
from nrf_deploy.verification.verify import verify
from nrf_loihi.arithmetic.neurons import runs_on
from nrf_loihi.compile.task import spikes
from nrf_loihi.lava import engine
from tests.builders.random_networks import networks, random_recording

from .test_firing import at_whole_units
from .test_initial_state import behind, leaky
from .test_lower import coarse, demand_equal, exact

WIDTH = 6
ONE = np.ones(WIDTH)
LEAKY = Leaky(tau=8 * ONE, r=8 * ONE, v_leak=0 * ONE)
CURRENT = CurrentLeaky(tau_syn=4 * ONE, tau_mem=8 * ONE, r=ONE, v_leak=0 * ONE, w_in=4 * ONE)
WITHOUT = Integrator(r=ONE)


def network(membrane: Membrane, threshold: float = 1.0, **rule: Any) -> Network:
    """Build two layers of six neurons with this rule, and weights on the chip's grid."""
    rng = np.random.default_rng(0)
    nodes: list[Node] = [Input(name="x", port_shape=(WIDTH,))]
    for layer in "ab":
        weight = np.rint(rng.normal(0.3, 0.6, (WIDTH, WIDTH)) * 32) / 32
        nodes.append(Linear(name=f"to {layer}", weight=weight))
        held = Spikes(threshold=threshold * ONE, **{"reset_to": 0 * ONE, **rule})
        nodes.append(Population(name=layer, membrane=membrane, rule=held))
    nodes.append(Output(name="y", port_shape=(WIDTH,)))
    return Network(tuple(nodes), tuple(pairwise(n.name for n in nodes)), 1.0)


def noise(seed: int = 1) -> Recording:
    rng = np.random.default_rng(seed)
    return Recording.from_dense((rng.random((200, WIDTH)) < 0.4).astype(np.int64), 1.0)


def codes(network: Network, chip: str, allow: tuple[str, ...] = ()) -> list[str]:
    findings = pipeline.check(network, chip, allow=allow).findings
    return [f.code for f in findings if f.severity == "error"]


def resting(network: Network, seed: int) -> Network:
    """Return the same neurons, each of which rests for 0 to 4 steps."""
    rng = np.random.default_rng(seed)

    def one(node: Node) -> Node:
        if type(node) is not Population or not node.spikes:
            return node
        return node.with_(refractory=rng.integers(0, 5, node.shape))

    return replace(network, nodes=tuple(one(n) for n in network.nodes))


SPIKING = networks(
    neurons=("IF",),
    resets=("value",),
    connections=("Linear", "Conv", "SumPool"),
    readout=("",),
    unit_gain=True,
).map(coarse)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(SPIKING, st.booleans(), st.integers(0, 99))
def test_resting_integrators_lose_nothing(network: Network, at: bool, seed: int) -> None:
    """The chip's integers are the float reference, spike by spike; also where they fire at v."""
    network = resting(at_whole_units(network) if at else network, seed)
    recording = random_recording(network, seed, steps=30)
    program = pipeline.check(network, "loihi2", scheme=exact(network)).program
    assume(program is not None and all(np.abs(s.weight).max() < 254 for s in program.synapses))
    bundle = demand_equal(network, recording)
    layers = [p for p in bundle.program.populations if "period" in p.params]
    assert {p.model for p in layers} == {"lif_refractory"}


@pytest.mark.parametrize("membrane", [WITHOUT, LEAKY, CURRENT], ids=lambda m: type(m).__name__)
@pytest.mark.parametrize("rule", [{}, {"fires": "at"}, {"reset_to": ONE / 4}], ids=str)
def test_the_chip_rests_as_the_model_does(membrane: Membrane, rule: dict[str, Any]) -> None:
    model = network(membrane, **rule, refractory=np.arange(WIDTH))
    bundle = nd.compile(model, "loihi2", calibrate=noise(2))
    report = verify(bundle, noise())
    assert report.passed, report.text()
    counts = {n: count_in_model(model, n) for n in "ab"}
    free = {n: count_in_model(network(membrane, **rule), n) for n in "ab"}
    assert all(counts[n] < 0.8 * free[n] for n in "ab"), (counts, free)  # it matters here
    chip = nd.run(bundle, noise(), layer=["a", "b"]).outputs
    for name in "ab":
        assert abs(len(chip[name].value) - counts[name]) < 0.05 * counts[name]


def count_in_model(model: Network, name: str) -> int:
    return len(run(model, noise(), record=[name]).outputs[name].value)


def test_no_steps_of_rest_are_those_of_plain_neurons() -> None:
    rested, plain = (
        nd.run(nd.compile(network(LEAKY, **rule), "loihi2"), noise(), layer="b").outputs["b"]
        for rule in ({"refractory": 0 * ONE}, {})
    )
    assert rested.same(plain)
    assert len(plain.value) > 50


def test_trial_runs_of_the_quantiser_rest_too() -> None:
    node = network(LEAKY, refractory=3 * ONE)["a"]
    assert type(node) is Population
    model, more = runs_on(node)
    assert model == "lif_refractory"
    assert np.asarray(more["period"]).tolist() == [3] * WIDTH
    params = {"du": 4095, "dv": 0, "vth": 9}
    fired = spikes(node, params, np.full((9, WIDTH), 10))
    assert fired[:, 0].tolist() == [True, False, False, False] * 2 + [True]


@pytest.mark.parametrize(
    ("period", "found"),
    [(2**23 - 1, []), (2**23, ["LOIHI-RULE-RANGE"]), (2**30, ["LOIHI-RULE-RANGE"])],
)
def test_a_rest_is_held_in_24_bits(period: int, found: list[str]) -> None:
    longest = np.where(np.arange(WIDTH) == 2, period, 1)
    assert codes(network(LEAKY, refractory=longest), "loihi2") == found * 2  # a finding a layer


def test_what_the_chip_does_not_combine_is_refused_by_name() -> None:
    subtracts = network(LEAKY, refractory=2 * ONE, reset="subtract")
    assert codes(subtracts, "loihi2") == ["LOIHI-RESET-SUBTRACT"] * 2
    assert codes(subtracts, "loihi2", ("subtract-as-zero-reset",)) == []
    many = {"per_step": "many", "reset": "subtract", "fires": "at"}
    for membrane, rule in ((LEAKY, {"floor": -ONE}), (WITHOUT, many)):
        refused = network(membrane, refractory=2 * ONE, **rule)
        assert codes(refused, "loihi2") == ["RULE-UNSUPPORTED"] * 2


def test_an_early_spike_is_forgotten_after_the_rest_and_the_leak() -> None:
    """The number is that of test_initial_state, where 30 steps are named for the leak alone."""
    neurons = leaky(10).with_(refractory=np.full(2, 7))
    findings = pipeline.check(behind(3, -0.3, neurons), "loihi2").findings
    (found,) = [f for f in findings if f.code == "LOIHI-EARLY-SPIKES"]
    assert "first 37 steps" in found.fix


@pytest.mark.parametrize("chip", ["loihi1", "loihi1-kapoho-bay"])
def test_loihi1_refuses_it_by_name(chip: str) -> None:
    with pytest.raises(TargetError) as refusal:
        nd.compile(network(LEAKY, refractory=2 * ONE), chip)
    assert [f.code for f in refusal.value.findings] == ["RULE-UNSUPPORTED"] * 2
    assert "`refractory`" in refusal.value.findings[0].what


def test_lava_is_not_asked() -> None:
    bundle = nd.compile(network(LEAKY, refractory=2 * ONE), "loihi2")
    with pytest.raises(TargetError) as refusal:
        engine.run(bundle.program, noise())
    assert {f.code for f in refusal.value.findings} == {"LAVA-REFRACTORY"}
