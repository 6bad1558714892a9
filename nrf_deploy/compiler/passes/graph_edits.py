"""Small edits of a Network's graph that keep its timing.

In a cycle one edge carries the value of the step before, and the order of nodes and edges
determines which one. Every edit here states the new place of each such edge, and raises
LoopMovedError if the edited graph would delay another edge: that would change the model by
a step, or the first value of a loop.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from nrf_deploy.ir.network import Connection, Conv, Edge, Linear, Network, Node

N = TypeVar("N", bound=Node)
C = TypeVar("C", bound=Connection)


class LoopMovedError(Exception):
    """An edit that would move a delay, or create two edges between the same two nodes."""


def replace(network: Network, *nodes: Node) -> Network:
    """Replace the nodes of the same names."""
    new = {n.name: n for n in nodes}
    return dataclasses.replace(network, nodes=tuple(new.get(n.name, n) for n in network.nodes))


def named(node: N, name: str) -> N:
    return dataclasses.replace(node, name=name)


def fresh(network: Network, wish: str) -> str:
    """Return `wish`, or the first of wish.2, wish.3 ... that no node has."""
    name, k = wish, 1
    while name in network:
        k += 1
        name = f"{wish}.{k}"
    return name


def without_bias(node: N) -> N:
    changes: dict[str, Any] = {"bias": None}
    return dataclasses.replace(node, **changes) if type(node) in (Linear, Conv) else node


def bypass(network: Network, a: str, b: str) -> Network:
    """Connect all sources of `a` to `b`; remove `a` unless it has other targets."""
    stays = len(network.targets(a)) > 1

    def image(edge: Edge) -> list[Edge]:
        if edge == (a, b):
            return []
        if edge[1] == a:
            return [edge, (edge[0], b)] if stays else [(edge[0], b)]
        return [edge]

    return _edited(network, (n for n in network.nodes if stays or n.name != a), image)


def splice_out(network: Network, b: str) -> Network:
    """Remove `b`, which has one source and is the only target of that source."""
    (a,) = network.sources(b)
    if network.targets(a) != (b,):
        raise ValueError(f"{a!r} feeds more than {b!r}")

    def image(edge: Edge) -> list[Edge]:
        if edge == (a, b):
            return []
        return [(a, edge[1])] if edge[0] == b else [edge]

    return _edited(network, (n for n in network.nodes if n.name != b), image)


def insert_after(network: Network, a: str, node: Node) -> Network:
    """Insert `node` between `a` and all targets of `a`."""
    first = next((e for e in network.edges if e[0] == a), None)

    def image(edge: Edge) -> list[Edge]:
        return [(node.name, edge[1])] if edge[0] == a else [edge]

    def nodes() -> Iterable[Node]:
        for n in network.nodes:
            yield n
            if n.name == a:
                yield node

    return _edited(network, nodes(), image, before={first: (a, node.name)} if first else {})


def own(network: Network, a: Node, b: C) -> tuple[Network, C]:
    """Return a `b` whose only source is `a`: `b` itself, or a twin without bias.

    The twin is exact because b(x + y) = b(x) + b0(y).
    """
    if network.sources(b.name) == (a.name,):
        return network, b
    twin = named(without_bias(b), fresh(network, f"{b.name}.{a.name}"))

    def image(edge: Edge) -> list[Edge]:
        if edge == (a.name, b.name):
            return [(a.name, twin.name)]
        return [edge, (twin.name, edge[1])] if edge[0] == b.name else [edge]

    def nodes() -> Iterable[Node]:
        for n in network.nodes:
            yield n
            if n is b:
                yield twin

    return _edited(network, nodes(), image), twin


def fuse(
    network: Network,
    a: Connection,
    b: Connection,
    compose: Callable[[Connection, Connection], Connection],
    keep_first: bool = False,
) -> tuple[Network, Node]:
    """Replace the path from `a` to `b` by compose(a, b), and return that node too.

    Other targets of `a` and other sources of `b` keep theirs. The result has the name of `b`,
    or of `a` if `keep_first` is set and `a` has no other target.
    """
    network, b = own(network, a, b)
    fused = compose(a, b)
    if keep_first and network.targets(a.name) == (b.name,):
        fused = named(fused, a.name)
        return splice_out(replace(network, fused), b.name), fused
    fused = named(fused, b.name)
    return bypass(replace(network, fused), a.name, b.name), fused


def _edited(
    network: Network,
    nodes: Iterable[Node],
    image: Callable[[Edge], list[Edge]],
    before: dict[Edge, Edge] | None = None,
) -> Network:
    """Replace each edge by its image; an image of a delayed edge is delayed.

    An edit that removes a delayed edge is refused too: its cycle still exists, and must be
    closed by another edge, which is not an image of a delayed one.
    """
    edges: list[Edge] = []
    for edge in network.edges:
        if before and edge in before:
            edges.append(before[edge])
        edges += image(edge)
    twice = [e for e, n in Counter(edges).items() if n > 1]
    if twice:
        raise LoopMovedError(f"there would be two edges from {twice[0][0]!r} to {twice[0][1]!r}")
    edited = dataclasses.replace(network, nodes=tuple(nodes), edges=tuple(edges))
    delayed = {new for edge in network.back_edges for new in image(edge)}
    if edited.back_edges != delayed:
        moved = sorted(edited.back_edges ^ delayed)[0]
        raise LoopMovedError(f"the delay of a loop would move to or from the edge {moved}")
    return edited
