"""Wires, by which each event of a source adds its weights to a sum.

Forms (layout.py): `rows` adds a row of all targets, `pairs` adds pairs of target and weight,
`conv` a few runs of neighbouring outputs. A wire of a piece reads only the events from `low` to
`high`; events rise within a step, so two searches find them.

If many of the sources of `rows` fire, a matrix product of TILE steps at once costs less than
adding rows; its cost does not depend on the events, so they are counted first.

Each form is compiled for each width of sums when a plan first needs it; the loop over steps
(machine.py) calls it by its address.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numba import carray

from .cache import Function
from .compiled import GRANULE, as_pointer, compiled, inlined, widest_vectors
from .records import EVENTS, NUMBERS, handler, record
from .vectors import LOOK, TILE, count_below, multiply_one, multiply_two, summing

SHIFT = 10
"""Sums and populations are cut into blocks of 2^SHIFT neurons."""
FEW = 8
"""Sums of at most this many blocks are marked dirty as a unit."""

wire_type = record(
    *EVENTS,
    *("add", "graded", "delay", "weight", "total", "dirty", "blocks", "size"),
    *("row", "first", "target"),  # rows: elements of a row; pairs: lists of (target, weight)
    *("pitch", "magic", "magic_shift", "granules", "run", "reach"),  # conv
    *("channel_at", "group_end", "low", "high", "site0"),
    *("tile_at", "matrix", "inputs", "product", "pairs", "dense_from"),  # rows, when dense
)


def wire_address(form: Callable[..., Function], *constants: int) -> int:
    """Return the address of add(wire, t, steps), which adds step t of a chunk of `steps`."""
    return handler(wire_type, form, *constants)


@inlined
def _events(w, t, steps):  # type: ignore[no-untyped-def]
    """Return the step whose events are added, their first index and their end."""
    at = w.history + t - w.delay
    start = carray(as_pointer(w.start), at + 2, np.int64)
    return at, start[at], start[at + 1]


@inlined
def _soil(w, first, last):  # type: ignore[no-untyped-def]
    """Mark the blocks of a sum that contain first to last as dirty."""
    dirty = carray(as_pointer(w.dirty), w.blocks, np.uint8)
    for b in range(first >> SHIFT, min(((last - 1) >> SHIFT) + 1, w.blocks)):
        dirty[b] = 1


HALF = GRANULE // 2
_sum_one, _sum_two, _sum_three = (summing(runs, GRANULE) for runs in (1, 2, 3))
_half_one, _half_two, _half_three = (summing(runs, HALF) for runs in (1, 2, 3))


# --- rows ----------------------------------------------------------------


def rows(width: int) -> Function:
    number = NUMBERS[width]

    def add(wire, t, steps):  # type: ignore[no-untyped-def]
        widest_vectors()
        w = carray(wire, 1)[0]
        at, first, last = _events(w, t, steps)
        if first == last:
            return
        total = carray(as_pointer(w.total), w.size, number)
        row = w.row
        _soil(w, 0, row)
        if w.matrix and _multiplied(w, at, steps):
            product = carray(as_pointer(w.product), TILE * row, np.int32)
            for k in range(row):
                total[k] += product[(at - w.tile_at) * row + k]
            return
        index = carray(as_pointer(w.index), last, np.int32)
        weight = carray(as_pointer(w.weight), w.size, number)
        if w.graded:
            value = carray(as_pointer(w.value), last, np.int32)
            for e in range(first, last):
                of, factor = index[e] * row, value[e]
                for k in range(row):
                    total[k] += factor * weight[of + k]
        else:
            granules = row * width // GRANULE
            _sum_one(total, (0,), weight, (0,), row, 0, index, first, last, granules)

    return add


@compiled
def _multiplied(w, at, steps):  # type: ignore[no-untyped-def]
    """Return whether a step's sums come from its tile's product; compute it at a tile's start."""
    if 0 <= at - w.tile_at < TILE:
        return True
    end = min(at + TILE, w.history + steps - w.delay)
    start = carray(as_pointer(w.start), end + 1, np.int64)
    if start[end] - start[at] < w.dense_from:
        return False
    index = carray(as_pointer(w.index), start[end], np.int32)
    value = carray(as_pointer(w.value), start[end] if w.graded else 0, np.int32)
    length, row = 2 * w.pairs, w.row
    counts = carray(as_pointer(w.inputs), TILE * length, np.int16)
    counts[:] = 0
    for t in range(at, end):
        for e in range(start[t], start[t + 1]):
            counts[(t - at) * length + index[e]] = value[e] if w.graded else 1
    product = carray(as_pointer(w.product), TILE * row, np.int32)
    matrix = carray(as_pointer(w.matrix), length * row, np.int16)
    k = 0
    while k + 32 <= row:
        multiply_two(product, k, row, counts, length, matrix, w.pairs)
        k += 32
    if k < row:
        multiply_one(product, k, row, counts, length, matrix, w.pairs)
    w.tile_at = at
    return True


# --- lists ---------------------------------------------------------------


def pairs(width: int) -> Function:
    number = NUMBERS[width]

    def add(wire, t, steps):  # type: ignore[no-untyped-def]
        w = carray(wire, 1)[0]
        _, begin, end = _events(w, t, steps)
        if begin == end:
            return
        index = carray(as_pointer(w.index), end, np.int32)
        value = carray(as_pointer(w.value), end if w.graded else 0, np.int32)
        first = carray(as_pointer(w.first), w.size, np.int64)
        target = carray(as_pointer(w.target), w.size, np.int32)
        total = carray(as_pointer(w.total), w.size, number)
        weight = carray(as_pointer(w.weight), w.size, number)
        dirty = carray(as_pointer(w.dirty), w.size, np.uint8)
        graded = w.graded
        for e in range(begin, end):
            factor = value[e] if graded else 1
            for k in range(first[index[e]], first[index[e] + 1]):
                to = np.int64(target[k])
                total[to] += factor * weight[k]
                dirty[to >> SHIFT] = 1

    return add


