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
from nrf_deploy.findings import Finding, TargetError, error, refuse
from nrf_deploy.network import Array
from nrf_deploy.program import Population, Synapses

ROUNDING = {"floor": 0, "zero": 1, "nearest": 2}

MACHINE = {
    "decay_bits": 12,
    "state_bits": 24,
    "sum_bits": 24,
    "fraction_bits": 6,
    "rounding": 1,
    "wrap": 0,
    "wait": 0,
}
"""What all neurons of a population have in common."""
LEAKY = {"decay": 0, "leak": 0, "rest": 0, "bias": 0, "v0": 0}
CURRENT = {"current_decay": 0, "input_bias": 0, "i0": 0}
SPIKING = {"v_reset": 0, "at": 0, "subtract": 0}
GRADED = {"shift": 0, "message_bits": 16, "message_rounding": 1, "rectify": 0}

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
    defaults: Mapping[str, int]
    needs: tuple[str, ...] = ()


MODELS = {
    "lif": Model(spiking, ("v",), {**MACHINE, **LEAKY, **SPIKING}, ("vth",)),
    "cuba_lif": Model(spiking, ("i", "v"), {**MACHINE, **LEAKY, **CURRENT, **SPIKING}, ("vth",)),
    "li": Model(graded, ("v",), {**MACHINE, **LEAKY, **GRADED}),
    "cuba_li": Model(graded, ("i", "v"), {**MACHINE, **LEAKY, **CURRENT, **GRADED}),
    "pass": Model(passing, (), {"sum_bits": 24, "wrap": 0}),
}

UNIFORM = (*MACHINE, "at", "subtract", "message_bits", "message_rounding", "rectify")
"""Parameters that must be one number for a population."""


def parameters(population: Population) -> dict[str, Array]:
    """Every parameter of the population's model as int64; what is unknown or beyond its range
    is refused."""
    model = MODELS.get(population.model)
    if model is None:
        raise TargetError(
            error(
                "FIXED-MODEL-UNKNOWN",
                f"the neuron model {population.model!r} does not exist here",
                layer=population.name,
                fix=f"use one of: {', '.join(MODELS)}",
            )
        )
    values = {
        name: np.asarray(value, np.int64)
        for name, value in {**model.defaults, **population.params}.items()
    }
    refuse(_faults(population.name, model, values), TargetError)
    return values


def _faults(name: str, model: Model, values: Params) -> Iterator[Finding]:
    known = (*model.needs, *model.defaults)
    wrong = [f"{n!r} is missing" for n in model.needs if n not in values]
    wrong += [f"{n!r} is not one of them" for n in values if n not in known]
    wrong += [f"{n!r} differs among neurons" for n in UNIFORM if np.ndim(values.get(n, 0))]
    if not wrong:
        ranges = _ranges(values)
        wrong = [
            f"{n!r} is beyond {low}..{high}"
            for n, (low, high) in ranges.items()
            if n in values and not np.all((low <= values[n]) & (values[n] <= high))
        ]
    if wrong:
        yield error(
            "FIXED-MODEL-PARAMETERS",
            f"the parameters of this population: {', '.join(wrong)}",
            layer=name,
            fix=f"it takes {', '.join(sorted(known))}",
        )


def _ranges(p: Params) -> dict[str, tuple[int, int]]:
    widths = {"decay_bits": (1, 24), "state_bits": (4, 32), "sum_bits": (4, 32)}
    bits = int(np.clip(p.get("state_bits", 24), 4, 32))
    half, whole = 2 ** (bits - 1), 2 ** int(np.clip(p.get("decay_bits", 12), 1, 24))
    state = (-half, half - 1)
    return {
        **widths,
        "fraction_bits": (0, 16),
        "message_bits": (2, 32),
        **dict.fromkeys(("rounding", "message_rounding"), (0, 2)),
        **dict.fromkeys(("wrap", "at", "subtract", "rectify"), (0, 1)),
        "wait": (0, 2**31 - 1),
        "shift": (0, 31),
        **dict.fromkeys(("decay", "current_decay"), (0, whole)),
        "leak": (0, half - 1),
        **dict.fromkeys(("rest", "bias", "input_bias", "v0", "i0", "vth", "v_reset"), state),
    }


class FixedArithmetic:
    name = "fixed"
    states: Mapping[str, tuple[str, ...]] = {name: m.states for name, m in MODELS.items()}

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
