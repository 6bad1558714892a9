"""Which populations of a network are temporal channels of one another.

Two populations are when they are of one kind and shape, what leads to them has the same
weights, and their sources are the same or channels of one another with the same ratio of
time constants. Found by comparing numbers, not by names: whoever builds a ladder, in
whatever tool, gets the test.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeGuard

import numpy as np

from .capabilities import kind_name
from .network import (
    LI,
    LIF,
    Array,
    CubaLI,
    CubaLIF,
    Network,
    Node,
    Population,
    RectifiedLI,
    exact,
)

SLACK = 1e-3  # of a ratio that counts as a whole number


@dataclass(frozen=True)
class Rung:
    """`slower` is `faster` with time constants `stretch` times as long, `depth` populations
    away from the input."""

    faster: str
    slower: str
    stretch: int
    depth: int


def rungs(network: Network) -> tuple[Rung, ...]:
    """Neighbours on every ladder, in the network's order. Ratios that are no whole number
    have no exact test, and are left out."""
    ladders: dict[tuple[object, ...], list[str]] = {}
    alike, depth = dict[str, str](), dict[str, int]()
    for name in network.order:
        alike[name], depth[name] = _alike(network, network[name], alike, depth)
        node = network[name]
        if (_leaky(node) or _with_current(node)) and _one_time(node):
            ladders.setdefault((alike[name],), []).append(name)
    return tuple(rung for names in ladders.values() for rung in _neighbours(network, names, depth))


def _neighbours(network: Network, names: list[str], depth: dict[str, int]) -> Iterator[Rung]:
    names = sorted(names, key=lambda n: _time(network[n]))
    for faster, slower in pairwise(names):
        ratio = _time(network[slower]) / _time(network[faster])
        stretch = round(ratio)
        if stretch >= 2 and abs(ratio - stretch) <= SLACK * ratio:
            yield Rung(faster, slower, stretch, depth[faster])


def _alike(
    network: Network, node: Node, alike: dict[str, str], depth: dict[str, int]
) -> tuple[str, int]:
    """A hash that channels of one another share, and the populations on the way to here."""
    sources = [s for s in network.sources(node.name) if s in alike]
    digest = hashlib.sha256(kind_name(type(node)).encode())
    digest.update(repr(sorted(alike[s] for s in sources)).encode())
    for f in dataclasses.fields(node):
        value = getattr(node, f.name)
        if f.name == "name" or (isinstance(node, Population) and f.name in _OWN):
            continue
        digest.update(value.tobytes() if isinstance(value, np.ndarray) else repr(value).encode())
    deep = max((depth[s] for s in sources), default=0)
    return digest.hexdigest(), deep + isinstance(node, Population)


_OWN = frozenset(("tau", "tau_mem", "tau_syn", "r", "w_in", "v_threshold"))
"""What differs from channel to channel."""


def _time(node: Node) -> float:
    """The slowest time constant of a population that has one for all neurons."""
    return max(float(t.flat[0]) for t in _times(node))


def _times(node: Node) -> tuple[Array, ...]:
    names = ("tau",) if _leaky(node) else ("tau_mem", "tau_syn")
    return tuple(getattr(node, n) for n in names)


def _leaky(node: Node) -> TypeGuard[LI]:
    return exact(node, LI, RectifiedLI, LIF)


def _with_current(node: Node) -> TypeGuard[CubaLI]:
    return exact(node, CubaLI, CubaLIF)


def _one_time(node: Node) -> bool:
    return all(np.ptp(t) == 0 for t in _times(node))


def gain(network: Network, name: str) -> Array:
    """What one event adds to the value."""
    node = network[name]
    if _leaky(node):
        return np.ravel(node.r * network.dt / node.tau)
    assert _with_current(node)
    return np.ravel(node.r * node.w_in * network.dt**2 / (node.tau_mem * node.tau_syn))
