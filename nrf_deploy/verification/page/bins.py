"""The outputs of a layer in both runs as pictures: what falls on a pixel is added up.

However many events there are, a picture has a bounded number of pixels, and millions of
events cost a few passes over them, some at a time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ...network import Array
from ..events import Window, overlay, unequal

SOME = 1 << 20
"""Events that are looked at in one go."""


@dataclass(frozen=True)
class Grid:
    """Steps go to columns and neurons to rows: one each where there is room."""

    steps: int
    neurons: int
    columns: int
    rows: int

    @staticmethod
    def of(steps: int, neurons: int, columns: int, rows: int) -> Grid:
        return Grid(steps, neurons, max(1, min(steps, columns)), max(1, min(neurons, rows)))

    def add(self, keys: Array, weights: Array | None = None) -> Array:
        """(rows, columns): the events, or their weights, on each pixel."""
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
        """(rows, columns): how many places, a neuron in a step, share each pixel."""
        across = np.bincount(np.arange(self.steps) * self.columns // self.steps)
        down = np.bincount(np.arange(self.neurons) * self.rows // self.neurons)
        return np.outer(down, across).astype(float)

    def column(self, step: int) -> int:
        return step * self.columns // self.steps

    def row(self, neuron: int) -> int:
        return neuron * self.rows // self.neurons


@dataclass(frozen=True, eq=False)
class Pictures:
    """What each pixel holds of the left run, of the right run, and where they differ:
    of each pixel more on the left (positive in `left_only`) and more on the right."""

    grid: Grid
    left: Array
    right: Array
    left_only: Array
    right_only: Array


def spikes(grid: Grid, left: Window, right: Window) -> Pictures:
    """Events as they are; a value that differs counts on the side where it is larger."""
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
    """The mean of the values on a pixel, and how much larger it is on either side."""
    area = grid.area()
    means = [grid.add(w.key, np.asarray(w.value, float)) / area for w in (left, right)]
    more = means[0] - means[1]
    return Pictures(grid, means[0], means[1], np.maximum(more, 0), np.maximum(-more, 0))


def levels(density: Array, count: int, top: float | None = None) -> Array:
    """0 where there is nothing, else 1 to `count`, by the logarithm of the share of the top."""
    top = float(np.abs(density).max(initial=0)) if top is None else top
    if top <= 0:
        return np.zeros(density.shape, np.uint8)
    share = np.log1p(np.abs(density) * (math.e**3 - 1) / top) / 3
    found = np.where(density != 0, np.clip(np.ceil(share * count), 1, count), 0)
    return found.astype(np.uint8)
