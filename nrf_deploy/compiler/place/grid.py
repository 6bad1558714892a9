"""Grids that cut a population into boxes of one size, and sums over the boxes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from nrf_deploy.ir.network import Array, Shape


@dataclass(frozen=True)
class Grid:
    """A grid: `shape` cut every `tile[i]` along axis i; the last tile of an axis may be smaller.

    Boxes are numbered in C order.
    """

    shape: Shape
    tile: Shape

    @property
    def parts(self) -> Shape:
        return tuple(-(-size // t) for size, t in zip(self.shape, self.tile, strict=True))

    @property
    def count(self) -> int:
        return math.prod(self.parts)

    def edges(self, axis: int) -> Array:
        return np.minimum(np.arange(self.parts[axis] + 1) * self.tile[axis], self.shape[axis])

    def boxes(self) -> Iterator[tuple[Shape, Shape]]:
        """Yield the (start, stop) of each box."""
        edges = [self.edges(axis).tolist() for axis in range(len(self.shape))]
        for at in np.ndindex(*self.parts):
            yield (
                tuple(e[i] for e, i in zip(edges, at, strict=True)),
                tuple(e[i + 1] for e, i in zip(edges, at, strict=True)),
            )

    def sizes(self) -> Array:
        """Return the number of neurons in each box."""
        return outer([np.diff(self.edges(axis)) for axis in range(len(self.shape))])

    def box_of(self, neurons: Array) -> Array:
        """Return the box of each flat neuron."""
        box = np.zeros(len(neurons), np.int64)
        stride = math.prod(self.shape)
        for size, tile, parts in zip(self.shape, self.tile, self.parts, strict=True):
            stride //= size
            box = box * parts + neurons // stride % size // tile
        return box

    def centres(self) -> Array:
        """Return the middle of each box as (boxes, axes), from 0 to 1 along each axis."""
        middles = [
            (self.edges(axis)[1:] + self.edges(axis)[:-1]) / (2 * size)
            for axis, size in enumerate(self.shape)
        ]
        mesh = np.meshgrid(*middles, indexing="ij")
        return np.stack([m.ravel() for m in mesh], axis=1)


def outer(factors: Sequence[Array]) -> Array:
    """Return the flat outer product."""
    product = np.ones(1, np.int64)
    for factor in factors:
        product = np.multiply.outer(product, factor).ravel()
    return product


def tile_sizes(size: int) -> Array:
    """Return the sizes of parts when `size` is cut into 1, 2, 3 ... nearly equal parts."""
    return np.unique(-(-size // np.arange(1, size + 1)))


def tilings(shape: Shape, limit: int) -> Array:
    """Return every tile of at most `limit` neurons as (n, axes)."""
    tiles = np.ones((1, 0), np.int64)
    for size in shape:
        sizes = tile_sizes(size)
        tiles = np.concatenate(
            [np.repeat(tiles, len(sizes), axis=0), np.tile(sizes, len(tiles))[:, None]], axis=1
        )
        tiles = tiles[np.prod(tiles, axis=1) <= limit]
    return tiles
