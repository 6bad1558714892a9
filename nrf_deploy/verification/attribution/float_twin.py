"""Simulation of a layer in floating point, with one kind of its numbers at a time as on the chip.

Every variant gets the same input and makes the same step, in parallel:

    u = u (1 - current_decay) + input + current_bias
    v = v (1 - decay), moved by `leak` toward `rest`, + u + bias
    spike where v > threshold (or v >= threshold: `at`); then v = reset, or v - taken
    v at least `floor`

where the summed input, u and v stay within limits: at their ends, or wrapped. Other resets and
several spikes a step are as in neurons/spikes.py. All targets' neurons have this in common (see
quantize/neuron.py); a chip's rounding in a step is not part of it, and is the remaining difference
between the last variant and the chip's run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from nrf_deploy.compiler.quantize.constant_input import constant
from nrf_deploy.compiler.quantize.neuron import linear_features, neuron
from nrf_deploy.ir.capabilities import Accepts, Domain, outside
from nrf_deploy.ir.layer_view import Layers
from nrf_deploy.ir.network import Array, Network, Node, Population
from nrf_deploy.neurons import (
    CurrentLeaky,
    Integrator,
    Leaky,
    LinearLeak,
    Membrane,
    Rule,
    Spikes,
    Value,
)

KINDS: Mapping[str, tuple[str, ...]] = {
    "decay": ("decay", "current_decay", "leak", "rest"),
    "threshold": ("threshold", "at", "taken"),
    "bias": ("bias", "current_bias"),
    "reset": ("reset", "subtract"),
    "saturation": (
        "sum_limit", "current_limit", "state_limit", "wrap", "current_wrap", "floor",
    ),
}  # fmt: skip
"""Numbers that are exchanged together, by their cause of error."""
SUBTRACTING = ("subtract", "late", "doubled")
FRACTIONS = ("decay", "current_decay", "at", "subtract", "wrap", "current_wrap")
"""Numbers without a unit: all others are amounts of the potential."""
SAME = 1e-9
"""Relative difference up to which numbers count as equal: quotients lose their last bit."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Numbers:
    """Numbers of a population; each broadcasts over it. `threshold` is infinite without spikes.

    `taken` is what a reset subtracts.
    """

    decay: Array
    current_decay: Array
    bias: Array
    current_bias: Array
    threshold: Array
    at: Array
    taken: Array
    reset: Array
    subtract: Array
    first: Array
    leak: Array
    rest: Array
    sum_limit: Array
    current_limit: Array
    state_limit: Array
    wrap: Array
    current_wrap: Array
    floor: Array


FIRING = frozenset(
    ("reset=subtract", "reset=late", "reset=none", "reset=doubled", "subtracts", "reset_to",
     "fires=at", "per_step=many", "most", "floor")
)  # fmt: skip


def _row(
    model: str, membranes: frozenset[type[Membrane]], rule: type[Rule], *features: str
) -> Accepts:
    return Accepts(model, membranes, rule, linear_features(membranes, rule).union(features))


DOMAIN = Domain(
    (
        _row("values", frozenset((Integrator, Leaky, CurrentLeaky)), Value, "rectified"),
        _row("spikes", frozenset((Integrator, Leaky, CurrentLeaky, LinearLeak)), Spikes, *FIRING),
        _row("counts", frozenset((Integrator,)), Spikes, *FIRING, "worth"),
    )
)
"""Neurons that `Variants` simulates."""


def unexpressed(node: Node, numbers: Mapping[str, Array]) -> str:
    """Return why this simulation cannot represent the layer, or ""."""
    if wrong := outside(node, DOMAIN):
        return f"the simulation that finds causes does not run {wrong}"
    if foreign := sorted(set(numbers) - {f.name for f in fields(Numbers)}):
        return f"the simulation that finds causes has no {', '.join(foreign)} as the chip has"
    return ""


def ideal(network: Network, view: Layers, name: str) -> Numbers:
    """Return the model's numbers, in the units of v."""
    node = network[name]
    assert type(node) is Population
    form = neuron(node, network.dt)
    rule = node.rule if type(node.rule) is Spikes else None
    floor = None if rule is None else rule.floor
    no, endless = np.zeros(()), np.full((), np.inf)
    return Numbers(
        decay=form.decay,
        current_decay=form.current_decay,
        bias=form.rest,
        current_bias=constant(view, name, form) - form.rest,
        threshold=endless if form.threshold is None else form.threshold,
        at=np.array(float(rule is not None and rule.fires == "at")),
        taken=_taken(rule, form.threshold),
        reset=no if rule is None else np.asarray(rule.reset_to, np.float64),
        subtract=np.array(float(rule is not None and rule.reset in SUBTRACTING)),
        first=form.first,
        leak=no,
        rest=no,
        sum_limit=endless,
        current_limit=endless,
        state_limit=endless,
        wrap=no,
        current_wrap=no,
        floor=-endless if floor is None else np.asarray(floor, np.float64),
    )


def _taken(rule: Spikes | None, threshold: Array | None) -> Array:
    if rule is None or threshold is None:
        return np.full((), np.inf)
    return threshold if rule.subtracts is None else rule.subtracts.astype(np.float64)


