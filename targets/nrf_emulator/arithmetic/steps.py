"""The arithmetic "fixed": one step of a neuron in integers of any width.

These rules are normative for a machine that a user describes (settings.py). The settings of
the machine are among the parameters of each population (models.py), so a program is complete.
One step, with >> after `rounded` as below:

    x = fit(sum, sum_bits) << fraction_bits           input, in units of the state
    j = fit(i + x + input_bias, state_bits)           with a current; i starts at i0
    i = rounded(j * (2^decay_bits - current_decay))   ... it decays after its use
    v = rounded(v * (2^decay_bits - decay))           exponential leak
    v = v moved by `leak` toward `rest`               subtractive leak, never past it
    v = fit(v + j + bias, state_bits)                 j is x (fitted) without a current
    spike where v > vth, or v >= vth (`at`)
    v = v_reset, or fit(v - vth) (`subtract`)         where it spiked

Additions to this rule (a rest after a spike, a threshold that rises, other resets, several spikes
in a step, a floor) are in additions.py. A neuron without threshold sends v / 2^shift, rounded by
message_rounding and fitted to message_bits.

    fit(x, bits)   two's complement: saturates at its ends, or wraps (`wrap`)
    rounded(x)     x / 2^decay_bits, rounded: 0 down, 1 toward zero, 2 to nearest, halves
                   away from zero

No state changes before step `wait`, the first at which the input can have an effect.
A sum is exact until it is fitted, once, whatever its number of synapses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

import numpy as np

from nrf_deploy.engines.emulator.golden import State
from nrf_deploy.ir.network import Array

ROUNDING = {"floor": 0, "zero": 1, "nearest": 2}

Params = Mapping[str, Array]
Step = Callable[[Params, State, Array], tuple[Array, State]]
"""(parameters, state, input) -> (output, state after the step)"""


def fit(x: Array, bits: Array | int, wrap: Array | int) -> Array:
    half = np.int64(1) << (np.asarray(bits, np.int64) - 1)
    return np.where(wrap, ((x + half) & (2 * half - 1)) - half, np.clip(x, -half, half - 1))


def rounded(x: Array, bits: Array | int, rounding: Array | int) -> Array:
    """Return x / 2^bits, rounded to an integer."""
    bits = np.asarray(bits, np.int64)
    half = np.int64(1) << bits >> 1
    size = np.abs(x)
    to_nearest = np.sign(x) * ((size + half) >> bits)
    return np.asarray(np.choose(rounding, [x >> bits, np.sign(x) * (size >> bits), to_nearest]))


def toward(v: Array, rest: Array, leak: Array) -> Array:
    away = v - rest
    return np.asarray(rest + np.sign(away) * np.maximum(np.abs(away) - leak, 0))


def leaked(p: Params, v: Array) -> Array:
    kept = rounded(v * ((1 << p["decay_bits"]) - p["decay"]), p["decay_bits"], p["rounding"])
    return toward(kept, p["rest"], p["leak"])


def moved(p: Params, state: State, arriving: Array) -> State:
    """Return current and potential after the input, before any spike."""
    x = fit(arriving, p["sum_bits"], p["wrap"]) << p["fraction_bits"]
    if "current_decay" not in p:
        j, current = fit(x, p["state_bits"], p["wrap"]), {}
    else:
        j = fit(state["i"] + x + p["input_bias"], p["state_bits"], p["wrap"])
        keep = (1 << p["decay_bits"]) - p["current_decay"]
        current = {"i": rounded(j * keep, p["decay_bits"], p["rounding"])}
    v = fit(leaked(p, state["v"]) + j + p["bias"], p["state_bits"], p["wrap"])
    return {**current, "v": v}


class Test(NamedTuple):
    """The numbers of the test of a step, and of the reset after it.

    Args:
        v: the potential
        vth: the threshold to compare it with
        taken: the amount that a reset subtracts for each spike
        free: only these neurons can spike
        most: the largest number of spikes; None for one, by the comparison above
        stays: a spike does not change the potential
        lowest: the floor of the potential after the reset
    """

    v: Array
    vth: Array
    taken: Array
    free: Array
    most: Array | None = None
    stays: Array | bool = False
    lowest: Array | None = None


class Addition(Protocol):
    """An addition to the test and the reset of a rule; `state` is the state before the step."""

    @property
    def state(self) -> str | None:
        """Name of its state; None if it has no state."""
        ...

    def before(self, p: Params, state: State, test: Test) -> Test: ...

    def after(self, p: Params, state: State, spikes: Array) -> Array:
        """Return the new value of its state."""
        ...


def above(v: Array, vth: Array, at: Array) -> Array:
    return np.asarray((v > vth) | ((v == vth) & (at != 0)))


def spiking(*added: Addition) -> Step:
    """Return the step of neurons that spike, with these additions in their order."""

    def step(p: Params, state: State, arriving: Array) -> tuple[Array, State]:
        new = moved(p, state, arriving)
        test = Test(new["v"], p["vth"], p["vth"], np.asarray(True))
        for each in added:
            test = each.before(p, state, test)
        spikes = np.where(test.free, _spikes(p, test), 0)
        states = {each.state: each.after(p, state, spikes) for each in added if each.state}
        return spikes, {**new, "v": _after(p, test, spikes), **states}

    return step


def _spikes(p: Params, test: Test) -> Array:
    """Return the number of spikes: with `most`, each takes the potential a threshold lower."""
    if test.most is None:
        return above(test.v, test.vth, p["at"]).astype(np.int64)
    counts = np.maximum(test.v - 1 + p["at"], 0) // np.maximum(test.vth, 1)
    return np.asarray(np.minimum(counts, test.most))


def _after(p: Params, test: Test, spikes: Array) -> Array:
    """Return the potential after the reset."""
    less = fit(test.v - spikes * test.taken, p["state_bits"], p["wrap"])
    after = np.where(p["subtract"], less, p["v_reset"])
    v = np.where((spikes > 0) & ~np.asarray(test.stays), after, test.v)
    return v if test.lowest is None else np.maximum(v, test.lowest)


def graded(p: Params, state: State, arriving: Array) -> tuple[Array, State]:
    state = moved(p, state, arriving)
    sent = rounded(state["v"], p["shift"], p["message_rounding"])
    sent = fit(sent, p["message_bits"], p["wrap"])
    return np.where(p["rectify"], np.maximum(sent, 0), sent), state


def passing(p: Params, state: State, arriving: Array) -> tuple[Array, State]:
    """Pass the input on in the same step, as a payload; with `rectify` nothing below 0."""
    sent = fit(arriving, p["sum_bits"], p["wrap"])
    return np.where(p["rectify"], np.maximum(sent, 0), sent), {}
