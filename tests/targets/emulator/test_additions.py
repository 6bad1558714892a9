"""Additions of a rule on a machine that a user describes: against the reference and by hand."""

from __future__ import annotations

from collections.abc import Mapping
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
from nrf_deploy.neurons import CurrentLeaky, Leaky, Membrane, Rising, Spikes
from nrf_emulator.arithmetic.additions import Row
from nrf_emulator.arithmetic.kernels import FixedKernels
from nrf_emulator.arithmetic.models import MODELS
from nrf_emulator.arithmetic.rules import FixedArithmetic
from nrf_emulator.arithmetic.steps import spiking

WIDTH = 6
ONE = np.ones(WIDTH)
LEAKY = Leaky(tau=8 * ONE, r=8 * ONE, v_leak=0 * ONE)
CURRENT = CurrentLeaky(tau_syn=4 * ONE, tau_mem=8 * ONE, r=ONE, v_leak=0 * ONE, w_in=4 * ONE)
TAKES = Rising(tau=20 * ONE, jump=ONE / 4, takes="adapted")
RULES: Mapping[str, Mapping[str, Any]] = {
    "refractory": {"refractory": 3 * ONE},
    "refractory, subtracts": {"refractory": np.arange(WIDTH), "reset": "subtract"},
    "rising": {"adaptation": Rising(tau=20 * ONE, jump=ONE / 2)},
    "rising, subtracts": {"adaptation": Rising(tau=20 * ONE, jump=ONE / 2), "reset": "subtract"},
    "rising, takes": {"adaptation": TAKES, "reset": "subtract"},
    "both": {"refractory": 2 * ONE, "adaptation": Rising(tau=20 * ONE, jump=ONE / 2)},
}


def network(membrane: Membrane, rule: Mapping[str, Any]) -> Network:
    """Build two layers of six neurons with this rule."""
    rng = np.random.default_rng(0)
    weights = rng.normal(0.3, 0.6, (2, WIDTH, WIDTH))
    nodes: list[Any] = [Input(name="x", port_shape=(WIDTH,))]
    for layer, weight in zip("ab", weights, strict=True):
        spikes = Spikes(threshold=ONE, reset_to=0 * ONE, **rule)
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
    plain = network(membrane, {k: v for k, v in RULES[name].items() if k == "reset"})
    for layer in "ab":
        wanted, without = (modelled(n, layer) for n in (made, plain))
        assert np.array_equal(emulated(bundle, layer), wanted)
        assert wanted.sum() < without.sum()


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
