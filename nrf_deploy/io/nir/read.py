"""Reader of .nir files; a file is scanned for hostile content first and needs a time step.

All problems of a file are reported at once. Parts that NIR's own reader refuses without
a good reason are repaired, with a finding; parts that would need a guess are refused.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, cast

import numpy as np

from nrf_deploy.diagnostics.findings import Finding, InputError, error, refuse
from nrf_deploy.ir.graph_checks import edge_shapes, stateless_cycles
from nrf_deploy.ir.network import DATA, Network, Node, Shape
from nrf_deploy.ir.time_constants import TIMES, step_faults
from nrf_deploy.ir.witness import Witness

from .connection_builders import BUILDERS, Builder, Reading
from .fields import Fields
from .graph import RawGraph, duplicates, in_order, raw_graph, splice, structure
from .metadata import data_of, loop_start, node_order, unread
from .neuron_builders import NEURON_BUILDERS, SPIKING
from .rules import Rules, origin, rules
from .scan import LIMITS, Limits, Source
from .tree import from_object, load
from .witness import decode

KINDS: dict[str, Builder] = BUILDERS | NEURON_BUILDERS
MAX_NODES = 2_000
SAME_DT = 1e-6  # relative: the error of a dt that is stored as float32

BYTES_A_NEURON = 8
"""A file whose arrays hold this many bytes for each element may exceed the element limit."""
SHAPE_CODES = {
    "NIR-SHAPE", "NIR-CHANNELS", "NIR-DIMENSIONS", "NIR-SIZE", "NIR-PARAM-SHAPE",
    "NIR-FLATTEN", "NIR-BATCH", "NIR-FIELD-SHAPE",
}  # fmt: skip


def read(
    source: Source | Any,
    dt: float | None = None,
    *,
    reset: str | None = None,
    fires: str | None = None,
    limits: Limits = LIMITS,
) -> tuple[Network, list[Finding]]:
    """Read the network in a .nir file (a path, a binary file or a nir.NIRGraph), and findings.

    `dt` is the time step in the units of the file's time constants. Files of nrf-deploy
    hold it; for any other file it is necessary. `reset` ("value", "subtract") and `fires`
    ("above", "at") are the rules of the spiking neurons whose file does not state them.
    """
    network, findings, _ = read_all(source, dt, reset=reset, fires=fires, limits=limits)
    return network, findings


def read_all(
    source: Source | Any,
    dt: float | None = None,
    *,
    reset: str | None = None,
    fires: str | None = None,
    limits: Limits = LIMITS,
) -> tuple[Network, list[Finding], Witness | None]:
    """Read the network, the findings and the witness, which is not replayed here."""
    stated = rules(reset, fires)
    findings: list[Finding] = []
    if hasattr(source, "to_dict"):
        tree = from_object(source)
    else:
        tree, findings = load(cast(Source, source), limits)
    network, observed = parse(tree, dt, findings, limits, stated=stated)
    return network, findings, observed


def look(
    source: Source | Any,
    *,
    reset: str | None = None,
    fires: str | None = None,
    limits: Limits = LIMITS,
) -> tuple[Network, list[Finding]]:
    """Read the network in a file that need not state its time step, for display only.

    Without a time step its dt is NaN, which the engines and the compiler refuse.
    """
    stated = rules(reset, fires)
    tree, findings = load(cast(Source, source), limits)
    network, _ = parse(tree, None, findings, limits, stated=stated, timeless=True)
    return network, findings


def parse(
    tree: dict[str, Any],
    dt: float | None,
    findings: list[Finding],
    limits: Limits = LIMITS,
    *,
    stated: Rules,
    timeless: bool = False,
) -> tuple[Network, Witness | None]:
    graph = raw_graph(tree, findings)
    if len(graph.nodes) > MAX_NODES:
        findings.append(error("NIR-TOO-MANY", f"the graph has more than {MAX_NODES:,} nodes"))
    refuse([f for f in findings if f.code in ("NIR-TOO-MANY", "NIR-NOT-GRAPH")], InputError)
    step = time_step(graph, dt, findings)
    if timeless:
        findings[:] = [f for f in findings if f.code != "NIR-DT-MISSING"]
    findings += [*unread(graph), *structure(graph)]
    order = in_order(graph)
    nodes, reported = _nodes(graph, order, Reading(step, stated), limits)
    findings += [*reported, *origin(graph, SPIKING, stated)]
    ports = [n.name for n in graph.nodes.values() if n.inner]
    edges = splice(nodes, graph.edges, ports)
    findings += duplicates(edges)
    findings += stateless_cycles(nodes, edges, step or 0.0)
    data = {key: data_of(graph, key, findings) for key in DATA}
    start = loop_start(graph, findings)
    names = node_order(graph, [n for n in order if n not in ports], findings)
    refuse(findings, InputError)
    assert step is not None or timeless, "a missing dt is an error"
    step = math.nan if step is None else step
    kept = tuple(nodes[n] for n in names)
    network = Network(kept, tuple(edges), step, loop_start=start, **data)
    observed = decode(graph.metadata[0][1], network, findings)
    refuse(findings, InputError)
    return network, observed


# --- the time step ---------------------------------------------------------


def time_step(graph: RawGraph, dt: float | None, findings: list[Finding]) -> float | None:
    """Return the one dt of file, nested graphs and caller; None (and an error) if unclear."""
    stated: list[tuple[str, object]] = [] if dt is None else [("the caller", float(dt))]
    stated += [
        (f"the file{f' in {n!r}' if n else ''}", m["dt"]) for n, m in graph.metadata if "dt" in m
    ]
    if wrong := [f for who, value in stated for f in step_faults(_number(value), who, value)]:
        findings += wrong
        return None
    known = [(who, _number(value)) for who, value in stated]
    if not known:
        findings.append(
            error(
                "NIR-DT-MISSING",
                f"the file has no time step{_some_tau(graph)}",
                why="NIR describes neurons in continuous time; any dt would be a guess",
                fix="give --dt in the unit of the file's time constants (1 if it counts in steps)",
            )
        )
        return None
    first, *others = known
    for who, other in others:
        if not math.isclose(other, first[1], rel_tol=SAME_DT):
            what = f"dt is {first[1]:g} according to {first[0]}, {other:g} according to {who}"
            findings.append(
                error("NIR-DT-CONFLICT", what, fix="leave --dt out, or export the model again")
            )
            return None
    return first[1]


def _some_tau(graph: RawGraph) -> str:
    """Return a time constant of the file in words, which shows its unit to the user."""
    for node in graph.nodes.values():
        for key in TIMES:
            value = np.asarray(node.fields.get(key, ()))
            if value.size and value.dtype.kind in "fiu":
                return f"; its neuron {node.name!r} has {key} = {value.flat[0]:g}"
    return ""


def _number(value: Any) -> float:
    """Return a value as a float; NaN if it is not a single number."""
    array = np.asarray(value)
    return float(array.item()) if array.size == 1 and array.dtype.kind in "fiu" else math.nan


# --- nodes -----------------------------------------------------------------


def _nodes(
    graph: RawGraph, order: tuple[str, ...], how: Reading, limits: Limits
) -> tuple[dict[str, Node], list[Finding]]:
    """Build the nodes by the definition of NIR, or as exporters with a batch dimension write them.

    The second interpretation is used only if every shape then fits.
    """
    nodes, findings = as_written = _build(graph, order, how, limits)
    if not _shape_errors(findings):
        return nodes, findings
    for other in _other_readings(graph, how):
        nodes, findings = _build(graph, order, other, limits)
        if not _shape_errors(findings):
            return nodes, findings
    return as_written


def _shape_errors(findings: list[Finding]) -> bool:
    return any(f.severity == "error" and f.code in SHAPE_CODES for f in findings)


def _other_readings(graph: RawGraph, how: Reading) -> Iterator[Reading]:
    inputs = [n for n in graph.nodes.values() if n.kind == "Input" and not n.inner]
    shapes: list[Shape] = [s for n in inputs if (s := Fields(n, []).sizes("shape"))]
    counted = [True, False] if any(n.kind == "Flatten" for n in graph.nodes.values()) else [False]
    yield replace(how, batch_counted=counted[0])
    for k in range(1, min(map(len, shapes), default=1)):
        if len({s[:k] for s in shapes}) == 1:
            yield from (replace(how, lead=shapes[0][:k], batch_counted=b) for b in counted)


def _build(
    graph: RawGraph, order: tuple[str, ...], how: Reading, limits: Limits
) -> tuple[dict[str, Node], list[Finding]]:
    nodes: dict[str, Node] = {}
    findings: list[Finding] = []
    sources: dict[str, list[str]] = {name: [] for name in graph.nodes}
    for source, target in graph.edges:
        sources[target].append(source)
    neurons, limit = 0, limits.neurons + _stored(graph) // BYTES_A_NEURON
    for name in order:
        shape = next((nodes[s].shape for s in sources[name] if s in nodes), None)
        with np.errstate(all="ignore"):  # absurd values overflow; the checks then refuse them
            node = _node(Fields(graph.nodes[name], findings), shape, how)
        if node is None:
            continue
        neurons += max(math.prod(node.shape), math.prod(node.input_shape))
        if neurons > limit:
            what = f"up to here the graph has {neurons:,} elements; the limit is {limit:,}"
            findings.append(error("NIR-TOO-LARGE", what, layer=name))
            return nodes, findings
        nodes[name] = node
    findings += edge_shapes(nodes, graph.edges)
    return nodes, findings


def _stored(graph: RawGraph) -> int:
    """Return the bytes of all arrays of the graph."""
    arrays = (value for node in graph.nodes.values() for value in node.fields.values())
    return sum(int(a.nbytes) for a in arrays if isinstance(a, np.ndarray))


def _node(fields: Fields, source: Shape | None, how: Reading) -> Node | None:
    kind = fields.node.kind
    if not kind:
        return None
    build = KINDS.get(kind)
    if build is None:
        fields.error(
            "NIR-KIND-UNKNOWN",
            f"there is no node of the kind {kind[:40]!r}",
            why=f"known are {', '.join(sorted(KINDS))}",
            fix="replace it before the export",
        )
        return None
    node = build(fields, source, how)
    if node is not None:
        fields.leftover()
    return node
