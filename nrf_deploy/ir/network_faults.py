"""Faults of a network that was not just read from a .nir file, by the same rules.

io.nir checks the fields of a file while it builds nodes from them. Here the nodes exist already,
from a bundle or built by hand, and each must be one that such a file could contain.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from nrf_deploy.diagnostics.findings import Finding
from nrf_deploy.neurons import MEMBRANES, PARTS, RULES

from .field_types import misfits
from .network import (
    KINDS,
    Array,
    Connection,
    Conv,
    Delay,
    Flatten,
    Input,
    Linear,
    MaxPool,
    Network,
    Node,
    Output,
    Pool,
    Population,
    Port,
    Scale,
    Shape,
    Threshold,
)
from .time_constants import timeless

NODE_LIMIT = 2_000
ELEMENTS = 1 << 27
"""Limit on the elements of all nodes, counted as io.nir.scan.Limits counts them."""
LARGEST = 1 << 31
LONGEST_DELAY = 1 << 16


def type_faults(network: Network) -> list[str]:
    """Return the fields of a network and its nodes that hold values of another type."""
    texts = [*misfits(network, "the network")]
    texts = texts or [f for node in network.nodes for f in misfits(node, f"node {_name(node)}")]
    if texts:
        return texts
    return [
        f"node {_name(node)}: {fault}"
        for node in network.nodes
        if type(node) is Population
        for part in node.every_part()
        for fault in misfits(part, type(part).__name__)
    ]


def faults(network: Network) -> Iterator[str]:
    """Yield every fault in words; the edges are checked only if every node is sound."""
    texts = type_faults(network)
    texts = texts or [*_nodes(network)]
    yield from texts or _graph(network)


def _name(node: Any) -> str:
    return f"{getattr(node, 'name', '')!r:.80}"


def _nodes(network: Network) -> Iterator[str]:
    names = [node.name for node in network.nodes]
    if len(set(names)) != len(names):
        yield "two nodes of the network have the same name"
    if len(names) > NODE_LIMIT:
        yield f"the network has {len(names):,} nodes; expected at most {NODE_LIMIT:,}"
    for end in sorted({end for edge in network.edges for end in edge} - set(names)):
        yield f"an edge of the network names {end!r:.80}, which is not a node"
    if len(set(network.edges)) != len(network.edges):
        yield "an edge of the network occurs twice"
    for node in network.nodes:
        if not node.name or not node.name.isprintable():
            yield f"{_name(node)} is empty or holds control characters; expected a name"
        yield from (f"node {_name(node)}: {fault}" for fault in _node_faults(node))


def _node_faults(node: Node) -> Iterator[str]:
    if type(node) is Population:
        yield from _population(node)
        return
    if type(node) not in KINDS.values():
        yield f"there is no {type(node).__name__}"
        return
    match node:
        case Port():
            yield from _sizes("shape", node.port_shape)
        case Linear():
            yield from _linear(node)
        case Conv():
            yield from _conv(node)
        case Pool() | MaxPool():
            yield from _pool(node)
        case Flatten():
            yield from _flatten(node)
        case Scale():
            yield from _numbers("scale", node.scale, None)
        case Threshold():
            yield from _numbers("threshold", node.threshold, None)
        case Delay():
            yield from _numbers("delay", node.delay, None)


def _population(node: Population) -> Iterator[str]:
    for part in node.every_part():
        if type(part) not in (*MEMBRANES, *RULES, *PARTS):
            yield f"there is no {type(part).__name__}"
            return
        if texts := [*misfits(part, type(part).__name__)] or [*part.faults()]:
            yield from texts
            return
        for key, _, array in part.numbers():
            scalar = not isinstance(getattr(part, key), np.ndarray)
            yield from _numbers(key, array, None if scalar else node.shape)


def _linear(node: Linear) -> Iterator[str]:
    yield from _numbers("weight", node.weight, None)
    if node.weight.ndim != 2:
        yield f"weight has the shape {node.weight.shape}; expected (out, in)"
    elif node.bias is not None:
        yield from _numbers("bias", node.bias, node.weight.shape[:1])


def _conv(node: Conv) -> Iterator[str]:
    axes = node.weight.ndim - 2
    yield from _numbers("weight", node.weight, None)
    if axes not in (1, 2):
        yield f"weight has the shape {node.weight.shape}; expected 3 or 4 axes"
        return
    texts = [
        *_sizes("input_size", node.input_size, axes),
        *_sizes("stride", node.stride, axes),
        *_sizes("dilation", node.dilation, axes),
        *_pads(node.padding, axes),
    ]
    if not 1 <= node.groups <= node.weight.shape[0] or node.weight.shape[0] % node.groups:
        texts.append(f"{node.groups} groups do not divide {node.weight.shape[0]} channels")
    yield from texts or _window(node)
    if not texts and node.bias is not None:
        whole = node.bias.shape == node.shape
        yield from _numbers("bias", node.bias, node.shape if whole else node.weight.shape[:1])


def _pool(node: Pool | MaxPool) -> Iterator[str]:
    axes = len(node.window)
    if axes not in (1, 2):
        yield f"window is {node.window!r:.80}; expected 1 or 2 sizes"
        return
    texts = [
        *_sizes("input", node.pool_input, 1 + axes),
        *_sizes("window", node.window, axes),
        *_sizes("stride", node.stride, axes),
        *_pads(node.padding, axes),
    ]
    if type(node) is MaxPool and not texts:
        for pads, side in zip(node.padding, node.window, strict=True):
            if max(pads) >= side:
                texts.append(f"padding is {pads}; a window of {side} would hold nothing else")
    yield from texts or _window(node)


def _window(node: Conv | Pool | MaxPool) -> Iterator[str]:
    if min(node.shape) < 1:
        yield f"an input of {node.input_shape} leaves an output of {node.shape}"


def _flatten(node: Flatten) -> Iterator[str]:
    n = len(node.flat_input)
    yield from _sizes("input", node.flat_input)
    if not (0 <= node.start < n and -n <= node.end < n and node.start <= node.end % n):
        yield f"axes {node.start} to {node.end} cannot be merged in an input of {node.flat_input}"


def _sizes(what: str, sizes: Shape, count: int | None = None) -> Iterator[str]:
    length = 1 <= len(sizes) <= 8 if count is None else len(sizes) == count
    if not length or not all(1 <= size < LARGEST for size in sizes):
        expected = "sizes" if count is None else f"{count} sizes"
        yield f"{what} is {sizes!r:.80}; expected {expected} of 1 or more"


def _pads(padding: tuple[tuple[int, int], ...], axes: int) -> Iterator[str]:
    if len(padding) != axes or not all(0 <= x < LARGEST for pads in padding for x in pads):
        yield f"padding is {padding!r:.80}; expected {axes} pairs of 0 or more"


def _numbers(what: str, array: Array, shape: Shape | None) -> Iterator[str]:
    if array.dtype.kind not in "fiu" or not array.size:
        yield f"{what} is made of {array.dtype} in the shape {array.shape}; expected numbers"
    elif not np.all(np.isfinite(array)):
        yield f"{what} holds a value that is not finite"
    elif shape is not None and array.shape != shape:
        yield f"{what} has the shape {array.shape}; expected {shape}"


# --- the graph -------------------------------------------------------------


def _graph(network: Network) -> Iterator[str]:
    from .graph_checks import edge_shapes, stateless_cycles

    elements = sum(max(math.prod(n.shape), math.prod(n.input_shape)) for n in network.nodes)
    if elements > ELEMENTS:
        yield f"the network has {elements:,} elements; expected at most {ELEMENTS:,}"
    findings: list[Finding] = timeless(network)
    nodes = {node.name: node for node in network.nodes}
    findings += edge_shapes(nodes, network.edges)
    if not findings:
        findings += stateless_cycles(nodes, network.edges, network.dt)
    for finding in findings:
        place = f"node {finding.layer!r}: " if finding.layer else ""
        yield f"{place}{finding.what}"
    for source, target in network.edges:
        if isinstance(nodes[target], Input):
            yield f"the edge from {source!r} leads into the input {target!r}"
        if isinstance(nodes[source], Output):
            yield f"the edge to {target!r} leads out of the output {source!r}"
    for node in network.of(Delay):
        yield from _delays(node, network.dt)
    if any(type(n) is Population or isinstance(n, Connection) for n in network.nodes):
        yield from _reached(network)


def _delays(node: Delay, dt: float) -> Iterator[str]:
    steps = node.delay.astype(np.float64) / dt
    off = np.abs(steps - np.rint(steps)) > 1e-6 * np.maximum(1, np.abs(steps))
    if off.any() or steps.min() < 0 or steps.max() > LONGEST_DELAY:
        yield (
            f"node {node.name!r}: delays from {steps.min():g} to {steps.max():g} steps; expected "
            f"integers from 0 to {LONGEST_DELAY:,}"
        )


def _reached(network: Network) -> Iterator[str]:
    """Yield the nodes that no input reaches: they would have no value."""
    ahead = [n.name for n in network.of(Input)]
    seen = set(ahead)
    while ahead:
        new = [t for t in network.targets(ahead.pop()) if t not in seen]
        seen.update(new)
        ahead += new
    if lost := [n.name for n in network.nodes if n.name not in seen]:
        yield f"no edge leads from an input to {', '.join(map(repr, lost)):.200}"
