"""Compiled passes over millions of events, which spike_trains.py and alignment.py use.

Keys rise (step * size + neuron), so two runs are read in parallel. numba is started when the
first of these functions is called.
"""

from __future__ import annotations

import numpy as np

from nrf_deploy.engines.emulator.compiled import compiled
from nrf_deploy.ir.network import Array

Four = tuple[Array, Array, Array, Array]


@compiled
def meet(left: Array, right: Array) -> Four:
    """Return positions (in left, in right) of keys that both have, and of those that one has."""
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
    """Return the rising keys that only one has or whose values differ; a NaN equals a NaN."""
    n, m = len(left), len(right)
    key = np.empty(n + m, np.int64)
    i = j = count = 0
    while i < n or j < m:
        if j == m or (i < n and left[i] < right[j]):
            key[count] = left[i]
            count += 1
            i += 1
        elif i == n or right[j] < left[i]:
            key[count] = right[j]
            count += 1
            j += 1
        else:
            key[count] = left[i]
            count += a[i] != b[j] and not (a[i] != a[i] and b[j] != b[j])
            i += 1
            j += 1
    return key[:count].copy()


@compiled
def subtract(left: Array, a: Array, right: Array, b: Array) -> tuple[Array, Array]:
    """Return the rising keys at which `a` of left and `b` of right differ, and the difference."""
    n, m = len(left), len(right)
    key, value = np.empty(n + m, np.int64), np.empty(n + m)
    i = j = count = 0
    while i < n or j < m:
        if j == m or (i < n and left[i] < right[j]):
            key[count], value[count] = left[i], a[i]
            i += 1
        elif i == n or right[j] < left[i]:
            key[count], value[count] = right[j], -b[j]
            j += 1
        else:
            key[count], value[count] = left[i], a[i] - b[j]
            i += 1
            j += 1
        if value[count] != 0:
            count += 1
    return key[:count].copy(), value[:count].copy()


@compiled
def squared(size: int, key: Array, value: Array, tau: float) -> float:
    """Return van Rossum's squared distance: s_i s_j exp(-|t_i - t_j| / tau) over all pairs."""
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
    """Sort events by neuron and step; return each neuron's first event, the steps, the values."""
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
def moves(size: int, key: Array, value: Array, cost: float, limit: int) -> float:
    """Return Victor and Purpura's distance, by neuron: see timing.victor_purpura."""
    first, step, change = by_neuron(size, key, value)
    best, other = np.empty(2 * limit + 1), np.empty(2 * limit + 1)
    total = 0.0
    for n in range(size):
        a, b = first[n], first[n + 1]
        if b - a == 1:
            total += abs(change[a])
            continue
        low = -min(limit, _crowd(step[a:b], -change[a:b], 2 / cost))
        high = min(limit, _crowd(step[a:b], change[a:b], 2 / cost))
        for w in range(low, high + 1):
            best[w - low] = abs(w)
        last = 0
        for i in range(a, b):
            moved = max(low, min(high, int(np.rint(change[i]))))
            total += abs(change[i] - moved)
            waiting_cost = (step[i] - last) * cost
            last = step[i]
            for w in range(low, high + 1):
                there = low <= w - moved <= high
                other[w - low] = (
                    best[w - moved - low] + waiting_cost * abs(w - moved) if there else np.inf
                )
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
    """Return how many spikes can wait at once at most: none waits as long as `patience`."""
    crowd, waiting, begin = 0.0, 0.0, 0
    for end in range(len(step)):
        waiting += np.ceil(max(change[end], 0.0))
        while step[end] - step[begin] >= patience and begin < end:
            waiting -= np.ceil(max(change[begin], 0.0))
            begin += 1
        crowd = max(crowd, waiting)
    return int(min(crowd, 2.0**31))


@compiled
def nearest(size: int, left: Array, right: Array, reach: int) -> Array:
    """Return for each key of left that right lacks how much later it is than the nearest of right.

    The nearest is of the same neuron; negative steps are earlier, and preferred of two equally
    near ones; reach + 1 means that there is none within reach.
    """
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
