"""Tables of a layer for the fast event engine: neurons by address, weights in runs.

Neurons are ordered by rising address: rows, columns, then channels. An event at (c, y, x) of
the input reaches, in each row of the output, one run of addresses: neighbouring columns with
all their channels. Along it the taps of the kernel fall by the stride, so the weights of a run
are stored for each channel, row of the kernel and remainder r of the column by the stride:

    weights[c, ky, r, j, f],   j = 0 ... : taps kx = r + stride * (M - j) that the kernel has

A matrix is a convolution of one site whose channels are all its inputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from nrf_deploy.ir.network import Array, Shape
from nrf_deploy.ir.program import Conv, Dense, Population, Program, Sparse, Synapses

from .events_golden import EventRule, by_address
from .kernels import Cell
from .plan import NotCoveredError

WIDTH = np.iinfo(np.int16)


@dataclass(frozen=True, eq=False)
class Runs:
    """Runs of weights. Sizes are (channels, rows, columns) of the input and of the output."""

    source: Shape
    target: Shape
    kernel: Shape
    stride: Shape
    padding: Shape
    weights: Array  # int16, see above
    longest: int  # of taps in a run

    @property
    def numbers(self) -> Array:
        """The sizes in the form that the compiled loop reads."""
        sizes = (*self.source, *self.target, *self.kernel, *self.stride, *self.padding)
        return np.array([*sizes, self.longest], np.int64)

    @property
    def most(self) -> int:
        """The largest number of neurons that one event can reach."""
        rows = -(-self.kernel[0] // self.stride[0])
        return rows * self.longest * self.target[0]


@dataclass(frozen=True, eq=False)
class Neurons:
    """A population with neurons, and the runs that lead to it."""

    population: Population
    source: str
    runs: Runs
    cell: Cell
    start: Array  # int32 (variables, size), by address
    each: Array  # int32 (parameters that differ, size)
    one: Array  # int64, every parameter
    tick: Array | None  # int16 (size,), what a tick adds


@dataclass(frozen=True, eq=False)
class Passing:
    """A population that passes events on: for each source, its addresses' targets (-1: none)."""

    population: Population
    tables: tuple[tuple[str, Array], ...]


def layer(
    program: Program, population: Population, rule: EventRule, cell: Cell | None
) -> Neurons | Passing:
    into = program.into(population.name)
    if rule.passes(population):
        return Passing(population, tuple((s.source, _table(program, s)) for s in into))
    if len(into) != 1 or cell is None:
        reason = f"population {population.name!r} has {len(into)} synapses or no kernel"
        raise NotCoveredError(reason)
    order = by_address(population.shape)
    size = population.size
    varied = [np.asarray(v) for v in cell.params.values() if np.ndim(v)]
    one = [0 if np.ndim(v) else int(v) for v in cell.params.values()]
    tick = rule.tick(population)
    return Neurons(
        population,
        into[0].source,
        _runs(program, into[0]),
        cell,
        _rows(list(rule.start(population).values()), population, order),
        _rows(varied, population, order),
        np.array(one or [0], np.int64),
        None if tick is None else _narrow(tick[order], population.name).reshape(size),
    )


def _rows(values: list[Array], population: Population, order: Array) -> Array:
    """Return the values as rows in this order; at least one row, so that an address exists."""
    laid = np.zeros((max(1, len(values)), population.size), np.int32)
    for row, v in zip(laid, values, strict=False):
        row[:] = np.broadcast_to(v, population.shape).ravel()[order]
    return laid


def _narrow(values: Array, name: str) -> Array:
    if values.min(initial=0) < WIDTH.min or values.max(initial=0) > WIDTH.max:
        raise NotCoveredError(f"{name!r} has numbers beyond 16 bits")
    return np.ascontiguousarray(values, np.int16)


def shapes(program: Program) -> Mapping[str, Shape]:
    ports = {p.name: p.shape for p in program.ports}
    return ports | {p.name: p.shape for p in program.populations}


def _table(program: Program, s: Synapses) -> Array:
    if not isinstance(s, Sparse) or len(np.unique(s.column)) != len(s.column):
        raise NotCoveredError(f"{s.name!r} does not pass each event to one neuron")
    source, target = (by_address(shapes(program)[n]) for n in (s.source, s.targets[0]))
    to = np.full(len(source), -1, np.int64)
    to[s.column] = _places(target)[s.row]
    return np.ascontiguousarray(to[source], np.int32)


def _places(order: Array) -> Array:
    """Return the address of each flat index."""
    places = np.empty_like(order)
    places[order] = np.arange(len(order))
    return places


def _runs(program: Program, s: Synapses) -> Runs:
    shapes_of = shapes(program)
    if isinstance(s, Conv):
        plain = s.groups == 1 and set(s.dilation) == {1} and all(a == b for a, b in s.padding)
        alike = all(
            np.array_equal(by_address(shapes_of[name]), by_address(shape))
            for name, shape in ((s.source, s.input_shape), (s.targets[0], s.shape))
        )
        if not plain or not alike:
            raise NotCoveredError(f"{s.name!r} is not a plain convolution")
        weight = s.weight
        sizes = s.input_shape, s.shape, s.stride, tuple(a for a, _ in s.padding)
    elif isinstance(s, Dense):
        source, target = by_address(shapes_of[s.source]), by_address(shapes_of[s.targets[0]])
        weight = s.weight[np.ix_(target, source)][:, :, None, None]
        sizes = (len(source), 1, 1), (len(target), 1, 1), (1, 1), (0, 0)
    else:
        raise NotCoveredError(f"{s.name!r} is a list of pairs")
    weights, longest = _laid(_narrow(weight, s.name), sizes[2][1])
    source_shape, target_shape, stride, padding = sizes
    return Runs(source_shape, target_shape, weight.shape[2:], stride, padding, weights, longest)


def _laid(weight: Array, stride: int) -> tuple[Array, int]:
    features, channels, height, width = weight.shape
    longest = -(-width // stride)
    laid = np.zeros((channels, height, stride, longest, features), np.int16)
    for kx in range(width):
        step, r = divmod(kx, stride)
        last = (width - 1 - r) // stride
        laid[:, :, r, last - step] = weight[:, :, :, kx].transpose(1, 2, 0)
    return laid, longest
