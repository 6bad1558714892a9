"""Comparing two runs: what is equal, what is not, and where the first difference lies."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from nrf_deploy.compare.compare import compare
from nrf_deploy.compare.comparison import Arrival
from nrf_deploy.ir.network import Array
from nrf_deploy.ir.recording import Recording, Trace
from nrf_deploy.verification import OUTPUT
from tests.builders.verify_traces import SHAPE, delayed, flipped, spikes, trace

# --- equality -------------------------------------------------------------


def test_equal_runs_are_exact() -> None:
    a = {"one": spikes(1), "two": spikes(2)}
    c = compare(trace("chip", a), trace("model", a), order=["one", "two"])
    assert c.exact
    assert c.first_divergence is None
    assert (c.left, c.right) == ("chip", "model")
    for layer in c.layers:
        assert layer.exact is True
        assert layer.mismatches == 0
        assert layer.steps == 10
        assert layer.spikes_left == layer.spikes_right == a[layer.layer].sum()
        assert layer.count_error == 0
        assert layer.cosine == pytest.approx(1)


def test_a_moved_spike_is_two_mismatches_and_the_earlier_place_is_named() -> None:
    a = np.zeros((6, *SHAPE), np.int64)
    a[2, 1, 2, 3] = a[4, 0, 0, 0] = 1
    b = a.copy()
    b[2, 1, 2, 3], b[3, 1, 2, 3] = 0, 1
    c = compare(trace("chip", {"one": b}), trace("model", {"one": a}), order=["one"])
    (layer,) = c.layers
    assert layer.exact is False
    assert layer.mismatches == 2
    assert layer.count_error == 0
    first = c.first_divergence
    assert first is not None
    assert (first.layer, first.neuron, first.step) == ("one", (1, 2, 3), 2)
    assert first.variable == OUTPUT
    assert (first.value.left, first.value.right) == (0, 1)


def test_graded_outputs_compare_by_value() -> None:
    a = np.zeros((3, *SHAPE), np.int64)
    a[1, 0, 1, 2] = 7
    b = a.copy()
    b[1, 0, 1, 2] = -7
    c = compare(trace("chip", {"one": b}), trace("model", {"one": a}), order=["one"])
    assert c.layers[0].mismatches == 1
    assert c.layers[0].cosine == pytest.approx(-1)
    assert c.first_divergence is not None
    assert (c.first_divergence.value.left, c.first_divergence.value.right) == (-7, 7)


def test_whole_floats_equal_the_integers_they_are() -> None:
    a = spikes(1)
    floats = trace("chip", {"one": a.astype(np.float32)})
    assert compare(floats, trace("model", {"one": a}), order=["one"]).exact


def test_two_silent_runs_are_equal_and_have_no_angle() -> None:
    a = {"one": np.zeros((5, *SHAPE), np.int64)}
    (layer,) = compare(trace("chip", a), trace("model", a), order=["one"]).layers
    assert layer.exact is True
    assert layer.cosine is None


def test_a_count_against_silence_is_counted_in_spikes() -> None:
    a = np.zeros((5, *SHAPE), np.int64)
    b = a.copy()
    b[0, 0, 0, :3] = 1
    (layer,) = compare(trace("c", {"one": b}), trace("m", {"one": a}), order=["one"]).layers
    assert (layer.spikes_left, layer.spikes_right, layer.count_error) == (3, 0, 3.0)


@pytest.mark.parametrize("steps", [0, 4])
def test_recordings_without_steps_decide_nothing(steps: int) -> None:
    empty = trace("chip", {"one": np.zeros((0, *SHAPE), np.int64)})
    c = compare(empty, trace("model", {"one": spikes(1, steps)}), order=["one"])
    assert c.layers[0].steps == 0
    assert c.layers[0].exact is None
    assert c.layers[0].outside_right == spikes(1, steps).sum()
    assert not c.exact


@settings(max_examples=50, deadline=None)
@given(
    left=arrays(np.int8, (5, 2, 3), elements=st.integers(-1, 2)),
    right=arrays(np.int8, (5, 2, 3), elements=st.integers(-1, 2)),
    latency=st.integers(0, 6),
)
def test_the_events_say_what_the_dense_frames_say(left: Array, right: Array, latency: int) -> None:
    c = compare(
        trace("chip", {"one": left}),
        trace("model", {"one": right}),
        order=["one"],
        latency_left={"one": latency},
    )
    (layer,) = c.layers
    a, b = left[latency:], right[: max(0, 5 - latency)]
    assert layer.steps == len(a)
    assert layer.mismatches == (a != b).sum()
    assert (layer.spikes_left, layer.spikes_right) == (np.count_nonzero(a), np.count_nonzero(b))
    assert layer.spikes_left + layer.outside_left == np.count_nonzero(left)
    assert layer.spikes_right + layer.outside_right == np.count_nonzero(right)
    if layer.mismatches:
        step, *neuron = np.argwhere(a != b)[0]
        assert layer.first is not None
        assert (layer.first.step, layer.first.neuron) == (step, tuple(neuron))
        assert layer.first.value.left == a[step, *neuron]
        assert layer.first.value.right == b[step, *neuron]
    else:
        assert layer.first is None


# --- latency --------------------------------------------------------------


def test_a_latency_is_taken_off_and_the_rest_compared() -> None:
    model = spikes(1)
    chip = delayed(model, 3)[:10]
    c = compare(
        trace("chip", {"one": chip}),
        trace("model", {"one": model}),
        order=["one"],
        latency_left={"one": 3},
    )
    (layer,) = c.layers
    assert layer.exact is True
    assert layer.steps == 7
    assert layer.outside_right == model[7:].sum()


@pytest.mark.parametrize("stated", [2, 4])
def test_a_latency_off_by_one_is_detected_and_named(stated: int) -> None:
    model = spikes(1)
    c = compare(
        trace("chip", {"one": delayed(model, 3)}),
        trace("model", {"one": model}),
        order=["one"],
        latency_left={"one": stated},
    )
    (layer,) = c.layers
    assert layer.exact is False
    assert layer.shift == 3 - stated


def test_the_right_run_may_have_the_latency() -> None:
    model = spikes(1)
    chip = trace("chip", {"one": delayed(model, 2)})
    runs = (trace("model", {"one": model}), chip)
    assert compare(*runs, order=["one"], latency_right={"one": 2}).exact
    runs = (trace("model", {"one": flipped(model, 4, 0, 0, 0)}), chip)
    d = compare(*runs, order=["one"], latency_right={"one": 2}).first_divergence
    assert d is not None
    assert (d.step, d.left_step, d.right_step) == (4, 4, 6)


def test_a_divergence_is_said_in_the_steps_of_both_runs() -> None:
    model = np.zeros((5, *SHAPE), np.int64)
    chip = delayed(model, 2)
    chip[4, 0, 0, 1] = 1
    c = compare(
        trace("chip", {"one": chip}),
        trace("model", {"one": model}),
        order=["one"],
        latency_left={"one": 2},
    )
    d = c.first_divergence
    assert d is not None
    assert (d.step, d.left_step, d.right_step) == (2, 4, 2)


def test_spikes_that_differ_are_not_a_shift() -> None:
    a, b = trace("c", {"one": spikes(1)}), trace("m", {"one": spikes(2)})
    assert compare(a, b, order=["one"]).layers[0].shift is None


# --- which divergence is the first -----------------------------------------


def test_the_earliest_step_is_first_whatever_the_layer() -> None:
    a = {"one": spikes(1), "two": spikes(2)}
    b = {"one": flipped(a["one"], 6, 0, 0, 0), "two": flipped(a["two"], 5, 0, 0, 0)}
    c = compare(trace("chip", b), trace("model", a), order=["one", "two"])
    assert c.first_divergence is not None
    assert c.first_divergence.layer == "two"


@pytest.mark.parametrize("order", [["one", "two"], ["two", "one"]])
def test_in_the_same_step_the_order_of_the_network_decides(order: list[str]) -> None:
    a = {"one": spikes(1), "two": spikes(2)}
    b = {name: flipped(f, 5, 0, 0, 0) for name, f in a.items()}
    c = compare(trace("chip", b), trace("model", a), order=order)
    assert c.first_divergence is not None
    assert c.first_divergence.layer == order[0]
    assert [layer.layer for layer in c.layers] == order


def test_in_the_same_layer_the_lowest_neuron_is_named() -> None:
    a = spikes(1)
    b = flipped(flipped(a, 5, 1, 0, 0), 5, 0, 2, 1)
    c = compare(trace("chip", {"one": b}), trace("model", {"one": a}), order=["one"])
    assert c.first_divergence is not None
    assert c.first_divergence.neuron == (0, 2, 1)


# --- what arrived ------------------------------------------------------------


def test_what_arrived_is_asked_once_about_the_first_divergence() -> None:
    a = {"one": spikes(1), "two": spikes(2)}
    b = {name: flipped(f, 5, 1, 2, 3) for name, f in a.items()}
    asked = []

    def inputs(layer: str, neuron: tuple[int, ...], step: int) -> list[Arrival]:
        asked.append((layer, neuron, step))
        return [Arrival("input", (0, 4, 4), step - 1, 1, -3)]

    c = compare(
        trace("chip", {n: delayed(f, 1) for n, f in b.items()}),
        trace("model", a),
        order=["one", "two"],
        latency_left={"one": 1, "two": 1},
        inputs=inputs,
    )
    assert asked == [("one", (1, 2, 3), 6)]
    assert c.first_divergence is not None
    assert c.first_divergence.arrivals == (Arrival("input", (0, 4, 4), 5, 1, -3),)


# --- size ------------------------------------------------------------------


def test_a_million_spikes_are_compared() -> None:
    rng = np.random.default_rng(1)
    steps, shape = 1000, (16, 64, 64)
    index = np.sort(rng.integers(0, 65536, (steps, 1000)), axis=1)
    index = index + np.arange(1000)  # rising and unique
    start = np.arange(steps + 1) * 1000
    value = np.ones(index.size, np.int64)
    a = Recording((17, *shape[1:]), start, index.ravel(), value)
    moved = index.ravel().copy()
    moved[999::1000] += 1
    b = replace(a, index=moved)
    c = compare(
        Trace("chip", {"one": a}, {}, {}), Trace("model", {"one": b}, {}, {}), order=["one"]
    )
    assert c.layers[0].mismatches == 2000
    assert c.layers[0].spikes_left == 1_000_000
