"""How far apart two runs are in time, from the places where they differ alone.

Spikes that both runs give at the same place cost nothing in any of these distances: they
cancel in van Rossum's, and a cheapest path of Victor and Purpura's can always keep them. So a
pair of long runs that nearly agree is measured in the time that their differences take. Each
neuron is held against itself; time counts in steps.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..network import Array
from .events import Overlay, Window, overlay

TAU = 10.0
"""Steps after which van Rossum's distance has forgotten two thirds of a spike."""
COST = 0.5
"""Of Victor and Purpura's move by one step; adding or removing a spike costs 1."""
REACH = 5
"""Steps either way in which the histogram looks for a spike's counterpart."""
CROWD = 64
"""Spikes of one neuron, within the time that one waits for another, that are told apart."""


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
    change = differences(left, right)
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


def differences(left: Window, right: Window) -> Change:
    from .sweeps import subtract

    a, b = left.value.astype(np.float64), right.value.astype(np.float64)
    return Change(left.size, *subtract(left.key, a, right.key, b))


def van_rossum(change: Change, tau: float = TAU) -> float:
    """The squared distance, summed over neurons: one spike more or less counts 1.

    For each neuron the sum of s_i s_j exp(-|t_i - t_j| / tau) over all pairs of differences.
    """
    from .sweeps import squared

    return float(squared(change.size, change.key, change.value, tau))


def victor_purpura(change: Change, cost: float = COST) -> float:
    """The cheapest way from one train to the other, summed over neurons.

    A neuron's state is how many spikes wait for a counterpart (left less right): each costs
    `cost` a step, or 1 to be given up. None waits longer than 2 / cost, since it would by then
    be cheaper to remove it and its counterpart; so no more wait than differ within that time,
    and for each number of them the cheapest way is known. Where that is more than CROWD, those
    beyond are given up one by one, and so are fractions: these are no spikes.
    """
    from .sweeps import moves

    return float(moves(change.size, change.key, change.value, cost, CROWD))


def histogram(left: Window, right: Window, o: Overlay) -> tuple[dict[int, int], int]:
    """(left spikes by their offset from the nearest right one, those without one in reach)."""
    from .sweeps import nearest

    away = nearest(left.size, left.key[o.alone_left], right.key, REACH)
    found = np.bincount(away + REACH, minlength=2 * REACH + 2).tolist()
    counts = {offset: found[offset + REACH] for offset in range(-REACH, REACH + 1)}
    counts[0] = len(o.shared_left)
    return counts, found[2 * REACH + 1]
