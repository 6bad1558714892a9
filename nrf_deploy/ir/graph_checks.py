"""Checks of a graph of nodes: cycles without state, shapes of edges."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from nrf_deploy.diagnostics.findings import Finding, error

from .network import Delay, Edge, Node, Population

STATELESS_CYCLE = "without a neuron or a delay in it, a value would have to exist before itself"


def stateless_cycles(nodes: dict[str, Node], edges: Iterable[Edge], dt: float) -> list[Finding]:
    """Cycles in which nothing remembers: peel off the ends until only cycles are left."""

    def remembers(node: Node) -> bool:
        if isinstance(node, Delay):
            return bool(np.all(node.delay >= dt / 2))
        return type(node) is Population

    left = {name for name, node in nodes.items() if not remembers(node)}
    inside = [e for e in edges if e[0] in left and e[1] in left]
    while inside:
        sources, targets = {s for s, _ in inside}, {t for _, t in inside}
        kept = [(s, t) for s, t in inside if s in targets and t in sources]
        if len(kept) == len(inside):
            break
        inside = kept
    names = [n for n in nodes if any(n in e for e in inside)]
    if not names:
        return []
    what = f"the nodes {', '.join(map(repr, names))} form a cycle without state"
    return [error("NIR-CYCLE", what, why=STATELESS_CYCLE, fix="put a Delay of one step into it")]


def edge_shapes(nodes: dict[str, Node], edges: Iterable[Edge]) -> list[Finding]:
    """Each edge carries the shape that its target takes; where edges meet, they add."""
    return [
        _mismatch(nodes[source], nodes[target])
        for source, target in edges
        if source in nodes and target in nodes and nodes[source].shape != nodes[target].input_shape
    ]


def _mismatch(source: Node, target: Node) -> Finding:
    given, taken = source.shape, target.input_shape
    what = f"{source.name!r} gives {given}, but this takes {taken}"
    if target.kind == "Conv" and len(given) == len(taken) and given[0] != taken[0]:
        why = f"{taken[0]} input channels follow from its weights and groups"
        return error("NIR-CHANNELS", what, why=why, layer=target.name)
    fix = "mend the shapes"
    if target.kind == "Linear" and len(given) > 1:
        fix = "put a Flatten before it"
    why = "an edge hands a signal on as it is; where edges meet, equal shapes add"
    return error("NIR-SHAPE", what, why=why, fix=fix, layer=target.name)
