"""Additions to the rule of spiking neurons, beyond its test and its reset: one row each.

Each combination of rows is a model (models.py), in the order of the table. `compiled` marks rows
with a compiled part (neurons_compiled.py); the plain engine runs models with other rows. The
arithmetic defines all combinations; the rule of a network refuses those that no neuron has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from nrf_deploy.engines.emulator.golden import State
from nrf_deploy.engines.emulator.parameters import Declared, Parameter, flag, of_word
from nrf_deploy.ir.network import Array
from nrf_deploy.neurons import Rising, Spikes

from .steps import Params, Test, above, fit, rounded

Counts = Literal["potential", "steps"]
DECAY = Parameter(0, 2**24, 0)
HIGHEST = 2**31 - 1


@dataclass(frozen=True)
class Scaled:
    """Conversion of the numbers of a rule to integers.

    Args:
        whole: amounts of v -> units of the state
        decay: time constants -> the part lost in a step, in units of 1 / 2^decay_bits
        largest: the largest state
    """

    whole: Callable[[Array], Array]
    decay: Callable[[Array], Array]
    largest: int


def nowhere(rule: Spikes, dt: float, reach: Array) -> Array:
    return np.zeros(())


def _nothing(p: Params, state: State, spikes: Array) -> Array:
    raise AssertionError("an addition without a state has no new one")


@dataclass(frozen=True, kw_only=True)
class Row:
    """An addition to the rule.

    Args:
        features: features of the rule that it runs
        state: name of its state; the parameter of this name with a 0 is its first value; None if
            it has no state
        counts: unit of the state
        parameters: declarations of its parameters
        before: function that changes the test of a step
        after: function that returns its state after the step; not called without a state
        more: function that returns its parameters for a rule
        lifts: function that bounds the rise of the threshold if a potential can reach `reach`
        compiled: True if a kernel has this part
        case: its case of the conformance kit: (about, covers, parameters)
    """

    features: frozenset[str]
    state: str | None
    counts: Counts = "potential"
    parameters: Declared
    before: Callable[[Params, State, Test], Test]
    after: Callable[[Params, State, Array], Array] = _nothing
    more: Callable[[Spikes, Scaled], Mapping[str, Any]]
    lifts: Callable[[Spikes, float, Array], Array] = nowhere
    compiled: bool = False
    case: tuple[str, str, Mapping[str, int]]


# --- a rest after a spike ------------------------------------------------------
#
#     where rest > 0: v keeps its value, no spike
#     rest = period where it spiked, else max(rest - 1, 0)


def _rests(p: Params, state: State, test: Test) -> Test:
    free = state["rest"] == 0
    return test._replace(v=np.where(free, test.v, state["v"]), free=test.free & free)


def _rest(p: Params, state: State, spikes: Array) -> Array:
    return np.where(spikes, p["period"], np.maximum(state["rest"] - 1, 0))


def _period(rule: Spikes, scaled: Scaled) -> dict[str, Array]:
    assert rule.refractory is not None
    return {"period": rule.refractory.astype(np.int64)}


# --- a threshold that rises with each spike -------------------------------------
#
#     b = rounded(b * (2^decay_bits - b_decay))        before the test
#     spike where v > fit(vth + b, state_bits)         which a reset subtracts, if `adapted`
#     b = fit(b + jump, state_bits)                    for each spike


def _fallen(p: Params, state: State) -> Array:
    keep = (1 << p["decay_bits"]) - p["b_decay"]
    return rounded(state["b"] * keep, p["decay_bits"], p["rounding"])


def _risen(p: Params, state: State, test: Test) -> Test:
    vth = fit(test.vth + _fallen(p, state), p["state_bits"], p["wrap"])
    return test._replace(vth=vth, taken=np.where(p["adapted"], vth, test.taken))


def _b(p: Params, state: State, spikes: Array) -> Array:
    return fit(_fallen(p, state) + spikes * p["jump"], p["state_bits"], p["wrap"])


def _rising(rule: Spikes, scaled: Scaled) -> dict[str, Any]:
    rises = rule.adaptation
    assert type(rises) is Rising
    return {
        "jump": scaled.whole(rises.jump.astype(np.float64)),
        "b_decay": scaled.decay(rises.tau.astype(np.float64)),
        "adapted": int(rises.takes == "adapted"),
    }


def _lift(rule: Spikes, dt: float, reach: Array) -> Array:
    """Return an upper bound of b.

    A neuron that spikes in each step raises b to jump / (dt/tau). Above that, b rises only while
    the potential exceeds threshold + b.
    """
    rises = rule.adaptation
    assert type(rises) is Rising
    jump = rises.jump.astype(np.float64) * largest_count(rule, reach)
    beyond = np.maximum(reach - rule.threshold.astype(np.float64), 0)
    return np.asarray(np.minimum(jump * rises.tau.astype(np.float64) / dt, beyond + jump))


# --- other resets than at once to a value or by the threshold ----------------------
#
#     reset = 0   fit(v - subtracts), or v_reset           where it spiked, as `subtract` says
#     reset = 1   late: v = fit(v - subtracts) before the test, where v ended the step before
#                 above vth; a spike changes nothing
#     reset = 2   none: a spike changes nothing
#     reset = 3   doubled: as 0; the test is against vth + subtracts where v ended the step
#                 before above vth

RESETS = ("value", "late", "none", "doubled")
LATE, NONE, DOUBLED = 1, 2, 3


def _other_resets(p: Params, state: State, test: Test) -> Test:
    was, reset = above(state["v"], p["vth"], p["at"]), p["reset"]
    less = fit(test.v - p["subtracts"], p["state_bits"], p["wrap"])
    return test._replace(
        v=np.where(was & (reset == LATE), less, test.v),
        vth=test.vth + np.where(was & (reset == DOUBLED), p["subtracts"], 0),
        taken=p["subtracts"],
        stays=(reset == LATE) | (reset == NONE),
    )


def _resets(rule: Spikes, scaled: Scaled) -> dict[str, Any]:
    reset = RESETS.index(rule.reset) if rule.reset in RESETS else 0
    return {"reset": reset, "subtracts": scaled.whole(rule.taken.astype(np.float64))}


# --- several spikes in a step --------------------------------------------------
#
#     n = min(v / vth, rounded down, most)       (v - 1) / vth without `at`; vth is 1 or more
#     v = fit(v - n * vth), or v_reset           where it spiked; the output is n


def _many(p: Params, state: State, test: Test) -> Test:
    return test._replace(most=p["most"])


def _most(rule: Spikes, scaled: Scaled) -> dict[str, Any]:
    return {} if rule.most is None else {"most": np.minimum(rule.most, HIGHEST).astype(np.int64)}


def largest_count(rule: Spikes, reach: Array) -> Array:
    """Return the largest number of spikes in a step if a potential can reach so far."""
    if rule.per_step == "one":
        return np.ones(())
    counts = np.maximum(np.floor(reach / rule.threshold.astype(np.float64)), 1)
    return np.asarray(counts if rule.most is None else np.minimum(counts, rule.most))


# --- a floor of the potential --------------------------------------------------
#
#     v = max(v, floor)                          after the reset


def _held(p: Params, state: State, test: Test) -> Test:
    return test._replace(lowest=p["floor"])


def _floor(rule: Spikes, scaled: Scaled) -> dict[str, Any]:
    assert rule.floor is not None
    none = np.isneginf(rule.floor)
    floor = scaled.whole(np.where(none, 0, rule.floor).astype(np.float64))
    return {"floor": np.where(none, -scaled.largest, floor)}


ADDITIONS: Mapping[str, Row] = {
    "refractory": Row(
        features=frozenset(("refractory",)),
        state="rest",
        counts="steps",
        parameters={"period": Parameter(0, HIGHEST), "rest0": Parameter(0, HIGHEST, 0)},
        before=_rests,
        after=_rest,
        more=_period,
        compiled=True,
        case=("v is held for three steps, the current continues", "a rest after a spike",
              {"period": 3, "decay": 300, "current_decay": 900, "subtract": 1}),
    ),
    "rising": Row(
        features=frozenset(("adaptation=Rising", "adaptation.takes=adapted")),
        state="b",
        counts="potential",
        parameters={
            "jump": of_word(), "b_decay": DECAY, "b0": of_word(0), "adapted": flag(0, shared=True),
        },
        before=_risen,
        after=_b,
        more=_rising,
        lifts=_lift,
        compiled=True,
        case=("a threshold rises by 900 with each spike", "a threshold that rises",
              {"jump": 900, "b_decay": 500, "decay": 300, "current_decay": 900, "subtract": 1,
               "adapted": 1}),
    ),
    "other_resets": Row(
        features=frozenset(("reset=late", "reset=none", "reset=doubled", "subtracts")),
        state=None,
        parameters={"reset": Parameter(0, len(RESETS) - 1, shared=True), "subtracts": of_word()},
        before=_other_resets,
        more=_resets,
        compiled=True,
        case=("2,000 is taken off in the step after a spike", "late reset by subtraction",
              {"reset": LATE, "subtracts": 2000, "decay": 300, "current_decay": 900}),
    ),
    "many": Row(
        features=frozenset(("per_step=many", "most")),
        state=None,
        parameters={"most": Parameter(1, HIGHEST, HIGHEST)},
        before=_many,
        more=_most,
        compiled=True,
        case=("a potential gives up to three spikes in a step", "several spikes in a step",
              {"vth": 700, "most": 3, "decay": 300, "current_decay": 900, "subtract": 1, "at": 1}),
    ),
    "floor": Row(
        features=frozenset(("floor",)),
        state=None,
        parameters={"floor": of_word()},
        before=_held,
        more=_floor,
        compiled=True,
        case=("a bias pulls a potential down to -300 and no further", "a floor of the potential",
              {"floor": -300, "bias": -400, "decay": 300, "current_decay": 900, "subtract": 1}),
    ),
}  # fmt: skip
