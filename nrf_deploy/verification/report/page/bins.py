"""Pictures of a layer's outputs in both runs; the events on a pixel are added.

A picture has a bounded number of pixels for any number of events, and millions of events need
a few passes over blocks of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from nrf_deploy.compare.alignment import Window, overlay, unequal
from nrf_deploy.ir.network import Array

SOME = 1 << 20
"""Events of a block."""


@dataclass(frozen=True)
class Grid:
    """A grid of pixels: steps are columns and neurons rows, one each if they fit."""

    steps: int
    neurons: int
    columns: int
    rows: int

    @staticmethod
    def of(steps: int, neurons: int, columns: int, rows: int) -> Grid:
        return Grid(steps, neurons, max(1, min(steps, columns)), max(1, min(neurons, rows)))

    def add(self, keys: Array, weights: Array | None = None) -> Array:
        """Return the events, or their weights, on each pixel as (rows, columns)."""
        total = np.zeros(self.rows * self.columns)
        for first in range(0, len(keys), SOME):
            part = slice(first, first + SOME)
            step, index = np.divmod(keys[part], self.neurons)
            pixel = index * self.rows // self.neurons * self.columns
            pixel += step * self.columns // self.steps
            of = None if weights is None else weights[part]
            total += np.bincount(pixel, of, minlength=len(total))
        return total.reshape(self.rows, self.columns)

    def area(self) -> Array:
        """Return how many pairs of a neuron and a step share each pixel, as (rows, columns)."""
        across = np.bincount(np.arange(self.steps) * self.columns // self.steps)
        down = np.bincount(np.arange(self.neurons) * self.rows // self.neurons)
        return np.outer(down, across).astype(float)

    def column(self, step: int) -> int:
        return step * self.columns // self.steps

    def row(self, neuron: int) -> int:
        return neuron * self.rows // self.neurons


@dataclass(frozen=True, eq=False)
class Pictures:
    """Sums of each pixel: of the left run, of the right run, and the excess of either."""

    grid: Grid
    left: Array
    right: Array
    left_only: Array
    right_only: Array


def spikes(grid: Grid, left: Window, right: Window) -> Pictures:
    """Add up events; a value that differs counts on the side where it is larger."""
    both = overlay(left, right)
    changed = unequal(left.value[both.shared_left], right.value[both.shared_right])
    at = both.shared_left[changed]
    more = left.value[at] > right.value[both.shared_right[changed]]
    return Pictures(
        grid,
        grid.add(left.key),
        grid.add(right.key),
        grid.add(left.key[both.alone_left]) + grid.add(left.key[at[more]]),
        grid.add(right.key[both.alone_right]) + grid.add(left.key[at[~more]]),
    )


def values(grid: Grid, left: Window, right: Window) -> Pictures:
    """Average the values on a pixel, and their excess on either side."""
    area = grid.area()
    means = [grid.add(w.key, np.asarray(w.value, float)) / area for w in (left, right)]
    more = means[0] - means[1]
    return Pictures(grid, means[0], means[1], np.maximum(more, 0), np.maximum(-more, 0))


def levels(density: Array, count: int, top: float | None = None) -> Array:
    """Return 0 for an empty pixel, else 1 to `count` by the logarithm of its share of the top."""
    top = float(np.abs(density).max(initial=0)) if top is None else top
    if top <= 0:
        return np.zeros(density.shape, np.uint8)
    share = np.log1p(np.abs(density) * (math.e**3 - 1) / top) / 3
    level = np.where(density != 0, np.clip(np.ceil(share * count), 1, count), 0)
    return level.astype(np.uint8)
