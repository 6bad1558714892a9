"""The canonical float graph of a model.

A Network is a directed graph of nodes. A node is a *connection* (linear in its
input and without memory), a *population* of neurons (with state), or a port.
Where several edges meet, their signals add. Several targets of one connection
share its weights, and several connections may hold the same array: sharing is
visible in the graph and costs nothing.

Shapes are full and without batch or time: (C, Y, X), (C, L) or (N,). Names and
order are the file's. Time is counted in steps of `dt` (in the units of the
model's time constants). An input value is a current held for one step.

In a cycle, the edge that closes it (the one that a depth-first walk from the
inputs finds to lead back) carries the value of the step before. In the first step it
carries the output of the connections before it without any spike: their biases.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from .nodes import (
    KINDS,
    Array,
    AvgPool,
    Connection,
    Conv,
    Delay,
    Fires,
    Flatten,
    Input,
    Linear,
    MaxPool,
    Node,
    Output,
    Pads,
    Pool,
    Population,
    Port,
    Reset,
    Scale,
    Shape,
    SumPool,
    Threshold,
    exact,
    gives_values,
    window_output,
)
from .populations import IF, LI, LIF, CubaLI, CubaLIF, I

__all__ = [
    "DATA",
    "IF",
    "KINDS",
    "LI",
    "LIF",
    "Array",
    "AvgPool",
    "Connection",
    "Conv",
    "CubaLI",
    "CubaLIF",
    "Delay",
    "Edge",
    "Fires",
    "Flatten",
    "I",
    "Input",
    "Linear",
    "LoopStart",
    "MaxPool",
    "Network",
    "Node",
    "Output",
    "Pads",
    "Pool",
    "Population",
    "Port",
    "Reset",
    "Scale",
    "Shape",
    "SumPool",
    "Threshold",
    "exact",
    "gives_values",
    "window_output",
]

Edge = tuple[str, str]
LoopStart = Literal["bias", "zero"]
DATA = ("readout", "receptive_fields")
"""The fields of a Network that are plain JSON data."""


@dataclass(frozen=True, eq=False)
class Network:
    """Nodes in the file's order, edges as (source, target) names, and the time step.

    Attributes:
        nodes: Connections, populations and ports, in the file's order.
        edges: (source, target) by name. Where several meet, their signals add.
        dt: The time step, in the unit of the model's time constants.
        readout: The use of the outputs by a host (coordinates, classes), as plain JSON data.
        receptive_fields: By population, the field through which each channel sees the input,
            as plain JSON data (docs/receptive-fields.md). Tests of covariance read it.
        loop_start: The value of an edge that closes a cycle in the first step: the "bias" of
            the connections before it, or "zero", so that their bias acts from the second step.
    """

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    dt: float
    readout: Mapping[str, Any] = field(default_factory=dict)
    receptive_fields: Mapping[str, Any] = field(default_factory=dict)
    loop_start: LoopStart = "bias"

    def __repr__(self) -> str:
        return f"<Network of {len(self.nodes)} nodes, {len(self.edges)} edges, dt = {self.dt:g}>"

    def _repr_html_(self) -> str:
        """Return the nodes as a table for a notebook."""
        from nrf_deploy.diagnostics.notebook import Table, page

        rows = [
            (
                n.name,
                n.kind,
                "x".join(map(str, n.shape)) or "1",
                0 if (weight := getattr(n, "weight", None)) is None else int(weight.size),
                ", ".join(self.sources(n.name)),
                ", ".join(sorted(n.features)) if type(n) is Population else "",
            )
            for n in self.nodes
        ]
        title = f"Network of {len(self.nodes):,} nodes, dt = {self.dt:g}"
        heads = ("node", "kind", "output shape", "weights", "inputs", "features")
        return page(title, Table(heads, rows))

    def __getitem__(self, name: str) -> Node:
        return self._by_name[name]

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def sources(self, name: str) -> tuple[str, ...]:
        """Return the names of the nodes that lead to a node, in the order of the edges."""
        return self._sources[name]

    def targets(self, name: str) -> tuple[str, ...]:
        return self._targets[name]

    def of(self, *kinds: type[Node]) -> Iterator[Any]:
        """Yield the nodes of these kinds, in order."""
        return (n for n in self.nodes if isinstance(n, kinds))

    @cached_property
    def _by_name(self) -> dict[str, Node]:
        return {n.name: n for n in self.nodes}

    @cached_property
    def _sources(self) -> dict[str, tuple[str, ...]]:
        return {n.name: tuple(s for s, t in self.edges if t == n.name) for n in self.nodes}

    @cached_property
    def _targets(self) -> dict[str, tuple[str, ...]]:
        return {n.name: tuple(t for s, t in self.edges if s == n.name) for n in self.nodes}

    @cached_property
    def back_edges(self) -> frozenset[Edge]:
        """The edges that close a cycle: each carries one step of delay.

        They are found by a depth-first walk from the inputs (then from any node not yet
        reached), in the order of nodes and edges.
        """
        back: set[Edge] = set()
        done: set[str] = set()
        roots = [n.name for n in self.of(Input)] + [n.name for n in self.nodes]
        for root in roots:
            if root in done:
                continue
            path: dict[str, Iterator[str]] = {root: iter(self.targets(root))}
            while path:
                here = next(reversed(path))
                ahead = next(path[here], None)
                if ahead is None:
                    done.add(here)
                    del path[here]
                elif ahead in path:
                    back.add((here, ahead))
                elif ahead not in done:
                    path[ahead] = iter(self.targets(ahead))
        return frozenset(back)

    @cached_property
    def biased_loops(self) -> bool:
        """True if a connection before a back edge adds a bias, so that `loop_start` matters."""
        ahead = [source for source, _ in self.back_edges]
        seen: set[str] = set()
        while ahead:
            node = self[name := ahead.pop()]
            if name in seen or not isinstance(node, Connection):
                continue
            seen.add(name)
            bias = getattr(node, "bias", None)
            if bias is not None and bias.any():
                return True
            ahead += self.sources(name)
        return False

    @cached_property
    def order(self) -> tuple[str, ...]:
        """Names in an order in which only back edges lead back; ties keep the file's order."""
        waiting = {
            n.name: {s for s in self.sources(n.name) if (s, n.name) not in self.back_edges}
            for n in self.nodes
        }
        order: list[str] = []
        while waiting:
            ready = next(name for name, before in waiting.items() if not before)
            del waiting[ready]
            order.append(ready)
            for before in waiting.values():
                before.discard(ready)
        return tuple(order)
