"""Grids, gains, compensation, rules: what the quantiser is made of."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nrf_deploy.compiler.quantize.grid import Grid, compensated, descended, factor, loss
from nrf_deploy.compiler.quantize.rules import LayerRules, Rules, parse_rules
from nrf_deploy.compiler.quantize.scheme import ConnectionScheme, Scheme
from nrf_deploy.compiler.quantize.toml import scheme_toml
from nrf_deploy.diagnostics.findings import InputError, TargetError

MIXED = Grid(2, -254, 254)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([MIXED, Grid(1, 0, 255), Grid(32, -224, 224)]))
def test_every_integer_is_on_the_grid_and_within_half_a_step(seed: int, grid: Grid) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(4, 9)) * 10.0 ** rng.integers(-3, 3)
    weights = np.abs(weights) if grid.low == 0 else weights
    gain = grid.largest_gain(weights)
    integers = grid.round(weights, gain)
    assert np.all(integers % grid.step == 0)
    assert integers.min() >= grid.low
    assert integers.max() <= grid.high
    assert np.all(np.abs(integers - weights * gain[:, None]) <= grid.step / 2 + 1e-9)
    reached = np.maximum(integers.max(axis=1) == grid.high, integers.min(axis=1) == grid.low)
    assert np.all(reached), "the largest gain takes each row to the edge"


def test_what_is_beyond_the_grid_ends_at_its_edge_and_costs() -> None:
    weights, gain = np.array([[1.0, 0.3]]), np.array([508.0])
    integers = MIXED.round(weights, gain)
    assert integers.tolist() == [[254, 152]]
    assert loss(weights, integers, gain)[0] > 0.2


def test_a_row_of_zeros_fits_any_gain() -> None:
    assert MIXED.largest_gain(np.zeros((1, 3)))[0] == np.inf


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_compensation_makes_the_error_of_the_sums_smaller(seed: int) -> None:
    """Not of the weights: of what a neuron sees, E[(q - w) x]^2, when inputs go together."""
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(24, 6))
    x = rng.normal(size=(2000, 6)) @ mixing.T + 0.3 * rng.normal(size=(2000, 24))
    weights, grid = rng.normal(size=(8, 24)), Grid(32, -224, 224)
    gain = grid.largest_gain(weights)
    moments = x.T @ x / len(x)

    def seen(integers: np.ndarray) -> float:
        off = integers / gain[:, None] - weights
        return float(np.square(x @ off.T).mean())

    nearest = grid.round(weights, gain)
    made_up_for = compensated(weights, gain, grid, factor(moments))
    assert seen(made_up_for) < 0.7 * seen(nearest)
    lowest = descended(weights, gain, grid, moments, made_up_for)
    assert seen(lowest) <= seen(made_up_for)
    for k, sign in ((k, sign) for k in range(24) for sign in (-1, 1)):
        step = np.zeros(24, np.int64)
        step[k] = sign * grid.step
        assert seen(np.clip(lowest + step, grid.low, grid.high)) >= seen(lowest) * (1 - 1e-9)


def test_rules_are_read_from_toml() -> None:
    rules = parse_rules(
        'error = "weights"\nweight_bits = 6\n[layers.conv1]\nweight_bits = 4\ngain = 3\n'
    )
    assert rules == Rules(
        error="weights", weight_bits=6, layers={"conv1": LayerRules(weight_bits=4, gain=3.0)}
    )
    assert (rules.bits("conv1", 8), rules.bits("other", 8), rules.gain("other")) == (4, 6, None)


def test_weights_have_as_many_bits_as_the_chip_where_no_rule_says_how_many() -> None:
    assert [Rules().bits("w", most) for most in (4, 8, 12)] == [4, 8, 12]
    assert [Rules(weight_bits=8).bits("w", most) for most in (8, 12)] == [8, 8]
    with pytest.raises(TargetError, match="SCHEME-BITS"):
        Rules(weight_bits=8).bits("w", 4)


own_rules = st.builds(
    LayerRules,
    error=st.sampled_from([None, "spikes", "weights"]),
    method=st.sampled_from([None, "fit", "max"]),
    decay=st.sampled_from([None, "nearest", "anchored"]),
    weight_bits=st.none() | st.integers(1, 8),
    per_channel=st.none() | st.booleans(),
    gain=st.none() | st.floats(1e-3, 1e9),
    exponent=st.none() | st.integers(0, 7),
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.builds(
        Rules,
        error=st.sampled_from([None, "spikes", "weights"]),
        method=st.sampled_from(["fit", "max"]),
        decay=st.sampled_from(["nearest", "anchored"]),
        weight_bits=st.none() | st.integers(1, 8),
        per_channel=st.none() | st.booleans(),
        layers=st.dictionaries(st.text(min_size=1, max_size=6), own_rules, max_size=3),
    )
)
def test_a_scheme_written_as_toml_is_read_back_as_it_was(rules: Rules) -> None:
    """Layers may have any name: quotes, dots, what is not ASCII, control characters."""
    chosen = {"x\ny": ConnectionScheme(np.array([2.0, 3.0]), np.array([[4, -2]]), 8, 1)}
    assert parse_rules(scheme_toml(Scheme(chosen, {}, rules))) == rules


def test_what_a_layer_does_not_say_holds_for_all() -> None:
    text = 'method = "max"\ndecay = "anchored"\n[layers.a]\nmethod = "fit"\nerror = "weights"\n'
    rules = parse_rules(text + '[layers.n]\ndecay = "nearest"\n[layers.c]\nmethod = "fit"\n')
    assert [rules.fits(name) for name in "abc"] == [True, False, True]
    assert [rules.by_spikes(name) for name in "abc"] == [False, False, True]
    assert [rules.anchored(name) for name in "mn"] == [True, False]


def test_every_mistake_in_the_rules_is_named_at_once() -> None:
    text = 'error = "beauty"\nweigth_bits = 3\nweight_bits = 25\nper_channel = 1\n'
    text += "[layers.a]\ngain = -1\nexponent = 8\n"
    with pytest.raises(InputError) as refusal:
        parse_rules(text)
    said = [f.what for f in refusal.value.findings]
    assert len(said) == 6
    for word in ("beauty", "weigth_bits", "25", "per_channel", "gain", "exponent"):
        assert any(word in s for s in said)
    assert "did you mean 'weight_bits'?" in [f.fix for f in refusal.value.findings]


@pytest.mark.parametrize("text", ["error =", "layers = 3", "[layers]\na = 1", "\x00"])
def test_rules_that_are_no_rules_are_refused(text: str) -> None:
    with pytest.raises(InputError):
        parse_rules(text)
