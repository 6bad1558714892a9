"""A float neuron in the machine's integers.

One float unit of v is S = g * 2^fraction_bits / drive units of the state, where g is the gain
of the weights; see nrf_deploy/compiler/quantize/neuron.py for the algebra. A bias that a loop keeps
away from the first step is taken off the start.

A subtractive leak cannot follow a time constant: a potential between rest and threshold loses
k (v - v_leak) in a step, at most k (v_threshold - v_leak), and half of that is taken. So the
mean loss is right for potentials spread evenly over the range.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nrf_deploy.compiler import checks
from nrf_deploy.compiler.quantize.constant_input import constant
from nrf_deploy.compiler.quantize.neuron import Neuron, neuron
from nrf_deploy.compiler.quantize.ratio_preserving_decays import anchored
from nrf_deploy.compiler.quantize.rules import Rules
from nrf_deploy.diagnostics.findings import Finding
from nrf_deploy.ir.layer_view import Layers
from nrf_deploy.ir.network import Array, Network, Population
from nrf_deploy.neurons import CurrentLeaky, Leaky, Spikes

from ..arithmetic.additions import Scaled
from ..arithmetic.models import MODELS, runs_on
from ..arithmetic.steps import ROUNDING, leaked
from ..settings import PREFIX, Settings


@dataclass(frozen=True, eq=False)
class Unit:
    """A population, its model here, its form, and the biases of its layers in floats."""

    node: Population
    dt: float
    model: str
    form: Neuron
    rest: Array  # what v_leak adds to v in a step
    bias: Array  # what the layers' biases add
    late: Array  # the part of the latter that misses the first step

    @staticmethod
    def of(network: Network, view: Layers, name: str) -> Unit:
        node = network[name]
        if type(node) is not Population:
            raise TypeError(f"{name!r} has no neurons")
        model = runs_on(node)
        form = neuron(node, network.dt)
        bias = constant(view, name, form) - form.rest
        late = constant(view, name, form, late_only=True)
        return Unit(node, network.dt, model, form, form.rest, bias, late)

    @property
    def spiking(self) -> bool:
        return self.form.threshold is not None

    @property
    def current(self) -> bool:
        return "i" in MODELS[self.model].states

    @property
    def current_drive(self) -> Array:
        """The amount that one unit of the current adds to v in a step."""
        membrane = self.node.membrane
        if type(membrane) is not CurrentLeaky:
            raise TypeError(f"{self.node.name!r} has no current with a memory")
        return np.asarray(self.form.decay * membrane.r)

    @property
    def firing(self) -> Spikes | None:
        """Return the rule of neurons that spike; None where the value is v."""
        return self.node.rule if type(self.node.rule) is Spikes else None

    @property
    def v_reset(self) -> Array:
        """Return where a spike sets the potential; 0 where there are none."""
        to = 0.0 if self.firing is None else self.firing.reset_to
        return np.broadcast_to(np.asarray(to, np.float64), self.node.shape)

    @property
    def v_leak(self) -> Array:
        """Return where the potential leaks to; 0 where it has no leak."""
        membrane = self.node.membrane
        if type(membrane) is Leaky or type(membrane) is CurrentLeaky:
            return membrane.v_leak.astype(np.float64)
        return np.zeros(self.node.shape)

    @property
    def subtracts(self) -> bool:
        """True if spikes take an amount off the potential, in their step or later."""
        return self.firing is not None and self.firing.reset in ("subtract", "late", "doubled")

    @property
    def keeps(self) -> bool:
        """True if no spike changes the potential."""
        return self.firing is not None and self.firing.reset == "none"

    @property
    def many(self) -> bool:
        """True if a step can have several spikes."""
        return self.firing is not None and self.firing.per_step == "many"

    @property
    def fires_at(self) -> bool:
        """True if a potential that meets its threshold exactly spikes."""
        return self.firing is not None and self.firing.fires == "at"

    @property
    def outgrows(self) -> bool:
        """True if a potential can rise from step to step although it spikes in each."""
        rule = self.firing
        return rule is not None and (
            rule.reset in ("late", "doubled", "none") or rule.most is not None
        )

    @property
    def placed(self) -> Array:
        """Return the largest of the other amounts and places that a rule's numbers hold."""
        rule, size = self.firing, np.zeros(self.node.shape)
        for x in (None, None) if rule is None else (rule.subtracts, rule.floor):
            if x is not None:
                size = np.maximum(size, np.where(np.isfinite(x), np.abs(x.astype(np.float64)), 0))
        return size

    @property
    def forgets(self) -> bool:
        """Nothing of a potential is left after a step."""
        return bool(np.all(self.form.decay == 1))

    @property
    def reset_matters(self) -> bool:
        """True if a reset changes later steps; a late one does so whatever the leak is."""
        late = self.firing is not None and self.firing.reset in ("late", "doubled")
        return self.spiking and (late or not self.forgets)

    def decays(self, s: Settings) -> Iterator[tuple[str, Array]]:
        """Yield each decay that the machine holds: its time constant, the part lost in a step."""
        yield "tau_syn", self.form.current_decay
        if s.leak == "exponential":
            yield "tau", self.form.decay
        for _, part in self.node.rule.parts():
            for name, counts, tau in part.numbers():
                if counts == "time":
                    yield f"{name} of {type(part).__name__}", self.dt / tau.astype(np.float64)

    def leaks_an_amount(self, s: Settings) -> bool:
        """Return True if the machine subtracts an amount, towards the rest, where v decays."""
        return s.leak == "subtractive" and bool(np.any(self.form.decay)) and not self.forgets

    def constants(self, s: Settings) -> dict[str, Array]:
        """Return what each bias of the machine adds in a step, in floats, by its parameter."""
        rest = np.zeros(self.node.shape) if self.leaks_an_amount(s) else self.rest
        return (
            {"input_bias": self.bias, "bias": rest} if self.current else {"bias": self.bias + rest}
        )

    def threshold_offset(self, params: Mapping[str, Any]) -> int:
        """Return what is added to a threshold: v > vth is v >= vth + 1.

        A threshold that is subtracted, or counted several times, must be the model's own.
        """
        own = params["subtract"] or self.many
        return 0 if own else int(params["at"]) - int(self.fires_at)

    def amount(self) -> Array:
        """Return what a subtractive leak takes in a step, in floats; 0 without a threshold."""
        if self.form.threshold is None:
            return np.zeros(self.node.shape)
        return np.asarray(self.form.decay * np.abs(self.form.threshold - self.v_leak) / 2)

    def lift(self, reach: Array) -> Array:
        """Return how far the threshold can rise where the potential can reach so far."""
        return MODELS[self.model].lifts(self.node, self.dt, reach)

    def scale(self, gain: Array, s: Settings) -> Array:
        """State units of one float unit of v; `gain` is one a channel, or one."""
        each = gain.reshape(-1, *[1] * (len(self.node.shape) - 1))
        return np.asarray(np.broadcast_to(each, self.node.shape) * 2**s.fraction_bits) / (
            self.form.drive
        )


