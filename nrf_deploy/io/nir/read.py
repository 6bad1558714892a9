"""Reader of .nir files; a file is scanned for hostile content first and needs a time step.

All problems of a file are reported at once. Parts that NIR's own reader refuses without
a good reason are repaired, with a finding; parts that would need a guess are refused.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Unpack, cast

import numpy as np

from nrf_deploy.diagnostics.findings import Finding, InputError, error, refuse
from nrf_deploy.ir.graph_checks import edge_shapes, stateless_cycles
from nrf_deploy.ir.network import DATA, Network, Node, Shape
from nrf_deploy.ir.witness import Witness

from ..rule_options import RuleOptions
from .clock import clock_of
from .connection_builders import BUILDERS, Builder, Reading
from .dialects import DIALECTS, NIR, Dialect
from .fields import Fields
from .graph import RawGraph, duplicates, in_order, raw_graph, splice, structure
from .metadata import data_of, loop_start, node_order, unread
from .neuron_builders import NEURON_BUILDERS, SPIKING
from .readout import with_readouts
from .rules import LIKELY, UNSTATED, origin, shown_as_nir
from .scan import LIMITS, Limits, Source
from .statements import Statements, statements
from .tree import from_object, load
from .witness import decode

KINDS: dict[str, Builder] = BUILDERS | NEURON_BUILDERS
MAX_NODES = 2_000
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
    limits: Limits = LIMITS,
    **options: Unpack[RuleOptions],
) -> tuple[Network, list[Finding]]:
    """Read the network in a .nir file (a path, a binary file or a nir.NIRGraph), and findings.

    `dt` is the time step in the units of the file's time constants. Files of nrf-deploy
    hold it, and so do those of some producers; for any other file it is necessary. The options
    state how spiking neurons reset and fire, which no file of another producer does.
    """
    network, findings, _ = read_all(source, dt, limits=limits, **options)
    return network, findings


def read_all(
    source: Source | Any,
    dt: float | None = None,
    *,
    limits: Limits = LIMITS,
    **options: Unpack[RuleOptions],
) -> tuple[Network, list[Finding], Witness | None]:
    """Read the network, the findings and the witness, which is not replayed here."""
    stated = statements(options)
    findings: list[Finding] = []
    if hasattr(source, "to_dict"):
        tree = from_object(source)
    else:
        tree, findings = load(cast(Source, source), limits)
    network, observed = parse(tree, dt, findings, limits, stated=stated)
    return network, findings, observed


def look(
    source: Source | Any,
    dt: float | None = None,
    *,
    limits: Limits = LIMITS,
    **options: Unpack[RuleOptions],
) -> tuple[Network, list[Finding], Witness | None]:
    """Read the network in a file that need not state its time step or its rule, for display only.

    Without a time step its dt is NaN, which the engines and the compiler refuse. Without a rule
    it is read by NIR's definition, with a warning.
    """
    stated = statements(options)
    tree, findings = load(cast(Source, source), limits)
    network, observed = parse(tree, dt, findings, limits, stated=stated, for_display=True)
    return network, findings, observed


def parse(
    tree: dict[str, Any],
    dt: float | None,
    findings: list[Finding],
    limits: Limits = LIMITS,
    *,
    stated: Statements,
    for_display: bool = False,
) -> tuple[Network, Witness | None]:
    graph = raw_graph(tree, findings)
    if len(graph.nodes) > MAX_NODES:
        findings.append(error("NIR-TOO-MANY", f"the graph has more than {MAX_NODES:,} nodes"))
    refuse([f for f in findings if f.code in ("NIR-TOO-MANY", "NIR-NOT-GRAPH")], InputError)
    dialect = None if stated.producer is None else DIALECTS[stated.producer]
    if dialect is not None:
        dialect.mend(graph)
        findings += _left_out(graph, dialect)
    clock = clock_of(graph, dt, dialect, findings)
    findings += [*unread(graph), *structure(graph)]
    order = in_order(graph)
    nodes, reported = _nodes(graph, order, Reading(clock, stated, dialect), limits)
    findings += [*reported, *origin(graph, SPIKING, stated)]
    if for_display:
        shown = dialect is None or dialect is NIR
        findings[:] = [f for f in findings if not (shown and f.code == "NIR-DT-MISSING")]
        findings[:] = [shown_as_nir(f) if f.code in (UNSTATED, LIKELY) else f for f in findings]
    ports = [n.name for n in graph.nodes.values() if n.inner]
    edges = splice(nodes, graph.edges, ports)
    findings += duplicates(edges)
    findings += stateless_cycles(nodes, edges, 0.0 if clock is None else clock.step)
    data = {key: data_of(graph, key, findings) for key in DATA}
    start = loop_start(graph, (dialect or NIR).loop_start, findings)
    names = node_order(graph, [n for n in order if n not in ports], findings)
    refuse(findings, InputError)
    assert clock is not None or for_display, "a missing dt is an error"
    if dialect is not None and clock is not None:
        names, edges = dialect.finish(nodes, names, edges, clock)
    step = math.nan if clock is None else clock.step
    kept = tuple(nodes[n] for n in names)
    network = Network(kept, tuple(edges), step, loop_start=start, **data)
    if not for_display:
        network = with_readouts(network, findings)
    observed = decode(graph.metadata[0][1], network, findings)
    refuse(findings, InputError)
    return network, observed


# --- nodes -----------------------------------------------------------------


def _left_out(graph: RawGraph, dialect: Dialect) -> Iterator[Finding]:
    """Yield an error if the exporter of the framework left out layers, as far as can be seen."""
    if names := dialect.left_out(graph):
        yield error(
            "NIR-LEFT-OUT",
            f"{', '.join(names[:8])} {'is' if len(names) == 1 else 'are'} not in the file",
            why=f"the exporter of {dialect.framework} leaves out layers that it does not know, "
            "with a printed warning: the file is another network",
            fix="train with layers that the exporter writes",
        )


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
