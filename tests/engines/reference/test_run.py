"""The meaning of a Network in the reference: time, graph, refusals."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nrf_deploy.diagnostics.findings import InputError, UsageError
from nrf_deploy.engines.reference import run
from nrf_deploy.engines.reference.run import components
from nrf_deploy.ir.network import (
    Array,
    Delay,
    I,
    Input,
    Linear,
    Network,
    Node,
    Output,
    Population,
    Scale,
    Threshold,
)
from nrf_deploy.ir.recording import Recording, Trace
from tests.builders.random_networks import networks, random_network, random_recording


def full(value: float, *shape: int) -> Array:
    return np.full(shape, value, np.float32)


def chain(*nodes: Node, dt: float = 1.0) -> Network:
    edges = tuple((a.name, b.name) for a, b in itertools.pairwise(nodes))
    return Network(nodes, edges, dt)


def given_frames(values: Any) -> Recording:
    return Recording.from_dense(np.asarray(values, np.float32))


def through(node: Node, frames: Array, dt: float = 1.0) -> Array:
    """Run these frames through one node."""
    network = chain(Input(name="x", port_shape=node.input_shape), node, dt=dt)
    return run(network, Recording.from_dense(frames), record=[node.name]).outputs[node.name].dense()


# --- time ---


def test_a_delay_holds_every_element_back_by_its_own_steps() -> None:
    frames = np.arange(1, 7).reshape(6, 1) * np.ones((1, 3), int)
    delay = Delay(name="y", delay=np.array([0.0, 0.1, 0.3], np.float32))
    expected = [[1, 0, 0], [2, 1, 0], [3, 2, 0], [4, 3, 1], [5, 4, 2], [6, 5, 3]]
    np.testing.assert_array_equal(through(delay, frames, dt=0.1), expected)


@given(networks(), st.integers(0, 2**32 - 1), st.integers(1, 25))
@settings(max_examples=40, deadline=None)
def test_the_chunk_cannot_reach_the_numbers(network: Network, seed: int, chunk: int) -> None:
    recording = random_recording(network, seed, 24)
    names = [n.name for n in network.nodes]
    states = [n.name for n in network.of(Population)]
    whole = run(network, recording, record=names, states=states)
    cut = run(network, recording, record=names, states=states, chunk=chunk)
    assert_same(whole, cut)


def assert_same(a: Trace, b: Trace) -> None:
    assert list(a.outputs) == list(b.outputs)
    for name, output in a.outputs.items():
        assert output.same(b.outputs[name]), name
    for name, variables in a.states.items():
        for variable, values in variables.items():
            np.testing.assert_array_equal(values, b.states[name][variable], name)


def test_delays_survive_the_chunk() -> None:
    delay = Delay(name="d", delay=np.array([0, 2, 5, 30], np.float32))
    network = chain(Input(name="x", port_shape=(4,)), delay)
    recording = random_recording(network, 1, 40, rate=0.5)
    whole = run(network, recording, record=["d"])
    assert len(whole.outputs["d"].index) > 20
    for chunk in (1, 3, 7):
        assert_same(whole, run(network, recording, record=["d"], chunk=chunk))


def test_a_prefix_of_a_run_is_the_run_of_the_prefix_and_silence_follows_the_recording() -> None:
    network = random_network(3, 3)
    recording = random_recording(network, 3, 30)
    long = run(network, recording, steps=45)
    short = run(network, recording, steps=20)
    padded = Recording.from_dense(
        np.concatenate([recording.dense(), np.zeros((15, *recording.shape), np.int64)])
    )
    for name, output in long.outputs.items():
        assert output.steps == 45
        assert output.same(run(network, padded).outputs[name])
        np.testing.assert_array_equal(output.dense()[:20], short.outputs[name].dense())


# --- graph ---


def test_a_cycle_carries_the_value_of_the_step_before() -> None:
    """y(t) = x(t) + y(t-1)/2."""
    nodes = (
        Input(name="x", port_shape=(1,)),
        Scale(name="y", scale=full(1, 1)),
        Scale(name="back", scale=full(0.5, 1)),
    )
    network = Network(nodes, (("x", "y"), ("y", "back"), ("back", "y")), 1.0)
    trace = run(network, given_frames([[1], [0], [1], [0]]), record=["y"])
    np.testing.assert_array_equal(trace.outputs["y"].dense().ravel(), [1, 0.5, 1.25, 0.625])


def test_a_node_may_feed_itself() -> None:
    nodes = (Input(name="x", port_shape=(1,)), Threshold(name="y", threshold=full(0.5, 1)))
    network = Network(nodes, (("x", "y"), ("y", "y")), 1.0)
    trace = run(network, given_frames([[0], [1], [0], [0]]))
    np.testing.assert_array_equal(trace.outputs["y"].dense().ravel(), [0, 1, 1, 1])


@given(networks(residual=True, recurrent=True))
@settings(max_examples=30, deadline=None)
def test_components_hold_every_cycle_and_follow_their_sources(network: Network) -> None:
    parts = components(network)
    assert sorted(itertools.chain(*parts)) == sorted(n.name for n in network.nodes)
    place = {name: i for i, part in enumerate(parts) for name in part}
    for source, target in network.edges:
        if (source, target) in network.back_edges:
            assert place[source] == place[target]
        else:
            assert place[source] <= place[target]


def test_several_inputs_are_stacked_in_the_order_of_their_nodes() -> None:
    nodes = (
        Input(name="b", port_shape=(1, 2)),
        Input(name="a", port_shape=(3,)),
        Output(name="out", port_shape=(3,)),
    )
    network = Network(nodes, (("a", "out"),), 1.0)
    recording = Recording.from_dense(np.array([[1, 2, 3, 4, 5]]))
    trace = run(network, recording, record=["a", "b", "out"])
    np.testing.assert_array_equal(trace.outputs["b"].dense(), [[[1, 2]]])
    np.testing.assert_array_equal(trace.outputs["a"].dense(), [[3, 4, 5]])
    assert trace.outputs["out"].same(trace.outputs["a"])


def test_signals_that_meet_add_in_the_order_of_the_edges() -> None:
    """In float32 (1e8 - 1e8) + 1 is 1 and (1e8 + 1) - 1e8 is 0."""
    nodes: list[Node] = [Input(name="x", port_shape=(1,)), Output(name="y", port_shape=(1,))]
    for name, scale in (("big", 1e8), ("less", -1e8), ("one", 1.0)):
        nodes.append(Scale(name=name, scale=full(scale, 1)))
    fan = tuple(("x", n) for n in ("big", "less", "one"))
    for order, expected in ((("big", "less", "one"), 1.0), (("big", "one", "less"), 0.0)):
        network = Network(tuple(nodes), (*fan, *((n, "y") for n in order)), 1.0)
        assert run(network, given_frames([[1]]), record=["y"]).outputs["y"].dense() == expected


def test_what_spikes_is_whole_and_what_is_graded_is_not() -> None:
    network = random_network(4, 2, readout=("LI",))
    trace = run(network, random_recording(network, 4, 20), record=["n0", "n2", "output"])
    assert trace.outputs["n0"].value.dtype == np.int64
    assert set(trace.outputs["n0"].value.tolist()) == {1}
    assert trace.outputs["n2"].value.dtype == np.float32
    assert trace.outputs["output"].same(trace.outputs["n2"])
    assert list(run(network, random_recording(network, 4, 1)).outputs) == ["n0", "n1", "n2"]


# --- refusals ---


def codes(caught: pytest.ExceptionInfo[Any]) -> list[str]:
    return [f.code for f in caught.value.findings]


def test_everything_that_is_wrong_is_said_at_once() -> None:
    nodes = (
        Input(name="x", port_shape=(4,)),
        Delay(name="late", delay=np.array([0, 1, 1.5, 2.0])),
        Delay(name="early", delay=np.array([-1.0] * 4)),
        Linear(name="y", weight=full(1, 1, 3)),
    )
    network = Network(nodes, (("x", "late"), ("late", "early"), ("early", "y")), 1.0)
    with pytest.raises(UsageError) as caught:
        run(network, given_frames(np.zeros((3, 5))), record=["nobody"], states=["y"], steps=-1)
    expected = ["REF-NAME", "REF-STATE", "REF-STEPS", "REF-INPUT", "REF-SHAPE"]
    assert codes(caught) == [*expected, "REF-DELAY", "REF-DELAY"]
    assert caught.value.findings[5].neuron == (2,)


def test_a_state_that_leaves_the_numbers_is_refused() -> None:
    node = I(name="y", r=full(1e38, 2))
    with pytest.raises(InputError) as caught:
        through(node, np.array([[0, 1]] * 9))
    assert codes(caught) == ["REF-OVERFLOW"]
    assert (caught.value.findings[0].layer, caught.value.findings[0].neuron) == ("y", (1,))


def test_progress_reaches_the_end() -> None:
    network = random_network(0, 1)
    seen: list[tuple[int, int]] = []
    run(
        network,
        random_recording(network, 0, 10),
        chunk=4,
        progress=lambda done, of: seen.append((done, of)),
    )
    assert seen == [(4, 10), (8, 10), (10, 10)]


def test_no_steps_give_an_empty_trace() -> None:
    network = random_network(0, 2)
    trace = run(network, random_recording(network, 0, 5), states=["n0"], steps=0)
    assert trace.outputs["n0"].steps == 0
    assert trace.states["n0"]["v"].shape == (0, *network["n0"].shape)
