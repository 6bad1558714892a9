"""Metadata of a graph: the entries that are read, and findings for the others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nrf_deploy.diagnostics.findings import Finding, error, warning
from nrf_deploy.ir.network import DATA, LoopStart

from ..toml_json import parse_json
from . import witness
from .beyond import OURS
from .graph import NODE_ORDER, RawGraph
from .neuron_builders import RECTIFY
from .rules import RULE_WORDS

LOOP_START = "loop_start"
OUTER = ("dt", NODE_ORDER, LOOP_START, *DATA)
NESTED = ("dt", NODE_ORDER)
"""Keys of a nested graph; its nodes are ordered by the outer graph."""
OF_NODES = (*RULE_WORDS, RECTIFY)


def unread(graph: RawGraph) -> Iterator[Finding]:
    """Yield a finding for each entry of the graphs' metadata that is not read.

    NIR allows any remark in them, such as an author's name. An entry that changes the output
    of neurons is refused if it is not read.
    """
    for name, metadata in graph.metadata:
        where = f"the nested graph {name!r:.80}" if name else "the graph"
        for key in sorted(metadata.keys() - set(NESTED if name else OUTER)):
            if not name and witness.is_entry(key):
                continue
            of_node = key in OF_NODES or key.startswith(OURS)
            if of_node or (name and key == LOOP_START and metadata[key] != "bias"):
                yield error(
                    "NIR-METADATA-UNKNOWN",
                    f"the metadata {key!r:.80} cannot be in {where}",
                    why=f"it belongs to {'a node' if of_node else 'the outer graph'}",
                    fix=f"move it there{' or give --' + key if key in RULE_WORDS else ''}",
                )
            else:
                what = f"the metadata {key!r:.80} of {where} were not read"
                yield warning("NIR-METADATA-UNREAD", what)


def _metadata(graph: RawGraph, key: str) -> Any:
    return graph.metadata[0][1].get(key) if graph.metadata else None


def loop_start(graph: RawGraph, default: LoopStart, findings: list[Finding]) -> LoopStart:
    """Return the start of loops in the metadata, or the default if they do not state it."""
    word = _metadata(graph, LOOP_START)
    match word:
        case None:
            return default
        case "bias":
            return "bias"
        case "zero":
            return "zero"
    what = f"{LOOP_START} is {word!r:.80}; expected 'bias' or 'zero'"
    findings.append(error("NIR-LOOP-START", what, fix="export the model again"))
    return "bias"


def _json(graph: RawGraph, key: str) -> Any:
    """Return an entry of the metadata as JSON; raise ValueError if it is not JSON."""
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
    findings.append(error(code, what, fix="export the model again"))
    return {}


def node_order(graph: RawGraph, order: list[str], findings: list[Finding]) -> list[str]:
    """Return the order of the nodes from the metadata, or else from the graph.

    HDF5 itself returns nodes by name.
    """
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
