"""Order of neurons and weights in memory.

A population of (C, Y, X) is stored channels last, as (Y, X, C): all channels of one site are
contiguous. Then an input event adds a few contiguous rows to a layer:

    dense        one row of all targets
    sparse       one list of (target, weight)
    convolution  for each row of the kernel one run along x, all output channels of each place

A run's weights depend on the input's channel, on the kernel's row, and on which of the
kernel's columns fall inside the output: in the middle, at the borders and for each phase of
a stride this is another set of columns, a *variant*. Its weights are stored once, in the
order of the outputs that they reach.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from nrf_deploy.ir.network import Array, Shape
from nrf_deploy.ir.program import Conv

from .compiled import GRANULE, aligned


@dataclass(frozen=True)
class Layout:
    """A layout: `channels` at each of `sites`; a population without channels has one channel.

    `pitch` is the distance of two sites. It is more than `channels` if that lets whole
    vectors begin at every site; the elements between are padding without a neuron.
    """

    channels: int
    sites: int
    pitch: int

    @staticmethod
    def of(shape: Shape) -> Layout:
        channels, sites = (shape[0], math.prod(shape[1:])) if len(shape) > 1 else (1, shape[0])
        fits = (p for p in (padded(channels, 16), padded(channels, 8)) if 2 * p <= 3 * channels)
        one_run = channels == 1 or sites == 1
        return Layout(channels, sites, channels if one_run else next(fits, channels))

    @property
    def size(self) -> int:
        """The number of elements, padding included."""
        return self.pitch * self.sites

    @property
    def same(self) -> bool:
        """True if the program's order and the engine's are the same."""
        return self.channels == 1 or self.sites == 1

    @property
    def gaps(self) -> bool:
        return self.pitch > self.channels

    def inward(self, index: Array) -> Array:
        """Convert indices from program order to engine order."""
        if self.same:
            return index
        return np.asarray(index % self.sites * self.pitch + index // self.sites)

    def inner(self, values: Array) -> Array:
        """Pad an array from program order to engine order; padding elements are 0."""
        if self.same:
            return values
        apart = values.reshape(*values.shape[:-1], self.channels, self.sites).swapaxes(-1, -2)
        laid = np.zeros((*values.shape[:-1], self.sites, self.pitch), values.dtype)
        laid[..., : self.channels] = apart
        return laid.reshape(*values.shape[:-1], self.size)

    def outer(self, values: Array) -> Array:
        """Convert an array from engine order (..., size) to program order (..., neurons)."""
        if self.same:
            return values
        apart = values.reshape(*values.shape[:-1], self.sites, self.pitch)[..., : self.channels]
        return apart.swapaxes(-1, -2).reshape(*values.shape[:-1], self.channels * self.sites)


def padded(size: int, lanes: int) -> int:
    return -(-size // lanes) * lanes


def rows(matrix: Array, source: Layout, target: Layout, lanes: int) -> Array:
    """Transpose (out, in) in program order to (in, out), each row padded with zeros."""
    ordered = source.inner(target.inner(matrix.T).T).T
    width = padded(ordered.shape[1], lanes)
    wide = aligned(len(ordered) * width, matrix.dtype)[: len(ordered) * width]
    wide = wide.reshape(-1, width)
    wide[:, : ordered.shape[1]] = ordered
    return wide


def lists(
    row: Array, column: Array, weight: Array, source: Layout, target: Layout
) -> tuple[Array, Array, Array]:
    """Return (first, target, weight): source i has the weights first[i] to first[i + 1].

    The compiled loop does not check these tables, so they are checked here.
    """
    to, of = target.inward(row.astype(np.int64)), source.inward(column.astype(np.int64))
    demand_inside(to, target.size)
    demand_inside(of, source.size)
    order = np.lexsort((to, of))
    first = np.concatenate([[0], np.cumsum(np.bincount(of, minlength=source.size))])
    return first.astype(np.int64), to[order].astype(np.int32), weight[order]


def demand_inside(index: Array, size: int) -> None:
    """Raise an IndexError if an index lies outside an array of this size."""
    if index.size and (int(index.min()) < 0 or int(index.max()) >= size):
        raise IndexError(f"an index from {index.min()} to {index.max()} in an array of {size}")


@dataclass(frozen=True, eq=False)
class ConvTables:
    """Targets and weights of a convolution's events; scatter.py has the loop that reads them.

    The runs of a site are runs[first[site - site0] : first[site - site0 + 1]], pairs (output,
    weight) that rise: they begin at that output (plus channel_at[channel], where a group's outputs
    begin) and at that weight (plus row * channel), and are `run` elements long, padded with
    zeros if they reach over an edge. Sites before site0 and beyond the end of `first` have
    none. A channel's group ends before group_end[channel]. If `vectors` is set, a row is a whole
    number of granules (bytes).
    """

    weight: Array
    first: Array
    runs: Array
    row: int
    run: int
    channel_at: Array
    group_end: Array
    granule: int
    vectors: bool
    line: int
    """Outputs of a row: a run does not leave its row."""
    site0: int = 0

    @property
    def sites(self) -> tuple[int, int]:
        """The first site with weights, and the end of such sites."""
        return self.site0, self.site0 + len(self.first) - 1

    def part(self, first: int, last: int) -> ConvTables:
        """Return the tables of the outputs first to last only, which are whole lines."""
        inside = (self.runs[:, 0] >= first) & (self.runs[:, 0] < last)
        before = np.concatenate([[0], np.cumsum(inside)])
        edges = before[self.first]
        reached = np.flatnonzero(np.diff(edges))
        low, high = (reached[0], reached[-1] + 1) if len(reached) else (0, 0)
        runs = self.runs[inside] - np.array([first, 0], np.int32)
        kept = edges[low : high + 1].astype(np.int32)
        return replace(self, first=kept, runs=runs, site0=self.site0 + int(low))


def conv_tables(conv: Conv, weight: Array, target: Layout) -> ConvTables:
    _, height, width = conv.shape
    groups, inputs = conv.groups, conv.input_shape[0]
    each = conv.shape[0] // groups
    step = target.pitch if groups == 1 else each
    line = width * target.pitch
    runs = [_runs(taps, together=groups == 1) for taps in _reach(conv, 1, width)]
    run = step * max((len(r) for place in runs for r in place), default=1)
    granule = GRANULE if step * weight.itemsize % GRANULE == 0 else GRANULE // 2
    lanes = granule // weight.itemsize
    vectors = 2 * run >= lanes
    row = padded(run, lanes) if vectors else run
    apart = weight.reshape(groups, each, inputs // groups, *weight.shape[2:])

    variants = sorted({tuple(k for k, _ in r) for place in runs for r in place})
    shape = (len(variants), weight.shape[2], inputs, row)
    packed = aligned(count := math.prod(shape), weight.dtype)[:count].reshape(shape)
    for part, taps in zip(packed, variants, strict=True):
        chosen = apart[..., list(taps)].transpose(3, 0, 2, 4, 1)  # (ky, group, in, tap, out)
        laid = np.zeros((*chosen.shape[:-1], step), weight.dtype)
        laid[..., :each] = chosen
        part[..., : len(taps) * step] = laid.reshape(*part.shape[:2], -1)
    at = {taps: k * packed[0].size for k, taps in enumerate(variants)}
    along_x = [(r[0][1], at[tuple(k for k, _ in r)]) for place in runs for r in place]
    across = np.array(along_x, np.int64).reshape(-1, 1, 2) * (target.pitch, 1)
    place = np.repeat(np.arange(len(runs)), [len(r) for r in runs])
    pairs, counts = [], []
    for taps_y in _reach(conv, 0, height):
        down = [(oy * line, ky * inputs * row) for ky, oy in taps_y]
        runs_found = (across + np.array(down, np.int64).reshape(1, -1, 2)).reshape(-1, 2)
        pairs.append(runs_found[np.lexsort((runs_found[:, 0], np.repeat(place, len(down))))])
        counts.append(np.array([len(place) * len(taps_y) for place in runs]))
    first = np.concatenate([[0], np.cumsum(np.concatenate(counts))]).astype(np.int32)
    table = np.concatenate(pairs).astype(np.int32)
    channel_at = (np.arange(inputs) // (inputs // groups) * each).astype(np.int32)
    group_end = np.searchsorted(channel_at, channel_at, side="right").astype(np.int32)
    return ConvTables(
        packed.ravel(), first, table, row, run, channel_at, group_end, granule, vectors, line
    )


Tap = tuple[int, int]  # (place in the kernel, place in the output)


def _reach(conv: Conv, axis: int, outputs: int) -> list[list[Tap]]:
    """Return for each input position along an axis the taps that see it, by output."""
    kernel, stride = conv.weight.shape[2 + axis], conv.stride[axis]
    dilation, pad = conv.dilation[axis], conv.padding[axis][0]
    return [
        [
            (k, (place + pad - k * dilation) // stride)
            for k in reversed(range(kernel))
            if (place + pad - k * dilation) % stride == 0
            and 0 <= (place + pad - k * dilation) // stride < outputs
        ]
        for place in range(conv.input_size[axis])
    ]


def _runs(taps: list[Tap], together: bool) -> list[list[Tap]]:
    """Split the taps where their outputs are not adjacent."""
    runs: list[list[Tap]] = []
    for tap in taps:
        if together and runs and runs[-1][-1][1] + 1 == tap[1]:
            runs[-1].append(tap)
        else:
            runs.append([tap])
    return runs


def conv_lists(conv: Conv, weight: Array) -> tuple[Array, Array, Array]:
    """Return (row, column, weight) of every synapse, in program order."""
    channels, height, width = conv.shape
    inputs, each = conv.input_shape[0], channels // conv.groups
    taps_y = [(y, *tap) for y, taps in enumerate(_reach(conv, 0, height)) for tap in taps]
    taps_x = [(x, *tap) for x, taps in enumerate(_reach(conv, 1, width)) for tap in taps]
    y, ky, oy = (a[:, None] for a in np.array(taps_y, np.int64).reshape(-1, 3).T)
    x, kx, ox = (a[None, :] for a in np.array(taps_x, np.int64).reshape(-1, 3).T)
    row, column, value = [], [], []
    for out in range(channels):
        for local in range(weight.shape[1]):
            source = out // each * weight.shape[1] + local
            row.append(((out * height + oy) * width + ox).ravel())
            column.append(((source * conv.input_size[0] + y) * conv.input_size[1] + x).ravel())
            value.append(weight[out, local][ky, kx].ravel())
    assert inputs == conv.groups * weight.shape[1]
    return np.concatenate(row), np.concatenate(column), np.concatenate(value)


def conv_synapses(conv: Conv) -> int:
    """Count the weights that the convolution would have without sharing."""
    taps = [
        sum(len(taps) for taps in _reach(conv, axis, size))
        for axis, size in enumerate(conv.shape[1:])
    ]
    return int(conv.weight.shape[0] * conv.weight.shape[1] * math.prod(taps))
