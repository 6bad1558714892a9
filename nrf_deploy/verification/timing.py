"""How far apart two runs are in time, from the places where they differ alone.

Spikes that both runs give at the same place cost nothing in any of these distances: they
cancel in van Rossum's, and a cheapest path of Victor and Purpura's can always keep them. So a
pair of long runs that nearly agree is measured in the time that their differences take. Each
neuron is held against itself; time counts in steps.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ..network import Array
from .events import Overlay, Window, overlay

TAU = 10.0
"""Steps after which van Rossum's distance has forgotten two thirds of a spike."""
COST = 0.5
"""Of Victor and Purpura's move by one step; adding or removing a spike costs 1."""
REACH = 5
"""Steps either way in which the histogram looks for a spike's counterpart."""


@dataclass(frozen=True)
class Timing:
    """Distances of one layer's spikes, for a spike of the right run.

    `van_rossum` is the root of the summed squared distances over the root of the right run's
    spikes: about 1 where nothing is alike, and a train against silence has it. `victor_purpura`
    is the cost a spike; 2 is the most where the counts agree. A value of n counts as n spikes.
    `offsets` counts the left run's spikes by the steps from the nearest of the right run
    (negative: early); `alone` has none within reach.
    """

    van_rossum: float
    victor_purpura: float
    offsets: Mapping[int, int]
    alone: int


def timing(left: Window, right: Window) -> Timing:
    o = overlay(left, right)
    change = differences(left, right, o)
    spikes = max(float(np.abs(right.value).sum()), 1.0)
    offsets, alone = histogram(left, right, o)
    return Timing(
        van_rossum=math.sqrt(van_rossum(change) / spikes),
        victor_purpura=victor_purpura(change) / spikes,
        offsets=offsets,
        alone=alone,
    )


@dataclass(frozen=True, eq=False)
class Change:
    """Left less right, where that is not 0, in rising order of keys."""

    size: int
    key: Array
    value: Array

    def rows(self) -> Iterator[tuple[int, Array, Array]]:
        """(step, neurons, values) of each step in which something differs."""
        step = self.key // self.size
        edges = np.flatnonzero(np.diff(step, prepend=-1, append=-1))
        for begin, end in pairwise(edges):
            yield int(step[begin]), self.key[begin:end] % self.size, self.value[begin:end]


def differences(left: Window, right: Window, o: Overlay) -> Change:
    key = [left.key[o.alone_left], right.key[o.alone_right], left.key[o.shared_left]]
    a, b = left.value.astype(np.float64), right.value.astype(np.float64)
    value = [a[o.alone_left], -b[o.alone_right], a[o.shared_left] - b[o.shared_right]]
    keys, values = np.concatenate(key), np.concatenate(value)
    there = values != 0
    order = np.argsort(keys[there], kind="stable")
    return Change(left.size, keys[there][order], values[there][order])


def van_rossum(change: Change, tau: float = TAU) -> float:
    """The squared distance, summed over neurons: one spike more or less counts 1.

    For each neuron the sum of s_i s_j exp(-|t_i - t_j| / tau) over all pairs of differences.
    """
    trail, last = np.zeros(change.size), np.zeros(change.size)
    total = 0.0
    for step, neuron, value in change.rows():
        past = trail[neuron] * np.exp((last[neuron] - step) / tau)
        total += float((value * (value + 2 * past)).sum())
        trail[neuron], last[neuron] = past + value, step
    return max(total, 0.0)


def victor_purpura(change: Change, cost: float = COST) -> float:
    """The cheapest way from one train to the other, summed over neurons.

    A neuron's state is how many spikes wait for a counterpart (left less right): each costs
    `cost` a step, or 1 to be given up. More than 2 / cost never wait, since the first of them
    would by then be cheaper to remove and add anew. Exact for one spike a neuron and step;
    several in one step beyond that many are given up one by one.
    """
    most = math.ceil(2 / cost)
    waiting = np.arange(-most, most + 1.0)
    neurons, own = np.unique(change.key % change.size, return_inverse=True)
    best = np.broadcast_to(np.abs(waiting), (len(neurons), len(waiting))).copy()
    last, given_up, done = np.zeros(len(neurons)), 0.0, 0
    for step, neuron, value in change.rows():
        at = own[done : done + len(neuron)]
        done += len(neuron)
        held = best[at] + np.outer(step - last[at], cost * np.abs(waiting))
        moved = np.clip(np.rint(value), -most, most).astype(np.int64)
        given_up += float(np.abs(value - moved).sum())
        from_ = np.arange(len(waiting)) - moved[:, None]
        inside = (from_ >= 0) & (from_ < len(waiting))
        held = np.take_along_axis(held, np.clip(from_, 0, len(waiting) - 1), axis=1)
        best[at] = _given_up(np.where(inside, held, np.inf), waiting)
        last[at] = step
    return float((best + np.abs(waiting)).min(axis=1).sum()) + given_up


def _given_up(held: Array, waiting: Array) -> Array:
    """The same, where spikes may be removed or added at 1 each."""
    down = np.minimum.accumulate(held - waiting, axis=1) + waiting
    up = np.minimum.accumulate((held + waiting)[:, ::-1], axis=1)[:, ::-1] - waiting
    return np.asarray(np.minimum(down, up))


def histogram(left: Window, right: Window, o: Overlay) -> tuple[dict[int, int], int]:
    """(left spikes by their offset from the nearest right one, those without one in reach)."""
    counts = dict.fromkeys(range(-REACH, REACH + 1), 0)
    counts[0] = len(o.shared_left)
    lone = left.key[o.alone_left]
    if not len(lone) or not len(right):
        return counts, len(lone)
    away = np.full(len(lone), REACH + 1)
    for steps in range(REACH, 0, -1):
        for offset in (steps, -steps):
            away[_has(right.key, lone - offset * left.size)] = offset
    found, number = np.unique(away, return_counts=True)
    for offset, n in zip(found.tolist(), number.tolist(), strict=True):
        if offset <= REACH:
            counts[offset] = n
    return counts, int((away > REACH).sum())


def _has(keys: Array, wanted: Array) -> Array:
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.asarray(keys[at] == wanted)
