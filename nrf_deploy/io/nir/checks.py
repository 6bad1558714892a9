"""What must hold of a graph whatever its nodes mean."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from nrf_deploy.diagnostics.findings import Finding, error, warning
from nrf_deploy.ir.network import Delay, Edge, Node, Population

from .graph import RawGraph, doubled

STATELESS_CYCLE = "without a neuron or a delay in it, a value would have to exist before itself"


def structure(graph: RawGraph) -> list[Finding]:
    """Ports at the ends and every node between them."""
    inputs = [n.name for n in graph.nodes.values() if n.kind == "Input" and not n.inner]
    outputs = [n.name for n in graph.nodes.values() if n.kind == "Output" and not n.inner]
    findings = []
    if not inputs:
        findings.append(error("NIR-NO-INPUT", "the graph has no Input", fix="add an Input node"))
    if not outputs:
        findings.append(error("NIR-NO-OUTPUT", "the graph has no Output", fix="add an Output node"))
    for source, target in graph.edges:
        if target in inputs:
            what = f"the edge from {source!r} leads into an Input"
            findings.append(error("NIR-EDGE-PORT", what, layer=target))
        if source in outputs:
            what = f"the edge to {target!r} leads out of an Output"
            findings.append(error("NIR-EDGE-PORT", what, layer=source))
    names = list(graph.nodes)
    lost = _cut_off(names, graph.edges, inputs) if inputs else []
    for name in lost:
        what = "no edge leads here from an Input"
        findings.append(error("NIR-UNREACHED", what, fix="connect it or remove it", layer=name))
    backwards = [(t, s) for s, t in graph.edges]
    for name in _cut_off(names, backwards, outputs) if outputs else []:
        if name not in lost:
            findings.append(warning("NIR-UNUSED", "nothing of it reaches an Output", layer=name))
    return findings


def _cut_off(names: list[str], edges: list[Edge], ports: list[str]) -> list[str]:
    """Where the parts begin that no port reaches: what follows them is no problem of its own."""
    targets = {t for _, t in edges}
    reached = _reach(ports, edges)
    begins = [n for n in names if n not in reached and n not in targets]
    reached |= _reach(begins, edges)
    for name in names:  # what is left begins in a cycle
        if name not in reached:
            begins.append(name)
            reached |= _reach([name], edges)
    return begins


def _reach(start: Iterable[str], edges: Iterable[Edge]) -> set[str]:
    ahead: dict[str, list[str]] = {}
    for source, target in edges:
        ahead.setdefault(source, []).append(target)
    seen, waiting = set(start), list(start)
    while waiting:
        new = [t for t in ahead.get(waiting.pop(), ()) if t not in seen]
        seen.update(new)
        waiting.extend(new)
    return seen


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


def splice(nodes: dict[str, Node], edges: list[Edge], ports: Iterable[str]) -> list[Edge]:
    """The edges without these ports, each joined through; `nodes` loses them."""
    for port in ports:
        before = [s for s, t in edges if t == port]
        joined: list[Edge] = []
        for source, target in edges:
            if source == port:
                joined += [(s, target) for s in before]
            elif target != port:
                joined.append((source, target))
        edges = joined
        nodes.pop(port, None)
    return edges


def duplicates(edges: list[Edge]) -> list[Finding]:
    return [doubled(e) for e in dict.fromkeys(edges) if edges.count(e) > 1]
