"""The replay of a witness: equal, within rounding of a threshold, or refused with its cause."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from nrf_deploy.engines.reference import run
from nrf_deploy.ir.network import Array, Delay, Input, Linear, Network, Output, Population
from nrf_deploy.ir.recording import Recording
from nrf_deploy.ir.witness import Witness
from nrf_deploy.neurons import Spikes
from nrf_deploy.witness.cause import cause
from nrf_deploy.witness.replay import replay
from tests.builders.witnesses import population, stimulus, two_layers, values, witness_of

ONES = np.ones(8, np.float32)


def rule(**fields: Any) -> Spikes:
    return Spikes(threshold=np.ones((), np.float32), **fields)


def of_size(fields: dict[str, Any]) -> Any:
    """Return two networks of the same weights: with plain rules, and with these fields."""

    def network(own: dict[str, Any]) -> Network:
        base = two_layers()
        nodes = tuple(
            replace(n, rule=Spikes(threshold=n.rule.threshold, **own))
            if type(n) is Population
            else n
            for n in base.nodes
        )
        return replace(base, nodes=nodes)

    return network({}), network(fields)


def test_an_equal_model_is_exact_on_every_step_and_layer() -> None:
    network = two_layers()
    result = replay(network, [witness_of(network)], "ab")
    assert result.first is None
    trained = result.trained
    assert (trained.state, trained.steps, trained.layers) == ("exact", 32, ("n1", "n2"))
    assert (trained.near, trained.missing, trained.sha256) == (0, (), "ab")
    assert trained.text == "exact on 32 steps of snntorch's own spikes"


def test_several_recordings_are_replayed_each_from_the_first_state() -> None:
    network = two_layers()
    result = replay(network, [witness_of(network, seed) for seed in (1, 2, 3)])
    assert result.first is None
    assert (result.trained.steps, result.trained.samples) == (96, 3)


def test_a_layer_without_an_output_is_named() -> None:
    network = two_layers()
    witness = witness_of(network, potentials={})
    witness = replace(witness, outputs={"n2": witness.outputs["n2"]})
    result = replay(network, [witness])
    assert result.first is None
    assert result.trained.missing == ("n1",)
    assert "in 1 of 2 layers" in result.trained.text


CAUSES = {
    "subtract": ({"reset": "subtract"}, "the reset subtracts the threshold at once"),
    "at": ({"fires": "at"}, "a spike leaves at v >= threshold too"),
    "both": (
        {"reset": "subtract", "fires": "at"},
        "the reset subtracts the threshold at once and a spike leaves at v >= threshold too",
    ),
}


@pytest.mark.parametrize("case", CAUSES)
def test_another_rule_is_found_with_its_first_place_and_its_cause(case: str) -> None:
    fields, text = CAUSES[case]
    read, trained = of_size(fields)
    witness = witness_of(trained)
    result = replay(read, [witness])
    first = result.first
    assert first is not None
    assert first.layer == "n1"
    assert first.theirs != first.ours or first.variable == "potential"
    found = cause(read, witness, first, 32)
    assert found.readings[0] == text
    assert found.words.startswith("equal on 32 steps if ")


def test_another_gain_is_found() -> None:
    read = two_layers()
    nodes = [
        replace(n, membrane=replace(n.membrane, r=0 * n.membrane.r + 1))
        if type(n) is Population
        else n
        for n in read.nodes
    ]
    trained = replace(read, nodes=tuple(nodes))
    witness = witness_of(trained)
    first = replay(read, [witness]).first
    assert first is not None
    assert "scaled by dt/tau" in cause(read, witness, first, 32).words


def test_a_cause_that_no_reading_explains_is_said() -> None:
    read = two_layers()
    witness = witness_of(two_layers(seed=9))
    first = replay(read, [witness]).first
    assert first is not None
    assert cause(read, witness, first, 32).readings == ()


def single(weight: float, spikes: Any, inputs: Any) -> tuple[Network, Witness]:
    """Return one neuron that keeps all of its potential, and what a framework gave for it."""
    nodes = (
        Input(name="in", port_shape=(1,)),
        Linear(name="fc", weight=np.array([[weight]], np.float32)),
        population("n", 1, decay=0.5),
        Output(name="out", port_shape=(1,)),
    )
    edges = (("in", "fc"), ("fc", "n"), ("n", "out"))
    output = Recording.from_dense(np.array(spikes, np.int64).reshape(-1, 1))
    stimuli = Recording.from_dense(np.array(inputs, np.float32).reshape(-1, 1))
    witness = Witness(producer="norse", version="1", input=stimuli, outputs={"n": output})
    return Network(nodes, edges, 1.0), witness


def test_a_spike_within_rounding_of_the_threshold_is_counted_and_the_layer_goes_on() -> None:
    network, witness = single(1 + 2e-6, [0, 0, 1], [1, 0, 1])
    result = replay(network, [witness])
    assert result.first is None
    assert result.trained.near == 1
    assert "v = 1.000002 for a threshold of 1" in result.trained.places[0]
    assert "but for 1 within 1e-5 of a threshold" in result.trained.text
    assert result.trained.whole > 0


def test_a_spike_further_from_the_threshold_is_refused() -> None:
    network, witness = single(1 + 2e-5, [0, 0, 1], [1, 0, 1])
    first = replay(network, [witness]).first
    assert first is not None
    assert (first.step, first.theirs, first.ours) == (0, 0, 1)


def test_no_spike_may_differ_where_all_sums_are_exact() -> None:
    """The tie is at the threshold, so every reading of it is within rounding."""
    network, witness = single(1.0, [1, 0, 0], [1, 0, 0])
    first = replay(network, [witness]).first
    assert first is not None
    assert (first.step, first.potential, first.threshold) == (0, 1.0, 1.0)


def test_values_may_differ_by_rounding_only() -> None:
    network = two_layers(last=values(4))
    good = witness_of(network, potentials={})

    def shifted(by: float) -> Witness:
        old = good.outputs["n2"]
        return replace(good, outputs={**good.outputs, "n2": replace(old, value=old.value + by)})

    assert replay(network, [shifted(np.float32(1e-6))]).first is None
    first = replay(network, [shifted(np.float32(1e-3))]).first
    assert first is not None
    assert first.layer == "n2"


def test_a_potential_that_differs_is_refused_though_all_spikes_are_equal() -> None:
    network = two_layers()
    good = witness_of(network)
    other = {**good.potentials, "n1": good.potentials["n1"] + np.float32(1e-3)}
    first = replay(network, [replace(good, potentials=other)]).first
    assert first is not None
    assert (first.layer, first.variable, first.step) == ("n1", "potential", 0)


def recurrent(start: Any = "bias") -> Network:
    base = two_layers()
    size = 8
    random = np.random.default_rng(5)
    weight = (0.25 * random.integers(-2, 3, (size, size))).astype(np.float32)
    back = Linear(name="rec", weight=weight, bias=np.full(size, 0.5, np.float32))
    return replace(
        base,
        nodes=(*base.nodes, back),
        edges=(*base.edges, ("n1", "rec"), ("rec", "n1")),
        loop_start=start,
    )


def test_a_recurrent_layer_is_fed_with_the_spikes_of_the_step_before() -> None:
    network = recurrent()
    assert replay(network, [witness_of(network)]).first is None
    without = replace(
        witness_of(network), potentials={}, outputs={"n2": witness_of(network).outputs["n2"]}
    )
    assert replay(network, [without]).first is None


def test_the_bias_of_a_recurrent_connection_in_the_first_step_is_found() -> None:
    witness = witness_of(recurrent("zero"))
    first = replay(recurrent("bias"), [witness]).first
    assert first is not None
    found = cause(recurrent("bias"), witness, first, 32)
    assert found.readings == ("the bias of the recurrent connection is absent in the first step",)


def test_a_large_network_is_replayed_in_part_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    from nrf_deploy.witness import replay as module

    network = two_layers()
    monkeypatch.setattr(module, "WORK", 5 * module.cost(network))
    result = replay(network, [witness_of(network), witness_of(network, seed=2)])
    assert (result.trained.steps, result.trained.offered) == (5, 64)


def test_chunks_do_not_change_what_reaches_a_layer() -> None:
    from nrf_deploy.engines.reference.arriving import arriving

    network = recurrent()
    witness = witness_of(network)

    def all_of(chunk: int) -> Array:
        parts = arriving(network, witness.input, witness.outputs, 32, chunk)
        return np.concatenate([inputs["n1"] for _, inputs in parts])

    assert np.array_equal(all_of(32), all_of(1))
    assert np.array_equal(all_of(32), all_of(5))


def test_what_reaches_a_layer_is_what_reaches_it_in_a_run() -> None:
    network = recurrent()
    recording = stimulus(network)
    trace = run(network, recording, record=["fc2", "n1", "n2"])
    from nrf_deploy.engines.reference.arriving import arriving

    given = {n: trace.outputs[n] for n in ("n1", "n2")}
    parts = np.concatenate([x["n2"] for _, x in arriving(network, recording, given, 32)])
    assert np.array_equal(parts, trace.outputs["fc2"].dense())


def test_the_output_of_a_delay_is_compared_over_several_chunks() -> None:
    """The spikes of some frameworks leave one step late, through a Delay behind the neurons."""
    base = two_layers()
    late = Delay(name="n2.delay", delay=np.ones(4, np.float32))
    edges = tuple(e for e in base.edges if e != ("n2", "out"))
    network = replace(
        base,
        nodes=(*base.nodes, late),
        edges=(*edges, ("n2", "n2.delay"), ("n2.delay", "out")),
    )
    recording = stimulus(network, steps=600)
    trace = run(network, recording, record=["n1", "n2.delay"])
    witness = Witness(producer="spyx", version="1", input=recording, outputs=trace.outputs)
    assert replay(network, [witness]).first is None
    other = run(base, recording, record=["n2"]).outputs["n2"]
    wrong = replace(witness, outputs={**trace.outputs, "n2.delay": other})
    first = replay(network, [wrong]).first
    assert first is not None
    assert first.layer == "n2.delay"
