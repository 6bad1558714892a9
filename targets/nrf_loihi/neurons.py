"""One step of each neuron model of this chip, and the parameters that it takes.

Part of the normative text (see arithmetic.py). A step is handed the parameters, the states
and what arrives, and gives what leaves and the new states. Encoders and resonators are in
messages.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

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
    unknown_model,
    wrong_parameters,
)
from nrf_deploy.findings import TargetError
from nrf_deploy.network import Array
from nrf_deploy.program import Population

from .integers import LIMIT, VTH_MAX, i32, shift, shr0
from .messages import Params, delta, rf, rf_iz, sigma_delta

Step = Callable[[Params, State, Array, int], tuple[Array, State]]


def current_and_voltage(p: Params, s: State, arriving: Array) -> tuple[Array, Array]:
    """The leaky integration that all LIF models share.

    du counts one more than it says (4095: the current has no memory), dv does not. The
    current wraps once; the voltage sees the new current, and saturates.
    """
    bias = i32(shift(p["bias_mant"].astype(np.int16).astype(np.int64), p["bias_exp"]))
    u = i32(shr0(s["u"] * (4096 - (p["du"] + 1)), 12) + i32(arriving << 6))
    u = np.where(u > LIMIT, u - 2 * LIMIT, np.where(u <= -LIMIT, u + 2 * LIMIT, u))
    v = i32(shr0(s["v"] * (4096 - p["dv"]), 12) + u + bias)
    return u, np.clip(v, -(LIMIT - 1), LIMIT - 1)


def lif(p: Params, s: State, arriving: Array, t: int) -> tuple[Array, State]:
    """A spike leaves in the step in which v exceeds the threshold; u is kept, v starts at 0."""
    u, v = current_and_voltage(p, s, arriving)
    spike = v > (p["vth"] << 6)
    return spike.astype(np.int64), {"u": u, "v": np.where(spike, 0, v)}


def li(p: Params, s: State, arriving: Array, t: int) -> tuple[Array, State]:
    """A LIF with the highest threshold there is, which sends its potential instead of spikes.

    `shift` takes low bits off the payload (halves round up), not off the potential; with
    `rectify` no payload is below 0. A potential that saturates (above 131071 << 6) would
    spike: it starts again at 0, and that is sent.
    """
    _, state = lif(p, s, arriving, t)
    sent = (state["v"] + (1 << p["shift"] >> 1)) >> p["shift"]
    return np.where(p["rectify"], np.maximum(sent, 0), sent), state


def lif_reset(p: Params, s: State, arriving: Array, t: int) -> tuple[Array, State]:
    """Every `interval` steps u and v are set to 0 before the step; steps count from 1 here."""
    due = (t + 1) % p["interval"] == p["offset"] % p["interval"]
    return lif(p, {name: np.where(due, 0, x) for name, x in s.items()}, arriving, t)


def lif_refractory(p: Params, s: State, arriving: Array, t: int) -> tuple[Array, State]:
    """For `period` steps after a spike v stands still at 0, while u goes on as ever.

    Lava has this as a float model only: these are its rules (LIFRefractory) in the integers of
    the other LIF models. `rest` counts the steps that are left.
    """
    u, v = current_and_voltage(p, s, arriving)
    v = np.where(s["rest"] > 0, s["v"], v)
    spike = v > (p["vth"] << 6)
    rest = np.where(spike, i32(p["period"]), np.maximum(s["rest"] - 1, 0))
    return spike.astype(np.int64), {"u": u, "v": np.where(spike, 0, v), "rest": rest}


def ternary_lif(p: Params, s: State, arriving: Array, t: int) -> tuple[Array, State]:
    u, v = current_and_voltage(p, s, arriving)
    spike = (v > (p["vth_hi"] << 6)).astype(np.int64) - (v < (p["vth_lo"] << 6))
    return spike, {"u": u, "v": np.where(spike != 0, 0, v)}


def through(p: Params, s: State, arriving: Array, t: int) -> tuple[Array, State]:
    """What arrives goes out in the same step: a connection wired to a connection."""
    return i32(arriving), {}


def graded(p: Params, s: State, arriving: Array, t: int) -> tuple[Array, State]:
    a = i32(arriving)
    return np.where(i32(np.abs(a)) > p["vth"], a, 0), {}


def graded_relu(p: Params, s: State, arriving: Array, t: int) -> tuple[Array, State]:
    a = i32(arriving)
    return np.where(a > p["vth"], a, 0), {}


@dataclass(frozen=True)
class Model:
    """A neuron model: its state variables, and the parameters that it takes.

    The ranges are those in which these rules give what Lava gives; a chip holds less, and the
    compiler checks that.
    """

    step: Step
    states: tuple[str, ...] = ()
    parameters: Declared = field(default_factory=dict)


LEAKY = {
    "du": of_word(),
    "dv": of_word(),
    "bias_mant": Parameter(-(2**15), 2**15 - 1, 0),
    "bias_exp": Parameter(-31, 31, 0),
    "u0": of_word(0),
    "v0": of_word(0),
}
LIF = {**LEAKY, "vth": of_word()}
SHIFT = Parameter(0, 31, 0)
PERIOD = Parameter(0, 2**31 - 1)
DELTA = {"vth": of_word(), "cum_error": flag(0), "spike_exp": SHIFT, "state_exp": SHIFT}
RF = {
    "sin_decay": of_word(),
    "cos_decay": of_word(),
    "vth": of_word(),
    "decay_bits": Parameter(0, 62, 0),
    "state_exp": SHIFT,
}

MODELS: dict[str, Model] = {
    "lif": Model(lif, ("u", "v"), LIF),
    "li": Model(
        li, ("u", "v"), {**LEAKY, "vth": of_word(VTH_MAX), "shift": SHIFT, "rectify": flag(0)}
    ),
    "lif_reset": Model(
        lif_reset,
        ("u", "v"),
        {**LIF, "interval": Parameter(1, 2**31 - 1), "offset": of_word(0)},
    ),
    "lif_refractory": Model(
        lif_refractory,
        ("u", "v", "rest"),
        {**LIF, "period": PERIOD, "rest0": Parameter(0, 2**31 - 1, 0)},
    ),
    "ternary_lif": Model(
        ternary_lif, ("u", "v"), {**LEAKY, "vth_hi": of_word(), "vth_lo": of_word()}
    ),
    "pass": Model(through),
    "graded": Model(graded, (), {"vth": of_word()}),
    "graded_relu": Model(graded_relu, (), {"vth": of_word()}),
    "delta": Model(delta, ("act", "residue", "error"), DELTA),
    "sigma_delta": Model(
        sigma_delta,
        ("sigma", "act", "residue", "error"),
        {**DELTA, "bias": of_word(0), "act_mode": flag(1)},
    ),
    "rf": Model(rf, ("real", "imag"), RF),
    "rf_iz": Model(rf_iz, ("real", "imag"), RF),
}

PARAMETERS: Mapping[str, Declared] = {name: model.parameters for name, model in MODELS.items()}
CODES = Codes(
    unknown="LOIHI-MODEL-UNKNOWN",
    parameters="LOIHI-MODEL-PARAMETERS",
    synapses="LOIHI-SYNAPSE-PARAMETERS",
)


def parameters(population: Population) -> dict[str, Array]:
    """Return every parameter of the population's model as int64; refuse unknown ones.

    Their values are checked once for a whole program: LoihiArithmetic.faults.
    """
    if (declared := PARAMETERS.get(population.model)) is None:
        raise TargetError(unknown_model(population, PARAMETERS, CODES))
    if wrong := [*named(population.params, declared)]:
        raise TargetError(wrong_parameters(population, declared, CODES, wrong))
    return as_integers(population.params, declared)
