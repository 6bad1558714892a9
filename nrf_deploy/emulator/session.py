"""One run of a plan: its states, its sums and its events, and the tables of their addresses.

Weights belong to the plan and are shared; everything that changes belongs to a session. So
several samples run side by side on one plan, each in a session and a thread of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from ..network import Array
from . import machine
from .compiled import address, aligned, compiling, kernel_address
from .golden import Arithmetic
from .layout import Layout
from .plan import Neurons, Plan, Segment, Sum, Transfer, Wire

BLOCK = 1 << machine.SHIFT
CHUNK = 256
"""Steps that a layer runs before the next one does."""


class Events:
    """A source's events of a chunk, and of the `history` steps before it.

    Those of step t of the chunk are start[history + t] to start[history + t + 1].
    """

    def __init__(self, history: int, steps: int, valued: bool):
        self.history, self.valued = history, valued
        self.start = np.zeros(history + steps + 1, np.int64)
        self.index = np.zeros(0, np.int32)
        self.value = np.zeros(0, np.int32)

    def reserve(self, capacity: int) -> None:
        """Room for this many events in all; what is there stays."""
        if capacity > len(self.index):
            for name in ("index", "value") if self.valued else ("index",):
                grown = np.zeros(capacity, np.int32)
                old = getattr(self, name)
                grown[: len(old)] = old
                setattr(self, name, grown)

    def chunk(self, steps: int) -> tuple[Array, Array, Array]:
        """(start, index, value) of the chunk's first steps."""
        start = self.start[self.history : self.history + steps + 1]
        part = slice(start[0], start[-1])
        return start - start[0], self.index[part], self.value[part]

    def put(self, start: Array, index: Array, value: Array) -> None:
        """A chunk from outside."""
        begin = self.start[self.history]
        self.reserve(int(begin + len(index)))
        self.start[self.history : self.history + len(start)] = begin + start
        self.index[begin : begin + len(index)] = index
        if self.valued:
            self.value[begin : begin + len(index)] = value

    def forget(self, steps: int) -> None:
        """The chunk of `steps` steps is over: only the history of the next one stays."""
        kept = self.start[steps : steps + self.history + 1].copy()
        part = slice(kept[0], kept[-1])
        count = kept[-1] - kept[0]
        self.index[:count] = self.index[part].copy()
        if self.valued:
            self.value[:count] = self.value[part].copy()
        self.start[: self.history + 1] = kept - kept[0]


@dataclass(eq=False)
class _Table:
    """The records of a segment, and the lists whose addresses may move."""

    order: Array
    wires: Array
    delivers: Array
    cells: Array
    sources: tuple[list[str], list[str]]  # of the wires and of the cells


