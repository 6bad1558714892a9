"""Groups of links and populations that must use the same units, and their weights as rows.

Connections that meet in a population, and populations that share a connection, form a
group: one gain applies to all of them, or one a channel if all have the same channels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from nrf_deploy.ir.capabilities import Domain, demand, exactly
from nrf_deploy.ir.layer_view import Layers, Link
from nrf_deploy.ir.network import (
    Array,
    AvgPool,
    Conv,
    Linear,
    Network,
    Pool,
    Population,
    Scale,
    SumPool,
    exact,
)

from .rules import Rules

WEIGHTED = Domain(nodes=exactly(Conv, Linear, Scale, SumPool, AvgPool))
"""Connections that a link can contain."""


@dataclass(frozen=True, eq=False)
class Group:
    """Links and populations with one gain, or with one a channel."""

    links: tuple[Link, ...]
    populations: tuple[Population, ...]

    def __getitem__(self, name: str) -> Population:
        return next(p for p in self.populations if p.name == name)

    @property
    def channels(self) -> int | None:
        """The number of gains that the group may have; None if only one fits all its members."""
        counts = {p.shape[0] for p in self.populations}
        counts |= {
            k.node.shape[0] for k in self.links if exact(k.node, Conv, Linear, SumPool, AvgPool)
        }
        return counts.pop() if len(counts) == 1 else None


def groups(network: Network, view: Layers) -> Iterator[Group]:
    """Yield the groups, in the order of their first population."""
    links = [k for k in view.links if type(network[k.targets[0]]) is Population]
    seen: set[str] = set()
    for first in view.stops:
        if first in seen or type(network[first]) is not Population:
            continue
        members, grown = {first}, True
        while grown:
            more = {t for link in links if members & set(link.targets) for t in link.targets}
            grown = not more <= members
            members |= more
        seen |= members
        populations = (network[stop] for stop in view.stops if stop in members)
        yield Group(
            tuple(link for link in links if members & set(link.targets)),
            tuple(p for p in populations if type(p) is Population),
        )


def ruled(link: Link) -> str:
    """Return the name of a link in rules."""
    return link.node.name if link.node is not None else link.name


def fitted(group: Group, rules: Rules) -> bool:
    """Return whether the gain is fitted, and not that of the largest weight."""
    return all(rules.fits(ruled(k)) for k in group.links)


def by_spikes(group: Group, rules: Rules) -> bool:
    """Return whether spikes decide about the gain, if there are data.

    They do not on a ladder of anchored decays: the gain would differ from rung to rung.
    """
    if any(rules.anchored(p.name) for p in group.populations):
        return False
    return all(rules.by_spikes(ruled(k)) for k in group.links)


def rows(link: Link, channels: int | None) -> Array:
    """Return the float weights of a link, a row a channel; those of a direct link or pool are 1."""
    if link.node is not None:
        demand(link.node, WEIGHTED, "quantisation")
    match link.node:
        case Conv(weight=weight) | Linear(weight=weight):
            return weight.reshape(len(weight), -1).astype(np.float64)
        case Scale(scale=scale):
            return scale.reshape(channels or 1, -1).astype(np.float64)
        case Pool():
            return np.ones((link.node.shape[0], 1))
        case None:
            return np.ones((channels or 1, 1))
    raise TypeError(f"{link.name}: {link.node.kind} has no weights")


def shaped(link: Link, integers: Array, size: int) -> Array:
    """Reshape rows of integers to the shape that the chip takes; a link reaches `size` neurons."""
    match link.node:
        case Conv(weight=weight) | Linear(weight=weight):
            return integers.reshape(weight.shape)
        case Pool(window=window):
            ones = (1,) * len(window)
            return np.broadcast_to(
                integers.reshape(len(integers), 1, *ones), (len(integers), 1, *window)
            ).copy()
    return np.repeat(integers, size // integers.size).ravel()
