"""Sources that reach boxes of neurons, counted without a matrix of neurons.

A convolution reaches its targets axis by axis (channels, rows, columns), so a count for a box
is a product over axes. Dense synapses reach everything. Sparse ones are counted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from nrf_deploy.ir.network import Array, Shape
from nrf_deploy.ir.program import Conv, Sparse, Synapses

from .grid import Grid, outer


def aligned(shape: Shape, layout: Shape) -> bool:
    """Return whether two shapes differ only in axes of size 1."""
    return _plain(shape) == _plain(layout)


def _plain(shape: Shape) -> Shape:
    return tuple(size for size in shape if size > 1)


def seen(conv: Conv, axis: int, tile: int) -> Array:
    """Return the input positions that each tile of an axis sees, as bool (tiles, sources).

    Axis 0 is the channels: an output channel sees those of its group.
    """
    outputs, inputs = conv.shape[axis], conv.input_shape[axis]
    result = np.zeros((-(-outputs // tile), inputs), bool)
    out = np.arange(outputs)
    if axis == 0:
        group = out // (outputs // conv.groups)
        for k in range(conv.weight.shape[1]):
            result[out // tile, group * conv.weight.shape[1] + k] = True
        return result
    first = out * conv.stride[axis - 1] - conv.padding[axis - 1][0]
    for k in range(conv.weight.shape[axis + 1]):
        at = first + k * conv.dilation[axis - 1]
        inside = (at >= 0) & (at < inputs)
        result[out[inside] // tile, at[inside]] = True
    return result


def widest(conv: Conv, axis: int, tile: int) -> int:
    """Return the largest number of input positions that a tile of an axis sees."""
    return int(seen(conv, axis, tile).sum(axis=1).max())


@dataclass(frozen=True, eq=False)
class Sources:
    """A number for each source neuron (of cores that it sends to), and the sums over boxes.

    The numbers are factors along the axes of `shape`, or one array of `shape` if they do not
    factor.
    """

    shape: Shape
    factors: tuple[Array, ...] | None = None
    full: Array | None = None

    def over(self, grid: Grid) -> Array:
        """Return the sum in each box."""
        axes = range(len(self.shape))
        starts = [grid.edges(axis)[:-1] for axis in axes]
        if self.factors is not None:
            pairs = zip(self.factors, starts, strict=True)
            return outer([np.add.reduceat(f, at) for f, at in pairs])
        assert self.full is not None
        total = self.full
        for axis in axes:
            total = np.add.reduceat(total, starts[axis], axis=axis)
        return total.ravel()

    def worst(self, tiles: Array) -> Array:
        """Return the largest sum over a box, for each of (n, axes) tiles."""
        if self.factors is None:
            return np.array([self.over(Grid(self.shape, tuple(t))).max() for t in tiles.tolist()])
        product = np.ones(len(tiles), np.int64)
        for factor, column in zip(self.factors, tiles.T, strict=True):
            product *= by_size(column, partial(_largest_sum, factor))
        return product


def _largest_sum(numbers: Array, size: int) -> int:
    return int(np.add.reduceat(numbers, np.arange(0, len(numbers), size)).max())


def by_size(sizes: Array, value: Callable[[int], int]) -> Array:
    """Return value(size) for each size, computed once for equal sizes."""
    different, at = np.unique(sizes, return_inverse=True)
    return np.array([value(int(size)) for size in different], np.int64)[at]


def fan_out(synapses: Synapses, source: Shape, target: Grid) -> Sources:
    """Return how many boxes of the target each source neuron reaches."""
    if isinstance(synapses, Sparse):
        size = math.prod(source)
        pairs = np.unique(target.box_of(synapses.row) * size + synapses.column)
        return Sources(source, full=np.bincount(pairs % size, minlength=size).reshape(source))
    if isinstance(synapses, Conv) and aligned(synapses.shape, target.shape):
        tiles = layout_tile(synapses.shape, target)
        by_axis = [seen(synapses, axis, t).sum(0) for axis, t in enumerate(tiles)]
        if aligned(synapses.input_shape, source):
            return Sources(source, factors=_factors(by_axis, source))
        return Sources(source, full=outer(by_axis).reshape(source))
    every = [np.ones(size, np.int64) for size in source]
    every[0] = every[0] * target.count
    return Sources(source, factors=tuple(every))


def _factors(by_axis: list[Array], source: Shape) -> tuple[Array, ...]:
    """Convert factors along the axes of a convolution's input to factors along `source`'s."""
    scale = math.prod(int(f[0]) for f in by_axis if len(f) == 1)
    plain = iter([f for f in by_axis if len(f) > 1])
    factors = [np.ones(1, np.int64) if size == 1 else next(plain) for size in source]
    factors[0] = factors[0] * scale
    return tuple(factors)


def layout_tile(shape: Shape, grid: Grid) -> Shape:
    """Return the tile of an aligned grid along the axes of `shape`."""
    plain = iter([t for t, size in zip(grid.tile, grid.shape, strict=True) if size > 1])
    return tuple(1 if size == 1 else next(plain) for size in shape)


def pairs(synapses: Synapses, source: Grid, target: Grid) -> tuple[Array, Array, Array]:
    """Return source boxes, target boxes, and the number of sources of one that reach the other."""
    if isinstance(synapses, Sparse):
        size = math.prod(source.shape)
        reached = np.unique(target.box_of(synapses.row) * size + synapses.column)
        key = (reached // size) * source.count + source.box_of(reached % size)
        key, neurons = np.unique(key, return_counts=True)
        return key % source.count, key // source.count, neurons
    shaped = isinstance(synapses, Conv) and aligned(synapses.shape, target.shape)
    if shaped and aligned(synapses.input_shape, source.shape):
        assert isinstance(synapses, Conv)
        return _product(list(_overlaps(synapses, source, target)))
    to, frm = np.divmod(np.arange(target.count * source.count), source.count)
    return frm, to, source.sizes()[frm]


def _overlaps(conv: Conv, source: Grid, target: Grid) -> Iterator[Array]:
    """Yield for each axis how many positions are seen, as (target tiles, source tiles)."""
    source_tile = layout_tile(conv.input_shape, source)
    target_tile = layout_tile(conv.shape, target)
    for axis, (s, t) in enumerate(zip(source_tile, target_tile, strict=True)):
        here = seen(conv, axis, t)
        yield np.add.reduceat(here.astype(np.int64), np.arange(0, here.shape[1], s), axis=1)


def _product(overlaps: list[Array]) -> tuple[Array, Array, Array]:
    """Return the entries above 0 of the Kronecker product, as (source, target, count)."""
    frm, to, count = (np.zeros(1, np.int64), np.zeros(1, np.int64), np.ones(1, np.int64))
    for overlap in overlaps:
        t, s = np.nonzero(overlap)
        to = np.add.outer(to * overlap.shape[0], t).ravel()
        frm = np.add.outer(frm * overlap.shape[1], s).ravel()
        count = np.multiply.outer(count, overlap[t, s]).ravel()
    return frm, to, count
