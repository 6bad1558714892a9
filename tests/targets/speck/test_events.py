"""Event by event: the order of events, and the fast engine that must equal the plain one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from nrf_deploy.diagnostics.findings import InputError, TargetError
from nrf_deploy.engines.emulator import events_golden
from nrf_deploy.engines.emulator.events_engine import EventEngine
from nrf_deploy.engines.emulator.events_order import order_dependence
from nrf_deploy.ir.network import Array
from nrf_deploy.ir.program import Dense, Population, Port, Program
from nrf_deploy.ir.recording import Recording
from nrf_speck.arithmetic.kernels import EventsKernels
from nrf_speck.arithmetic.rules import EventsRule
from tests.builders.speck_programs import Case, cases, convolution, difference, program, wire


def iaf(name: str, shape: tuple[int, ...], theta: int, **params: Any) -> Population:
    return Population(
        name=name, shape=shape, model="iaf", params={"threshold_high": theta, **params}
    )


def one_neuron(weights: Array, theta: int, **params: Any) -> Program:
    port = Port(name="in", shape=(len(weights), 1, 1), peak=100)
    conv = convolution(port, "n", np.reshape(weights, (1, -1, 1, 1)))
    return program((port,), conv, iaf("n", (1, 1, 1), theta, **params))


def frames(*steps: list[int]) -> Recording:
    return Recording.from_dense(np.array(steps)[:, :, None, None])


def engine(made: Program) -> EventEngine:
    found = EventEngine(made, EventsRule(), EventsKernels())
    assert found.plain is None
    return found


@settings(max_examples=60, deadline=None, derandomize=True)
@given(cases())
def test_the_fast_engine_gives_every_state_and_spike_of_the_plain_one(case: Case) -> None:
    plain = events_golden.run(case.program, EventsRule(), case.recording, states=case.names)
    fast = engine(case.program).run(case.recording, states=case.names)
    assert difference(fast, plain) is None


@settings(max_examples=15, deadline=None, derandomize=True)
@given(cases())
def test_so_it_does_on_shuffled_steps_and_on_the_silence_behind_them(case: Case) -> None:
    steps = case.recording.steps + 3
    plain = events_golden.run(case.program, EventsRule(), case.recording, steps=steps, shuffle=7)
    fast = engine(case.program).run(case.recording, steps=steps, shuffle=7)
    assert difference(fast, plain) is None


def test_an_input_of_n_is_n_events() -> None:
    made = one_neuron(np.array([25]), 10)
    trace = engine(made).run(frames([1], [0], [3]), states=["n"])
    assert trace.outputs["n"].dense().ravel().tolist() == [1, 0, 3]
    assert trace.states["n"]["v"].ravel().tolist() == [15, 15, 60]


def test_the_order_of_a_step_is_that_of_its_indices_and_decides_spikes() -> None:
    first_up, first_down = np.array([10, -10]), np.array([-10, 10])
    low = {"threshold_low": -1}
    for weights, spikes in ((first_up, 1), (first_down, 0)):
        trace = engine(one_neuron(weights, 10, **low)).run(frames([1, 1]))
        assert trace.outputs["n"].value.sum() == spikes


def test_an_event_is_followed_to_its_end_before_the_next_one_enters() -> None:
    """Two ways of one length meet: of each event the first way's spike comes first."""
    port = Port(name="in", shape=(2, 1, 1), peak=1)
    both = np.array([[[[1]], [[1]]]])
    up, down = iaf("up", (1, 1, 1), 1), iaf("down", (1, 1, 1), 1)
    merge = Population(name="m", shape=(2, 1, 1), model="merge", params={})
    end = iaf("end", (1, 1, 1), 10, threshold_low=-1)
    made = program(
        (port,),
        convolution(port, "up", both),
        up,
        convolution(port, "down", both),
        down,
        wire("a", up, merge, 1, 0),
        wire("b", down, merge, 1, 1),
        merge,
        convolution(merge, "end", np.array([[[[6]], [[-6]]]])),
        end,
    )
    trace = engine(made).run(frames([1, 1]), states=["end"])
    assert trace.states["end"]["v"].ravel().tolist() == [0]  # 6, 0, 6, 0: never 12
    assert len(trace.outputs["end"].index) == 0


def test_a_tick_comes_before_the_events_of_its_step_and_can_make_a_neuron_fire() -> None:
    trace = engine(one_neuron(np.array([4]), 10, bias=6)).run(frames([1], [0], [0]), states=["n"])
    assert trace.outputs["n"].dense().ravel().tolist() == [1, 0, 1]
    assert trace.states["n"]["v"].ravel().tolist() == [0, 6, 2]


