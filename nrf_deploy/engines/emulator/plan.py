"""Planning: a Program becomes the work that the machine runs; work.py has its records.

Populations that feed back on each other, or share a synapse, advance together, as a segment.
Segments run consecutively, so each runs over a whole chunk of time while its weights and
states stay in cache; split.py cuts segments that are too large for it.

A range is valid for every input whose values stay within `peaks`, so a narrow sum never wraps.
If the arithmetic shifts or wraps a synapse's sum, the range may show that the wrap cannot
happen, and a shift to the left is moved into the weights; only the rest needs a separate
delivery.

What the engine does not cover raises NotCoveredError with the reason.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from nrf_deploy.ir.network import Array
from nrf_deploy.ir.program import Conv, Dense, Population, Port, Program, Sparse, Synapses
from nrf_deploy.ir.program_faults import LONGEST_DELAY

from .compiled import GRANULE
from .golden import Arithmetic
from .kernels import WORD, Cell, Delivery, Kernels, Range
from .layout import Layout, conv_lists, conv_synapses, conv_tables, demand_inside, lists, rows
from .machine import CELL, DELIVER, WIRE
from .split import pieces
from .tuning import Tuning
from .work import Neurons, Plan, Segment, Stage, Sum, Transfer, Wire

LARGEST = 2**30
"""Limit of a population's neurons and of a wire's weights, so that indices fit 32 bits."""


LISTED = 2**26
"""Limit of a convolution's synapses that are listed one by one, if its ends' layouts differ."""


class NotCoveredError(Exception):
    """A program that the plain emulator must run."""


def plan(
    program: Program,
    arithmetic: Arithmetic,
    kernels: Kernels,
    peaks: Mapping[str, int],
    threads: int,
    tuning: Tuning,
) -> Plan:
    """Plan a program for input values up to `peaks` at each port."""
    return _Planner(program, arithmetic, kernels, peaks).plan(threads, tuning)


class _Planner:
    def __init__(
        self,
        program: Program,
        arithmetic: Arithmetic,
        kernels: Kernels,
        peaks: Mapping[str, int],
    ):
        self.program, self.arithmetic, self.kernels = program, arithmetic, kernels
        self.peaks = peaks
        self.place = {p.name: k for k, p in enumerate(program.populations)}
        self.cells = {p.name: _cell(p, kernels) for p in program.populations}
        self.layouts = _layouts(program)
        self.ranges: dict[str, Range] = {
            **{name: (-peak, peak) for name, peak in peaks.items()},
            **{name: cell.output(WORD) for name, cell in self.cells.items()},
        }
        """Ranges of the sources' outputs; narrower once the range of the input is known."""

    def plan(self, threads: int, tuning: Tuning) -> Plan:
        stages = tuple(self.stage(names, threads, tuning) for names in segments(self.program))
        wires = [w for stage in stages for piece in stage.pieces for w in piece.wires]
        history = dict.fromkeys(self.layouts, 0)
        for w in wires:
            history[w.synapses.source] = max(history[w.synapses.source], w.delay)
        valued = {w.synapses.source for w in wires if w.graded}
        ordered = {w.synapses.source for w in wires if w.tables is not None}
        return Plan(stages, self.layouts, history, frozenset(valued), frozenset(ordered))

    def stage(self, names: list[str], threads: int, tuning: Tuning) -> Stage:
        whole = self.segment(names)
        sources = frozenset(w.synapses.source for w in whole.wires) - set(names)
        return Stage(tuple(names), pieces(whole, self.layouts, threads, tuning), sources)

    def segment(self, names: list[str]) -> Segment:
        segment = Segment()
        members = [p for p in self.program.populations if p.name in names]
        synapses = [s for s in self.program.synapses if set(s.targets) & set(names)]
        wires = {s.name: list(self.wires(s)) for s in synapses}
        arriving = {
            p.name: [w for s in synapses for w in wires[s.name] * s.targets.count(p.name)]
            for p in members
        }
        inputs: dict[str, Sum] = {}
        for p in members:
            inputs[p.name] = self.arrival(p, arriving[p.name], segment)
        started: set[Wire] = set()
        for p in members:
            total = inputs[p.name]
            for w in dict.fromkeys(arriving[p.name]):
                if w not in started:
                    started.add(w)
                    segment.order.append((WIRE, len(segment.wires)))
                    segment.wires.append(w)
            for k, transfer in enumerate(segment.transfers):
                if transfer.to is total:
                    segment.order.append((DELIVER, k))
            segment.order.append((CELL, len(segment.neurons)))
            layout, states = self.layouts[p.name], len(self.arithmetic.states[p.model])
            neurons = Neurons(p, self.cells[p.name], layout, total, states, 0, layout.size)
            segment.neurons.append(neurons)
            self.ranges[p.name] = neurons.cell.output(total.range)
        _clear_after_last_use(segment)
        for w in started:
            _lay(w, self.layouts)
        return segment

    def wires(self, s: Synapses) -> Iterator[Wire]:
        """Yield a wire for each delay; its sum is still separate from its targets' sums."""
        graded = self.kernels.graded(s)
        source = self.ranges[s.source] if graded else (0, 1)
        stored = self.arithmetic.held(s)
        delivery = self.kernels.delivery(s)
        if abs(delivery.shift) > 62:
            raise NotCoveredError(f"synapses {s.name!r} shift by {delivery.shift} bits")
        if len({self.layouts[t] for t in s.targets}) > 1:
            raise NotCoveredError(f"synapses {s.name!r} have targets of different shapes")
        more = s.delays if isinstance(s, Dense) and s.delays is not None else np.int64(0)
        delays = s.delay + np.asarray(more, np.int64)
        for delay in np.unique(delays):
            demand_inside(delay, LONGEST_DELAY + 1)  # the history that a wire reads
            if delay == 0 and any(self.place.get(s.source, -1) >= self.place[t] for t in s.targets):
                raise NotCoveredError(f"synapses {s.name!r} lead back without a delay")
            weight = np.where(delays == delay, stored, 0) if np.ndim(delays) else stored
            bounds = _sum_range(s, weight, source)
            total = Sum(self.layouts[s.targets[0]].size, bounds, _width(bounds))
            short = _within(source, 16)
            yield Wire(s, weight, int(delay), graded, delivery, total, short=short)

    def arrival(self, p: Population, wires: list[Wire], segment: Segment) -> Sum:
        """Return the sum that a population reads; sums not added to it directly are transferred."""
        delivered = [_delivered(w.delivery, w.total.range) for w in wires]
        low = sum(r[0] for r, _ in delivered)
        high = sum(r[1] for r, _ in delivered)
        if len(wires) == 1 and delivered[0][1] and delivered[0][0] == wires[0].total.range:
            return wires[0].total
        total = Sum(self.layouts[p.name].size, (low, high), _width((low, high)))
        for w, (_, plain) in zip(wires, delivered, strict=True):
            if plain and w.synapses.targets == (p.name,):
                w.weight = w.weight.astype(np.int64) << w.delivery.shift
                w.total = total
            else:
                segment.transfers.append(Transfer(w.total, total, w.delivery))
        return total