def in_ratio(units: Mapping[str, Unit], s: Settings, rules: Rules) -> dict[str, Unit]:
    """Return the units with anchored decays; all else follows from the model's own."""
    decay = {name: u.form.decay for name, u in units.items() if rules.anchored(name)}
    return {
        name: replace(units[name], form=replace(units[name].form, decay=k))
        for name, k in anchored(decay, s.decay_bits).items()
    }


def anchored_decays(unit: Unit, s: Settings, rules: Rules) -> Iterator[Finding]:
    """Report what anchoring does to a decay: `check` knows no rules, and saw the nearest one."""
    decay = neuron(unit.node, unit.dt).decay
    integers = rounded_decay(unit.form.decay, s)
    moved = np.any(integers != rounded_decay(decay, s))
    if rules.anchored(unit.node.name) and s.leak == "exponential" and moved:
        yield from checks.decays(
            PREFIX,
            unit.node.name,
            "tau",
            decay,
            integers,
            s.decay_bits,
            unit.dt,
            option="decay_bits",
            anchored=True,
        )


def machine(s: Settings) -> dict[str, int]:
    """Return the parameters that every population has from the settings."""
    return {
        "decay_bits": s.decay_bits,
        "state_bits": s.state_bits,
        "sum_bits": s.sum_bits,
        "fraction_bits": s.fraction_bits,
        "rounding": ROUNDING[s.rounding],
        "wrap": int(s.overflow == "wrap"),
    }


def integers(unit: Unit, gain: Array, s: Settings) -> dict[str, Array | int]:
    """Return every parameter of the population but `wait` and the payload's; none is clipped."""
    form, scale = unit.form, unit.scale(gain, s)

    def whole(x: Array) -> Array:
        return np.asarray(np.rint(x * scale).astype(np.int64))

    p: dict[str, Any] = {**machine(s), **_leak(unit, whole, s)}
    constants = {name: whole(x) for name, x in unit.constants(s).items()}
    if unit.current:
        p["current_decay"] = rounded_decay(form.current_decay, s)
        p["input_bias"] = constants["input_bias"]
        p["i0"] = -whole(unit.late)
    p |= {"bias": constants["bias"], "v0": whole(form.first)}
    scaled = Scaled(whole, lambda tau: rounded_decay(unit.dt / tau, s), s.largest_state)
    p |= MODELS[unit.model].more(unit.node, scaled)
    if unit.spiking and form.threshold is not None:
        p |= {"v_reset": whole(unit.v_reset), "vth": whole(form.threshold)}
        p["at"] = int(s.fires == "at" or (s.fires == "both" and unit.fires_at))
        p["subtract"] = int(unit.subtracts or s.reset == "subtract")
        p["vth"] = p["vth"] + unit.threshold_offset(p)
    if not unit.current and np.any(unit.late):
        p["v0"] = started(p, p["v0"], whole(unit.late))
    return p


def rounded_decay(part: Array, s: Settings) -> Array:
    """Return the part that is lost in a step in units of 1 / 2^decay_bits."""
    return np.asarray(np.rint(part * 2**s.decay_bits).astype(np.int64))


def _leak(unit: Unit, whole: Any, s: Settings) -> dict[str, Array]:
    decay = unit.form.decay
    if unit.leaks_an_amount(s):
        return {"leak": whole(unit.amount()), "rest": whole(unit.v_leak)}
    return {"decay": rounded_decay(decay, s)}


def started(p: Mapping[str, Any], first: Array, late: Array) -> Array:
    """Return a start whose first leak leads to where `first` would, less `late`.

    It lies near the quotient, since a leak is nearly a factor. Where none fits, the nearest.
    """
    usual = {"decay": 0, "leak": 0, "rest": 0}
    q = {k: np.asarray(v, np.int64) for k, v in {**usual, **p}.items()}
    target = leaked(q, first) - late
    whole = 1 << q["decay_bits"]
    keep = np.maximum(whole - q["decay"], 1)
    away = target - q["rest"]
    about = q["rest"] + away + np.sign(away) * q["leak"]
    about = np.rint(about * (whole / keep)).astype(np.int64)
    tries = np.stack([about + d for d in (0, 1, -1, 2, -2)])
    off = np.abs(leaked(q, tries) - target)
    return np.asarray(np.take_along_axis(tries, off.argmin(axis=0)[None], axis=0)[0])
