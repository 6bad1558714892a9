"""A view of a legalised Network as chips need it: stops, and links between them.

A *stop* gives a signal in each step: an input, a population, a threshold, a delay,
or a pool that a further connection reads (a chip that keeps it needs a layer for it).
A *link* is one connection from one stop to one or several others. A Flatten is not a
link: flat indices are row-major everywhere, so it changes nothing. For a chip without
Delay nodes a Delay can be part of a link: its steps then count as delay of the link.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from .delays import delay_faults, delay_steps
from .network import (
    AvgPool,
    Connection,
    Conv,
    Delay,
    Edge,
    Flatten,
    Input,
    MaxPool,
    Network,
    Output,
    Population,
    SumPool,
    Threshold,
    exact,
)


@dataclass(frozen=True)
class Link:
    """A connection between stops; `node` is None if one stop feeds another directly, one to one.

    `back` is 1 if the path closes a cycle: the model then has one step of delay on it.
    `late` is 1 if that delay is behind the node and the network starts its loops at zero, so
    that the bias of the node is missing in the first step.
    `delay` counts the steps of the Delays before the node. `pool` is a max pool between the sums
    of the node and the neurons that take them, of a chip that has such pools.
    """

    name: str
    node: Connection | None
    source: str
    targets: tuple[str, ...]
    back: int
    late: int = 0
    delay: int = 0
    pool: MaxPool | None = None


@dataclass(frozen=True)
class Layers:
    """Stops and links of a network.

    `loose` are connections that no population follows or precedes: not layered yet.
    """

    stops: tuple[str, ...]
    links: tuple[Link, ...]
    loose: tuple[str, ...]

    def into(self, stop: str) -> tuple[Link, ...]:
        return tuple(link for link in self.links if stop in link.targets)


def layers(network: Network, *, through_delays: bool = False) -> Layers:
    """Return the stops in the network's order, and the links between them.

    `through_delays`: a Delay is not a stop if it has one length, an integer of steps, and is
    between a stop and a node that takes its signal.
    """
    through = _through(network) if through_delays else frozenset()
    return _Walk(network, through).layers()


Way = tuple[str, int, int]
"""A node, 1 if the path there closes a cycle, and the steps of the Delays on the path."""


def with_max_pools(network: Network, view: Layers) -> Layers:
    """Return a view in which max pools are part of links, where they can be.

    A pool can if a convolution with one bias a channel is all that leads to it, and one
    population all that takes it: the largest of sums with one bias is the largest sum and the bias.
    """
    links = {link.name: link for link in view.links}
    folded = set()
    for stop in view.stops:
        node = network[stop]
        if not exact(node, MaxPool):
            continue
        into, out = view.into(stop), [link for link in view.links if link.source == stop]
        if len(into) != 1 or len(out) != 1 or len(network.targets(stop)) != 1:
            continue
        (before,), (behind,) = into, out
        if before.targets != (stop,) or not exact(before.node, Conv) or behind.node is not None:
            continue
        one_bias = before.node.bias is None or before.node.bias.ndim == 1
        if one_bias and before.pool is None and type(network[behind.targets[0]]) is Population:
            back = before.back | behind.back
            folded.add(stop)
            del links[behind.name]
            links[before.name] = replace(before, targets=behind.targets, back=back, pool=node)
    stops = tuple(stop for stop in view.stops if stop not in folded)
    return Layers(stops, tuple(links.values()), view.loose)


@dataclass(frozen=True)
class _Walk:
    """A walk along a network that passes through Flatten and the Delays in `through`."""

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
        """Yield the nodes that this node feeds."""
        for target in self.network.targets(name):
            yield from self.way((name, target), target, self.ahead)

    def behind(self, name: str) -> Iterator[Way]:
        """Yield the nodes that feed this node."""
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
                continue  # the connection before it is in `loose`
            for late in sorted({back for _, back, _ in ends}):
                targets = tuple(t for t, back, _ in ends if back == late)
                single = len(sources) == 1 and len({back for _, back, _ in ends}) == 1
                name = f"{source}->{node.name}" + (f" (delay {delay})" if delay else "")
                name += " (back)" if late else ""
                name = node.name if single else fresh(self.network, name)
                misses = late * (self.network.loop_start == "zero")
                yield Link(name, node, source, targets, behind | late, misses, delay)

    def direct(self, name: str) -> Iterator[Link]:
        """Yield the one-to-one links from this stop to other stops, except to an Output."""
        for target, back, delay in self.ahead(name):
            if not isinstance(self.network[target], Connection | Output):
                link = f"{name}->{target}" + (f" (delay {delay})" if delay else "")
                yield Link(fresh(self.network, link), None, name, (target,), back, 0, delay)


def _through(network: Network) -> frozenset[str]:
    """Return the Delays that can be part of links.

    A Delay behind a connection would delay its bias too, and one before an Output has no
    link to be part of.
    """
    passable: set[str] = set()
    for name in network.order:
        node = network[name]
        if exact(node, Delay):
            sources = [network[s] for s in network.sources(name)]
            clear = all(
                type(s) in (Input, Population, Threshold) or s.name in passable for s in sources
            )
            ends = (network[t] for t in network.targets(name))
            one = np.ptp(node.delay) == 0 and not any(delay_faults(node, network.dt))
            if clear and sources and one and not any(exact(e, Output) for e in ends):
                passable.add(name)
    return frozenset(passable)


def _steps(network: Network, name: str) -> int:
    node = network[name]
    assert exact(node, Delay)
    return int(delay_steps(node, network.dt).flat[0])


def fresh(network: Network, name: str) -> str:
    """Extend a name until no node has it: links are identified by their names."""
    while name in network:
        name += "~"
    return name
