"""A legalised Network seen as chips see it: stops, and links between them.

A *stop* gives a signal in each step: an input, a population, a threshold, a delay,
or a pool that a further connection reads (a chip that keeps it needs a layer for it).
A *link* is one connection from one stop to one or several others. A Flatten is no
link: flat indices are row-major everywhere, so it changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .network import Connection, Flatten, Network, Node, Output, Pool


@dataclass(frozen=True)
class Link:
    """`node` is None where one stop feeds another directly, one to one.

    `back` is 1 where the way closes a cycle: the model then carries one step of delay on it.
    `late` is 1 where that delay lies behind the node, so that its bias misses the first step.
    """

    name: str
    node: Connection | None
    source: str
    targets: tuple[str, ...]
    back: int
    late: int = 0


@dataclass(frozen=True)
class Layers:
    """`loose` are connections that no population follows or precedes: not layered yet."""

    stops: tuple[str, ...]
    links: tuple[Link, ...]
    loose: tuple[str, ...]

    def into(self, stop: str) -> tuple[Link, ...]:
        return tuple(link for link in self.links if stop in link.targets)


def layers(network: Network) -> Layers:
    """The stops in the network's order, and the links between them."""
    stops = [name for name in network.order if _is_stop(network, network[name])]
    links: list[Link] = []
    loose: list[str] = []
    for name in network.order:
        node = network[name]
        if isinstance(node, Flatten):
            continue
        if name in stops:
            links += _direct(network, name)
            if isinstance(node, Pool):
                links += _links(network, node, [(name, 0)])
        elif isinstance(node, Connection):
            ends = list(_ahead(network, name))
            if any(not _is_stop(network, network[end]) for end, _ in ends) or not ends:
                loose.append(name)
            else:
                links += _links(network, node, ends)
    return Layers(tuple(stops), tuple(links), tuple(loose))


def _is_stop(network: Network, node: Node) -> bool:
    if isinstance(node, Flatten):
        return False
    if isinstance(node, Pool):
        ahead = (network[name] for name, _ in _ahead(network, node.name))
        return any(isinstance(n, Connection) for n in ahead)
    return not isinstance(node, Connection)


def _ahead(network: Network, name: str) -> Iterator[tuple[str, int]]:
    """(what this node feeds, seen through Flatten; 1 where the way closes a cycle)."""
    for target in network.targets(name):
        back = int((name, target) in network.back_edges)
        if isinstance(network[target], Flatten):
            yield from ((t, back | b) for t, b in _ahead(network, target))
        else:
            yield target, back


def _behind(network: Network, name: str) -> Iterator[tuple[str, int]]:
    for source in network.sources(name):
        back = int((source, name) in network.back_edges)
        if isinstance(network[source], Flatten):
            yield from ((s, back | b) for s, b in _behind(network, source))
        else:
            yield source, back


def _links(network: Network, node: Connection, ends: list[tuple[str, int]]) -> Iterator[Link]:
    sources = list(_behind(network, node.name))
    for source, behind in sources:
        if not _is_stop(network, network[source]):
            continue  # the connection before it is loose and says so
        for late in sorted({ahead for _, ahead in ends}):
            targets = tuple(t for t, ahead in ends if ahead == late)
            alone = len(sources) == 1 and len({ahead for _, ahead in ends}) == 1
            name = f"{source}->{node.name}" + (" (back)" if late else "")
            name = node.name if alone else fresh(network, name)
            yield Link(name, node, source, targets, behind | late, late)


def _direct(network: Network, name: str) -> Iterator[Link]:
    """One-to-one links from this stop to stops, an Output excepted: that is only a tap."""
    for target, back in _ahead(network, name):
        if not isinstance(network[target], Connection | Output):
            yield Link(fresh(network, f"{name}->{target}"), None, name, (target,), back)


def fresh(network: Network, name: str) -> str:
    """The name, made longer until no node has it: links are known by their names."""
    while name in network:
        name += "~"
    return name
