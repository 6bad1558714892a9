"""Assignment of boxes of neurons to chips, so that few messages leave their chip.

Chips are filled in an order that keeps neighbours together; the best of several orders is
then refined by moves and exchanges until none saves traffic. Nothing is random.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from nrf_deploy.ir.network import Array

MOST_REFINED = 4_000  # boxes; with more, the best order is not refined
PASSES = 10


@dataclass(frozen=True, eq=False)
class Edges:
    """Messages from one item to another; `weight` is their number."""

    source: Array
    target: Array
    weight: Array

    def between(self, chip: Array) -> float:
        """Return the number of messages that leave their chip."""
        return float(self.weight[chip[self.source] != chip[self.target]].sum())

    def grouped(self, group: Array) -> Edges:
        """Return the messages between the groups that the items belong to."""
        return Edges(group[self.source], group[self.target], self.weight)


def assign(orders: Sequence[Array], edges: Edges, capacity: int) -> Array:
    """Assign each item to a chip: the fewest chips that hold them, evenly filled.

    Each order is a permutation of the items; chips take them in that order.
    """
    count = len(orders[0])
    chips = -(-count // capacity)
    if chips <= 1:
        return np.zeros(count, np.int64)
    tried = []
    for order in orders:
        chip = np.empty(count, np.int64)
        chip[order] = np.arange(count) * chips // count
        tried.append(_refined(chip, edges, capacity) if count <= MOST_REFINED else chip)
    return min(tried, key=edges.between)


def _refined(chip: Array, edges: Edges, capacity: int) -> Array:
    chip = chip.copy()
    graph = _Graph(chip, edges)
    for _ in range(PASSES):
        improved = [graph.improve(item, capacity) for item in range(len(chip))]
        if not any(improved):
            break
    return chip


class _Graph:
    """Items, their neighbours, and the number of messages between each item and each chip."""

    def __init__(self, chip: Array, edges: Edges):
        self.chip = chip
        count, chips = len(chip), int(chip.max()) + 1
        away = edges.source != edges.target
        source, target = edges.source[away], edges.target[away]
        key = np.concatenate([source * count + target, target * count + source])
        key, at = np.unique(key, return_inverse=True)
        weight = np.bincount(at, weights=np.tile(edges.weight[away], 2), minlength=len(key))
        first = np.searchsorted(key, np.arange(count + 1) * count)
        self.near = [key[a:b] % count for a, b in pairwise(first)]
        self.weight = [weight[a:b] for a, b in pairwise(first)]
        bound = key // count * chips + chip[key % count]
        self.bond = np.bincount(bound, weights=weight, minlength=count * chips)
        self.bond = self.bond.reshape(count, chips)
        self.filled = np.bincount(chip, minlength=chips)

    def improve(self, item: int, capacity: int) -> bool:
        """Move an item to another chip, or exchange it, if that saves messages; return whether."""
        here = self.chip[item]
        gain = self.bond[item] - self.bond[item, here]
        moves = np.where(self.filled < capacity, gain, 0)
        to = int(moves.argmax())
        exchange = gain[self.chip] + self.bond[:, here] - self._bond_at_home
        exchange[self.near[item]] -= 2 * self.weight[item]
        exchange[self.chip == here] = 0
        other = int(exchange.argmax())
        if max(moves[to], exchange[other]) < 1e-9:
            return False
        if moves[to] >= exchange[other]:
            self._move(item, to)
        else:
            there = int(self.chip[other])
            self._move(item, there)
            self._move(other, int(here))
        return True

    @property
    def _bond_at_home(self) -> Array:
        return self.bond[np.arange(len(self.chip)), self.chip]

    def _move(self, item: int, to: int) -> None:
        here = self.chip[item]
        self.bond[self.near[item], here] -= self.weight[item]
        self.bond[self.near[item], to] += self.weight[item]
        self.filled[here] -= 1
        self.filled[to] += 1
        self.chip[item] = to
