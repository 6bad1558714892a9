"""Groups of small pieces that share a core, used when there are more pieces than cores."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nrf_deploy.ir.network import Array


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
