"""States, and outputs without spikes: what can be compared, and what only be shown."""

from __future__ import annotations

import numpy as np
import pytest

from nrf_deploy.compare.compare import compare
from nrf_deploy.ir.network import Array
from nrf_deploy.ir.recording import Trace
from nrf_deploy.verification import OUTPUT
from tests.builders.verify_traces import SHAPE, delayed, flipped, spikes, stateful, trace

# --- states ----------------------------------------------------------------


def test_a_state_that_differs_before_the_spikes_do_is_the_first_to_break() -> None:
    frames, states = {"one": spikes(1)}, stateful(1)
    wrong = {v: x.copy() for v, x in states.items()}
    wrong["v"][3, 1, 1, 1] += 5
    late = {"one": flipped(frames["one"], 6, 1, 1, 1)}
    c = compare(
        trace("chip", late, {"one": wrong}), trace("model", frames, {"one": states}), order=["one"]
    )
    d = c.first_divergence
    assert d is not None
    assert (d.variable, d.neuron, d.step) == ("v", (1, 1, 1), 3)
    assert d.value.left - d.value.right == 5
    assert [v.variable for v in d.values] == ["u", "v", OUTPUT]
    assert c.layers[0].state_mismatches == {"u": 0, "v": 1}
    assert c.layers[0].mismatches == 1


def test_equal_spikes_over_unequal_integer_states_are_not_exact() -> None:
    frames, states = {"one": spikes(1)}, stateful(1)
    wrong = {**states, "u": states["u"] + 1}
    c = compare(
        trace("chip", frames, {"one": wrong}),
        trace("model", frames, {"one": states}),
        order=["one"],
    )
    assert not c.exact
    assert c.layers[0].mismatches == 0


@pytest.mark.parametrize("order", [("u", "v"), ("v", "u")])
def test_in_the_same_step_the_variable_computed_first_is_named(order: tuple[str, str]) -> None:
    frames, states = {"one": spikes(1)}, stateful(1)
    wrong = {v: x.copy() for v, x in states.items()}
    wrong["u"][3, 1, 0, 0] += 1
    wrong["v"][3, 0, 0, 0] += 1
    c = compare(
        trace("chip", frames, {"one": wrong}),
        trace("model", frames, {"one": states}),
        order=["one"],
        states={"one": order},
    )
    assert c.first_divergence is not None
    assert c.first_divergence.variable == order[0]


def test_states_are_aligned_like_the_output() -> None:
    frames, states = {"one": spikes(1)}, stateful(1)
    late = trace(
        "chip",
        {"one": delayed(frames["one"], 2)},
        {"one": {v: delayed(x, 2) for v, x in states.items()}},
    )
    model = trace("model", frames, {"one": states})
    assert compare(late, model, order=["one"], latency_left={"one": 2}).exact
    assert not compare(late, model, order=["one"], latency_left={"one": 1}).exact


def test_nan_states_equal_each_other() -> None:
    frames, states = {"one": spikes(1)}, stateful(1, np.float32)
    states["v"][2] = np.nan
    a, b = (trace(n, frames, {"one": states}) for n in ("norse", "reference"))
    assert compare(a, b, order=["one"]).exact


def test_between_float_and_integer_only_outputs_decide() -> None:
    frames = {"one": spikes(1)}
    a = trace("chip", frames, {"one": stateful(1)})
    b = trace("model", frames, {"one": stateful(2, np.float32)})
    c = compare(a, b, order=["one"])
    assert c.exact
    assert c.layers[0].state_mismatches == {}


@pytest.mark.parametrize(
    ("scale", "unit"),
    [
        (np.array(64.0), 64.0),
        (np.array([64.0, 32.0]), 32.0),
        (np.full(SHAPE, 16.0), 16.0),
        (np.full(24, 8.0), 8.0),
    ],
    ids=["one", "a channel", "a neuron", "a neuron, flat"],
)
def test_states_are_shown_in_the_model_s_units_too(scale: Array, unit: float) -> None:
    frames = {"one": spikes(1)}
    integers, floats = stateful(1), stateful(2, np.float32)
    c = compare(
        trace("chip", {"one": flipped(frames["one"], 3, 1, 1, 1)}, {"one": integers}),
        trace("model", frames, {"one": floats}),
        order=["one"],
        scale={"one": {"v": scale}},
    )
    d = c.first_divergence
    assert d is not None
    assert d.variable == OUTPUT
    v = next(v for v in d.values if v.variable == "v")
    assert v.left == integers["v"][3, 1, 1, 1]
    assert v.left_float == v.left / unit
    assert v.right_float == v.right == floats["v"][3, 1, 1, 1]
    assert next(v for v in d.values if v.variable == "u").left_float is None


# --- readouts without spikes -------------------------------------------------


def analogue(scale: float) -> tuple[Trace, Trace]:
    values = np.random.default_rng(1).normal(size=(10, *SHAPE)).astype(np.float32)
    integers = np.rint(values * scale).astype(np.int64)
    return trace("chip", {"one": integers}), trace("model", {"one": values})


def test_integers_against_fractions_have_a_value_error_and_no_exactness() -> None:
    chip, model = analogue(256)
    units = {"one": {"output": np.array(256.0)}}
    (layer,) = compare(chip, model, order=["one"], scale=units).layers
    assert layer.analogue
    assert layer.exact is None
    assert layer.first is None
    assert layer.value_error is not None
    assert 0 < layer.value_error < 1 / 256
    units = {"one": {"output": np.array(2.0)}}
    (coarse,) = compare(*analogue(2), order=["one"], scale=units).layers
    assert coarse.value_error is not None
    assert coarse.value_error > 0.05


def test_without_a_scale_the_value_error_is_not_known() -> None:
    (layer,) = compare(*analogue(256), order=["one"]).layers
    assert layer.analogue
    assert layer.value_error is None
