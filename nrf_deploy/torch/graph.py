"""The Network of a run: its layers as nodes, and the sums between them as edges."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from nrf_deploy.diagnostics.findings import (
    Finding,
    InputError,
    TargetError,
    error,
    refuse,
)
from nrf_deploy.ir.network import (
    DATA,
    Edge,
    Input,
    Network,
    Node,
    Output,
    Population,
    Shape,
)

from .called import unused
from .fold import fold
from .frameworks import Call, Piece
from .loops import closed
from .places import SOURCE, Folded, Place
from .reading import Reader
from .runs import Run
from .unexported import lost


@dataclass(eq=False)
class Graph:
    """A network, and what its parts are in the module.

    Attributes:
        network: The network, before BatchNorms are folded.
        folded: The layers of one step.
        pieces: The nodes of each layer.
        calls: Each layer as its framework read it.
        rectified: Layers with a ReLU that was merged into them.
        outputs: The Output of each name that the module returns.
        refold: Fold another run of the same module in the same way.
        findings: Notes for the user.
    """

    network: Network
    folded: Folded
    pieces: dict[Place, Piece]
    calls: dict[Place, Call]
    rectified: frozenset[Place]
    outputs: dict[str, str]
    refold: Callable[[Run], Folded]
    findings: list[Finding]


def graph(module: Any, run: Run, shape: Shape, option: float | None) -> Graph:
    """Return the network of a run; raises with every reason why there is none."""
    reader = Reader(run, option)
    data = {what: _data(getattr(module, what, {})) for what in DATA}
    faults = [*reader.faults(), *_data_faults(data)]
    if reader.time_faults and not reader.timed and not faults:
        raise InputError(reader.time_faults)  # as for a .nir file without dt: exit code 3
    refuse([*(reader.time_faults if reader.timed else []), *faults], TargetError)
    folded = fold(run, reader.stateful, reader.passes)
    refuse(lost(module, [c.module for _, c in reader.living]), TargetError)
    pieces, calls = reader.named(folded)
    merged = frozenset(p for p in pieces if p[0] in reader.rectified)
    for place in merged:
        pieces[place] = _rectified(pieces[place])
    network, outputs = _assembled(folded, pieces, shape, reader.dt, data)
    own = (f for p in pieces.values() for f in p.findings)
    findings = [*folded.unused, *reader.notes(folded), *own]

    def refold(other: Run) -> Folded:
        return fold(other, reader.stateful, reader.passes)

    return Graph(network, folded, pieces, calls, merged, outputs, refold, findings)


# --- the network ------------------------------------------------------------------------


def _assembled(
    folded: Folded,
    pieces: Mapping[Place, Piece],
    shape: Shape,
    dt: float,
    data: Mapping[str, Any],
) -> tuple[Network, dict[str, str]]:
    """Return the network, and the Output of each name that the module returns."""
    nodes: list[Node] = [n for piece in pieces.values() for n in piece.nodes]
    taken = {n.name for n in nodes}
    source = unused("input", taken)
    taken.add(source)
    exits = {SOURCE: source, **{place: piece.last for place, piece in pieces.items()}}
    edges: list[Edge] = []
    lags: dict[Edge, int] = {}
    start: dict[Edge, str] = {}
    inner: dict[Edge, bool] = {}
    for place, piece in pieces.items():
        edges += piece.edges
        inner |= _leads_back(piece)
        for before, lag in folded.sites[place].links:
            edge = exits[before], piece.first
            edges.append(edge)
            lags[edge] = lag
            if lag and before in folded.start:
                start[edge] = folded.start[before]
    by_name = {n.name: n for n in nodes}
    outputs: dict[str, Output] = {}
    for returned, sources in folded.outputs.items():
        name = unused(returned, taken)
        taken.add(name)
        first = exits[sources[0]]
        size = shape if first == source else by_name[first].shape
        outputs[returned] = Output(name=name, port_shape=size)
        edges += [(exits[s], name) for s in sources]
    network = Network(
        nodes=(Input(name=source, port_shape=shape), *nodes, *outputs.values()),
        edges=tuple(edges),
        dt=dt,
        **data,
    )
    refuse(_twice(edges), TargetError)
    starts = [p.loop_start for p in pieces.values() if p.loop_start is not None]
    names = {returned: node.name for returned, node in outputs.items()}
    return closed(network, lags, start, inner, starts), names


def _leads_back(piece: Piece) -> dict[Edge, bool]:
    """Return the edges inside a piece, and which of them close its loops."""
    if not piece.edges:
        return {}
    port = Input(name="", port_shape=())
    isolated = Network((port, *piece.nodes), (("", piece.first), *piece.edges), 1.0)
    return {edge: edge in isolated.back_edges for edge in piece.edges}


def _twice(edges: Sequence[Edge]) -> Iterator[Finding]:
    for (source, target), n in Counter(edges).items():
        if n > 1:
            yield error(
                "EXPORT-ADD",
                f"it takes {source!r} of two different steps",
                layer=target,
                fix="take the signal of one step, or put a layer of its own on each way",
            )


def _rectified(piece: Piece) -> Piece:
    """Return neurons that send their value with a ReLU behind them."""
    (node,) = piece.nodes
    assert type(node) is Population
    return replace(piece, nodes=(node.with_(rectified=True),))


def _data(value: Any) -> Any:
    """Return the value of an attribute; a layer that has its name holds no such data."""
    import torch

    return {} if isinstance(value, torch.nn.Module) else value


def _data_faults(data: Mapping[str, Any]) -> Iterator[Finding]:
    for what, value in data.items():
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError) as e:
            code = f"EXPORT-{what.upper().replace('_', '-')}"
            yield error(code, f"the attribute {what} is not plain JSON data: {e}")