class Session:
    """`chunk` is the most steps that advance() takes at once; `values` names the populations
    whose events keep their value, `states` those whose states are logged."""

    def __init__(
        self,
        plan: Plan,
        arithmetic: Arithmetic,
        chunk: int,
        values: Iterable[str] = (),
        states: Iterable[str] = (),
    ):
        self.plan, self.chunk, self.t = plan, chunk, 0
        valued = plan.valued | set(values)
        self.events = {
            name: Events(history, chunk, name in valued) for name, history in plan.history.items()
        }
        self.states: dict[str, Array] = {}
        self.logs: dict[str, Array] = {}
        self._sums: dict[Sum, tuple[Array, Array]] = {}
        self._kept: list[Array] = []
        self._rest: dict[str, Array] = {}
        self._logged = frozenset(states)
        self.tables = [self._table(segment, arithmetic) for segment in plan.segments]

    def advance(self, steps: int) -> None:
        """Moves every segment by `steps` steps; what the ports give was put into `events`."""
        for segment, table in zip(self.plan.segments, self.tables, strict=True):
            done = 0
            self._addresses(table)
            while done < steps:
                with compiling(machine.was_compiled):
                    done = machine.run(
                        table.order, table.wires, table.delivers, table.cells, done, steps, self.t
                    )
                if done < steps:
                    self._grow(segment, table, done, steps)
        self.t += steps

    def forget(self, steps: int) -> None:
        for events in self.events.values():
            events.forget(steps)

    def take_over(self, before: Session) -> None:
        """Goes on where another plan's session of the same program stands."""
        self.t, self.events = before.t, before.events
        for name, states in self.states.items():
            states[:] = before.states[name]
            self._rest[name][:] = before._rest[name]

    # --- tables ----------------------------------------------------------

    def _table(self, segment: Segment, arithmetic: Arithmetic) -> _Table:
        table = _Table(
            np.array(segment.order, np.int64).reshape(-1, 2),
            np.zeros(len(segment.wires), machine.wire_type),
            np.zeros(len(segment.transfers), machine.deliver_type),
            np.zeros(len(segment.neurons), machine.cell_type),
            (
                [w.synapses.source for w in segment.wires],
                [n.population.name for n in segment.neurons],
            ),
        )
        for row, wire in zip(table.wires, segment.wires, strict=True):
            _fill(row, self._wire(wire))
        for row, transfer in zip(table.delivers, segment.transfers, strict=True):
            _fill(row, self._deliver(transfer))
        for row, neurons in zip(table.cells, segment.neurons, strict=True):
            _fill(row, self._cell(neurons, arithmetic))
            self.events[neurons.population.name].reserve(neurons.layout.size + machine.SURE)
        return table

    def _addresses(self, table: _Table) -> None:
        """Lists of events move when they grow."""
        for rows, names in zip((table.wires, table.cells), table.sources, strict=True):
            for row, name in zip(rows, names, strict=True):
                events = self.events[name]
                row["start"], row["index"] = address(events.start), address(events.index)
                row["value"] = address(events.value) if events.valued else 0
                row["history"] = events.history
        for row, name in zip(table.cells, table.sources[1], strict=True):
            row["capacity"] = len(self.events[name].index) - machine.SURE

    def _grow(self, segment: Segment, table: _Table, done: int, steps: int) -> None:
        """Room for as many events a step as there were so far, and then some."""
        for n in segment.neurons:
            events = self.events[n.population.name]
            used = int(events.start[events.history + done])
            if used + n.layout.size + machine.SURE > len(events.index):
                expected = used * (steps + events.history) // (done + events.history + 1)
                events.reserve(
                    used + n.layout.size + machine.SURE + max(expected - used, used // 2)
                )
        self._addresses(table)

    def _keep(self, array: Array) -> int:
        self._kept.append(array)
        return address(array)

    def _sum(self, total: Sum) -> tuple[int, int]:
        """Addresses of the accumulators and of their dirty blocks."""
        if total not in self._sums:
            blocks = -(-total.size // BLOCK)
            kind = {2: np.int16, 4: np.int32, 8: np.int64}[total.width]
            room = blocks * BLOCK + total.slack
            self._sums[total] = aligned(room, kind), aligned(blocks, np.uint8)
        sums, dirty = self._sums[total]
        return address(sums), address(dirty)

    def _wire(self, w: Wire) -> dict[str, int]:
        total, dirty = self._sum(w.total)
        row = {
            "width": w.total.width,
            "graded": int(w.graded),
            "delay": w.delay,
            "total": total,
            "dirty": dirty,
            "blocks": -(-w.total.size // BLOCK),
        }
        if w.dense is not None:
            return row | {
                "kind": machine.ROWS,
                "weight": self._keep(w.dense),
                "size": max(w.dense.size, BLOCK),
                "row": w.dense.shape[1],
            }
        if w.listed is not None:
            first, target, weight = w.listed
            return row | {
                "kind": machine.LIST,
                "first": self._keep(first),
                "target": self._keep(target),
                "weight": self._keep(weight),
                "size": max(len(weight), len(first), w.total.size),
            }
        return row | self._conv(w)

    def _conv(self, w: Wire) -> dict[str, int]:
        tables = w.tables
        assert tables is not None
        layout = self.plan.layouts[w.synapses.source]
        shift = (layout.size * layout.pitch).bit_length()
        return {
            "kind": machine.CONV,
            "weight": self._keep(tables.weight),
            "size": max(tables.weight.size, w.total.size + tables.row, layout.size + 1),
            "first": self._keep(tables.first),
            "target": self._keep(tables.runs),
            "row": tables.row,
            "run": tables.run,
            "reach": tables.run + int(tables.channel_at[-1]),
            "channel_at": self._keep(tables.channel_at),
            "vectors": int(tables.vectors),
            "pitch": layout.pitch,
            "magic": (1 << shift) // layout.pitch + 1,
            "magic_shift": shift,
        }

    def _deliver(self, transfer: Transfer) -> dict[str, int]:
        total, dirty = self._sum(transfer.of)
        to_total, to_dirty = self._sum(transfer.to)
        return {
            "width": transfer.of.width,
            "total": total,
            "dirty": dirty,
            "to_width": transfer.to.width,
            "to_total": to_total,
            "to_dirty": to_dirty,
            "clear": int(transfer.clear),
            "blocks": -(-transfer.of.size // BLOCK),
            "before": transfer.delivery.before,
            "shift": transfer.delivery.shift,
            "after": transfer.delivery.after,
        }

    def _cell(self, n: Neurons, arithmetic: Arithmetic) -> dict[str, int]:
        p, name = n.population, n.population.name
        size = n.layout.size
        stride = -(-size // 16) * 16
        start = arithmetic.start(p)
        states = aligned(len(start) * stride, np.int32).reshape(-1)[: len(start) * stride]
        self.states[name] = states = states.reshape(len(start), stride)
        for row, values in zip(states, start.values(), strict=True):
            row[:size] = n.layout.inner(np.asarray(values).ravel())
        varied = [np.asarray(v) for v in n.cell.params.values() if np.ndim(v)]
        each = aligned(len(varied) * stride, np.int32)
        for k, values in enumerate(varied):
            whole = np.broadcast_to(values, p.shape).ravel()
            each[k * stride : k * stride + size] = n.layout.inner(whole)
        shared = [0 if np.ndim(v) else int(v) for v in n.cell.params.values()]
        rest = self._rest[name] = aligned(-(-size // BLOCK), np.uint8)
        total, dirty = self._sum(n.total)
        record = {
            "kernel": kernel_address(n.cell, n.total.width),
            "size": size,
            "stride": stride,
            "blocks": -(-size // BLOCK),
            "heard": self._keep(heard(n.layout)) if n.layout.gaps else 0,
            "width": n.total.width,
            "total": total,
            "dirty": dirty,
            "clear": int(n.clear),
            "rest": self._keep(rest),
            "state": self._keep(states),
            "states": len(start),
            "each": self._keep(each),
            "one": self._keep(np.array([*shared, 0], np.int64)),
            "payload": int(n.cell.payload),
            "output": self._keep(aligned(BLOCK, np.int32)),
        }
        if name in self._logged:
            self.logs[name] = np.zeros((self.chunk, len(start), stride), np.int32)
            record["log"] = address(self.logs[name])
        return record


def heard(layout: Layout) -> Array:
    """A bit for each place of a layout, 64 a word: is there a neuron?"""
    bits = np.zeros((-(-layout.size // 64) * 64,), np.uint8)
    bits[: layout.size] = np.arange(layout.size) % layout.pitch < layout.channels
    return np.packbits(bits, bitorder="little").view(np.uint64)


def _fill(row: Array, values: dict[str, int]) -> None:
    for name, value in values.items():
        row[name] = value


def steps_a_chunk(plan: Plan, logged: Iterable[str], states: Callable[[str], int]) -> int:
    """Few enough that the logs of a chunk stay below some 64 MiB."""
    bytes_a_step = sum(4 * states(name) * plan.layouts[name].size for name in logged)
    return max(1, min(CHUNK, 2**26 // max(bytes_a_step, 1)))
