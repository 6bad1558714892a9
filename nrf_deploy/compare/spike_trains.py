"""Spike-time distances of two runs, computed from their mismatches only.

Spikes that both runs have cost nothing in any of these distances: they cancel in van Rossum's,
and a cheapest path of Victor and Purpura's can always keep them. So the cost of comparing long
runs that nearly agree depends on their mismatches. Each neuron is compared with itself; time is
in steps.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from nrf_deploy.ir.network import Array

from .alignment import Overlay, Window, overlay

TAU = 10.0
"""Time constant of van Rossum's distance in steps."""
COST = 0.5
"""Cost of moving a spike by a step in Victor and Purpura's distance; adding or removing is 1."""
REACH = 5
"""Steps on each side in which the histogram searches a spike's counterpart."""
CROWD = 64
"""Limit of the waiting spikes of a neuron that are treated exactly."""


@dataclass(frozen=True)
class Timing:
    """Distances of a layer's spikes, per spike of the right run.

    `van_rossum` is the root of the summed squared distances over the root of the right run's
    spikes: about 1 for unrelated trains, and for a train against none. `victor_purpura` is the
    cost per spike; 2 is the largest with equal counts. A value of n counts as n spikes.
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
    offsets, unmatched = histogram(left, right, o)
    return Timing(
        van_rossum=math.sqrt(van_rossum(change) / spikes),
        victor_purpura=victor_purpura(change) / spikes,
        offsets=offsets,
        alone=unmatched,
    )


@dataclass(frozen=True, eq=False)
class Change:
    """Left minus right where this is not 0, by rising keys."""

    size: int
    key: Array
    value: Array


def differences(left: Window, right: Window) -> Change:
    from .sweeps import subtract

    a, b = left.value.astype(np.float64), right.value.astype(np.float64)
    return Change(left.size, *subtract(left.key, a, right.key, b))


def van_rossum(change: Change, tau: float = TAU) -> float:
    """Return the squared distance, summed over neurons: one spike more or less counts 1.

    For each neuron the sum of s_i s_j exp(-|t_i - t_j| / tau) over all pairs of differences.
    """
    from .sweeps import squared

    return float(squared(change.size, change.key, change.value, tau))


def victor_purpura(change: Change, cost: float = COST) -> float:
    """Return the smallest cost of changing one train into the other, summed over neurons.

    A neuron's state is how many spikes wait for a counterpart (left minus right): each costs
    `cost` a step, or 1 to be removed. None waits longer than 2 / cost, since it is then cheaper
    to remove it and its counterpart; so no more wait than differ within that time, and for each
    number of them the smallest cost is kept. If there are more than CROWD, the others are removed
    one by one, and so are fractions, which are not spikes.
    """
    from .sweeps import moves

    return float(moves(change.size, change.key, change.value, cost, CROWD))


def histogram(left: Window, right: Window, o: Overlay) -> tuple[dict[int, int], int]:
    """Count left spikes by their offset from the nearest right one, and those without one."""
    from .sweeps import nearest

    away = nearest(left.size, left.key[o.alone_left], right.key, REACH)
    offsets_found = np.bincount(away + REACH, minlength=2 * REACH + 2).tolist()
    counts = {offset: offsets_found[offset + REACH] for offset in range(-REACH, REACH + 1)}
    counts[0] = len(o.shared_left)
    return counts, offsets_found[2 * REACH + 1]