# --- convolutions --------------------------------------------------------


def conv(width: int, granule: int) -> Function:
    """Return the form in which an event reaches a few runs of outputs, equal for all channels."""
    number, half = NUMBERS[width], granule < GRANULE

    def add(wire, t, steps):  # type: ignore[no-untyped-def]
        widest_vectors()
        w = carray(wire, 1)[0]
        _, first, last = _events(w, t, steps)
        if first == last:
            return
        index = carray(as_pointer(w.index), last, np.int32)
        first, last = _from(index, first, last, w.low), _from(index, first, last, w.high)
        total = carray(as_pointer(w.total), w.size, number)
        weight = carray(as_pointer(w.weight), w.size, number)
        if w.granules:
            _add_sites(w, half, first, last, index, total, weight)
        else:
            _add_each(w, first, last, index, total, weight)
        if w.blocks <= FEW:
            _soil(w, 0, w.blocks << SHIFT)
        else:
            _soil_runs(w, first, last, index)

    return add


@inlined
def _from(index, first, last, low):  # type: ignore[no-untyped-def]
    """Return the first of the events first to last whose index is at least `low`."""
    while first < last:
        middle = (first + last) >> 1
        if index[middle] < low:
            first = middle + 1
        else:
            last = middle
    return first


@inlined
def _add_sites(w, half, first, last, index, total, weight):  # type: ignore[no-untyped-def]
    """Add the events of one site (and group of channels), which are adjacent, together."""
    runs_first = carray(as_pointer(w.first), w.size, np.int32)
    runs = carray(as_pointer(w.target), (w.size, 2), np.int32)
    channel_at = carray(as_pointer(w.channel_at), w.size, np.int32)
    group_end = carray(as_pointer(w.group_end), w.size, np.int32)
    row, pitch, granules = w.row, w.pitch, w.granules
    magic, shift, site0 = np.uint64(w.magic), np.uint64(w.magic_shift), w.site0
    e = first
    while e < last:
        i = np.int64(index[e])
        site = np.int64((np.uint64(i) * magic) >> shift)
        base = site * pitch
        begin, limit = np.int64(channel_at[i - base]), base + group_end[i - base]
        end, n = e, LOOK
        while n == LOOK and end < last:
            n = count_below(index, end, limit)
            end += n
        end = min(end, last)
        r, last_run = np.int64(runs_first[site - site0]), np.int64(runs_first[site - site0 + 1])
        while r < last_run:
            left = last_run - r
            to, of = begin + runs[r, 0], np.int64(runs[r, 1])
            if left >= 3:
                tos = to, begin + runs[r + 1, 0], begin + runs[r + 2, 0]
                ofs = of, np.int64(runs[r + 1, 1]), np.int64(runs[r + 2, 1])
                if half:
                    _half_three(total, tos, weight, ofs, row, base, index, e, end, granules)
                else:
                    _sum_three(total, tos, weight, ofs, row, base, index, e, end, granules)
                r += 3
            elif left == 2:
                both, of_both = (to, begin + runs[r + 1, 0]), (of, np.int64(runs[r + 1, 1]))
                if half:
                    _half_two(total, both, weight, of_both, row, base, index, e, end, granules)
                else:
                    _sum_two(total, both, weight, of_both, row, base, index, e, end, granules)
                r += 2
            else:
                if half:
                    _half_one(total, (to,), weight, (of,), row, base, index, e, end, granules)
                else:
                    _sum_one(total, (to,), weight, (of,), row, base, index, e, end, granules)
                r += 1
        e = end


@inlined
def _add_each(w, first, last, index, total, weight):  # type: ignore[no-untyped-def]
    runs_first = carray(as_pointer(w.first), w.size, np.int32)
    runs = carray(as_pointer(w.target), (w.size, 2), np.int32)
    channel_at = carray(as_pointer(w.channel_at), w.size, np.int32)
    value = carray(as_pointer(w.value), last if w.graded else 0, np.int32)
    graded, run, row, pitch = w.graded, w.run, w.row, w.pitch
    magic, shift, site0 = np.uint64(w.magic), np.uint64(w.magic_shift), w.site0
    for e in range(first, last):
        i = np.int64(index[e])
        site = np.int64((np.uint64(i) * magic) >> shift)
        base = site * pitch
        begin, at = np.int64(channel_at[i - base]), (i - base) * row
        factor = value[e] if graded else 1
        for r in range(runs_first[site - site0], runs_first[site - site0 + 1]):
            to, of = begin + runs[r, 0], at + runs[r, 1]
            for k in range(run):
                total[to + k] += factor * weight[of + k]


@inlined
def _soil_runs(w, first, last, index):  # type: ignore[no-untyped-def]
    """Mark the blocks that the runs of some events reach as dirty."""
    runs_first = carray(as_pointer(w.first), w.size, np.int32)
    runs = carray(as_pointer(w.target), (w.size, 2), np.int32)
    magic, shift, site0 = np.uint64(w.magic), np.uint64(w.magic_shift), w.site0
    for e in range(first, last):
        site = np.int64((np.uint64(index[e]) * magic) >> shift) - site0
        r, end = runs_first[site], runs_first[site + 1]
        if r < end:
            _soil(w, np.int64(runs[r, 0]), runs[end - 1, 0] + w.reach)
