"""Resources that a box of neurons uses on a core: neurons, axons, words of synaptic memory.

The counts follow the tables that Intel's compiler printed (docs/placement.md compares them
row by row):

* Synaptic memory stores, for each source and each tap of a kernel, a row of weights in whole
  32-bit words: ceil(targets * bits / 32). A convolution's kernel is stored once per core,
  whatever the number of positions.
* Dense and sparse synapses need one in-axon for each source that reaches the core.
* Where convolutions share axons, a convolution needs one in-axon for each column that a stride
  passes over, and a core sends one out-axon per position (not per neuron) and row of the
  stride. Otherwise each source neuron needs one in-axon per core and one out-axon per target
  core.
* A neuron that the host reads needs one more out-axon.

Assumed, since no public source states it: a sparse weight stores the index of its target, and
the delay of a single synapse takes 6 bits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Protocol

import numpy as np

from nrf_deploy.compiler.place.fan_in import (
    Sources,
    aligned,
    by_size,
    fan_out,
    layout_tile,
    seen,
    widest,
)
from nrf_deploy.compiler.place.grid import Grid, outer
from nrf_deploy.compiler.place.split import MESSAGES
from nrf_deploy.ir.network import Array, Shape
from nrf_deploy.ir.program import Conv, Dense, Population, Program, Sparse, Synapses

from ..chip import Chip

WORD = 32
DELAY_BITS = 6

Use = dict[str, Array]


def words(targets: Array, bits: int) -> Array:
    """Return the words of one row of weights."""
    return -(-targets * bits // WORD)


@dataclass(frozen=True, eq=False)
class Budgets:
    """Resource counts of one population; `grids` are the cuts of its targets."""

    program: Program
    chip: Chip
    population: Population
    grids: Mapping[str, Grid]

    def worst(self, tiles: Array) -> Use:
        """Return, for (n, axes) tiles, an upper bound of the use of any box of each tile's grid."""
        sizes = np.prod(tiles, axis=1)
        out = [o.worst(tiles) for o in self._outgoing]
        return _total(sizes, out, [i.worst(tiles) for i in self._incoming])

    def used(self, grid: Grid) -> Use:
        """Return the use of each box of a grid."""
        out = [o.over(grid) for o in self._outgoing]
        return _total(grid.sizes(), out, [i.used(grid) for i in self._incoming])

    @cached_property
    def _incoming(self) -> list[Incoming]:
        into = self.program.into(self.population.name)
        return [incoming(s, self.population.shape, self.chip) for s in into]

    @cached_property
    def _outgoing(self) -> list[Sources | _Positions]:
        name, shape = self.population.name, self.population.shape
        to_host = Sources(shape, factors=tuple(np.ones(size, np.int64) for size in shape))
        return [to_host] * (name in self.program.outputs) + [
            _Positions(s, shape) if self.chip.shared_axons else fan_out(s, shape, self.grids[t])
            for s in self.program.out_of(name)
            for t in s.targets
        ]


def _total(sizes: Array, out: list[Array], into: list[Use]) -> Use:
    none = np.zeros_like(sizes)
    return {
        "neurons": sizes,
        "neuron_groups": np.ones_like(sizes),
        "out_axons": sum(out, none),
        **{key: sum((i[key] for i in into), none) for key in ("in_axons", "synaptic_words")},
        MESSAGES: sum((i[MESSAGES] for i in into), none),
    }


class _Positions:
    """Shared out-axons, whatever the number of target cores.

    A convolution takes one per position and row of its stride, other synapses one per neuron.
    """

    def __init__(self, synapses: Synapses, shape: Shape):
        plain = [axis for axis, size in enumerate(shape) if size > 1]
        self.times, self.channels = 1, -1
        if isinstance(synapses, Conv):
            self.times = synapses.stride[0]
            if aligned(synapses.input_shape, shape) and synapses.input_shape[0] > 1:
                self.channels = plain[0]

    def worst(self, tiles: Array) -> Array:
        axes = [axis for axis in range(tiles.shape[1]) if axis != self.channels]
        return np.asarray(np.prod(tiles[:, axes], axis=1) * self.times)

    def over(self, grid: Grid) -> Array:
        sizes = [np.diff(grid.edges(axis)) for axis in range(len(grid.shape))]
        if self.channels >= 0:
            sizes[self.channels] = np.ones_like(sizes[self.channels])
        return outer(sizes) * self.times


class Incoming(Protocol):
    """In-axons, words and messages that one connection needs in each box of its targets."""

    def worst(self, tiles: Array) -> Use: ...

    def used(self, grid: Grid) -> Use: ...


def incoming(synapses: Synapses, shape: Shape, chip: Chip) -> Incoming:
    if isinstance(synapses, Sparse):
        return _Sparse(synapses, shape, chip)
    if isinstance(synapses, Conv) and aligned(synapses.shape, shape):
        return _Shaped(synapses, shape, chip)
    return _Flat(synapses, chip)