def _cell(p: Population, kernels: Kernels) -> Cell:
    if p.size >= LARGEST:
        raise NotCoveredError(f"population {p.name!r} has {p.size} neurons")
    cell = kernels.cell(p)
    if cell is None:
        raise NotCoveredError(f"no kernel covers population {p.name!r} ({p.model})")
    return cell


def _layouts(program: Program) -> dict[str, Layout]:
    """Return layouts with channels last; a flat population has those of its convolution."""
    ends: tuple[Port | Population, ...] = (*program.ports, *program.populations)
    layouts = {p.name: Layout.of(p.shape) for p in ends if len(p.shape) > 1}
    for s in program.synapses:
        if isinstance(s, Conv):
            layouts.setdefault(s.source, Layout.of(s.input_shape))
            for t in s.targets:
                layouts.setdefault(t, Layout.of(s.shape))
    return {p.name: layouts.get(p.name, Layout.of((math.prod(p.shape),))) for p in ends}


def _lay(w: Wire, layouts: Mapping[str, Layout]) -> None:
    """Choose the form of the weights and order them as the machine reads them.

    The form depends on the numbers, not on the class: a convolution whose kernel covers most of
    its input, or a list of most pairs, is added by whole rows; a matrix of few weights as a list.
    """
    s, lanes = w.synapses, GRANULE // w.total.width
    source, target = layouts[s.source], layouts[s.targets[0]]
    kind = {2: np.int16, 4: np.int32, 8: np.int64}[w.total.width]
    if w.weight.size >= LARGEST:
        raise NotCoveredError(f"synapses {s.name!r} have {w.weight.size} weights")
    pairs = math.prod(s.shape) * math.prod(s.input_shape)
    if isinstance(s, Conv):
        as_laid = source == Layout.of(s.input_shape) and target == Layout.of(s.shape)
        if as_laid and 2 * conv_synapses(s) < pairs:
            tables = conv_tables(s, w.weight.astype(kind), target)
            if tables.weight.size >= LARGEST:
                raise NotCoveredError(f"synapses {s.name!r} have too large a kernel")
            w.tables = tables
            w.total.slack = max(w.total.slack, tables.row)
            return
        if conv_synapses(s) > LISTED:
            raise NotCoveredError(f"synapses {s.name!r} are too many to be listed one by one")
        row, column, weight = conv_lists(s, w.weight)
    elif isinstance(s, Sparse):
        row, column, weight = s.row, s.column, w.weight
    else:
        row, column = np.nonzero(w.weight)
        weight = w.weight[row, column]
    if 8 * len(row) >= pairs:  # an element of a list costs about as much as 8 of a row
        matrix = np.zeros((math.prod(s.shape), math.prod(s.input_shape)), kind)
        np.add.at(matrix, (row, column), weight.astype(kind))
        w.dense = rows(matrix, source, target, lanes)
        return
    first, to, weight = lists(row, column, weight, source, target)
    w.listed = first, to, weight.astype(kind)