def chip_numbers(numbers: Mapping[str, Array], model: Numbers, unit: Array) -> Numbers:
    """Return the chip's numbers in the model's units; `unit` is 1 of the model on the chip."""
    mine = {}
    for f in fields(Numbers):
        value = getattr(model, f.name)
        if f.name in numbers and f.name != "first":
            chip_value = np.asarray(numbers[f.name], np.float64)
            value = snapped(chip_value if f.name in FRACTIONS else chip_value / unit, value)
        mine[f.name] = value
    chip = _met_alike(Numbers(**mine), model, unit)
    if "taken" not in numbers and model.taken is model.threshold:
        return replace(chip, taken=chip.threshold)
    return chip


def _met_alike(chip: Numbers, model: Numbers, unit: Array) -> Numbers:
    """Return the chip's numbers with the model's threshold where both are equivalent.

    For integer potentials v > T is the same as v >= T + 1.
    """
    threshold = snapped(chip.threshold + (model.at - chip.at) / unit, model.threshold)
    if np.all(threshold == model.threshold):
        return replace(chip, threshold=model.threshold, at=model.at)
    return chip


def snapped(chip_value: Array, model_value: Array) -> Array:
    """Return the model's numbers where the chip's differ only in a float's last bits."""
    with np.errstate(invalid="ignore"):
        same = np.isfinite(model_value) & (
            np.abs(chip_value - model_value) <= SAME * np.abs(model_value)
        )
    return np.where(same, model_value, chip_value)


def variants(model: Numbers, chip: Numbers) -> dict[str, Numbers]:
    """Return the variants: the model, with each kind of the chip's numbers, and with all.

    One more has all of the chip's numbers and the other comparison of the threshold.
    """
    mixed = {
        cause: Numbers(
            **{f.name: getattr(chip if f.name in kind else model, f.name) for f in fields(model)}
        )
        for cause, kind in KINDS.items()
    }
    other = replace(chip, at=1 - chip.at)
    return {"model": model, "weights": model, **mixed, "all": chip, "meets": other}


class Variants:
    """Running variants of a layer, along the first axis."""

    def __init__(self, node: Population, numbers: Sequence[Numbers], units: Sequence[Array]):
        rule, self.shape = node.rule, node.shape
        self.spikes = node.spikes
        self.rectified = type(rule) is Value and rule.rectified
        fires = rule if type(rule) is Spikes else None
        self.reset = "" if fires is None else fires.reset
        self.many = fires is not None and fires.per_step == "many"
        cap = None if fires is None else fires.most
        self.cap = np.full((), np.inf) if cap is None else cap.astype(np.float64)
        self.of: dict[str, Array] = {}
        for f in fields(Numbers):
            each = [
                np.broadcast_to(
                    getattr(n, f.name) * (1.0 if f.name in FRACTIONS else unit), self.shape
                )
                for n, unit in zip(numbers, units, strict=True)
            ]
            self.of[f.name] = np.stack(each)
        self.u, self.v = np.zeros_like(self.of["first"]), self.of["first"].copy()

    def step(self, arriving: Array) -> Array:
        """Advance all variants by a step: from inputs (variants, *shape) to outputs."""
        p = self.of
        x = within(arriving, p["sum_limit"], p["wrap"])
        u = self.u * (1 - p["current_decay"]) + x + p["current_bias"]
        self.u = within(u, p["current_limit"], p["current_wrap"])
        v = toward(self.v * (1 - p["decay"]), p["rest"], p["leak"]) + self.u + p["bias"]
        v = within(v, p["state_limit"], p["wrap"])
        if not self.spikes:
            self.v = np.maximum(v, p["floor"])
            return np.asarray(np.maximum(self.v, 0) if self.rectified else self.v)
        threshold = p["threshold"]
        if self.reset in ("late", "doubled"):
            was = self._meets(self.v, threshold)
            v = np.where(was & (self.reset == "late"), v - p["taken"], v)
            threshold = threshold + np.where(was & (self.reset == "doubled"), p["taken"], 0)
        if self.many:
            counts = np.minimum(np.floor(np.maximum(v, 0) / threshold), self.cap)
        else:
            counts = self._meets(v, threshold).astype(np.float64)
        if self.reset not in ("late", "none"):
            after = np.where(p["subtract"], v - counts * p["taken"], p["reset"])
            v = np.where(counts > 0, after, v)
        self.v = np.maximum(v, p["floor"])
        return np.asarray(counts)

    def _meets(self, v: Array, threshold: Array) -> Array:
        return np.asarray((v > threshold) | ((v == threshold) & (self.of["at"] != 0)))


def within(x: Array, limit: Array, wrap: Array) -> Array:
    if not np.any(np.abs(x) > limit):
        return x
    with np.errstate(invalid="ignore"):
        wrapped = np.where(np.isinf(limit), x, (x + limit) % (2 * limit) - limit)
    return np.where(wrap != 0, wrapped, np.clip(x, -limit, limit))


def toward(v: Array, rest: Array, leak: Array) -> Array:
    if not leak.any():
        return v
    away = v - rest
    moved: Array = rest + np.sign(away) * np.maximum(np.abs(away) - leak, 0)
    return np.where(leak > 0, moved, v)
