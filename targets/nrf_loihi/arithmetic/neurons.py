"""The neuron models of this chip: one step of each, and their properties.

Part of the normative rules (see rules.py). A step takes the parameters, the states and the
input, and returns the output and the new states. MODELS holds all properties of a model, so
that no other file compares its name. Encoders and resonators are in messages.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Literal

import numpy as np

from nrf_deploy.diagnostics.findings import TargetError
from nrf_deploy.engines.emulator.golden import State
from nrf_deploy.engines.emulator.kernels import Cell
from nrf_deploy.engines.emulator.parameters import (
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
from nrf_deploy.ir.capabilities import Accepts, Domain, accepted, demand, exactly
from nrf_deploy.ir.network import Array, Conv, Delay, Flatten, Linear, MaxPool, Scale, SumPool
from nrf_deploy.ir.network import Population as Neurons
from nrf_deploy.ir.program import Params as Given
from nrf_deploy.ir.program import Population
from nrf_deploy.neurons import CurrentLeaky, Integrator, Leaky, Membrane, Rule, Spikes, Value

from ..chip import Chip
from . import cells
from .integers import LIMIT, VTH_MAX, i32, shift, shr0
from .messages import Params, delta, rf, rf_iz, sigma_delta

Step = Callable[[Params, State, Array, int], tuple[Array, State]]


def current_and_voltage(p: Params, s: State, arriving: Array) -> tuple[Array, Array]:
    """Integrate current and voltage, as all LIF models do.

    The current decays by du + 1 (4095: it has no memory), the voltage by dv. The current wraps
    once; the voltage integrates the new current and saturates.
    """
    bias = i32(shift(p["bias_mant"].astype(np.int16).astype(np.int64), p["bias_exp"]))
    u = i32(shr0(s["u"] * (4096 - (p["du"] + 1)), 12) + i32(arriving << 6))
    u = np.where(u > LIMIT, u - 2 * LIMIT, np.where(u <= -LIMIT, u + 2 * LIMIT, u))
    v = i32(shr0(s["v"] * (4096 - p["dv"]), 12) + u + bias)
    return u, np.clip(v, -(LIMIT - 1), LIMIT - 1)


def lif(p: Params, s: State, arriving: Array, t: int) -> tuple[Array, State]:
    """Emit a spike in the step in which v exceeds the threshold; reset v to 0, keep u."""
    u, v = current_and_voltage(p, s, arriving)
    spike = v > (p["vth"] << 6)
    return spike.astype(np.int64), {"u": u, "v": np.where(spike, 0, v)}


def li(p: Params, s: State, arriving: Array, t: int) -> tuple[Array, State]:
    """Send the potential of a LIF with the highest threshold instead of spikes.

    `shift` removes low bits of the payload (halves round up), not of the potential; with
    `rectify` no payload is below 0. A potential that saturates (above 131071 << 6) would
    spike: it is reset to 0, and 0 is sent.
    """
    _, state = lif(p, s, arriving, t)
    sent = (state["v"] + (1 << p["shift"] >> 1)) >> p["shift"]
    return np.where(p["rectify"], np.maximum(sent, 0), sent), state


def lif_reset(p: Params, s: State, arriving: Array, t: int) -> tuple[Array, State]:
    """Set u and v to 0 before every `interval`-th step; steps count from 1 here."""
    due = (t + 1) % p["interval"] == p["offset"] % p["interval"]
    return lif(p, {name: np.where(due, 0, x) for name, x in s.items()}, arriving, t)


def lif_refractory(p: Params, s: State, arriving: Array, t: int) -> tuple[Array, State]:
    """Hold v at 0 for `period` steps after a spike; u is integrated as usual.

    Lava has this as a float model only: these are its rules (LIFRefractory) in the integers of
    the other LIF models. `rest` counts the remaining steps.
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
    """Pass the input on in the same step: a connection between two connections."""
    return i32(arriving), {}


def graded(p: Params, s: State, arriving: Array, t: int) -> tuple[Array, State]:
    a = i32(arriving)
    return np.where(i32(np.abs(a)) > p["vth"], a, 0), {}