@dataclass(frozen=True, eq=False)
class _Shaped:
    """A convolution onto a population of its shape: each count is a product over axes."""

    conv: Conv
    shape: Shape
    chip: Chip

    def worst(self, tiles: Array) -> Use:
        sizes = np.ones((len(tiles), 3), np.int64)
        plain = [axis for axis, size in enumerate(self.shape) if size > 1]
        sizes[:, [axis for axis, size in enumerate(self.conv.shape) if size > 1]] = tiles[:, plain]
        spans = [by_size(sizes[:, axis], partial(widest, self.conv, axis)) for axis in range(3)]
        messages = np.prod(spans, axis=0)
        memory = by_size(sizes[:, 0], lambda t: int(self._words(t).max()))
        cut = sizes < np.array(self.conv.shape)
        axons = self._shared(cut) if self.chip.shared_axons else messages
        return {"in_axons": axons, "synaptic_words": memory, MESSAGES: messages}

    def used(self, grid: Grid) -> Use:
        tile = layout_tile(self.conv.shape, grid)
        messages = outer([seen(self.conv, axis, t).sum(1) for axis, t in enumerate(tile)])
        memory = self._words(tile[0])
        cut = np.array([tile]) < np.array(self.conv.shape)
        shared = np.broadcast_to(self._shared(cut), messages.shape)
        return {
            "in_axons": shared if self.chip.shared_axons else messages,
            "synaptic_words": np.repeat(memory, grid.count // len(memory)),
            MESSAGES: messages,
        }

    def _shared(self, cut: Array) -> Array:
        """Return the columns that a stride passes over, times its rows where rows are cut."""
        rows, columns = self.conv.stride
        return np.where(cut[:, 1], rows, 1) * columns

    def _words(self, tile: int) -> Array:
        """Return the words of each tile of channels: a row per source channel, group and tap."""
        return kernel_words(self.conv, tile, _bits(self.conv))


def kernel_words(conv: Conv, tile: int, bits: int) -> Array:
    """Return the words of the kernels of each `tile` output channels."""
    outputs, inputs, *kernel = conv.weight.shape
    channel = np.arange(outputs)
    tiles = -(-outputs // tile)
    group = channel // (outputs // conv.groups)
    key, targets = np.unique(channel // tile * conv.groups + group, return_counts=True)
    rows = np.bincount(key // conv.groups, weights=words(targets, bits), minlength=tiles)
    return np.asarray(rows * inputs * math.prod(kernel), np.int64)


@dataclass(frozen=True, eq=False)
class _Flat:
    """Synapses from every source to every neuron.

    Dense synapses, or a convolution onto a population of another shape: each core then stores
    all of its kernels.
    """

    synapses: Synapses
    chip: Chip

    def worst(self, tiles: Array) -> Use:
        return self._of(np.prod(tiles, axis=1))

    def used(self, grid: Grid) -> Use:
        return self._of(grid.sizes())

    def _of(self, sizes: Array) -> Use:
        sources = np.full_like(sizes, math.prod(self.synapses.input_shape))
        if isinstance(self.synapses, Conv):
            outputs = self.synapses.shape[0]
            kernels = kernel_words(self.synapses, outputs, _bits(self.synapses))
            memory = np.full_like(sizes, kernels[0])
        else:
            memory = sources * words(sizes, _bits(self.synapses))
        return {"in_axons": sources, "synaptic_words": memory, MESSAGES: sources}


@dataclass(frozen=True, eq=False)
class _Sparse:
    """Sparse synapses: a row per source that reaches the box, each weight with its target."""

    synapses: Sparse
    shape: Shape
    chip: Chip

    def worst(self, tiles: Array) -> Use:
        each = [self.used(Grid(self.shape, tuple(tile))) for tile in tiles.tolist()]
        return {key: np.array([u[key].max() for u in each]) for key in each[0]}

    def used(self, grid: Grid) -> Use:
        sources = math.prod(self.synapses.source_shape)
        box = grid.box_of(self.synapses.row)
        pairs, targets = np.unique(box * sources + self.synapses.column, return_counts=True)
        bits = _bits(self.synapses) + (self.chip.neurons - 1).bit_length()
        box = pairs // sources
        memory = np.bincount(box, weights=words(targets, bits), minlength=grid.count)
        axons = np.bincount(box, minlength=grid.count)
        return {"in_axons": axons, "synaptic_words": memory.astype(np.int64), MESSAGES: axons}


def _bits(synapses: Synapses) -> int:
    """Return the bits of one weight in memory."""
    delays = isinstance(synapses, Dense) and synapses.delays is not None
    return int(synapses.params.get("num_weight_bits", 8)) + DELAY_BITS * delays
