"""Single passes over millions of events, compiled: what timing.py and events.py count with.

Keys rise (step * size + neuron), so two runs are walked side by side. Only what compares large
runs needs numba; it is started when the first of these is called.
"""

from __future__ import annotations

import numpy as np

from ..emulator.compiled import compiled
from ..network import Array

Four = tuple[Array, Array, Array, Array]


@compiled
def meet(left: Array, right: Array) -> Four:
    """Positions (in left, in right) of the keys that both have, and of those that one has."""
    n, m = len(left), len(right)
    both_left, both_right = np.empty(min(n, m), np.int64), np.empty(min(n, m), np.int64)
    only_left, only_right = np.empty(n, np.int64), np.empty(m, np.int64)
    i = j = both = lefts = rights = 0
    while i < n or j < m:
        if j == m or (i < n and left[i] < right[j]):
            only_left[lefts] = i
            lefts += 1
            i += 1
        elif i == n or right[j] < left[i]:
            only_right[rights] = j
            rights += 1
            j += 1
        else:
            both_left[both], both_right[both] = i, j
            both += 1
            i += 1
            j += 1
    return both_left[:both], both_right[:both], only_left[:lefts], only_right[:rights]


@compiled
def unlike(left: Array, a: Array, right: Array, b: Array) -> Array:
    """The keys, rising, that one has or whose values differ; a NaN equals a NaN."""
    n, m = len(left), len(right)
    key = np.empty(n + m, np.int64)
    i = j = found = 0
    while i < n or j < m:
        if j == m or (i < n and left[i] < right[j]):
            key[found] = left[i]
            found += 1
            i += 1
        elif i == n or right[j] < left[i]:
            key[found] = right[j]
            found += 1
            j += 1
        else:
            key[found] = left[i]
            found += a[i] != b[j] and not (a[i] != a[i] and b[j] != b[j])
            i += 1
            j += 1
    return key[:found].copy()


@compiled
def subtract(left: Array, a: Array, right: Array, b: Array) -> tuple[Array, Array]:
    """The keys, rising, at which the values `a` of left and `b` of right differ; by how much."""
    n, m = len(left), len(right)
    key, value = np.empty(n + m, np.int64), np.empty(n + m)
    i = j = found = 0
    while i < n or j < m:
        if j == m or (i < n and left[i] < right[j]):
            key[found], value[found] = left[i], a[i]
            i += 1
        elif i == n or right[j] < left[i]:
            key[found], value[found] = right[j], -b[j]
            j += 1
        else:
            key[found], value[found] = left[i], a[i] - b[j]
            i += 1
            j += 1
        if value[found] != 0:
            found += 1
    return key[:found].copy(), value[:found].copy()


@compiled
def squared(size: int, key: Array, value: Array, tau: float) -> float:
    """Van Rossum's distance, squared: s_i s_j exp(-|t_i - t_j| / tau) over all pairs."""
    trail, last = np.zeros(size), np.zeros(size)
    total = 0.0
    for i in range(len(key)):
        step, neuron = key[i] // size, key[i] % size
        past = trail[neuron] * np.exp((last[neuron] - step) / tau)
        total += value[i] * (value[i] + 2 * past)
        trail[neuron], last[neuron] = past + value[i], step
    return max(total, 0.0)


@compiled
def by_neuron(size: int, key: Array, value: Array) -> tuple[Array, Array, Array]:
    """(where each neuron's events begin, their steps, their values), sorted by neuron and step."""
    first = np.zeros(size + 1, np.int64)
    for i in range(len(key)):
        first[key[i] % size + 1] += 1
    for n in range(size):
        first[n + 1] += first[n]
    at = first[:-1].copy()
    step, change = np.empty(len(key), np.int64), np.empty(len(key))
    for i in range(len(key)):
        neuron = key[i] % size
        step[at[neuron]], change[at[neuron]] = key[i] // size, value[i]
        at[neuron] += 1
    return first, step, change


@compiled
def moves(size: int, key: Array, value: Array, cost: float, most: int) -> float:
    """Victor and Purpura's distance, a neuron at a time: see timing.victor_purpura."""
    first, step, change = by_neuron(size, key, value)
    best, other = np.empty(2 * most + 1), np.empty(2 * most + 1)
    total = 0.0
    for n in range(size):
        a, b = first[n], first[n + 1]
        if b - a == 1:
            total += abs(change[a])
            continue
        low = -min(most, _crowd(step[a:b], -change[a:b], 2 / cost))
        high = min(most, _crowd(step[a:b], change[a:b], 2 / cost))
        for w in range(low, high + 1):
            best[w - low] = abs(w)
        last = 0
        for i in range(a, b):
            moved = max(low, min(high, int(np.rint(change[i]))))
            total += abs(change[i] - moved)
            held = (step[i] - last) * cost
            last = step[i]
            for w in range(low, high + 1):
                there = low <= w - moved <= high
                other[w - low] = best[w - moved - low] + held * abs(w - moved) if there else np.inf
            for k in range(1, high - low + 1):
                other[k] = min(other[k], other[k - 1] + 1)
            for k in range(high - low - 1, -1, -1):
                other[k] = min(other[k], other[k + 1] + 1)
            best, other = other, best
        least = np.inf
        for w in range(low, high + 1):
            least = min(least, best[w - low] + abs(w))
        total += least
    return total


@compiled
def _crowd(step: Array, change: Array, patience: float) -> int:
    """The most spikes above 0 that could wait at once: none waits as long as `patience`."""
    crowd, held, begin = 0.0, 0.0, 0
    for end in range(len(step)):
        held += np.ceil(max(change[end], 0.0))
        while step[end] - step[begin] >= patience and begin < end:
            held -= np.ceil(max(change[begin], 0.0))
            begin += 1
        crowd = max(crowd, held)
    return int(min(crowd, 2.0**31))


@compiled
def nearest(size: int, left: Array, right: Array, reach: int) -> Array:
    """For each key of left, that right has not, how many steps it is later than the nearest of
    right of its neuron (negative: earlier, which is taken of two that are as near); reach + 1
    where there is none within reach."""
    away = np.full(len(left), reach + 1, np.int64)
    last = np.full(size, -(2**62), np.int64)
    j = 0
    for i in range(len(left)):
        while j < len(right) and right[j] < left[i]:
            last[right[j] % size] = right[j] // size
            j += 1
        away[i] = min(away[i], left[i] // size - last[left[i] % size])
    last[:] = 2**62
    j = len(right) - 1
    for i in range(len(left) - 1, -1, -1):
        while j >= 0 and right[j] > left[i]:
            last[right[j] % size] = right[j] // size
            j -= 1
        before = last[left[i] % size] - left[i] // size
        if before <= min(away[i], reach):
            away[i] = -before
    return away
