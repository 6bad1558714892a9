"""Wires: each event of a source adds its weights to a sum.

Forms (layout.py): ROWS adds a row of all targets, LIST pairs of target and weight, CONV
a few runs of neighbouring outputs. A wire of a piece reads only the events from `low` to
`high`; they rise within a step, so two searches find them.

Where many of the sources of ROWS fire, a matrix product of TILE steps at once costs less
than adding rows: it costs the same whatever comes, so the events are counted first.
"""

from __future__ import annotations

import numpy as np
from numba import carray

from .compiled import GRANULE, as_pointer, compiled
from .vectors import (
    TILE,
    add_granule,
    multiply_one,
    multiply_two,
    sum_eight,
    sum_one,
    sum_two,
    three_one,
    three_two,
)

ROWS, LIST, CONV = 0, 1, 2
SHIFT = 10
"""Sums and populations are cut into blocks of 2^SHIFT neurons."""
FEW = 8
"""A sum of so few blocks is soiled as a whole."""


@compiled
def wire(w, t, steps):  # type: ignore[no-untyped-def]
    """What a wire adds in step t of a chunk of `steps`."""
    at = w.history + t - w.delay
    end = min(at + TILE, w.history + steps - w.delay)
    start = carray(as_pointer(w.start), max(at + 2, end + 1), np.int64)
    first, last = start[at], start[at + 1]
    if first == last:
        return
    index = carray(as_pointer(w.index), last, np.int32)
    if w.kind == CONV:
        first, last = _from(index, first, last, w.low), _from(index, first, last, w.high)
    value = carray(as_pointer(w.value), last if w.graded else 0, np.int32)
    n = w.size
    if w.matrix and not 0 <= at - w.tile_at < TILE and start[end] - start[at] >= w.dense_from:
        _multiply(w, at, end, start, index, value)
    if w.width == 2:
        total = carray(as_pointer(w.total), n, np.int16)
        _add(w, at, first, last, index, value, total, carray(as_pointer(w.weight), n, np.int16))
    elif w.width == 4:
        total = carray(as_pointer(w.total), n, np.int32)
        _add(w, at, first, last, index, value, total, carray(as_pointer(w.weight), n, np.int32))
    else:
        total = carray(as_pointer(w.total), n, np.int64)
        _add(w, at, first, last, index, value, total, carray(as_pointer(w.weight), n, np.int64))


@compiled
def _from(index, first, last, low):  # type: ignore[no-untyped-def]
    """The first of the events first to last whose index is at least `low`."""
    while first < last:
        middle = (first + last) >> 1
        if index[middle] < low:
            first = middle + 1
        else:
            last = middle
    return first


@compiled
def _add(w, at, first, last, index, value, total, weight):  # type: ignore[no-untyped-def]
    if w.kind == ROWS and w.matrix and 0 <= at - w.tile_at < TILE:
        _add_product(w, at - w.tile_at, total)
    elif w.kind == ROWS:
        _add_rows(w, first, last, index, value, total, weight)
    elif w.kind == LIST:
        _add_list(w, first, last, index, value, total, weight)
    else:
        _add_conv(w, first, last, index, value, total, weight)


