"""The meaning of Speck's integers, in time steps as in sinabs, and event by event."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from nrf_deploy.diagnostics.findings import TargetError
from nrf_deploy.engines.emulator import golden
from nrf_deploy.engines.emulator.engine import Engine
from nrf_deploy.ir.program import Population
from nrf_speck.arithmetic.kernels import StepsKernels
from nrf_speck.arithmetic.rules import EventsRule, StepsArithmetic
from tests.builders.speck_programs import Case, cases, difference


def neuron(**params: Any) -> Population:
    return Population(name="n", shape=(1,), model="iaf", params={"threshold_high": 10, **params})


def stepped(given: list[int], **params: Any) -> tuple[list[int], list[int]]:
    """Return (spikes, v) of one neuron that gets these sums, one in each step."""
    rules, n = StepsArithmetic(), neuron(**params)
    state, spikes, v = rules.start(n), [], []
    for t, total in enumerate(given):
        output, state = rules.step(n, state, np.array([total]), t)
        spikes.append(int(output[0]))
        v.append(int(state["v"][0]))
    return spikes, v


def reached(given: list[int], **params: Any) -> tuple[list[int], list[int]]:
    """Return (spikes, v) of one neuron that gets events with these weights."""
    rules, n = EventsRule(), neuron(**params)
    state, spikes, v = rules.start(n), [], []
    for weight in given:
        fires, state = rules.arrive(n, state, np.array([0]), np.array([weight]))
        spikes.append(int(fires[0]))
        v.append(int(state["v"][0]))
    return spikes, v


def test_a_step_gives_as_many_spikes_as_its_sum_holds_thresholds() -> None:
    assert stepped([9, 1, 25, 4]) == ([0, 1, 2, 0], [9, 0, 5, 9])


def test_an_event_gives_one_spike_at_most_and_the_rest_waits_for_the_next() -> None:
    assert reached([9, 1, 25, 0, 0]) == ([0, 1, 1, 1, 0], [9, 0, 15, 5, 5])


def test_a_spike_can_empty_a_neuron() -> None:
    assert stepped([25, 9], returns_to_zero=1) == ([2, 0], [0, 9])
    assert reached([25, 9], returns_to_zero=1) == ([1, 0], [0, 9])


def test_v_stays_at_or_above_its_lower_bound() -> None:
    assert stepped([-50, 3], threshold_low=-7)[1] == [-7, -4]
    assert reached([-50, 3], threshold_low=-7)[1] == [-7, -4]


def test_in_steps_the_bound_holds_once_a_step_for_the_sum_of_all() -> None:
    assert stepped([-50 + 8], threshold_low=-1)[1] == [-1]
    assert reached([-50, 8], threshold_low=-1)[1] == [-1, 7]


def test_events_stay_within_16_bits_and_steps_do_not() -> None:
    assert reached([32000, 32000], threshold_high=32767)[1] == [32000, 0]
    assert reached([-32768, -32768, 5])[1] == [-32768, -32768, -32763]
    assert stepped([70_000], threshold_high=32767) == ([2], [70_000 - 2 * 32767])


def test_the_bias_comes_every_step_or_with_every_tick() -> None:
    assert stepped([0, 0, 0], bias=4) == ([0, 0, 1], [4, 8, 2])
    rules = EventsRule()
    tick = rules.tick(neuron(bias=4))
    assert tick is not None
    assert tick.tolist() == [4]
    assert rules.tick(neuron()) is None


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"threshold_high": 0}, "'threshold_high' is beyond 1..32767"),
        ({"threshold_low": 1}, "'threshold_low' is beyond -32768..0"),
        ({"bias": 40_000}, "'bias' is beyond -32768..32767"),
        ({"theta": 3}, "'theta' is not one of them"),
        ({"threshold_high": np.array([1])}, "'threshold_high' differs among neurons"),
        ({"bias": np.array([1, 2])}, "'bias' has the shape \\(2,\\) for neurons of \\(1,\\)"),
    ],
)
def test_parameters_without_a_meaning_are_refused(params: dict[str, Any], said: str) -> None:
    with pytest.raises(TargetError, match=said):
        EventsRule().start(neuron(**params))


def test_a_missing_threshold_and_an_unknown_model_are_refused() -> None:
    with pytest.raises(TargetError, match="'threshold_high' is missing"):
        EventsRule().start(Population(name="n", shape=(1,), model="iaf", params={}))
    with pytest.raises(TargetError, match="'lif' does not exist here"):
        StepsArithmetic().start(Population(name="n", shape=(1,), model="lif", params={}))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(cases())
def test_in_steps_the_fast_engine_gives_every_state_and_spike_of_the_plain_one(case: Case) -> None:
    engine = Engine(case.program, StepsArithmetic(), StepsKernels())
    assert engine.plain is None
    plain = golden.run(case.program, StepsArithmetic(), case.recording, states=case.names)
    assert difference(engine.run(case.recording, states=case.names), plain) is None
