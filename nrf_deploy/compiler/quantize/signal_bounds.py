"""Bounds of signals: over all inputs, and on calibration data."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from nrf_deploy.engines.reference import run
from nrf_deploy.engines.reference.connections import connection
from nrf_deploy.engines.reference.nodes import max_pool
from nrf_deploy.ir.layer_view import Layers, Link
from nrf_deploy.ir.network import (
    Array,
    Conv,
    Linear,
    Network,
    Population,
    Scale,
    exact,
    gives_values,
)
from nrf_deploy.ir.recording import Recording
from nrf_deploy.neurons import Spikes

MARGIN = 4
"""Factor on the largest value on data up to which signals have to fit."""
FEW_LEVELS = 8
"""A payload with fewer levels is coarse."""


class Seen(NamedTuple):
    """Magnitudes of a signal on the data: the largest, and the mean of those that are not 0."""

    largest: float
    typical: float


@dataclass(frozen=True, eq=False)
class Reach:
    """Largest magnitudes of a signal: `bound` a neuron over all inputs, `seen` on the data.

    `typical` is the mean of the magnitudes on the data that are not 0.
    """

    bound: Array
    seen: float | None
    typical: float | None = None

    @property
    def allowed(self) -> Array:
        if not self.seen:
            return self.bound
        return np.minimum(self.bound, MARGIN * self.seen)

    def __str__(self) -> str:
        seen = "" if self.seen is None else f", {self.seen:.4g} on the calibration data"
        return f"at most {self.bound.max():.4g} over all inputs{seen}"


def analogue(network: Network, name: str) -> bool:
    return gives_values(network[name])


def counts(network: Network, name: str) -> bool:
    """Return True for neurons with several spikes in a step."""
    node = network[name]
    rule = node.rule if type(node) is Population else None
    return type(rule) is Spikes and rule.per_step == "many"


def feeds_on(view: Layers, name: str) -> bool:
    """Return whether a stop feeds another one (and not only an output)."""
    return any(link.source == name for link in view.links)


def in_a_loop(network: Network, name: str) -> bool:
    ahead, seen = list(network.targets(name)), set[str]()
    while ahead:
        here = ahead.pop()
        if here not in seen:
            seen.add(here)
            ahead += network.targets(here)
    return name in seen


def over(limit: Array | float, value: Array) -> Array:
    """Return limit / value; infinite where value is 0, or so small that the ratio overflows."""
    limit = np.broadcast_to(limit, value.shape)
    bounds = np.full(value.shape, np.inf)
    with np.errstate(over="ignore"):
        np.divide(limit, value, out=bounds, where=value > 0)
    return bounds


def weight_of(link: Link) -> Array:
    match link.node:
        case Conv(weight=weight) | Linear(weight=weight):
            return weight
        case Scale(scale=scale):
            return scale
    return np.ones(1)


def through(link: Link, frame: Array, weight: Array | None = None) -> Array:
    """Return the largest sums that values of these magnitudes can cause, flat or in shape."""
    node = link.node
    if node is None or exact(node, Scale):
        own = weight_of(link) if weight is None else weight
        return np.asarray(frame.ravel() * np.abs(np.broadcast_to(own.ravel(), frame.size)))
    if exact(node, Conv, Linear):
        own = node.weight if weight is None else weight.reshape(node.weight.shape)
        node = dataclasses.replace(node, weight=np.abs(own.astype(np.float64)), bias=None)
        weight = None
    out = connection(node)(frame.reshape(1, *node.input_shape))
    out = (out if link.pool is None else max_pool(link.pool)(out))[0]
    return out if weight is None else np.asarray(out * float(np.abs(weight).max()))


def seen_on(
    network: Network, view: Layers, concerned: list[str], calibration: Recording | None
) -> dict[str, Seen]:
    """Return the magnitudes of values, of counts of spikes and of connections' sums on the data."""
    if calibration is None:
        return {}
    names = {s for s in concerned if analogue(network, s) or counts(network, s)}
    links = [link for s in concerned for link in view.into(s)]
    names |= {link.node.name if link.node else link.source for link in links}
    trace = run(network, calibration, record=sorted(names))
    return {
        n: Seen(float(np.abs(r.value).max(initial=0)), usual(r.value))
        for n, r in trace.outputs.items()
    }


def sum_seen(links: tuple[Link, ...], seen: Mapping[str, Seen]) -> float | None:
    names = {link.node.name if link.node else link.source for link in links}
    return sum(seen[n].largest for n in names) if seen and names else None


def value_reach(bound: Array, seen: Seen | None) -> Reach:
    return Reach(bound, *seen) if seen else Reach(bound, None)


def usual(x: Array) -> float:
    """Return the mean magnitude of the values that are not 0: a 0 is exact in every unit."""
    x = np.abs(x[x != 0])
    return float(x.mean(dtype=np.float64)) if x.size else 0.0


def payload_levels(link: Link, gain: float, value: Reach, largest_weight: int) -> float:
    """Return the payload units of the largest value with which payload and weight share bits.

    A float unit is `gain` units of a sum, which is the product of the units of the weights
    and of the payloads. Both are rounded to integers, and their errors together are smallest
    if a typical weight and a typical payload are of similar size. Without data the largest
    ones are used. No weight exceeds its range, and payloads have at least one level.
    """
    weight, reach = weight_of(link), float(value.allowed.max(initial=0))
    largest = float(np.abs(weight).max(initial=0))
    size, typical = (usual(weight), value.typical) if value.typical else (largest, reach)
    alike = math.sqrt(gain * size / typical) * reach if typical else 0.0
    return max(1.0, alike, gain * largest * reach / largest_weight)
