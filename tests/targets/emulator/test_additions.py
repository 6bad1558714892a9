"""Additions of a rule on a machine that a user describes: against the reference and by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nrf_deploy as nd
from nrf_deploy.engines import reference
from nrf_deploy.engines.emulator import golden
from nrf_deploy.engines.emulator.parameters import of_word
from nrf_deploy.io import nir
from nrf_deploy.ir.network import Input, Linear, Network, Output, Population
from nrf_deploy.ir.program import Population as Held
from nrf_deploy.ir.recording import Recording
from nrf_deploy.neurons import CurrentLeaky, Integrator, Leaky, Membrane, Rising, Spikes
from nrf_emulator.arithmetic.additions import ADDITIONS, Row, Scaled
from nrf_emulator.arithmetic.kernels import FixedKernels
from nrf_emulator.arithmetic.models import MODELS
from nrf_emulator.arithmetic.rules import FixedArithmetic
from nrf_emulator.arithmetic.steps import spiking

WIDTH = 6
ONE = np.ones(WIDTH)
LEAKY = Leaky(tau=8 * ONE, r=8 * ONE, v_leak=0 * ONE)
CURRENT = CurrentLeaky(tau_syn=4 * ONE, tau_mem=8 * ONE, r=4 * ONE, v_leak=0 * ONE, w_in=4 * ONE)
TAKES = Rising(tau=20 * ONE, jump=ONE / 4, takes="adapted")
MANY: Mapping[str, Any] = {"per_step": "many", "fires": "at", "reset": "subtract"}
RULES: Mapping[str, Mapping[str, Any]] = {
    "refractory": {"refractory": 3 * ONE},
    "refractory, subtracts": {"refractory": np.arange(WIDTH), "reset": "subtract"},
    "rising": {"adaptation": Rising(tau=20 * ONE, jump=ONE / 2)},
    "rising, subtracts": {"adaptation": Rising(tau=20 * ONE, jump=ONE / 2), "reset": "subtract"},
    "rising, takes": {"adaptation": TAKES, "reset": "subtract"},
    "both": {"refractory": 2 * ONE, "adaptation": Rising(tau=20 * ONE, jump=ONE / 2)},
    "late": {"reset": "late"},
    "none": {"reset": "none"},
    "none, rests": {"reset": "none", "refractory": 2 * ONE},
    "doubled": {"reset": "doubled"},
    "takes less": {"reset": "subtract", "subtracts": 0.5 * ONE},
    "many": MANY,
    "at most 2": {**MANY, "most": 2 * ONE},
    "many, to a value": {**MANY, "reset": "value", "reset_to": -0.25 * ONE},
    "many, rises": {**MANY, "adaptation": TAKES},
    "floor": {"floor": -0.05 * ONE, "reset": "subtract"},
    "many, floor": {**MANY, "floor": -ONE},
}


def network(membrane: Membrane, rule: Mapping[str, Any]) -> Network:
    """Build two layers of six neurons with this rule."""
    rng = np.random.default_rng(0)
    weights = rng.normal(0.3, 0.6, (2, WIDTH, WIDTH))
    nodes: list[Any] = [Input(name="x", port_shape=(WIDTH,))]
    for layer, weight in zip("ab", weights, strict=True):
        spikes = Spikes(threshold=ONE, **{"reset_to": 0 * ONE, **rule})
        nodes.append(Linear(name=f"to {layer}", weight=weight))
        nodes.append(Population(name=layer, membrane=membrane, rule=spikes))
    nodes.append(Output(name="y", port_shape=(WIDTH,)))
    return Network(tuple(nodes), tuple(pairwise(n.name for n in nodes)), 1.0)


def noise() -> Recording:
    rng = np.random.default_rng(1)
    return Recording.from_dense((rng.random((200, WIDTH)) < 0.4).astype(np.int64), 1.0)


def modelled(network: Network, layer: str) -> Any:
    return reference.run(network, noise(), record=[layer]).outputs[layer].dense()


def emulated(bundle: nd.Bundle, layer: str) -> Any:
    trace = golden.run(bundle.program, FixedArithmetic(), noise(), record=[layer])
    return trace.outputs[layer].dense()


def test_an_addition_may_have_no_state() -> None:
    """A ceiling of the potential changes the test of a step and keeps nothing."""
    row = Row(
        features=frozenset(("ceiling",)),
        state=None,
        parameters={"ceiling": of_word()},
        before=lambda p, state, test: test._replace(v=np.minimum(test.v, p["ceiling"])),
        more=lambda rule, scaled: {},
        case=("", "", {}),
    )
    machine = {name: p.default for name, p in MODELS["lif"].parameters.items()}
    params = {**machine, "decay": 0, "vth": 100, "subtract": 1, "ceiling": 120}
    spikes, after = spiking(row)(params, {"v": np.array([0, 0])}, np.array([110, 300]) << 6)
    assert spikes.tolist() == [1, 1]
    assert {name: x.tolist() for name, x in after.items()} == {"v": [20, 20]}


@pytest.mark.parametrize("membrane", [LEAKY, CURRENT], ids=["leaky", "current"])
@pytest.mark.parametrize("name", RULES)
def test_a_fine_machine_follows_the_reference(name: str, membrane: Membrane) -> None:
    made = network(membrane, RULES[name])
    bundle = nd.compile(made, "emulator-float-like", noise())
    plain = network(membrane, {"reset": "subtract"} if RULES[name].get("subtracts") is None else {})
    for layer in "ab":
        wanted, without = (modelled(n, layer) for n in (made, plain))
        assert np.array_equal(emulated(bundle, layer), wanted)
        assert not np.array_equal(wanted, without)


@pytest.mark.parametrize("name", RULES)
def test_a_bundle_keeps_the_rule(name: str, tmp_path: Path) -> None:
    bundle = nd.compile(network(LEAKY, RULES[name]), "emulator", noise())
    nd.save(bundle, tmp_path / "m.nrfb")
    read = nd.load(tmp_path / "m.nrfb")
    assert read.network["a"].features == bundle.network["a"].features  # type: ignore[attr-defined]
    assert np.array_equal(emulated(read, "b"), emulated(bundle, "b"))


def test_a_rest_that_no_state_holds_is_refused() -> None:
    rests = {"refractory": 1000 * ONE}
    with pytest.raises(nd.TargetError, match="refractory is 1000 steps; the machine's state_bits"):
        nd.compile(network(LEAKY, rests), "emulator:state_bits=10", noise())
    nd.compile(network(LEAKY, rests), "emulator:state_bits=11", noise())


def test_a_potential_that_leaves_its_range_below_a_risen_threshold_is_told() -> None:
    rises = {"adaptation": Rising(tau=50 * ONE, jump=20 * ONE)}

    def told(bits: int, rule: Mapping[str, Any]) -> bool:
        bundle = nd.compile(network(LEAKY, rule), f"emulator:state_bits={bits}", noise())
        return any("the threshold that rises, would be" in f.what for f in bundle.findings)

    assert told(14, rises)
    assert not told(28, rises)
    assert not told(14, {})


@pytest.mark.parametrize("name", RULES)
def test_a_file_keeps_the_rule(name: str, tmp_path: Path) -> None:
    made = network(LEAKY, RULES[name])
    nir.write(made, tmp_path / "m.nir")
    read, _ = nir.read(tmp_path / "m.nir")
    assert read["a"].features == made["a"].features  # type: ignore[attr-defined]
    assert np.array_equal(modelled(read, "b"), modelled(made, "b"))


def after(model: str, arriving: list[int], **params: Any) -> tuple[list[int], list[int]]:
    """Return (outputs, potentials) of one neuron, step by step."""
    rules, neuron = FixedArithmetic(), Held(name="n", shape=(1,), model=model, params=params)
    state, found = rules.start(neuron), []
    for t, x in enumerate(arriving):
        output, state = rules.step(neuron, state, np.array([x]), t)
        found.append((int(output[0]), int(state["v"][0])))
    outputs, potentials = zip(*found, strict=True)
    return list(outputs), list(potentials)


PLAIN = {"fraction_bits": 0, "vth": 10}


def test_v_stands_still_after_a_spike() -> None:
    spiked, v = after("lif_refractory", [11, 5, 50, 6, 5], **PLAIN, period=2)
    assert (spiked, v) == ([1, 0, 0, 0, 1], [0, 0, 0, 6, 0])


def test_no_spike_leaves_a_neuron_that_rests() -> None:
    spiked, v = after("lif_refractory", [25, 0, 0], **PLAIN, period=1, subtract=1)
    assert (spiked, v) == ([1, 0, 1], [15, 15, 5])


def test_the_current_of_a_neuron_that_rests_continues() -> None:
    half = {"decay_bits": 1, "current_decay": 1}
    spiked, v = after("cuba_lif_refractory", [16, 0, 0], **PLAIN, **half, period=1)
    assert (spiked, v) == ([1, 0, 0], [0, 0, 4])


def test_a_late_reset_takes_its_amount_in_the_step_after_a_spike() -> None:
    late = {**PLAIN, "reset": 1, "subtracts": 8}
    spiked, v = after("lif_other_resets", [11, 0, 12, 0], **late)
    assert (spiked, v) == ([1, 0, 1, 0], [11, 3, 15, 7])


def test_without_a_reset_a_neuron_spikes_in_every_step_above_the_threshold() -> None:
    none = {**PLAIN, "reset": 2, "subtracts": 10}
    spiked, v = after("lif_other_resets", [11, 0, -2, 2], **none)
    assert (spiked, v) == ([1, 1, 0, 1], [11, 11, 9, 11])


def test_a_spike_that_ends_above_the_threshold_doubles_the_next_test() -> None:
    doubled = {**PLAIN, "reset": 3, "subtracts": 10, "subtract": 1}
    spiked, v = after("lif_other_resets", [25, 4, 2, 0], **doubled)
    assert (spiked, v) == ([1, 0, 1, 0], [15, 19, 11, 11])


def test_a_potential_gives_a_spike_for_each_threshold_that_it_holds() -> None:
    many = {**PLAIN, "at": 1, "subtract": 1}
    assert after("lif_many", [30, 9, 1, -5], **many) == ([3, 0, 1, 0], [0, 9, 0, -5])
    assert after("lif_many", [35, 0], **many, most=2) == ([2, 1], [15, 5])
    assert after("lif_many", [30], **PLAIN, subtract=1) == ([2], [10])  # above, not at
    assert after("lif_many", [30], **PLAIN, at=1, v_reset=-3) == ([3], [-3])


def test_a_potential_stays_at_its_floor() -> None:
    assert after("lif_floor", [-9, 5, 12], **PLAIN, floor=-4) == ([0, 0, 1], [-4, 1, 0])


def test_neurons_without_a_floor_beside_others_have_the_lowest_potential() -> None:
    rule = Spikes(threshold=ONE[:2], floor=np.array([-0.5, -np.inf]))
    scaled = Scaled(lambda x: (8 * x).astype(np.int64), lambda tau: tau, largest=2047)
    assert ADDITIONS["floor"].more(rule, scaled)["floor"].tolist() == [-4, -2047]


@pytest.mark.parametrize("order", ["scaled", "divided", "multiplied"])
def test_the_order_of_float_operations_is_not_in_the_program(order: Any) -> None:
    made = network(LEAKY, {"reset": "late"})
    other = network(replace(LEAKY, order=order), {"reset": "late"})
    one, two = (nd.compile(n, "emulator", noise()).program for n in (made, other))
    for a, b in zip(one.populations, two.populations, strict=True):
        assert all(
            np.array_equal(a.params[name], b.params[name]) for name in (*a.params, *b.params)
        )
    for s, t in zip(one.synapses, two.synapses, strict=True):
        assert np.array_equal(s.weight, t.weight)


def test_a_potential_starts_where_the_model_does() -> None:
    bundle = nd.compile(network(replace(LEAKY, v0=0.75 * ONE), {}), "emulator")
    for layer in "ab":
        first = bundle.program.population(layer).params["v0"]
        unit = bundle.program.origin(layer).scale["v"]
        assert np.allclose(first / unit, 0.75, rtol=1e-3)


def test_a_potential_without_leak_and_reset_needs_data() -> None:
    made = network(Integrator(r=ONE), {"reset": "none"})
    with pytest.raises(nd.TargetError, match="the potential of IF can grow for ever"):
        nd.compile(made, "emulator")
    bundle = nd.compile(made, "emulator-float-like", noise())
    assert np.array_equal(emulated(bundle, "b"), modelled(made, "b"))


def test_a_potential_that_outgrows_its_spikes_is_told() -> None:
    """Each step can add more than a late reset takes off; one spike a step is all there is."""

    def told(scale: float, rule: Mapping[str, Any]) -> str:
        strong = network(Integrator(r=scale * ONE), rule)
        return " ".join(f.what for f in nd.compile(strong, "emulator").findings)

    assert "the potential would grow without end" in told(1.0, {"reset": "late"})
    assert "the potential would grow without end" not in told(0.1, {"reset": "late"})
    assert "the potential would grow without end" not in told(1.0, MANY)


@pytest.mark.parametrize(
    ("reset", "rule", "code"),
    [
        ("value", {"reset": "late"}, "EMULATOR-RESET-SUBTRACT"),
        ("subtract", {"reset": "none"}, "EMULATOR-RESET-NONE"),
        ("value", {"reset": "none"}, "EMULATOR-RESET-NONE"),
    ],
)
def test_a_reset_that_the_settings_do_not_have_is_refused(
    reset: str, rule: Mapping[str, Any], code: str
) -> None:
    with pytest.raises(nd.TargetError, match=code):
        nd.compile(network(LEAKY, rule), f"emulator:reset={reset}", noise())


def test_a_late_reset_matters_where_nothing_of_a_potential_is_left() -> None:
    forgets = replace(LEAKY, tau=ONE, r=ONE)
    with pytest.raises(nd.TargetError, match="EMULATOR-RESET-SUBTRACT"):
        nd.compile(network(forgets, {"reset": "late"}), "emulator:reset=value", noise())
    made = network(forgets, {"reset": "late"})
    bundle = nd.compile(made, "emulator-float-like", noise())
    assert np.array_equal(emulated(bundle, "b"), modelled(made, "b"))


RISING = {"decay_bits": 1, "b_decay": 1, "jump": 4}


def test_a_threshold_rises_with_each_spike_and_falls_by_its_decay() -> None:
    spiked, _ = after("lif_rising", [11, 12, 12, 11], **PLAIN, **RISING)
    assert spiked == [1, 0, 1, 0]  # above 10, 10 + 2, 10 + 1, 10 + 2


def test_a_reset_takes_the_threshold_with_or_without_what_it_rose_by() -> None:
    base, adapted = (
        after("lif_rising", [11, 20], **PLAIN, **RISING, subtract=1, adapted=own)[1]
        for own in (0, 1)
    )
    assert (base, adapted) == ([1, 11], [1, 9])


@pytest.mark.parametrize("model", MODELS)
def test_each_model_has_a_kernel(model: str) -> None:
    needed = {n: 1 for n, p in MODELS[model].parameters.items() if p.default is None}
    cell = FixedKernels().cell(Held(name="n", shape=(3,), model=model, params=needed))
    assert cell is not None
