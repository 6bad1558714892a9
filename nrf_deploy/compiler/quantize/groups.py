"""Links and populations that must count in the same units, and their weights as rows.

Connections that meet in a population, and populations that share a connection, form a
group: one gain holds in all of them, or one a channel where all have the same channels.
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
"""Connections that a link can hold."""


@dataclass(frozen=True, eq=False)
class Group:
    links: tuple[Link, ...]
    populations: tuple[Population, ...]

    def __getitem__(self, name: str) -> Population:
        return next(p for p in self.populations if p.name == name)

    @property
    def channels(self) -> int | None:
        """How many gains the group may have; None where only one fits all its members."""
        counts = {p.shape[0] for p in self.populations}
        counts |= {
            k.node.shape[0] for k in self.links if exact(k.node, Conv, Linear, SumPool, AvgPool)
        }
        return counts.pop() if len(counts) == 1 else None


def groups(network: Network, view: Layers) -> Iterator[Group]:
    """The groups, in the order of their first population."""
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
    """The name by which rules speak of a link."""
    return link.node.name if link.node is not None else link.name


def fitted(group: Group, rules: Rules) -> bool:
    """Whether its gain is chosen, and not that of the largest weight."""
    return all(rules.fits(ruled(k)) for k in group.links)


def by_spikes(group: Group, rules: Rules) -> bool:
    """Whether spikes decide, where there are data. Not on a ladder of anchored decays: what they
    decide would differ from rung to rung."""
    if any(rules.anchored(p.name) for p in group.populations):
        return False
    return all(rules.by_spikes(ruled(k)) for k in group.links)


def rows(link: Link, channels: int | None) -> Array:
    """The float weights of a link, a row a channel; a direct link or a pool weighs 1."""
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
    """Rows of integers in the shape in which the chip takes them; `size` neurons are reached."""
    match link.node:
        case Conv(weight=weight) | Linear(weight=weight):
            return integers.reshape(weight.shape)
        case Pool(window=window):
            ones = (1,) * len(window)
            return np.broadcast_to(
                integers.reshape(len(integers), 1, *ones), (len(integers), 1, *window)
            ).copy()
    return np.repeat(integers, size // integers.size).ravel()
