"""Raw graph of a file: named fields and edges before interpretation, without nesting.

A nested graph takes part in its parent's edges under its own name. When it is
flattened, its nodes are called "graph.node", and its Input and Output stay as *inner*
ports until the shapes along every edge were checked; then they are spliced out.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from nrf_deploy.diagnostics.findings import Finding, error, warning
from nrf_deploy.ir.network import Edge, Input, Network, Node

from .tree import Tree

NODE_ORDER = "node_order"


@dataclass(frozen=True)
class RawNode:
    """A node of a file: its kind, its fields and its metadata."""

    name: str
    kind: str  # empty if the file does not state it; that was reported, and its edges still count
    fields: Tree
    metadata: Tree
    inner: bool = False


@dataclass(frozen=True)
class RawGraph:
    """Nodes, edges and metadata of a file and its nested graphs."""

    nodes: dict[str, RawNode] = field(default_factory=dict)
    edges: list[Edge] = field(default_factory=list)
    metadata: list[tuple[str, Tree]] = field(default_factory=list)
    """(name of the graph, its metadata): the outer graph first, under the name ''."""

    @property
    def is_ours(self) -> bool:
        """Return whether nrf-deploy wrote the file: it states the order of the nodes."""
        return bool(self.metadata) and NODE_ORDER in self.metadata[0][1]


def raw_graph(tree: Tree, findings: list[Finding]) -> RawGraph:
    """Return the flat graph; add the faults of its structure to `findings`."""
    graph = RawGraph()
    if _kind(tree) != "NIRGraph":
        what = f"the file holds a single {tree.get('type')!r}, not a graph"
        findings.append(error("NIR-NOT-GRAPH", what, fix="write a nir.NIRGraph"))
        return graph
    _flatten(tree, "", graph, findings)
    graph.edges[:] = [e for e in graph.edges if e[0] in graph.nodes and e[1] in graph.nodes]
    return graph


def _flatten(tree: Tree, name: str, graph: RawGraph, findings: list[Finding]) -> None:
    where = f"graph {name!r}" if name else "the graph"
    nodes = tree.get("nodes")
    if not isinstance(nodes, dict):
        findings.append(error("NIR-NOT-NIR", f"{where} holds no nodes"))
        return
    graph.metadata.append((name, _metadata(tree, where, findings)))
    for extra in sorted(tree.keys() - {"type", "nodes", "edges", "metadata"}):
        findings.append(warning("NIR-FIELD-UNKNOWN", f"{extra!r} of {where} was not read"))

    prefix = f"{name}." if name else ""
    for short, node in nodes.items():
        _add(short, prefix + short, node, bool(name), graph, findings)
    for source, target in _edges(tree, where, nodes, findings):
        a = _port(prefix + source, nodes[source], "Output", findings)
        b = _port(prefix + target, nodes[target], "Input", findings)
        if a and b:
            graph.edges.append((a, b))


def _add(
    short: str, name: str, node: Tree, inner: bool, graph: RawGraph, findings: list[Finding]
) -> None:
    if not short or not short.isprintable():
        what = f"{short!r} cannot be the name of a node"
        findings.append(error("NIR-NAME", what, why="it is empty or holds control characters"))
    if name in graph.nodes:
        what = f"two nodes are called {name!r} when the nested graphs are flattened"
        findings.append(error("NIR-NAME-CLASH", what, fix="rename one of them", layer=name))
    kind = _kind(node)
    if not kind:
        what = "it does not state its kind of node"
        why = "a node holds its kind as text in the field 'type' (a '/' in a name cuts it in two)"
        findings.append(error("NIR-KIND-MISSING", what, why=why, layer=name))
        graph.nodes[name] = RawNode(name, "", {}, {})
    elif kind == "NIRGraph":
        _flatten(node, name, graph, findings)
    else:
        fields = {k: v for k, v in node.items() if k not in ("type", "metadata")}
        metadata = _metadata(node, f"node {name!r}", findings)
        is_port = inner and kind in ("Input", "Output")
        graph.nodes[name] = RawNode(name, kind, fields, metadata, is_port)


def _metadata(tree: Tree, where: str, findings: list[Finding]) -> Tree:
    metadata = tree.get("metadata", {})
    if isinstance(metadata, dict):
        return metadata
    what = f"the metadata of {where} are {str(metadata)!r:.80}; expected a group of named values"
    findings.append(error("NIR-METADATA", what, fix="write them as named values, or remove them"))
    return {}


def _edges(tree: Tree, where: str, nodes: Tree, findings: list[Finding]) -> list[Edge]:
    """Return the edges of one graph between its own nodes."""
    table = np.asarray(tree.get("edges", ()))
    if table.size == 0:
        return []
    if table.ndim != 2 or table.shape[1] != 2 or not all(isinstance(x, str) for x in table.flat):
        findings.append(error("NIR-EDGES", f"the edges of {where} are not pairs of names"))
        return []
    edges = [(str(a), str(b)) for a, b in table]
    for edge in [e for e, count in Counter(edges).items() if count > 1]:
        findings.append(doubled(edge))
    for a, b in dict.fromkeys(edges):
        for end in dict.fromkeys((a, b)):
            if end not in nodes:
                what = f"the edge {a!r} -> {b!r} of {where} names {end!r}, which is not in it"
                findings.append(error("NIR-EDGE-DANGLING", what, fix="correct or remove the edge"))
    return [e for e in dict.fromkeys(edges) if e[0] in nodes and e[1] in nodes]


def doubled(edge: Edge) -> Finding:
    return error(
        "NIR-EDGE-DUPLICATE",
        f"the edge {edge[0]!r} -> {edge[1]!r} occurs more than once",
        why="it may mean the signal twice, or be an error of the exporter",
        fix="keep one edge; put a Scale between the two for a multiple of the signal",
    )


def _port(name: str, node: Tree, kind: str, findings: list[Finding]) -> str | None:
    """Return the end of an edge that names this node: for a nested graph its one port."""
    if _kind(node) != "NIRGraph":
        return name
    nodes = node.get("nodes")
    inside = nodes.items() if isinstance(nodes, dict) else ()
    ports = [k for k, n in inside if _kind(n) == kind]
    if len(ports) == 1:
        return f"{name}.{ports[0]}"
    what = f"the nested graph has {len(ports)} nodes of kind {kind}, and an edge needs one"
    problem = error("NIR-NESTED-PORTS", what, fix="give it exactly one", layer=name)
    if problem not in findings:
        findings.append(problem)
    return None


def _kind(node: object) -> str:
    """Return the kind of a node; empty if it does not state one."""
    kind = node.get("type") if isinstance(node, dict) else None
    return kind if isinstance(kind, str) else ""


def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """Return a sorting key that puts '9' before '10'."""
    parts = re.findall(r"[0-9]+|[^0-9]+", name)
    digits = (p.lstrip("0") if p[0] in "0123456789" else None for p in parts)
    return tuple(
        (1, 0, p) if d is None else (0, len(d), d) for p, d in zip(parts, digits, strict=True)
    )


def in_order(graph: RawGraph) -> tuple[str, ...]:
    """Sort the nodes from the inputs onward; ties are in natural order of their names."""
    stubs = (
        Input(name=n, port_shape=()) if graph.nodes[n].kind == "Input" else Node(name=n)
        for n in sorted(graph.nodes, key=natural)
    )
    return Network(tuple(stubs), tuple(graph.edges), 1.0).order


def structure(graph: RawGraph) -> list[Finding]:
    """Return the faults of ports and of nodes that are not between them."""
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
            findings.append(warning("NIR-UNUSED", "its output reaches no Output", layer=name))
    return findings


def _cut_off(names: list[str], edges: list[Edge], ports: list[str]) -> list[str]:
    """Return the roots of subgraphs that no port reaches; their descendants are not reported."""
    targets = {t for _, t in edges}
    reached = _reach(ports, edges)
    begins = [n for n in names if n not in reached and n not in targets]
    reached |= _reach(begins, edges)
    for name in names:  # the remaining parts begin in a cycle
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


def splice(nodes: dict[str, Node], edges: list[Edge], ports: Iterable[str]) -> list[Edge]:
    """Remove ports from `nodes`, and return the edges with their sources and targets joined."""
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