@compiled
def _add_rows(w, first, last, index, value, total, weight):  # type: ignore[no-untyped-def]
    row = w.row
    if w.graded:
        for e in range(first, last):
            of, factor = index[e] * row, value[e]
            for k in range(row):
                total[k] += factor * weight[of + k]
    else:
        _sum(total, 0, weight, 0, row, 0, index, first, last, row * total.itemsize // GRANULE)
    _soil(w, 0, row)


@compiled
def _sum(total, to, weight, of, row, base, index, first, last, granules):  # type: ignore[no-untyped-def]
    """Adds `granules` of the rows of some events to total[to:], see vectors._sum_rows."""
    lanes = GRANULE // total.itemsize
    while granules >= 8:
        sum_eight(total, (to,), weight, (of,), row, base, index, first, last)
        to, of, granules = to + 8 * lanes, of + 8 * lanes, granules - 8
    while granules >= 2:
        sum_two(total, (to,), weight, (of,), row, base, index, first, last)
        to, of, granules = to + 2 * lanes, of + 2 * lanes, granules - 2
    if granules:
        sum_one(total, (to,), weight, (of,), row, base, index, first, last)


@compiled
def _sum_three(total, to, weight, of, row, base, index, first, last, granules):  # type: ignore[no-untyped-def]
    """The same for three runs at once: the events are gone through less often."""
    lanes = GRANULE // total.itemsize
    while granules >= 2:
        three_two(total, to, weight, of, row, base, index, first, last)
        to = to[0] + 2 * lanes, to[1] + 2 * lanes, to[2] + 2 * lanes
        of = of[0] + 2 * lanes, of[1] + 2 * lanes, of[2] + 2 * lanes
        granules -= 2
    if granules:
        three_one(total, to, weight, of, row, base, index, first, last)


@compiled
def _multiply(w, at, end, start, index, value):  # type: ignore[no-untyped-def]
    """The sums of the steps from `at` on."""
    length, row = 2 * w.pairs, w.row
    given = carray(as_pointer(w.given), TILE * length, np.int16)
    given[:] = 0
    for t in range(at, end):
        for e in range(start[t], start[t + 1]):
            given[(t - at) * length + index[e]] = value[e] if w.graded else 1
    product = carray(as_pointer(w.product), TILE * row, np.int32)
    matrix = carray(as_pointer(w.matrix), length * row, np.int16)
    k = 0
    while k + 32 <= row:
        multiply_two(product, k, row, given, length, matrix, w.pairs)
        k += 32
    if k < row:
        multiply_one(product, k, row, given, length, matrix, w.pairs)
    w.tile_at = at


@compiled
def _add_product(w, t, total):  # type: ignore[no-untyped-def]
    product = carray(as_pointer(w.product), TILE * w.row, np.int32)
    for k in range(w.row):
        total[k] += product[t * w.row + k]
    _soil(w, 0, w.row)


@compiled
def _add_list(w, first, last, index, value, total, weight):  # type: ignore[no-untyped-def]
    rows = carray(as_pointer(w.first), w.size, np.int64)
    target = carray(as_pointer(w.target), w.size, np.int32)
    dirty = carray(as_pointer(w.dirty), w.size, np.uint8)
    graded = w.graded
    for e in range(first, last):
        factor = value[e] if graded else 1
        for k in range(rows[index[e]], rows[index[e] + 1]):
            to = np.int64(target[k])
            total[to] += factor * weight[k]
            dirty[to >> SHIFT] = 1


@compiled
def _add_conv(w, first, last, index, value, total, weight):  # type: ignore[no-untyped-def]
    """An event reaches a few runs of outputs, the same ones from every channel of its site.

    So the events of one site, which follow each other, are added together.
    """
    runs_first = carray(as_pointer(w.first), w.size, np.int32)
    runs = carray(as_pointer(w.target), (w.size, 2), np.int32)
    channel_at = carray(as_pointer(w.channel_at), w.size, np.int32)
    lanes = GRANULE // total.itemsize
    graded, run, row, pitch, granules = w.graded, w.run, w.row, w.pitch, w.granules
    magic, shift, site0 = np.uint64(w.magic), np.uint64(w.magic_shift), w.site0
    e = first
    while e < last:
        i = np.int64(index[e])
        site = np.int64((np.uint64(i) * magic) >> shift)
        base = site * pitch
        begin = np.int64(channel_at[i - base])
        end = e + 1
        if granules:
            while end < last and base <= index[end] < base + pitch:
                if channel_at[index[end] - base] != begin:
                    break
                end += 1
        first_run, last_run = runs_first[site - site0], runs_first[site - site0 + 1]
        if end > e + 1:
            r = first_run
            while r + 3 <= last_run and runs[r, 0] <= runs[r + 1, 0] <= runs[r + 2, 0]:
                to_three = begin + runs[r, 0], begin + runs[r + 1, 0], begin + runs[r + 2, 0]
                of_three = np.int64(runs[r, 1]), np.int64(runs[r + 1, 1]), np.int64(runs[r + 2, 1])
                _sum_three(total, to_three, weight, of_three, row, base, index, e, end, granules)
                r += 3
            while r < last_run:
                to, of = begin + runs[r, 0], np.int64(runs[r, 1])
                _sum(total, to, weight, of, row, base, index, e, end, granules)
                r += 1
        else:
            at = (i - base) * row
            factor = value[e] if graded else 1
            for r in range(first_run, last_run):
                to, of = begin + runs[r, 0], at + runs[r, 1]
                if granules:
                    for k in range(0, run, lanes):
                        add_granule(total, to + k, weight, of + k)
                else:
                    for k in range(run):
                        total[to + k] += factor * weight[of + k]
        e = end
    if w.blocks <= FEW:
        _soil(w, 0, w.blocks << SHIFT)
        return
    for e in range(first, last):
        site = np.int64((np.uint64(index[e]) * magic) >> shift) - site0
        r, end = runs_first[site], runs_first[site + 1]
        if r < end:
            _soil(w, np.int64(runs[r, 0]), runs[end - 1, 0] + w.reach)


@compiled
def _soil(w, first, last):  # type: ignore[no-untyped-def]
    """Marks the blocks of a sum in which first to last lie."""
    dirty = carray(as_pointer(w.dirty), w.blocks, np.uint8)
    for b in range(first >> SHIFT, min(((last - 1) >> SHIFT) + 1, w.blocks)):
        dirty[b] = 1
