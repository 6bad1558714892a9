"""A legalised Network seen as chips see it: stops, and links between them.

A *stop* gives a signal in each step: an input, a population, a threshold, a delay,
or a pool that a further connection reads (a chip that keeps it needs a layer for it).
A *link* is one connection from one stop to one or several others. A Flatten is no
link: flat indices are row-major everywhere, so it changes nothing. A chip that has no
place for a Delay can see through it: then it is so many steps of a link.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from .delays import delay_faults, delay_steps
from .network import (
    AvgPool,
    Connection,
    Delay,
    Edge,
    Flatten,
    Input,
    Network,
    Output,
    Population,
    SumPool,
    Threshold,
    exact,
)


@dataclass(frozen=True)
class Link:
    """`node` is None where one stop feeds another directly, one to one.

    `back` is 1 where the way closes a cycle: the model then carries one step of delay on it.
    `late` is 1 where that delay lies behind the node and the network starts its loops at zero,
    so that the bias of the node misses the first step.
    `delay` counts the steps of the Delays before the node.
    """

    name: str
    node: Connection | None
    source: str
    targets: tuple[str, ...]
    back: int
    late: int = 0
    delay: int = 0


@dataclass(frozen=True)
class Layers:
    """`loose` are connections that no population follows or precedes: not layered yet."""

    stops: tuple[str, ...]
    links: tuple[Link, ...]
    loose: tuple[str, ...]

    def into(self, stop: str) -> tuple[Link, ...]:
        return tuple(link for link in self.links if stop in link.targets)


def layers(network: Network, *, through_delays: bool = False) -> Layers:
    """The stops in the network's order, and the links between them.

    `through_delays`: a Delay is no stop where it has one length, for whole steps, and stands
    between a stop and what takes its signal in.
    """
    through = _through(network) if through_delays else frozenset()
    return _Walk(network, through).layers()


Way = tuple[str, int, int]
"""A node, 1 where the way there closes a cycle, and the steps of the Delays on it."""


@dataclass(frozen=True)
class _Walk:
    """Along a network, seen through Flatten and the Delays in `through`."""

    network: Network
    through: frozenset[str]

    def layers(self) -> Layers:
        network = self.network
        stops = [name for name in network.order if self.is_stop(name)]
        links: list[Link] = []
        loose: list[str] = []
        for name in network.order:
            node = network[name]
            if self.is_clear(name):
                continue
            if name in stops:
                links += self.direct(name)
                if exact(node, SumPool, AvgPool):
                    links += self.links(node, [(name, 0, 0)])
            elif isinstance(node, Connection):
                ends = list(self.ahead(name))
                if any(not self.is_stop(end) for end, _, _ in ends) or not ends:
                    loose.append(name)
                else:
                    links += self.links(node, ends)
        return Layers(tuple(stops), tuple(links), tuple(loose))

    def is_clear(self, name: str) -> bool:
        return exact(self.network[name], Flatten) or name in self.through

    def is_stop(self, name: str) -> bool:
        node = self.network[name]
        if self.is_clear(name):
            return False
        if exact(node, SumPool, AvgPool):
            ahead = (self.network[name] for name, _, _ in self.ahead(node.name))
            return any(isinstance(n, Connection) for n in ahead)
        return not isinstance(node, Connection)

    def ahead(self, name: str) -> Iterator[Way]:
        """What this node feeds."""
        for target in self.network.targets(name):
            yield from self.way((name, target), target, self.ahead)

    def behind(self, name: str) -> Iterator[Way]:
        """What feeds this node."""
        for source in self.network.sources(name):
            yield from self.way((source, name), source, self.behind)

    def way(self, edge: Edge, end: str, on: Callable[[str], Iterator[Way]]) -> Iterator[Way]:
        back = int(edge in self.network.back_edges)
        if not self.is_clear(end):
            yield end, back, 0
            return
        steps = _steps(self.network, end) if end in self.through else 0
        yield from ((e, back | b, steps + more) for e, b, more in on(end))

    def links(self, node: Connection, ends: list[Way]) -> Iterator[Link]:
        sources = list(self.behind(node.name))
        for source, behind, delay in sources:
            if not self.is_stop(source):
                continue  # the connection before it is loose and says so
            for late in sorted({back for _, back, _ in ends}):
                targets = tuple(t for t, back, _ in ends if back == late)
                alone = len(sources) == 1 and len({back for _, back, _ in ends}) == 1
                name = f"{source}->{node.name}" + (f" (delay {delay})" if delay else "")
                name += " (back)" if late else ""
                name = node.name if alone else fresh(self.network, name)
                misses = late * (self.network.loop_start == "zero")
                yield Link(name, node, source, targets, behind | late, misses, delay)

    def direct(self, name: str) -> Iterator[Link]:
        """One-to-one links from this stop to stops, an Output excepted: that is only a tap."""
        for target, back, delay in self.ahead(name):
            if not isinstance(self.network[target], Connection | Output):
                made = f"{name}->{target}" + (f" (delay {delay})" if delay else "")
                yield Link(fresh(self.network, made), None, name, (target,), back, 0, delay)


def _through(network: Network) -> frozenset[str]:
    """The Delays that links can take in. One behind a connection would hold its bias back
    too, and one before an Output has nothing to wait for."""
    found: set[str] = set()
    for name in network.order:
        node = network[name]
        if exact(node, Delay):
            sources = [network[s] for s in network.sources(name)]
            clear = all(
                type(s) in (Input, Population, Threshold) or s.name in found for s in sources
            )
            ends = (network[t] for t in network.targets(name))
            one = np.ptp(node.delay) == 0 and not any(delay_faults(node, network.dt))
            if clear and sources and one and not any(exact(e, Output) for e in ends):
                found.add(name)
    return frozenset(found)


def _steps(network: Network, name: str) -> int:
    node = network[name]
    assert exact(node, Delay)
    return int(delay_steps(node, network.dt).flat[0])


def fresh(network: Network, name: str) -> str:
    """The name, made longer until no node has it: links are known by their names."""
    while name in network:
        name += "~"
    return name
