"""Tables of a piece that the machine reads: records of addresses, and their arrays.

Weights belong to the plan and are shared; sums, states and rest belong to the piece of one
session.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from nrf_deploy.ir.network import Array

from . import delivery, machine, scatter
from .compiled import address, aligned, kernel_address
from .events import Events
from .layout import Layout
from .records import EVENTS
from .tuning import Tuning
from .vectors import TILE
from .work import Neurons, Segment, Sum, Transfer, Wire

BLOCK = 1 << scatter.SHIFT

Whole = tuple[list[Array | None], list[Array]]
"""Initial states (None if all are 0) and parameters that differ between neurons, of a
population: a row over its neurons for each."""


class Piece:
    """A piece. `whole` returns a population's start, of which the piece takes its part; `chunk`
    is the largest number of steps, and `logged` names the populations whose states are logged."""

    def __init__(
        self,
        segment: Segment,
        layouts: Mapping[str, Layout],
        whole: Callable[[Neurons], Whole],
        chunk: int,
        logged: frozenset[str],
        tuning: Tuning,
    ):
        self.tuning = tuning
        self.segment, self.layouts, self.chunk, self.logged = segment, layouts, chunk, logged
        self.states: dict[str, Array] = {}
        self.rest: dict[str, Array] = {}
        self.logs: dict[str, Array] = {}
        self._sums: dict[Sum, tuple[Array, Array]] = {}
        self._starts: dict[str, list[Array | None]] = {}
        self._kept: list[Array] = []
        self.changing: list[Array] = []
        """Arrays that are zero when a run begins."""
        self.order = np.array(segment.order, np.int64).reshape(-1, 2)
        self.wires = np.zeros(len(segment.wires), scatter.wire_type)
        self.delivers = np.zeros(len(segment.transfers), delivery.deliver_type)
        self.cells = np.zeros(len(segment.neurons), machine.cell_type)
        self.sources = [w.synapses.source for w in segment.wires]
        self.names = [n.population.name for n in segment.neurons]
        self._wide = [
            (k, w)
            for k, w in enumerate(segment.wires)
            if w.dense is not None and w.synapses.source not in self.names
        ]
        """Wires whose events are known in advance: several steps can be multiplied at once."""
        for row, w in zip(self.wires, segment.wires, strict=True):
            _fill(row, self._wire(w))
        for row, t in zip(self.delivers, segment.transfers, strict=True):
            _fill(row, self._deliver(t))
        for row, n in zip(self.cells, segment.neurons, strict=True):
            _fill(row, self._cell(n, whole(n)))
        self.move(self.order, self.wires, self.delivers, self.cells)

    def move(self, order: Array, wires: Array, delivers: Array, cells: Array) -> None:
        """Move the tables to other arrays."""
        self.order, self.wires, self.delivers, self.cells = order, wires, delivers, cells
        self._readers, self._writers = (
            table.view(np.int64).reshape(len(table), len(table.dtype.names or ()))
            for table in (wires, cells)
        )
        """Records as rows of numbers; they begin with EVENTS."""
        self._read: list[tuple[int, int, int, int]] | None = None
        self._written: list[tuple[int, int, int, int, int]] | None = None

    def restart(self) -> None:
        """Set the initial states that are not zero."""
        for name in self.states:
            self._begin(name)

    def read_and_write(self, read: Mapping[str, Events], written: Mapping[str, Events]) -> None:
        """Set the addresses of the events, whose lists may have moved."""
        from_where = [read[source].place() for source in self.sources]
        if from_where != self._read:
            width = len(EVENTS)
            self._readers[:, :width] = np.reshape(from_where, (-1, width))
            self._read = from_where
        to_where = [(*written[name].place(), written[name].capacity) for name in self.names]
        if to_where != self._written:
            self._writers[:, : len(EVENTS) + 1] = to_where
            self._written = to_where

    def multiply_where_it_pays(self, read: Mapping[str, Events]) -> None:
        """Build the matrix of each wire whose source fires often."""
        for k, w in self._wide:
            events = read[w.synapses.source]
            if not self.wires[k]["matrix"] and events.count >= events.steps * self._dense_from(w):
                _fill(self.wires[k], self._matrix(w))

    def grow(self, written: Mapping[str, Events], done: int, steps: int) -> None:
        """Reserve room for more events a step than there were so far."""
        for n in self.segment.neurons:
            events = written[n.population.name]
            used = int(events.start[events.history + done])
            least = used + n.size
            if least > events.capacity:
                expected = used * (steps + events.history) // (done + events.history + 1)
                events.reserve(least + max(expected - used, used // 2))

    def _begin(self, name: str) -> None:
        for row, start in zip(self.states[name], self._starts[name], strict=True):
            if start is not None:
                row[:] = start

    def _keep(self, array: Array) -> int:
        self._kept.append(array)
        return address(array)

    def _sum(self, total: Sum) -> tuple[int, int]:
        """Return the addresses of the accumulators and of their dirty blocks."""
        if total not in self._sums:
            blocks = -(-total.size // BLOCK)
            kind = {2: np.int16, 4: np.int32, 8: np.int64}[total.width]
            room = blocks * BLOCK + total.slack
            self._sums[total] = aligned(room, kind), aligned(blocks, np.uint8)
            self.changing += self._sums[total]
        sums, dirty = self._sums[total]
        return address(sums), address(dirty)

    def _wire(self, w: Wire) -> dict[str, int]:
        total, dirty = self._sum(w.total)
        row = {
            "graded": int(w.graded),
            "delay": w.delay,
            "total": total,
            "dirty": dirty,
            "blocks": -(-w.total.size // BLOCK),
        }
        if w.dense is not None:
            return row | {
                "add": scatter.wire_address(scatter.rows, w.total.width),
                "weight": self._keep(w.dense),
                "size": max(w.dense.size, BLOCK),
                "row": w.dense.shape[1],
            }
        if w.listed is not None:
            first, target, weight = w.listed
            return row | {
                "add": scatter.wire_address(scatter.pairs, w.total.width),
                "first": self._keep(first),
                "target": self._keep(target),
                "weight": self._keep(weight),
                "size": max(len(weight), len(first), w.total.size),
            }
        return row | self._conv(w)

    def _dense_from(self, w: Wire) -> float:
        """Return the number of events in a step from which the matrix is used."""
        assert w.dense is not None
        return self.tuning.dense * len(w.dense)

    def _matrix(self, w: Wire) -> dict[str, int]:
        if w.matrix is None:
            return {}
        pairs, row, _ = w.matrix.shape
        return {
            "matrix": address(w.matrix),
            "inputs": self._keep(aligned(TILE * 2 * pairs, np.int16)),
            "product": self._keep(aligned(TILE * row, np.int32)),
            "pairs": pairs,
            "dense_from": math.ceil(TILE * self._dense_from(w)),
        }

    def _conv(self, w: Wire) -> dict[str, int]:
        tables = w.tables
        assert tables is not None
        layout = self.layouts[w.synapses.source]
        shift = (layout.size * layout.pitch).bit_length()
        low, high = tables.sites
        whole_vectors = tables.vectors and not w.graded
        return {
            "add": scatter.wire_address(scatter.conv, w.total.width, tables.granule),
            "weight": self._keep(tables.weight),
            "size": max(tables.weight.size, w.total.size + tables.row, layout.size + 1),
            "first": self._keep(tables.first),
            "target": self._keep(tables.runs),
            "row": tables.row,
            "run": tables.run,
            "reach": tables.run + int(tables.channel_at[-1]),
            "channel_at": self._keep(tables.channel_at),
            "group_end": self._keep(tables.group_end),
            "granules": tables.row * w.total.width // tables.granule if whole_vectors else 0,
            "pitch": layout.pitch,
            "magic": (1 << shift) // layout.pitch + 1,
            "magic_shift": shift,
            "low": low * layout.pitch,
            "high": high * layout.pitch,
            "site0": low,
        }

    def _deliver(self, transfer: Transfer) -> dict[str, int]:
        total, dirty = self._sum(transfer.of)
        to_total, to_dirty = self._sum(transfer.to)
        return {
            "deliver": delivery.deliver_address(transfer.of.width, transfer.to.width),
            "total": total,
            "dirty": dirty,
            "to_total": to_total,
            "to_dirty": to_dirty,
            "clear": int(transfer.clear),
            "blocks": -(-transfer.of.size // BLOCK),
            "before": transfer.delivery.before,
            "shift": transfer.delivery.shift,
            "after": transfer.delivery.after,
        }

    def _cell(self, n: Neurons, whole: Whole) -> dict[str, int]:
        name, size = n.population.name, n.size
        stride = -(-size // 16) * 16
        starts, varied = whole
        part = slice(n.first, n.first + size)
        states, each = (_rows(len(values), stride) for values in whole)
        for row, values in zip(each, varied, strict=True):
            row[:size] = values[part]
        self._starts[name] = [None if s is None else s[part] for s in starts]
        shared = [0 if np.ndim(v) else int(v) for v in n.cell.params.values()]
        self.states[name] = states[:, :size]
        self._begin(name)
        self.rest[name] = aligned(-(-size // BLOCK), np.uint8)
        self.changing += [states, self.rest[name]]
        total, dirty = self._sum(n.total)
        record = {
            "kernel": kernel_address(n.cell, n.total.width, name in self.logged),
            "size": size,
            "stride": stride,
            "blocks": -(-size // BLOCK),
            "occupied": self._keep(occupied(n.layout, size)) if n.layout.gaps else 0,
            "width": n.total.width,
            "total": total,
            "dirty": dirty,
            "clear": int(n.clear),
            "rest": self._keep(self.rest[name]),
            "state": self._keep(states),
            "states": len(states),
            "each": self._keep(each),
            "one": self._keep(np.array([*shared, 0], np.int64)),
            "payload": int(n.cell.payload),
            "output": self._keep(aligned(BLOCK, np.int32)),
        }
        if name in self.logged:
            log = np.zeros((self.chunk, len(states), stride), np.int32)
            self.logs[name] = log[..., :size]
            record["log"] = self._keep(log)
        return record


def _rows(rows: int, stride: int) -> Array:
    return aligned(rows * stride, np.int32)[: rows * stride].reshape(rows, stride)


def occupied(layout: Layout, size: int) -> Array:
    """Return a bit for each of `size` elements from a site's first one on: 1 for a neuron."""
    bits = np.zeros((-(-size // 64) * 64,), np.uint8)
    bits[:size] = np.arange(size) % layout.pitch < layout.channels
    return np.packbits(bits, bitorder="little").view(np.uint64)


def _fill(row: Any, values: dict[str, int]) -> None:
    for name, value in values.items():
        row[name] = value
