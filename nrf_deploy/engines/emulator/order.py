"""Conversion of events between program order and engine order, and from pieces to populations."""

from __future__ import annotations

import numpy as np
from numba import carray

from .compiled import as_pointer, compiled

part_type = np.dtype([(name, np.int64) for name in ("start", "index", "value", "first")])


@compiled
def join(parts, steps, start, index, value):  # type: ignore[no-untyped-def]
    """Join the events of pieces to those of their population, step by step.

    They are written from start[0] on.
    """
    to = start[0]
    for t in range(steps):
        for k in range(len(parts)):
            part = parts[k]
            begins = carray(as_pointer(part.start), t + 2, np.int64)
            first, last = begins[t], begins[t + 1]
            of = carray(as_pointer(part.index), last, np.int32)
            for e in range(first, last):
                index[to + e - first] = np.int32(of[e] + part.first)
            if part.value:
                values = carray(as_pointer(part.value), last, np.int32)
                for e in range(first, last):
                    value[to + e - first] = values[e]
            to += last - first
        start[t + 1] = to


@compiled
def soundness(start, index, value, size, lowest, highest):  # type: ignore[no-untyped-def]
    """Return the largest magnitude of a recording's values; -1 if it may be unsound.

    A value beyond the limits also gives -1.
    """
    if len(start) == 0 or start[0] != 0 or start[-1] != len(index) or len(index) != len(value):
        return -1
    largest = 0
    for t in range(len(start) - 1):
        if start[t] > start[t + 1] or start[t + 1] > len(index):
            return -1
        before = -1
        for e in range(start[t], start[t + 1]):
            if index[e] <= before or value[e] == 0 or not lowest <= value[e] <= highest:
                return -1
            before = index[e]
            largest = max(largest, abs(value[e]))
        if before >= size:
            return -1
    return largest


@compiled
def inward(events, first, last, port, sites, pitch, sorts, start, index, value):  # type: ignore[no-untyped-def]
    """Write steps first to last of a recording as the events of a port, from start[0] on.

    `events` is the recording's (start, index, value), without events beyond its end; `port` is
    the range of the port's elements, (from, to). Each channel is a rising run; if order matters
    (`sorts`), the runs are merged.
    """
    starts, indices, values = events
    low, high = port
    per_channel, valued = np.uint32(sites), len(value) > 0
    to, longest = start[0], 0
    for t in range(first, last):
        if t + 1 < len(starts):
            for e in range(starts[t], starts[t + 1]):
                if low <= indices[e] < high:
                    i = np.uint32(indices[e] - low)
                    channel = i // per_channel
                    site = np.int64(i - channel * per_channel)
                    index[to] = site * pitch + np.int64(channel)
                    if valued:
                        value[to] = values[e]
                    to += 1
        longest = max(longest, to - start[t - first])
        start[t - first + 1] = to
    if sorts:
        other, others = np.empty(longest, np.int32), np.empty(longest if valued else 0, np.int32)
        for t in range(last - first):
            _sort(index, value, start[t], start[t + 1], other, others)


@compiled
def _sort(index, value, first, last, other, others):  # type: ignore[no-untyped-def]
    """Sort events, which are a few rising runs, by index, with their values."""
    while True:
        at, merged = first, False
        while at < last:
            middle = _run_end(index, at, last)
            end = _run_end(index, middle, last)
            if middle < end:
                _merge(index, value, at, middle, end, other, others)
                merged = True
            at = end
        if not merged:
            return


@compiled
def _run_end(index, first, last):  # type: ignore[no-untyped-def]
    """Return where the run that begins at `first` stops rising."""
    if first >= last:
        return last
    at = first + 1
    while at < last and index[at - 1] < index[at]:
        at += 1
    return at


@compiled
def _merge(index, value, first, middle, last, other, others):  # type: ignore[no-untyped-def]
    n = middle - first
    valued = len(value) > 0
    other[:n] = index[first:middle]
    if valued:
        others[:n] = value[first:middle]
    a, b, to = 0, middle, first
    while a < n:
        if b < last and index[b] < other[a]:
            index[to] = index[b]
            if valued:
                value[to] = value[b]
            b += 1
        else:
            index[to] = other[a]
            if valued:
                value[to] = others[a]
            a += 1
        to += 1


@compiled
def outward(start, index, value, channels, sites, pitch, to_index, to_value):  # type: ignore[no-untyped-def]
    """Convert a channels-last population's events to program order, rising within a step.

    Within a step they are sorted by site; a counting sort over channels completes the order.
    """
    place = np.zeros(channels + 1, np.int64)
    for t in range(len(start) - 1):
        first, last = start[t], start[t + 1]
        if first == last:
            continue
        place[:] = 0
        for e in range(first, last):
            place[index[e] % pitch + 1] += 1
        for c in range(channels):
            place[c + 1] += place[c]
        for e in range(first, last):
            site, channel = index[e] // pitch, index[e] % pitch
            to = first - start[0] + place[channel]
            place[channel] += 1
            to_index[to] = channel * sites + site
            if len(value):
                to_value[to] = value[e]
