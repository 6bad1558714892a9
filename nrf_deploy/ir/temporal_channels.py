"""Temporal channels: populations of a network that differ only by their time constants.

Two populations are channels of one another if they are of one kind and shape, the
connections to them have the same weights, and their sources are the same or channels of one
another with the same ratio of time constants. They are found by comparing numbers, not
names: a ladder from any tool gets the test.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np

from nrf_deploy.neurons import CurrentLeaky, Integrator, Leaky, Membrane, Part, Spikes, Value

from .capabilities import Accepts, accepted, kind_name
from .network import Array, Network, Node, Population


class Hash(Protocol):
    """A hash object of hashlib."""

    def update(self, data: bytes, /) -> None: ...


SLACK = 1e-3  # relative, for a ratio that counts as an integer


@dataclass(frozen=True)
class Rung:
    """Two neighbours on a ladder, `depth` populations away from the input.

    `slower` is `faster` with time constants `stretch` times as long.
    """

    faster: str
    slower: str
    stretch: int
    depth: int


def rungs(network: Network) -> tuple[Rung, ...]:
    """Return the neighbours on every ladder, in the network's order.

    Ratios that are not integers have no exact test, and are left out; so is all that follows
    neurons which a stretch changes.
    """
    ladders: dict[tuple[object, ...], list[str]] = {}
    alike, depth = dict[str, str](), dict[str, int]()
    changed = _changed(network)
    for name in network.order:
        alike[name], depth[name] = _alike(network, network[name], alike, depth)
        node = network[name]
        if name not in changed and _times(node) and _one_time(node):
            ladders.setdefault((alike[name],), []).append(name)
    return tuple(rung for names in ladders.values() for rung in _neighbours(network, names, depth))


def _changed(network: Network) -> set[str]:
    """Return the neurons that a stretch in time changes, and all that they lead to."""
    changed = {n.name for n in network.of(Population) if accepted(n, KEPT) is None}
    ahead = list(changed)
    while ahead:
        new = set(network.targets(ahead.pop())) - changed
        changed |= new
        ahead += new
    return changed


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
    """Return a hash that channels of one another share, and the depth in populations."""
    sources = [s for s in network.sources(node.name) if s in alike]
    digest = hashlib.sha256(_kind(node).encode())
    digest.update(repr(sorted(alike[s] for s in sources)).encode())
    for part in (node.membrane, node.rule) if type(node) is Population else (node,):
        _hash(part, digest)
    deep = max((depth[s] for s in sources), default=0)
    return digest.hexdigest(), deep + (type(node) is Population)


def _kind(node: Node) -> str:
    if type(node) is Population:
        return f"{type(node.membrane).__name__} {type(node.rule).__name__}"
    return kind_name(type(node))


def _hash(noun: Node | Part, digest: Hash) -> None:
    """Add every field that channels of one another have in common."""
    for f in dataclasses.fields(noun):
        value = getattr(noun, f.name)
        if isinstance(noun, Part) and (f.metadata.get("unit") in OWN or f.name == "threshold"):
            continue
        if f.name == "name":
            continue
        if isinstance(value, Part):
            digest.update(type(value).__name__.encode())
            _hash(value, digest)
        else:
            array = isinstance(value, np.ndarray)
            digest.update(value.tobytes() if array else repr(value).encode())


LEAKING: frozenset[type[Membrane]] = frozenset((Leaky, CurrentLeaky))
FIRING = frozenset(("reset=subtract", "reset_to", "fires=at", "floor"))
CHANNELS = (
    Accepts("spikes", LEAKING, Spikes, FIRING),
    Accepts("values", LEAKING, Value, frozenset(("rectified",))),
)
"""Neurons that a stretch in time leaves exact once their time constants follow it."""
KEPT = (
    *CHANNELS,
    Accepts("spikes", frozenset((Integrator,)), Spikes, FIRING | {"per_step=many", "worth"}),
    Accepts("values", frozenset((Integrator,)), Value, frozenset(("rectified",))),
)
"""Neurons that can stand before temporal channels."""
OWN = frozenset(("time", "input", "current"))
"""Units of the parameters that differ from channel to channel; thresholds differ too."""


def _time(node: Node) -> float:
    """Return the slowest time constant of a population with one for all neurons."""
    return max(float(t.flat[0]) for t in _times(node))


def _times(node: Node) -> tuple[Array, ...]:
    if type(node) is not Population or accepted(node, CHANNELS) is None:
        return ()
    return tuple(x for _, unit, x in node.membrane.numbers() if unit == "time")


def _one_time(node: Node) -> bool:
    return all(np.ptp(t) == 0 for t in _times(node))


def gain(network: Network, name: str) -> Array:
    """Return the amount that one event adds to the value."""
    node = network[name]
    form = node.membrane.form(network.dt) if type(node) is Population else None
    if form is None:
        raise ValueError(f"{name} has no gain: it holds no neurons, or their step is not linear")
    return np.ravel(form.drive)
