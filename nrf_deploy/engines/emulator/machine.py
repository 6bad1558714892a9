"""The compiled loop, which runs a list of small operations step by step.

A plan turns a Program into three tables of records (addresses and sizes) and the order
in which a step works through them:

    WIRE     for each event that a source gave `delay` steps ago, adds a row of weights to
             a sum (scatter.py)
    DELIVER  shifts and wraps a finished sum on its way to a population (delivery.py)
    CELL     calls the chip's kernel on a population and lists the neurons that fired

Sums and populations are cut into blocks of 2^SHIFT neurons. A block is `dirty` when
something was added to its sum, and a kernel returns whether a block rests; a block that rests
and is not dirty is skipped. So the cost of a step depends on its spikes, not on the size of the
network.

Nothing is compiled for a network: the loop is compiled once, and the records hold the
addresses of the functions that it calls.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import carray

from .compiled import (
    AT_ONCE,
    as_pointer,
    call_kernel,
    compiled,
    compiling,
    count_bits,
    inlined,
    list_bits,
    lowest_bit,
    nonzero_bits,
    widest_vectors,
)
from .records import EVENTS, handle, record
from .scatter import SHIFT
from .vectors import TILE

WIRE, DELIVER, CELL = 0, 1, 2
cell_type = record(
    *EVENTS,
    *("capacity", "kernel", "size", "stride", "blocks", "width", "total", "dirty", "clear"),
    *("rest", "state", "states", "each", "one", "payload", "output", "occupied", "log"),
)


@compiled
def run(order, wires, delivers, cells, parts, piece, first, steps, origin):  # type: ignore[no-untyped-def]
    """Run the pieces in turn, each for a chunk of `steps`; `piece` begins at step `first`.

    The chunk begins at step `origin` of the run. Row k of `parts` is where piece k's part of each
    table begins, and the next row where it ends; indices in `order` count within that part.
    Returns the piece, and its step, that could not begin because a list of events is full;
    otherwise (number of pieces, 0).
    """
    widest_vectors()
    for p in range(piece, len(parts) - 1):
        t = _through(
            order[parts[p, 0] : parts[p + 1, 0]],
            wires[parts[p, 1] : parts[p + 1, 1]],
            delivers[parts[p, 2] : parts[p + 1, 2]],
            cells[parts[p, 3] : parts[p + 1, 3]],
            first,
            steps,
            origin,
        )
        if t < steps:
            return p, t
        first = 0
    return len(parts) - 1, 0


@compiled
def _through(order, wires, delivers, cells, first, steps, origin):  # type: ignore[no-untyped-def]
    """Run a piece and return the step that it could not begin, or `steps`."""
    if first == 0:
        for k in range(len(wires)):
            wires[k].tile_at = -TILE
    for t in range(first, steps):
        for k in range(len(cells)):
            c = cells[k]
            start = carray(as_pointer(c.start), c.history + steps + 1, np.int64)
            if start[c.history + t] + c.size > c.capacity:
                return t
        for k in range(len(order)):
            kind, which = order[k, 0], order[k, 1]
            if kind == WIRE:
                handle(wires[which].add, wires, which, t, steps)
            elif kind == CELL:
                _cell(cells[which], t, origin)
            else:
                handle(delivers[which].deliver, delivers, which, t, steps)
    return steps


def advance(*args: Any) -> tuple[int, int]:
    """Call run(), which the first call compiles or loads from disk."""
    if not run.overloads:
        with compiling(lambda: any(run.stats.cache_misses.values())):
            return tuple(run(*args))
    return tuple(run(*args))


@compiled
def clear(places):  # type: ignore[no-untyped-def]
    """Set arrays to zero, passed as rows (address, bytes)."""
    for k in range(len(places)):
        carray(as_pointer(places[k, 0]), places[k, 1], np.uint8)[:] = 0


# --- populations ---------------------------------------------------------


@compiled
def _cell(c, t, origin):  # type: ignore[no-untyped-def]
    dirty = carray(as_pointer(c.dirty), c.blocks, np.uint8)
    rest = carray(as_pointer(c.rest), c.blocks, np.uint8)
    start = carray(as_pointer(c.start), c.history + t + 2, np.int64)
    used = start[c.history + t]
    for b in range(c.blocks):
        if rest[b] and not dirty[b]:
            continue
        at = b << SHIFT
        n = min(c.size - at, 1 << SHIFT)
        moved = call_kernel(
            c.kernel,
            n,
            origin + t,
            c.stride,
            c.total + at * c.width,
            c.output,
            c.state + at * 4,
            c.each + at * 4,
            c.one,
        )
        rest[b] = moved == 0
        used = _fired(c, at, n, used)
        if c.clear and dirty[b]:
            total = carray(as_pointer(c.total + at * c.width), c.width << SHIFT, np.uint8)
            total[:] = 0
            dirty[b] = 0
    start[c.history + t + 1] = used
    if c.log:
        n = c.states * c.stride
        log = carray(as_pointer(c.log + t * n * 4), n, np.int32)
        log[:] = carray(as_pointer(c.state), n, np.int32)


@inlined
def _fired(c, at, n, used):  # type: ignore[no-untyped-def]
    """List the neurons from `at` to at + n whose output is not 0."""
    index = carray(as_pointer(c.index), c.capacity, np.int32)
    value = carray(as_pointer(c.value), c.capacity, np.int32)
    spikes = carray(as_pointer(c.output), 1 << SHIFT, np.int8)
    payloads = carray(as_pointer(c.output), 1 << SHIFT, np.int32)
    occupied = carray(as_pointer(c.occupied), c.size, np.uint64)
    gaps, valued, payload = c.occupied != 0, c.value != 0, c.payload
    for word in range(0, n, 64):
        bits = nonzero_bits(payloads, word) if payload else nonzero_bits(spikes, word)
        if n - word < 64:
            bits &= (np.uint64(1) << np.uint64(n - word)) - np.uint64(1)
        if gaps:
            bits &= occupied[(at + word) >> 6]
        if not bits:
            continue
        if valued:
            left, to = bits, used
            while left:
                k = word + lowest_bit(left)
                left &= left - np.uint64(1)
                value[to] = payloads[k] if payload else spikes[k]
                to += 1
        to = used
        used += count_bits(bits)
        bits = list_bits(index, to, at + word, bits)
        while bits:
            to += AT_ONCE
            bits = list_bits(index, to, at + word, bits)
    return used
