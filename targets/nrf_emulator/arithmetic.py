"""The arithmetic "fixed": a spiking neuron in integers of any width.

This is the normative text of a machine that a user describes (settings.py). What a
machine says of itself stands among the parameters of each population, so a program is
complete by itself. One step, with >> after `rounded` as below:

    x = fit(sum, sum_bits) << fraction_bits           what arrives, in units of the state
    j = fit(i + x + input_bias, state_bits)           with a current; i starts at i0
    i = rounded(j * (2^decay_bits - current_decay))   ... it decays after it was used
    v = rounded(v * (2^decay_bits - decay))           exponential leak
    v = v moved by `leak` toward `rest`               subtractive leak, never past it
    v = fit(v + j + bias, state_bits)                 j is x (fitted) without a current
    spike where v > vth, or v >= vth (`at`)
    v = v_reset, or fit(v - vth) (`subtract`)         where it spiked

A neuron without threshold sends v / 2^shift, rounded by message_rounding, fitted to
message_bits.

    fit(x, bits)   two's complement: saturates at its ends, or wraps (`wrap`)
    rounded(x)     x / 2^decay_bits, rounded: 0 down, 1 toward zero, 2 to nearest, halves
                   away from zero

Nothing moves before step `wait`, the first at which a model's first input can be there.
A sum is exact before it is fitted, once, whatever number of synapses it comes from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from nrf_deploy.emulator.golden import State
from nrf_deploy.emulator.parameters import (
    Codes,
    Declared,
    Parameter,
    as_integers,
    flag,
    named,
    of_word,
    ranged,
    synapse_faults,
    unknown_model,
    wrong_parameters,
)
from nrf_deploy.findings import Finding, TargetError
from nrf_deploy.network import Array
from nrf_deploy.program import Population, Program, Synapses

ROUNDING = {"floor": 0, "zero": 1, "nearest": 2}

MACHINE: Declared = {
    "decay_bits": Parameter(1, 24, 12, shared=True),
    "state_bits": Parameter(4, 32, 24, shared=True),
    "sum_bits": Parameter(4, 32, 24, shared=True),
    "fraction_bits": Parameter(0, 16, 6, shared=True),
    "rounding": Parameter(0, 2, 1, shared=True),
    "wrap": flag(0, shared=True),
    "wait": Parameter(0, 2**31 - 1, 0, shared=True),
}
"""What all neurons of a population have in common."""
DECAY = Parameter(0, 2**24, 0)
LEAKY: Declared = {
    "decay": DECAY,
    "leak": of_word(0),
    "rest": of_word(0),
    "bias": of_word(0),
    "v0": of_word(0),
}
CURRENT: Declared = {"current_decay": DECAY, "input_bias": of_word(0), "i0": of_word(0)}
SPIKING: Declared = {
    "vth": of_word(),
    "v_reset": of_word(0),
    "at": flag(0, shared=True),
    "subtract": flag(0, shared=True),
}
GRADED: Declared = {
    "shift": Parameter(0, 31, 0),
    "message_bits": Parameter(2, 32, 16, shared=True),
    "message_rounding": Parameter(0, 2, 1, shared=True),
    "rectify": flag(0, shared=True),
}
SYNAPSES: Declared = {"graded": flag(1)}
CODES = Codes(
    unknown="FIXED-MODEL-UNKNOWN",
    parameters="FIXED-MODEL-PARAMETERS",
    synapses="FIXED-SYNAPSE-PARAMETERS",
)

Params = Mapping[str, Array]


def fit(x: Array, bits: Array | int, wrap: Array | int) -> Array:
    half = np.int64(1) << (np.asarray(bits, np.int64) - 1)
    return np.where(wrap, ((x + half) & (2 * half - 1)) - half, np.clip(x, -half, half - 1))


def rounded(x: Array, bits: Array | int, rounding: Array | int) -> Array:
    """x / 2^bits as a whole number."""
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
    """Current and potential after what arrived, before any spike."""
    x = fit(arriving, p["sum_bits"], p["wrap"]) << p["fraction_bits"]
    if "current_decay" not in p:
        j, current = fit(x, p["state_bits"], p["wrap"]), {}
    else:
        j = fit(state["i"] + x + p["input_bias"], p["state_bits"], p["wrap"])
        keep = (1 << p["decay_bits"]) - p["current_decay"]
        current = {"i": rounded(j * keep, p["decay_bits"], p["rounding"])}
    v = fit(leaked(p, state["v"]) + j + p["bias"], p["state_bits"], p["wrap"])
    return {**current, "v": v}


def spiking(p: Params, state: State, arriving: Array) -> tuple[Array, State]:
    state = moved(p, state, arriving)
    v = state["v"]
    spike = (v > p["vth"]) | ((v == p["vth"]) & (p["at"] != 0))
    less = fit(v - p["vth"], p["state_bits"], p["wrap"])
    after = np.where(p["subtract"], less, p["v_reset"])
    return spike.astype(np.int64), {**state, "v": np.where(spike, after, v)}


def graded(p: Params, state: State, arriving: Array) -> tuple[Array, State]:
    state = moved(p, state, arriving)
    sent = rounded(state["v"], p["shift"], p["message_rounding"])
    sent = fit(sent, p["message_bits"], p["wrap"])
    return np.where(p["rectify"], np.maximum(sent, 0), sent), state


def passing(p: Params, state: State, arriving: Array) -> tuple[Array, State]:
    """What arrives goes out in the same step, as a payload."""
    return fit(arriving, p["sum_bits"], p["wrap"]), {}


@dataclass(frozen=True)
class Model:
    step: Callable[[Params, State, Array], tuple[Array, State]]
    states: tuple[str, ...]
    parameters: Declared


MODELS = {
    "lif": Model(spiking, ("v",), {**MACHINE, **LEAKY, **SPIKING}),
    "cuba_lif": Model(spiking, ("i", "v"), {**MACHINE, **LEAKY, **CURRENT, **SPIKING}),
    "li": Model(graded, ("v",), {**MACHINE, **LEAKY, **GRADED}),
    "cuba_li": Model(graded, ("i", "v"), {**MACHINE, **LEAKY, **CURRENT, **GRADED}),
    "pass": Model(passing, (), {name: MACHINE[name] for name in ("sum_bits", "wrap")}),
}
PARAMETERS: Mapping[str, Declared] = {name: model.parameters for name, model in MODELS.items()}


def parameters(population: Population) -> dict[str, Array]:
    """Return every parameter of the population's model as int64; refuse what is unknown or
    beyond its range."""
    declared = PARAMETERS.get(population.model)
    if declared is None:
        raise TargetError(unknown_model(population, PARAMETERS, CODES))
    if wrong := [*named(population.params, declared), *_ranged(population, declared)]:
        raise TargetError(wrong_parameters(population, declared, CODES, wrong))
    return as_integers(population.params, declared)


def _ranged(population: Population, declared: Declared) -> list[str]:
    """List the parameters beyond their range, which depends on two widths for most of them."""
    params, shape = population.params, population.shape
    if wrong := list(ranged(params, declared, shape)):
        return wrong
    bits, whole = (int(params.get(n, MACHINE[n].default)) for n in ("state_bits", "decay_bits"))
    half = 1 << bits - 1
    state = ("rest", "bias", "input_bias", "v0", "i0", "vth", "v_reset")
    narrow = {
        **{name: Parameter(-half, half - 1) for name in state},
        "leak": Parameter(0, half - 1),
        **dict.fromkeys(("decay", "current_decay"), Parameter(0, 1 << whole)),
    }
    return list(ranged(params, narrow, shape))


class FixedArithmetic:
    name = "fixed"
    states: Mapping[str, tuple[str, ...]] = {name: m.states for name, m in MODELS.items()}

    def faults(self, program: Program) -> Iterator[Finding]:
        for p in program.populations:
            try:
                parameters(p)
            except TargetError as refusal:
                yield from refusal.findings
        for s in program.synapses:
            yield from synapse_faults(s, SYNAPSES, CODES)

    def held(self, synapses: Synapses) -> Array:
        return synapses.weight.astype(np.int64)

    def message(self, synapses: Synapses, output: Array) -> Array:
        """A synapse is graded, unless its `graded` is 0: then it sees only that there was one."""
        return output if synapses.params.get("graded", 1) else (output != 0).astype(np.int64)

    def deliver(self, synapses: Synapses, total: Array) -> Array:
        return total

    def start(self, population: Population) -> State:
        p = parameters(population)
        return {
            name: np.broadcast_to(p[name + "0"], population.shape).copy()
            for name in self.states[population.model]
        }

    def step(
        self, population: Population, state: State, arriving: Array, t: int
    ) -> tuple[Array, State]:
        p = parameters(population)
        if t < p.get("wait", 0):
            return np.zeros(population.shape, np.int64), state
        return MODELS[population.model].step(p, state, arriving)
