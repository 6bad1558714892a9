"""Checks of a graph of nodes: cycles without state, shapes of edges."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from nrf_deploy.diagnostics.findings import Finding, error

from .network import Delay, Edge, Node, Population

STATELESS_CYCLE = "without a neuron or a delay in it, a value would depend on itself"


def stateless_cycles(nodes: dict[str, Node], edges: Iterable[Edge], dt: float) -> list[Finding]:
    """Refuse cycles without state.

    Open ends of the subgraph without state are removed until only cycles are left.
    """

    def has_state(node: Node) -> bool:
        if isinstance(node, Delay):
            return bool(np.all(node.delay >= dt / 2))
        return type(node) is Population

    left = {name for name, node in nodes.items() if not has_state(node)}
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
    """Refuse edges whose shape is not the one that their target takes."""
    return [
        _mismatch(nodes[source], nodes[target])
        for source, target in edges
        if source in nodes and target in nodes and nodes[source].shape != nodes[target].input_shape
    ]


def _mismatch(source: Node, target: Node) -> Finding:
    output, input_ = source.shape, target.input_shape
    what = f"{source.name!r} gives {output}, but this takes {input_}"
    if target.kind == "Conv" and len(output) == len(input_) and output[0] != input_[0]:
        why = f"{input_[0]} input channels follow from its weights and groups"
        return error("NIR-CHANNELS", what, why=why, layer=target.name)
    fix = "correct the shapes"
    if target.kind == "Linear" and len(output) > 1:
        fix = "put a Flatten before it"
    why = "an edge does not change a signal; where edges meet, equal shapes add"
    return error("NIR-SHAPE", what, why=why, fix=fix, layer=target.name)