def graded_relu(p: Params, s: State, arriving: Array, t: int) -> tuple[Array, State]:
    a = i32(arriving)
    return np.where(a > p["vth"], a, 0), {}


Sends = Literal["spikes", "potential", "messages", "what arrives"]
Runs = tuple[frozenset[type[Membrane]], type[Rule], frozenset[str]]
"""A row of Accepts: membranes, rule, features of the rule that the compiler reads."""


@dataclass(frozen=True)
class Lava:
    """The Lava process that runs a model; `Potential` is our subclass of its LIF, which sends v."""

    process: str
    once: frozenset[str] = frozenset()
    """Parameters with one value for all neurons of a population."""
    port: str = "a_in"
    """The port at which synapses end."""


@dataclass(frozen=True)
class Absent:
    """A model that Lava does not have in integers: code and text of the refusal."""

    code: str
    what: str


@dataclass(frozen=True)
class Model:
    """A neuron model and all of its properties.

    Within the ranges of its parameters these rules equal Lava's. The ranges of a chip are
    narrower; the compiler checks those.
    """

    step: Step
    states: tuple[str, ...] = ()
    parameters: Declared = field(default_factory=dict)
    _: KW_ONLY
    lava: Lava | Absent | None
    """None if it needs no process, since its input leaves in the same step."""
    compiled: Callable[[Params], Cell | None] | None = None
    """Function that returns the cell of the fast engine; None if only the plain engine runs it."""
    sends: Sends = "spikes"
    runs: tuple[Runs, ...] = ()
    """The neurons of a network that are lowered to this model."""
    more: Callable[[Neurons], Given] = lambda node: {}
    """Function that returns the parameters that follow from the rule of the neurons."""
    microcode: bool = True
    """False if the fixed neuron of Loihi 1 computes it too."""


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

OWN: Mapping[type[Membrane], frozenset[str]] = {
    Integrator: frozenset(("Integrator.v0",)),
    Leaky: frozenset(
        ("Leaky.v0", "Leaky.order=scaled", "Leaky.order=divided", "Leaky.order=multiplied")
    ),
    CurrentLeaky: frozenset(
        ("CurrentLeaky.v0", "CurrentLeaky.order=scaled", "CurrentLeaky.order=filtered")
    ),
}
"""The membranes and the features of each. Integers follow no order of float operations: they read
the decays and gains, which are the same in every order."""
FIRING = frozenset(
    ("reset=subtract", "reset=late", "reset=none", "subtracts", "reset_to", "fires=at")
)
"""Features of plain spikes; compile/check.py refuses resets that no pass has removed."""


def _spiking(features: frozenset[str]) -> tuple[Runs, ...]:
    return tuple((frozenset((m,)), Spikes, features | own) for m, own in OWN.items())


VALUES: tuple[Runs, ...] = tuple(
    (frozenset((m,)), Value, own if m is Integrator else own | {"rectified"})
    for m, own in OWN.items()
)
EXPONENTS = frozenset(("spike_exp", "state_exp", "cum_error"))
TURNS = frozenset(("state_exp", "decay_bits"))


def _rectified(node: Neurons) -> Given:
    return {"rectify": 1} if type(node.rule) is Value and node.rule.rectified else {}


def _resting(node: Neurons) -> Given:
    assert type(node.rule) is Spikes
    return {"period": np.asarray(node.rule.refractory, np.int64)}


