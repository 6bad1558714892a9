"""Choice of the grid that cuts a population into the fewest boxes that fit.

All boxes of a grid but the last of an axis have the same size, so a grid fits if its worst box
fits, and thousands of grids are judged at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from nrf_deploy.ir.network import Array, Shape

from .grid import Grid, tilings

MESSAGES = "messages"
"""The key of a measure for the number of sources that send to a box; it decides ties."""

Measure = Callable[[Array], Mapping[str, Array]]
"""Function from (n, axes) tiles to what the worst box of each grid uses of each budget."""


def split(shape: Shape, limits: Mapping[str, int], worst: Measure, least: int = 1) -> Grid | None:
    """Return the grid with the fewest boxes (at least `least`) within the limits, or None.

    Among grids with equally many boxes it is the one whose boxes receive the fewest messages,
    then the one with whole rows and columns. After a count that does not fit, the next one is
    tried in a step that grows with the excess.
    """
    tiles = tilings(shape, limits["neurons"])
    counts = np.prod(-(-np.array(shape) // tiles), axis=1)
    order = np.lexsort((*tiles.T, counts))
    tiles, counts = tiles[order], counts[order]
    at = int(np.searchsorted(counts, least))
    while at < len(counts):
        end = int(np.searchsorted(counts, counts[at], side="right"))
        here = tiles[at:end]
        used = worst(here)
        ratio = np.max([used[b] / limit for b, limit in limits.items()], axis=0)
        fits = np.flatnonzero(ratio <= 1)
        if len(fits):
            best = fits[np.lexsort((-fits, used[MESSAGES][fits]))[0]]
            return Grid(shape, tuple(here[best].tolist()))
        beyond = max(int(counts[at]) + 1, int(counts[at] * (1 + (ratio.min() - 1) / 4)))
        if end < len(counts):
            beyond = min(beyond, int(counts[-1]))
        at = int(np.searchsorted(counts, beyond))
    return None


def tightest(shape: Shape, worst: Measure) -> Mapping[str, int]:
    """Return what the worst neuron uses if it is the only one on its core."""
    return {budget: int(x[0]) for budget, x in worst(np.ones((1, len(shape)), int)).items()}


def share(used: Mapping[str, Array], limits: Mapping[str, int]) -> Array:
    """Assign each piece to a group that stays within every limit.

    Fullest pieces first, each into the first group with room (first-fit decreasing).
    Groups are numbered in the order of their first piece.
    """
    need = np.stack([used[budget] for budget in limits], axis=1)
    limit = np.array(list(limits.values()))
    emptiest_last = np.argsort(-(need / limit).max(axis=1), kind="stable")
    group = np.empty(len(need), np.int64)
    load = np.zeros_like(need)
    groups = 0
    for piece in emptiest_last.tolist():
        room = (load[:groups] + need[piece] <= limit).all(axis=1)
        first_fit = int(room.argmax()) if room.any() else groups
        groups = max(groups, first_fit + 1)
        load[first_fit] += need[piece]
        group[piece] = first_fit
    _, first, at = np.unique(group, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    renumbered: Array = rank[at]
    return renumbered
