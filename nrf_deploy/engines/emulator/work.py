"""Records of a plan.

Wire      a synapse for one delay: its weights, and the sum that they add to
Sum       accumulators, as narrow as the range of the input allows
Transfer  a finished sum that is added to another one
Neurons   a population, or a part of it, and its kernel
Segment   populations that must advance together, step by step
Stage     a segment in independent pieces
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from nrf_deploy.ir.network import Array
from nrf_deploy.ir.program import Population, Synapses

from .compiled import aligned
from .kernels import Cell, Delivery, Range
from .layout import ConvTables, Layout


@dataclass(eq=False)
class Sum:
    """The summed input of `size` neurons, in accumulators of `width` bytes."""

    size: int
    range: Range
    width: int
    slack: int = 0
    """Accumulators after the last, to which a run that reaches over the edge adds zeros."""


@dataclass(eq=False)
class Wire:
    """A synapse's weights for one delay; exactly one of dense, listed and tables is set."""

    synapses: Synapses
    weight: Array
    delay: int
    graded: bool
    delivery: Delivery
    total: Sum
    dense: Array | None = None
    listed: tuple[Array, Array, Array] | None = None
    tables: ConvTables | None = None
    short: bool = False
    """Whether the source's values fit 16 bits."""

    @cached_property
    def matrix(self) -> Array | None:
        """The weights as (pairs of sources, targets, 2), if they can be multiplied in 16 bits."""
        w = self.dense
        if w is None or not self.short or w.itemsize > 4 or np.any(np.abs(w) >= 2**15):
            return None
        pairs = -(-len(w) // 2)
        size, columns = 2 * pairs * w.shape[1], w.shape[1]
        laid = aligned(size, np.int16)[:size].reshape(pairs, columns, 2)
        laid[:, :, 0] = w[::2]
        laid[: len(w) // 2, :, 1] = w[1::2]
        return laid


@dataclass(eq=False)
class Transfer:
    """A finished sum that is added to another one."""

    of: Sum
    to: Sum
    delivery: Delivery
    clear: bool = False


@dataclass(eq=False)
class Neurons:
    """Neurons of a population, `size` from `first` on, their kernel and their summed input."""

    population: Population
    cell: Cell
    layout: Layout
    total: Sum
    states: int
    first: int
    size: int
    clear: bool = False

    @property
    def bytes_each(self) -> int:
        """The bytes that a step reads and writes for one neuron."""
        return 4 * (self.states + sum(np.ndim(value) > 0 for value in self.cell.params.values()))


@dataclass(eq=False)
class Segment:
    """Operations of a step, in order: pairs of WIRE, DELIVER or CELL and an index in its list."""

    wires: list[Wire] = field(default_factory=list)
    transfers: list[Transfer] = field(default_factory=list)
    neurons: list[Neurons] = field(default_factory=list)
    order: list[tuple[int, int]] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class Stage:
    """A segment as pieces that run independently; see split.py."""

    names: tuple[str, ...]
    pieces: tuple[Segment, ...]
    sources: frozenset[str]
    """Other stages whose events it reads."""


@dataclass(frozen=True, eq=False)
class Plan:
    stages: tuple[Stage, ...]
    layouts: Mapping[str, Layout]
    history: Mapping[str, int]
    """Steps for which each source's events are kept."""
    valued: frozenset[str]
    """Sources whose values are read."""
    ordered: frozenset[str]
    """Sources of which a reader takes a range of sites."""
