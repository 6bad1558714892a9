"""Split of a segment into pieces that stay in a core's cache during a chunk of time.

The neurons of a segment without loops are independent: any of them can run a whole chunk
before the others. So a large segment is cut into pieces of neighbouring neurons, each with its
own states, sums and part of the weights. Several threads run the pieces.

A convolution is cut between the lines of its output; its weights stay shared, and a piece
reads only the events of the lines that it sees.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from .compiled import GRANULE, aligned
from .layout import Layout, padded
from .tuning import Tuning
from .work import Segment, Sum, Wire


def pieces(
    segment: Segment, layouts: Mapping[str, Layout], threads: int, tuning: Tuning
) -> tuple[Segment, ...]:
    """Cut a segment into pieces, unless it is small or its neurons depend on each other."""
    size = segment.neurons[0].size
    grain = _grain(segment, layouts)
    if grain is None:
        return (segment,)
    step_bytes = _bytes(segment)
    wanted = max(math.ceil(step_bytes / tuning.cache), threads if size >= tuning.shared_out else 1)
    limit = size // max(grain, tuning.narrowest)
    width = padded(math.ceil(size / max(1, min(wanted, limit))), grain)
    if width >= size:
        return (segment,)
    return tuple(_piece(segment, k, min(k + width, size)) for k in range(0, size, width))


def _grain(segment: Segment, layouts: Mapping[str, Layout]) -> int | None:
    """Return the number of neurons that stay together; None if all do."""
    members = {n.population.name for n in segment.neurons}
    if any(w.synapses.source in members for w in segment.wires):
        return None
    lines = {w.tables.line for w in segment.wires if w.tables is not None}
    if len(lines) > 1:
        return None
    if lines:
        return lines.pop()
    pitch = layouts[segment.neurons[0].population.name].pitch
    return pitch if pitch > 1 else 64


def _bytes(segment: Segment) -> int:
    """Return the bytes of a step that are not shared between neurons."""
    total = sum(n.bytes_each * n.size for n in segment.neurons)
    for w in segment.wires:
        if w.dense is not None:
            total += w.dense.nbytes
        elif w.listed is not None:
            total += sum(a.nbytes for a in w.listed[1:])
    sums = {w.total for w in segment.wires} | {n.total for n in segment.neurons}
    return total + sum(s.size * s.width for s in sums)


def _piece(segment: Segment, first: int, last: int) -> Segment:
    """Return a piece: the neurons first to last of each of the segment's populations."""
    sums: dict[Sum, Sum] = {}

    def part(total: Sum) -> Sum:
        if total not in sums:
            sums[total] = Sum(last - first, total.range, total.width, total.slack)
        return sums[total]

    return Segment(
        [_wire(w, first, last, part(w.total)) for w in segment.wires],
        [replace(t, of=part(t.of), to=part(t.to)) for t in segment.transfers],
        [
            replace(n, total=part(n.total), first=n.first + first, size=last - first)
            for n in segment.neurons
        ],
        segment.order,
    )


def _wire(w: Wire, first: int, last: int, total: Sum) -> Wire:
    if w.tables is not None:
        return replace(w, total=total, tables=w.tables.part(first, last))
    if w.dense is not None:
        columns = padded(last - first, GRANULE // w.total.width)
        dense = aligned(len(w.dense) * columns, w.dense.dtype)[: len(w.dense) * columns]
        dense = dense.reshape(-1, columns)
        dense[:, : last - first] = w.dense[:, first:last]
        return replace(w, total=total, dense=dense)
    assert w.listed is not None
    begins, target, weight = w.listed
    inside = (target >= first) & (target < last)
    before = np.concatenate([[0], np.cumsum(inside)])
    listed = before[begins], target[inside] - np.int32(first), weight[inside]
    return replace(w, total=total, listed=listed)
