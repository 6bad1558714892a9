"""The arithmetic "fixed": its rules in numbers, and the compiled kernels that must equal it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nrf_deploy.diagnostics.findings import TargetError
from nrf_deploy.engines.emulator import golden
from nrf_deploy.engines.emulator.engine import Engine
from nrf_deploy.ir.program import Population
from nrf_emulator.arithmetic.kernels import FixedKernels
from nrf_emulator.arithmetic.models import MODELS, Model
from nrf_emulator.arithmetic.rules import FixedArithmetic
from nrf_emulator.arithmetic.steps import fit, rounded
from tests.builders.fixed_programs import Case, cases, run_golden
from tests.builders.loihi_programs import first_difference


def after(steps: int, model: str, arriving: int, **params: Any) -> tuple[list[int], list[int]]:
    """Return (outputs, potentials) of one neuron that gets the same sum in each step."""
    rules = FixedArithmetic()
    neuron = Population(name="n", shape=(1,), model=model, params=params)
    state = rules.start(neuron)
    outputs, potentials = [], []
    for t in range(steps):
        output, state = rules.step(neuron, state, np.array([arriving]), t)
        outputs.append(int(output[0]))
        potentials.append(int(state["v"][0]))
    return outputs, potentials


PLAIN = {"fraction_bits": 0, "vth": 10}


def test_a_spike_comes_above_the_threshold_or_at_it() -> None:
    assert after(4, "lif", 5, **PLAIN) == ([0, 0, 1, 0], [5, 10, 0, 5])
    assert after(4, "lif", 5, **PLAIN, at=1) == ([0, 1, 0, 1], [5, 0, 5, 0])


def test_a_reset_is_to_a_value_or_takes_the_threshold_away() -> None:
    assert after(3, "lif", 6, **PLAIN, v_reset=-2) == ([0, 1, 0], [6, -2, 4])
    assert after(3, "lif", 6, **PLAIN, subtract=1) == ([0, 1, 0], [6, 2, 8])


def test_a_leak_takes_a_part_or_an_amount_and_never_passes_its_rest() -> None:
    half = {"decay_bits": 1, "decay": 1}
    assert after(3, "lif", 0, **PLAIN, **half, v0=7)[1] == [3, 1, 0]
    assert after(3, "lif", 0, **PLAIN, leak=3, v0=7)[1] == [4, 1, 0]
    assert after(3, "lif", 0, **PLAIN, leak=3, rest=2, v0=-7)[1] == [-4, -1, 2]


def test_a_current_is_seen_before_it_decays() -> None:
    rules = FixedArithmetic()
    params = {**PLAIN, "vth": 100, "decay_bits": 1, "current_decay": 1}
    neuron = Population(name="n", shape=(1,), model="cuba_lif", params=params)
    _, state = rules.step(neuron, rules.start(neuron), np.array([8]), 0)
    assert (int(state["v"][0]), int(state["i"][0])) == (8, 4)


def test_nothing_moves_before_its_first_step() -> None:
    assert after(4, "lif", 4, **PLAIN, bias=4, wait=2) == ([0, 0, 0, 1], [0, 0, 8, 0])


def test_a_neuron_without_threshold_sends_its_potential() -> None:
    sent, v = after(2, "li", 700, fraction_bits=0, shift=2, message_bits=8)
    assert (sent, v) == ([127, 127], [700, 1400])


@pytest.mark.parametrize(
    ("rounding", "wanted"), [(0, [-2, -2, 0, 1, 1]), (1, [-1, -1, 0, 1, 1]), (2, [-2, -1, 0, 1, 2])]
)
def test_rounding_is_down_toward_zero_or_to_nearest(rounding: int, wanted: list[int]) -> None:
    assert rounded(np.array([-6, -5, 0, 5, 6]), 2, rounding).tolist() == wanted


def test_what_is_too_large_saturates_or_wraps() -> None:
    x = np.array([-9, -8, 7, 8, 16])
    assert fit(x, 4, 0).tolist() == [-8, -8, 7, 7, 7]
    assert fit(x, 4, 1).tolist() == [7, -8, 7, -8, 0]


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({}, "'vth' is missing"),
        ({"vth": 1, "dv": 3}, "'dv' is not one of them"),
        ({"vth": 2**23}, "'vth' is beyond -8388608..8388607"),
        ({"vth": 1, "decay": 4097}, "'decay' is beyond 0..4096"),
        ({"vth": 1, "wrap": np.array([0, 1])}, "'wrap' differs among neurons"),
    ],
)
def test_parameters_without_a_meaning_are_refused(params: dict[str, Any], said: str) -> None:
    with pytest.raises(TargetError, match=said):
        FixedArithmetic().start(Population(name="n", shape=(2,), model="lif", params=params))


def test_a_model_that_names_no_kernel_runs_on_the_plain_engine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert set(MODELS) == {n for n, model in MODELS.items() if model.compiled is not None}
    neuron = Population(name="n", shape=(2,), model="lif", params={"vth": 1})
    assert FixedKernels().cell(neuron) is not None
    monkeypatch.setitem(MODELS, "lif", replace(MODELS["lif"], compiled=Model.compiled))
    assert FixedKernels().cell(neuron) is None


def demand_plain_values(case: Case) -> None:
    engine = Engine(case.program, FixedArithmetic(), FixedKernels())
    assert engine.plain is None
    trace = engine.run(case.recording, states=[p.name for p in case.program.populations])
    assert first_difference(trace, run_golden(case)) is None


@settings(max_examples=25, deadline=None, derandomize=True)
@given(cases())
def test_the_fast_engine_gives_every_state_and_output_of_the_plain_one(case: Case) -> None:
    demand_plain_values(case)


@pytest.mark.conformance
@settings(max_examples=300, deadline=None, derandomize=True)
@given(cases())
def test_so_it_does_in_every_combination_of_rules(case: Case) -> None:
    """Each combination is compiled anew, which takes most of the time."""
    demand_plain_values(case)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(cases(), st.integers(0, 30))
def test_so_it_does_on_the_silence_after_the_input(case: Case, more: int) -> None:
    engine = Engine(case.program, FixedArithmetic(), FixedKernels())
    every = [p.name for p in case.program.populations]
    steps = case.recording.steps + more
    trace = engine.run(case.recording, states=every, steps=steps)
    plain = golden.run(case.program, FixedArithmetic(), case.recording, states=every, steps=steps)
    assert first_difference(trace, plain) is None