def test_a_wire_merges_addresses() -> None:
    port = Port(name="in", shape=(1, 4, 4), peak=1)
    merge = Population(name="m", shape=(1, 2, 2), model="merge", params={})
    made = program((port,), wire("w", port, merge, 2, 0), merge)
    there = np.zeros((1, 1, 4, 4), np.int64)
    there[0, 0, 1, 2] = there[0, 0, 0, 3] = there[0, 0, 3, 3] = 1
    counts = engine(made).run(Recording.from_dense(there)).outputs["m"].dense()
    assert counts[0, 0].tolist() == [[0, 2], [0, 1]]


def test_runs_are_the_same_every_time_and_so_is_a_seed() -> None:
    rng = np.random.default_rng(3)
    made = one_neuron(rng.integers(-9, 10, 40), 10, threshold_low=-1)
    recording = Recording.from_dense((rng.random((30, 40, 1, 1)) < 0.5).astype(np.int64))
    run = engine(made)
    assert difference(run.run(recording), run.run(recording)) is None
    assert difference(run.run(recording, shuffle=1), run.run(recording, shuffle=1)) is None
    assert difference(run.run(recording, shuffle=1), run.run(recording)) is not None


def test_how_much_the_order_matters_is_told_layer_by_layer() -> None:
    rng = np.random.default_rng(3)
    made = one_neuron(rng.integers(-9, 10, 40), 10, threshold_low=-1)
    recording = Recording.from_dense((rng.random((30, 40, 1, 1)) < 0.5).astype(np.int64))
    (spread,) = order_dependence(engine(made), recording, seeds=range(4))
    counts = [
        int(engine(made).run(recording, shuffle=s).outputs["n"].value.sum()) for s in range(4)
    ]
    assert spread.layer == "n"
    assert (spread.fewest, spread.most) == (min(counts), max(counts))
    assert spread.neurons == 1.0
    assert "spikes" in spread.finding().what


def test_where_no_order_matters_the_spread_is_nothing() -> None:
    made = one_neuron(np.array([3, 3]), 10)
    (spread,) = order_dependence(engine(made), frames([1, 1], [1, 1], [1, 0]), seeds=range(3))
    assert (spread.fewest, spread.most, spread.neurons) == (spread.spikes, spread.spikes, 0.0)


@pytest.mark.parametrize("value", [-1, 0.5])
def test_what_is_no_number_of_events_is_refused(value: float) -> None:
    recording = Recording.from_dense(np.array([[value]])[:, :, None, None])
    made = one_neuron(np.array([3]), 10)
    with pytest.raises(InputError):
        engine(made).run(recording)
    with pytest.raises(InputError, match="not a number of events"):
        events_golden.run(made, EventsRule(), recording)


def test_a_way_back_or_a_delay_is_refused() -> None:
    port = Port(name="in", shape=(1,), peak=1)
    ends = {"source_shape": (1,), "target_shape": (1,), "weight": np.array([[1]])}
    late = Dense(name="late", source="in", targets=("n",), delay=1, **ends)
    back = Dense(name="back", source="n", targets=("n",), delay=0, **ends)
    made = program((port,), late, iaf("n", (1,), 5))
    for synapses, said in ((late, "backwards, or with a delay"), (back, "lead back from 'n'")):
        with pytest.raises(TargetError, match=said):
            EventEngine(replace(made, synapses=(synapses,)), EventsRule(), EventsKernels())


def test_what_the_kernels_do_not_cover_runs_plainly_and_says_so() -> None:
    port = Port(name="in", shape=(2,), peak=1)
    neurons = iaf("n", (2,), 5)
    ends = {"targets": ("n",), "source_shape": (2,), "target_shape": (2,), "delay": 0}
    twice = [
        Dense(name=name, source="in", weight=np.array([[3, 1], [1, 3]]), **ends) for name in "ab"
    ]
    made = program((port,), *twice, neurons)
    recording = Recording.from_dense(np.array([[1, 0], [1, 1]]))
    fast = EventEngine(made, EventsRule(), EventsKernels()).run(recording)
    assert "2 synapses" in fast.notes["plain emulator"]
    assert difference(fast, events_golden.run(made, EventsRule(), recording)) is None


def test_a_matrix_runs_as_it_stands() -> None:
    rng = np.random.default_rng(0)
    port = Port(name="in", shape=(2, 3, 3), peak=1)
    matrix = Dense(
        name="w", source="in", targets=("n",), weight=rng.integers(-9, 10, (5, 18)), delay=0,
        source_shape=(2, 3, 3), target_shape=(5,),
    )  # fmt: skip
    made = program((port,), matrix, iaf("n", (5,), 12))
    recording = Recording.from_dense((rng.random((9, 2, 3, 3)) < 0.4).astype(np.int64))
    plain = events_golden.run(made, EventsRule(), recording, states=["n"])
    assert difference(engine(made).run(recording, states=["n"]), plain) is None
