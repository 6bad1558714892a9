"""A layer in floating point, with one kind of its numbers at a time as the chip holds it.

Every variant gets the same input and takes the same step, side by side:

    u = u (1 - current_decay) + what arrives + current_bias
    v = v (1 - decay), moved by `leak` toward `rest`, + u + bias; at least `floor`
    spike where v > threshold (or v >= threshold: `at`); then v = reset, or v - threshold

where the sum that arrives, u and v stay within limits: at their ends, or wrapped. This is what
all targets' neurons have in common (see quantise/neuron.py); what a chip rounds in a step is
not in it, and is what remains between the last variant and the chip's run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from ..capabilities import Accepts, Domain, outside
from ..layers import Layers
from ..network import Array, Network, Node, Population
from ..neurons import CurrentLeaky, Integrator, Leaky, LinearLeak, Spikes, Value
from ..quantise.drive import constant
from ..quantise.neuron import neuron

KINDS: Mapping[str, tuple[str, ...]] = {
    "decay": ("decay", "current_decay", "leak", "rest"),
    "threshold": ("threshold", "at"),
    "bias": ("bias", "current_bias"),
    "reset": ("reset", "subtract"),
    "saturation": (
        "sum_limit", "current_limit", "state_limit", "wrap", "current_wrap", "floor",
    ),
}  # fmt: skip
"""The numbers that are exchanged together, by the cause of error that they are."""
FRACTIONS = ("decay", "current_decay", "at", "subtract", "wrap", "current_wrap")
"""What counts nothing: all others are amounts of the potential."""
SAME = 1e-9
"""Numbers this near to the model's are the model's: a quotient of integers lost its last bit."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Numbers:
    """Of one population; each broadcasts over it. `threshold` is infinite without spikes."""

    decay: Array
    current_decay: Array
    bias: Array
    current_bias: Array
    threshold: Array
    at: Array
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


FIRING = frozenset(("reset=subtract", "reset_to", "fires=at", "floor"))
DOMAIN = Domain(
    (
        Accepts("values", frozenset((Integrator, Leaky, CurrentLeaky)), Value,
                frozenset(("rectified",))),
        Accepts("spikes", frozenset((Integrator, Leaky, CurrentLeaky, LinearLeak)), Spikes,
                FIRING),
        Accepts("counts", frozenset((Integrator,)), Spikes,
                FIRING | {"per_step=many", "worth"}),
    )
)  # fmt: skip
"""What `Variants` simulates."""


def unexpressed(node: Node, numbers: Mapping[str, Array]) -> str:
    """Return why this simulation cannot stand for the layer, or "" where it can."""
    if wrong := outside(node, DOMAIN):
        return f"the simulation that finds causes does not run {wrong}"
    if foreign := sorted(set(numbers) - {f.name for f in fields(Numbers)}):
        return f"the simulation that finds causes has no {', '.join(foreign)} as the chip has"
    return ""


def ideal(network: Network, view: Layers, name: str) -> Numbers:
    """The model's own, in the units of v."""
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
        reset=no if rule is None else np.asarray(rule.reset_to, np.float64),
        subtract=np.array(float(rule is not None and rule.reset == "subtract")),
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


def held(numbers: Mapping[str, Array], model: Numbers, unit: Array) -> Numbers:
    """As the chip has them, in the model's units; `unit` is what 1 of the model is there."""
    mine = {}
    for f in fields(Numbers):
        own = getattr(model, f.name)
        if f.name in numbers and f.name != "first":
            given = np.asarray(numbers[f.name], np.float64)
            own = snapped(given if f.name in FRACTIONS else given / unit, own)
        mine[f.name] = own
    return _met_alike(Numbers(**mine), model, unit)


def _met_alike(chip: Numbers, model: Numbers, unit: Array) -> Numbers:
    """Of whole potentials v > T says the same as v >= T + 1: where that makes a chip's threshold
    the model's, it is the model's."""
    threshold = snapped(chip.threshold + (model.at - chip.at) / unit, model.threshold)
    if np.all(threshold == model.threshold):
        return replace(chip, threshold=model.threshold, at=model.at)
    return chip


def snapped(given: Array, own: Array) -> Array:
    """The model's numbers where the chip's are the same but for a float's last bits."""
    with np.errstate(invalid="ignore"):
        same = np.isfinite(own) & (np.abs(given - own) <= SAME * np.abs(own))
    return np.where(same, own, given)


def variants(model: Numbers, chip: Numbers) -> dict[str, Numbers]:
    """The model, the model with one kind of numbers from the chip, the chip's all at once; and
    these on a chip that takes v >= threshold for v > threshold, or the other way round."""
    mixed = {
        cause: Numbers(
            **{f.name: getattr(chip if f.name in kind else model, f.name) for f in fields(model)}
        )
        for cause, kind in KINDS.items()
    }
    other = replace(chip, at=1 - chip.at)
    return {"model": model, "weights": model, **mixed, "all": chip, "meets": other}


class Variants:
    """Some variants of one layer at work, side by side along the first axis."""

    def __init__(self, node: Population, numbers: Sequence[Numbers], units: Sequence[Array]):
        rule, self.shape = node.rule, node.shape
        self.spikes = node.spikes
        self.rectified = type(rule) is Value and rule.rectified
        self.many = type(rule) is Spikes and rule.per_step == "many"
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
        """(variants, *shape) of what arrived -> of what leaves."""
        p = self.of
        x = within(arriving, p["sum_limit"], p["wrap"])
        u = self.u * (1 - p["current_decay"]) + x + p["current_bias"]
        self.u = within(u, p["current_limit"], p["current_wrap"])
        v = toward(self.v * (1 - p["decay"]), p["rest"], p["leak"]) + self.u + p["bias"]
        v = np.maximum(within(v, p["state_limit"], p["wrap"]), p["floor"])
        if not self.spikes:
            self.v = v
            return np.asarray(np.maximum(v, 0) if self.rectified else v)
        if self.many:
            spikes = np.floor(np.maximum(v, 0) / p["threshold"])
            self.v = v - spikes * p["threshold"]
            return np.asarray(spikes)
        spike = (v > p["threshold"]) | ((v == p["threshold"]) & (p["at"] != 0))
        after = np.where(p["subtract"], v - p["threshold"], p["reset"])
        self.v = np.where(spike, after, v)
        return np.asarray(spike, np.float64)


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