def _clear_after_last_use(segment: Segment) -> None:
    """Mark the last reader of each sum in a step, which clears it for the next step."""
    last: dict[Sum, Transfer | Neurons] = {}
    for kind, k in segment.order:
        if kind == DELIVER:
            last[segment.transfers[k].of] = segment.transfers[k]
        elif kind == CELL:
            last[segment.neurons[k].total] = segment.neurons[k]
    for reader in last.values():
        reader.clear = True


# --- ranges --------------------------------------------------------------


def _width(r: Range) -> int:
    return next((w for w in (2, 4) if _within(r, 8 * w)), 8)


def _within(r: Range, bits: int) -> bool:
    limit: int = 1 << (bits - 1)
    return -limit <= r[0] and r[1] < limit


def _sum_range(s: Synapses, weight: Array, source: Range) -> Range:
    """Return the range of sums over any target's weights, for all inputs in the source's range."""
    up, down = np.maximum(weight, 0).astype(float), np.minimum(weight, 0).astype(float)
    if isinstance(s, Sparse):
        size = math.prod(s.shape)
        ups = np.bincount(s.row, up, size)
        downs = np.bincount(s.row, down, size)
    else:
        ups = up.reshape(len(up), -1).sum(axis=1)
        downs = down.reshape(len(down), -1).sum(axis=1)
    low, high = min(source[0], 0), max(source[1], 0)
    return (
        math.floor((ups * low + downs * high).min(initial=0)),
        math.ceil((ups * high + downs * low).max(initial=0)),
    )


def _delivered(d: Delivery, r: Range) -> tuple[Range, bool]:
    """Return the range after the delivery, and whether this is only a shift to the left."""
    plain = d.shift >= 0 and _within(r, d.before)
    low, high = _wrapped(r, d.before)
    r = (low << d.shift, high << d.shift) if d.shift >= 0 else (low >> -d.shift, high >> -d.shift)
    return _wrapped(r, d.after), plain and _within(r, d.after)


def _wrapped(r: Range, bits: int) -> Range:
    return r if _within(r, bits) else (-(1 << (bits - 1)), (1 << (bits - 1)) - 1)


# --- what must advance together ------------------------------------------


def segments(program: Program) -> list[list[str]]:
    """Group the populations, each group after the groups that feed it.

    Two populations are in a group if each can reach the other; those that share a synapse
    count as reaching each other.
    """
    names = [p.name for p in program.populations]
    ahead: dict[str, set[str]] = {name: set() for name in names}
    for s in program.synapses:
        targets = [t for t in s.targets if t in ahead]
        for t in targets:
            ahead[t].add(targets[0])
            ahead[targets[0]].add(t)
        if s.source in ahead:
            ahead[s.source].update(targets)
    reach = {name: _reached(name, ahead) for name in names}
    groups: dict[str, list[str]] = {}
    for name in names:
        first = next(n for n in names if n == name or (n in reach[name] and name in reach[n]))
        groups.setdefault(first, []).append(name)
    before = {g: {h for h in groups if h != g and g in reach[h]} for g in groups}
    return [groups[g] for g in sorted(groups, key=lambda g: len(before[g]))]


def _reached(start: str, ahead: Mapping[str, Iterable[str]]) -> set[str]:
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        for name in ahead[waiting.pop()]:
            if name not in seen:
                seen.add(name)
                waiting.append(name)
    return seen
