"""The metadata of a graph: what is read of them, and what is refused because it is not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nrf_deploy.diagnostics.findings import Finding, error, warning
from nrf_deploy.ir.network import DATA, LoopStart

from ..toml_json import parse_json
from .beyond import OURS
from .graph import RawGraph
from .neuron_builders import RECTIFY
from .rules import SAID

LOOP_START = "loop_start"
NODE_ORDER = "node_order"
OUTER = ("dt", NODE_ORDER, LOOP_START, *DATA)
NESTED = ("dt", NODE_ORDER)
"""Nodes of a nested graph take their place in the order of the outer one."""
OF_NODES = (*SAID, RECTIFY)


def unread(graph: RawGraph) -> Iterator[Finding]:
    """Yield what the metadata of the graphs state that is not read.

    NIR leaves them open to any remark, such as an author's name. A word that changes what
    neurons compute is refused where it is not read.
    """
    for name, metadata in graph.metadata:
        where = f"the nested graph {name!r:.80}" if name else "the graph"
        for key in sorted(metadata.keys() - set(NESTED if name else OUTER)):
            of_node = key in OF_NODES or key.startswith(OURS)
            if of_node or (name and key == LOOP_START and metadata[key] != "bias"):
                yield error(
                    "NIR-METADATA-UNKNOWN",
                    f"the metadata {key!r:.80} cannot be read of {where}",
                    why=f"it is of {'a node' if of_node else 'the outer graph'}",
                    fix=f"move it there{' or give --' + key if key in SAID else ''}",
                )
            else:
                what = f"the metadata {key!r:.80} of {where} were not read"
                yield warning("NIR-METADATA-UNREAD", what)


def _metadata(graph: RawGraph, key: str) -> Any:
    return graph.metadata[0][1].get(key) if graph.metadata else None


def loop_start(graph: RawGraph, findings: list[Finding]) -> LoopStart:
    """Return what the metadata states; NIR does not say, and then it is the bias."""
    word = _metadata(graph, LOOP_START)
    match word:
        case None | "bias":
            return "bias"
        case "zero":
            return "zero"
    what = f"{LOOP_START} is {word!r:.80}; expected 'bias' or 'zero'"
    findings.append(error("NIR-LOOP-START", what, fix="export the model anew"))
    return "bias"


def _json(graph: RawGraph, key: str) -> Any:
    """The metadata as JSON; raises ValueError where it is not."""
    text = _metadata(graph, key)
    if not isinstance(text, str):
        raise ValueError("it is not text")
    return parse_json(text)


def data_of(graph: RawGraph, key: str, findings: list[Finding]) -> dict[str, Any]:
    if _metadata(graph, key) is None:
        return {}
    try:
        data = _json(graph, key)
    except ValueError as e:
        data = str(e)
    if isinstance(data, dict):
        return data
    what = f"the metadata {key!r} is not a JSON object: {str(data)[:80]}"
    code = f"NIR-{key.upper().replace('_', '-')}"
    findings.append(error(code, what, fix="export the model anew"))
    return {}


def node_order(graph: RawGraph, order: list[str], findings: list[Finding]) -> list[str]:
    """HDF5 gives nodes back by name; the order of the model is in the metadata or the graph."""
    if _metadata(graph, NODE_ORDER) is None:
        return order
    try:
        names = _json(graph, NODE_ORDER)
        if isinstance(names, list) and len(names) == len(order) and set(names) == set(order):
            return [str(n) for n in names]
    except (ValueError, TypeError):
        pass
    findings.append(
        warning("NIR-ORDER", "the metadata 'node_order' does not name the nodes of this graph")
    )
    return order