MODELS: dict[str, Model] = {
    "lif": Model(
        lif,
        ("u", "v"),
        LIF,
        lava=Lava("LIF"),
        compiled=cells.lif,
        runs=_spiking(FIRING),
        microcode=False,
    ),
    "li": Model(
        li,
        ("u", "v"),
        {**LEAKY, "vth": of_word(VTH_MAX), "shift": SHIFT, "rectify": flag(0)},
        lava=Lava("Potential"),
        compiled=cells.li,
        sends="potential",
        runs=VALUES,
        more=_rectified,
        microcode=False,
    ),
    "lif_reset": Model(
        lif_reset,
        ("u", "v"),
        {**LIF, "interval": Parameter(1, 2**31 - 1), "offset": of_word(0)},
        lava=Lava("LIFReset", once=frozenset(("interval", "offset"))),
        compiled=cells.lif_reset,
    ),
    "lif_refractory": Model(
        lif_refractory,
        ("u", "v", "rest"),
        {**LIF, "period": PERIOD, "rest0": Parameter(0, 2**31 - 1, 0)},
        lava=Absent("LAVA-REFRACTORY", "Lava has no refractory period in integers, only in floats"),
        compiled=cells.lif_refractory,
        runs=_spiking((FIRING - {"reset=late"}) | {"refractory"}),
        more=_resting,
    ),
    "ternary_lif": Model(
        ternary_lif,
        ("u", "v"),
        {**LEAKY, "vth_hi": of_word(), "vth_lo": of_word()},
        lava=Lava("TernaryLIF"),
        compiled=cells.ternary_lif,
    ),
    "pass": Model(through, lava=None, compiled=cells.through, sends="what arrives"),
    "graded": Model(
        graded,
        (),
        {"vth": of_word()},
        lava=Lava("GradedVec"),
        compiled=cells.graded,
        sends="messages",
    ),
    "graded_relu": Model(
        graded_relu,
        (),
        {"vth": of_word()},
        lava=Lava("GradedReluVec"),
        compiled=cells.graded_relu,
        sends="messages",
    ),
    "delta": Model(
        delta,
        ("act", "residue", "error"),
        DELTA,
        lava=Lava("Delta", once=EXPONENTS),
        compiled=cells.delta,
        sends="messages",
    ),
    "sigma_delta": Model(
        sigma_delta,
        ("sigma", "act", "residue", "error"),
        {**DELTA, "bias": of_word(0), "act_mode": flag(1)},
        lava=Lava("SigmaDelta", once=EXPONENTS | {"act_mode"}),
        compiled=cells.sigma_delta,
        sends="messages",
    ),
    "rf": Model(
        rf,
        ("real", "imag"),
        RF,
        lava=Lava("RF", once=TURNS, port="a_real_in"),
        compiled=cells.rf,
    ),
    "rf_iz": Model(
        rf_iz,
        ("real", "imag"),
        RF,
        lava=Lava("RF_IZ", once=TURNS, port="a_real_in"),
        compiled=cells.rf_iz,
    ),
}
PASS = "pass"
"""The model of pools and of relays of payloads, which have no neurons."""
ROWS = {name: tuple(Accepts(name, *row) for row in model.runs) for name, model in MODELS.items()}
NODES = exactly(Linear, Conv, SumPool, Flatten, Scale, Delay)


def domain(chip: Chip) -> Domain:
    """Return the parts of a network that the compiler for this chip reads."""
    names = [name for name, model in MODELS.items() if chip.microcode or not model.microcode]
    return Domain(tuple(r for name in names for r in ROWS[name]), NODES, exactly(MaxPool))


def runs_on(node: Neurons) -> tuple[str, Given]:
    """Return the model that runs these neurons and the parameters that follow from their rule."""
    demand(node, Domain(tuple(r for rows in ROWS.values() for r in rows)), "Loihi")
    name = next(name for name, rows in ROWS.items() if accepted(node, rows) is not None)
    return name, MODELS[name].more(node)


def relay(payloads: bool) -> tuple[str, Given]:
    """Return the model and the parameters that repeat a message one step later."""
    if payloads:
        return PASS, {}
    return "lif", {"du": 4095, "dv": 0, "vth": 0, "bias_mant": 0, "bias_exp": 0}


PARAMETERS: Mapping[str, Declared] = {name: model.parameters for name, model in MODELS.items()}
CODES = Codes.of("LOIHI")


def parameters(population: Population) -> dict[str, Array]:
    """Return every parameter of the population's model as int64; refuse unknown ones.

    Their values are checked once for a whole program: LoihiArithmetic.faults.
    """
    if (declared := PARAMETERS.get(population.model)) is None:
        raise TargetError(unknown_model(population, PARAMETERS, CODES))
    if wrong := [*named(population.params, declared)]:
        raise TargetError(wrong_parameters(population, declared, CODES, wrong))
    return as_integers(population.params, declared)
