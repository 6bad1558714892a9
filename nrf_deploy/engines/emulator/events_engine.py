"""The fast emulator of chips without time steps: equal to events_golden.run in every bit.

It runs layer by layer: in a program without feedback, all events of many steps pass one layer
before the next one starts. Each event carries the number of the input event that caused it, and
paths that meet are merged by this number; so the order of the output is that of the plain
emulator, which follows one input event to its end.

A target provides one kernel for a population (kernels.py has its form): for an event, the
neurons are one run of those that it reaches, the input is their weights, and the result says
whether any fired. Programs that the kernels do not cover run in events_golden.py, and the trace
contains the reason.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from nrf_deploy.diagnostics.findings import InputError, refuse
from nrf_deploy.diagnostics.progress import Progress, quiet
from nrf_deploy.ir.network import Array
from nrf_deploy.ir.program import Program
from nrf_deploy.ir.recording import Recording, Trace

from . import events_golden, ports
from .compiled import address, aligned, compiling, kernel_address
from .events_golden import EventRule, by_address, shuffled
from .events_machine import ROOM, USED, run_layer
from .events_tables import Neurons, Passing, layer, shapes
from .kernels import EventKernels
from .plan import NotCoveredError
from .soundness import demand_sound


@dataclass(frozen=True, eq=False)
class Stream:
    """Events of a source: addresses, ordinals of the causing events, and starts of the steps."""

    index: Array
    ordinal: Array
    start: Array


class Running:
    def __init__(self, n: Neurons):
        self.n = n
        self.size = n.population.size
        self.states = n.start.copy()
        longest = max(self.size, n.runs.longest * n.runs.target[0])
        self.spiked = aligned(longest + ROOM, np.int8)
        self.tick = np.zeros(1, np.int16) if n.tick is None else n.tick
        self.kernel = kernel_address(n.cell, 2, True)
        arrays = (n.runs.weights, self.tick, self.states, n.each, n.one, self.spiked)
        self.cell = tuple(address(array) for array in arrays)
        self.room = 2 * (self.size + n.runs.most)

    def run(self, events: Stream, ticks: Array, first: int, logged: bool) -> tuple[Stream, Array]:
        """Run events; return the spikes and, if logged, states as (steps, variables, neurons)."""
        room = max(self.room, len(events.index))
        index, order = np.empty(room, np.int32), np.empty(room, np.int64)
        start = np.zeros(len(ticks) + 1, np.int64)
        log = np.empty((len(ticks) if logged else 0, *self.states.shape), np.int32)
        place = np.zeros(4, np.int64)
        done = False
        while not done:
            with compiling(lambda: any(run_layer.stats.cache_misses.values())):
                done = run_layer(
                    self.kernel, self.n.runs.numbers, self.n.runs.weights, self.cell,
                    self.n.tick is not None, self.size, events.index, events.ordinal, events.start,
                    ticks, first, self.spiked, index, order, start, log, self.states, place,
                )  # fmt: skip
            if not done:
                index = np.concatenate([index, np.empty(len(index), np.int32)])
                order = np.concatenate([order, np.empty(len(order), np.int64)])
        used = int(place[USED])
        return Stream(index[:used].copy(), order[:used].copy(), start), log


STEPS = 256
"""Steps that pass a layer before the next layer starts."""
STATE_BYTES = 2**26
"""Limit on the bytes of logged states of these steps."""


class EventEngine:
    """A program that is ready to run, many times."""

    def __init__(self, program: Program, rule: EventRule, kernels: EventKernels):
        demand_sound(program, rule)
        self.program, self.rule = program, rule
        self.plain: str | None = None
        """The reason why the plain emulator runs this program, if it does."""
        self.layers: list[Neurons | Passing] = []
        try:
            for p in program.populations:
                cell = None if rule.passes(p) else kernels.cell(p)
                self.layers.append(layer(program, p, rule, cell))
        except NotCoveredError as reason:
            self.plain = str(reason)

    def run(
        self,
        recording: Recording,
        record: Iterable[str] | None = None,
        states: Iterable[str] = (),
        steps: int | None = None,
        progress: Progress = quiet,
        shuffle: int | None = None,
    ) -> Trace:
        """Run a recording like events_golden.run."""
        faults = ports.input_faults(self.program, recording)
        refuse([*faults, *events_golden.input_faults(recording)], InputError)
        steps = recording.steps if steps is None else steps
        kept = [p.name for p in self.program.populations] if record is None else list(record)
        logged = list(states)
        if self.plain is not None:
            trace = events_golden.run(
                self.program, self.rule, recording, kept, logged, steps, progress, shuffle
            )
            return Trace("emulator", trace.outputs, trace.states, {"plain emulator": self.plain})
        return _Run(self, kept, logged).run(recording, steps, progress, shuffle)


class _Run:
    def __init__(self, of: EventEngine, kept: list[str], logged: list[str]):
        self.program, self.rule, self.layers = of.program, of.rule, of.layers
        self.running = {n.population.name: Running(n) for n in of.layers if isinstance(n, Neurons)}
        self.kept, self.logged = kept, logged
        self.fired: dict[str, list[tuple[Array, Array]]] = {name: [] for name in kept}
        self.history: dict[str, list[Array]] = {name: [] for name in logged}
        self.order = {name: by_address(shape) for name, shape in shapes(of.program).items()}

    def run(
        self,
        recording: Recording,
        steps: int,
        progress: Progress,
        shuffle: int | None,
    ) -> Trace:
        bytes_a_step = sum(self.program.population(n).size for n in self.logged) * 4
        chunk = max(1, min(STEPS, STATE_BYTES // max(1, bytes_a_step)))
        for first in range(0, steps, chunk):
            last = min(first + chunk, steps)
            ticks, streams = self.entering(recording, first, last, shuffle)
            for n in self.layers:
                streams[n.population.name] = self.passed(n, streams, ticks, first)
            for name in self.kept:
                self.keep(name, streams[name], first)
            progress(last, steps)
        return self.trace(steps, recording.dt)

    def entering(
        self, recording: Recording, first: int, last: int, shuffle: int | None
    ) -> tuple[Array, dict[str, Stream]]:
        """Return the ordinal of each step's tick, and the ports' events with theirs."""
        edges = recording.start[np.minimum(np.arange(first, last + 1), recording.steps)]
        part = slice(edges[0], edges[-1])
        many = recording.value[part].astype(np.int64)
        events = np.repeat(recording.index[part], many)
        until = np.concatenate([[0], np.cumsum(many)])[edges - edges[0]]
        if shuffle is not None:
            for t, (a, b) in enumerate(pairwise(until.tolist()), first):
                events[a:b] = shuffled(events[a:b], shuffle, t)
        lengths = np.diff(until)
        ticks = np.concatenate([[0], np.cumsum(lengths + 1)[:-1]]).astype(np.int64)
        step = np.repeat(np.arange(last - first), lengths)
        ordinal = np.arange(len(events)) + step + 1
        streams, begin = {}, 0
        for port in self.program.ports:
            end = begin + math.prod(port.shape)
            mine = (events >= begin) & (events < end)
            place = np.empty(end - begin, np.int32)
            place[self.order[port.name]] = np.arange(end - begin)
            counts = np.bincount(step[mine], minlength=last - first)
            start = np.concatenate([[0], np.cumsum(counts)])
            streams[port.name] = Stream(place[events[mine] - begin], ordinal[mine], start)
            begin = end
        return ticks, streams

    def passed(
        self, n: Neurons | Passing, streams: Mapping[str, Stream], ticks: Array, first: int
    ) -> Stream:
        if isinstance(n, Passing):
            return _merged(n, streams, len(ticks))
        running = self.running[n.population.name]
        wanted = n.population.name in self.history
        stream, log = running.run(streams[n.source], ticks, first, wanted)
        if wanted:
            self.history[n.population.name].append(log)
        return stream

    def keep(self, name: str, stream: Stream, first: int) -> None:
        step = first + np.repeat(np.arange(len(stream.start) - 1), np.diff(stream.start))
        self.fired[name].append((step, self.order[name][stream.index]))

    def trace(self, steps: int, dt: float | None) -> Trace:
        none = np.zeros(0, np.int64)
        return Trace(
            engine="emulator",
            outputs={
                name: events_golden.counted(
                    self.program.population(name).shape,
                    np.concatenate([none, *(step for step, _ in parts)]),
                    np.concatenate([none, *(neuron for _, neuron in parts)]),
                    steps,
                    dt,
                )
                for name, parts in self.fired.items()
            },
            states={name: self.states(name, steps) for name in self.logged},
            notes={},
        )

    def states(self, name: str, steps: int) -> dict[str, Array]:
        p = self.program.population(name)
        variables = self.rule.states[p.model]
        flat = np.zeros((steps, len(variables), p.size), np.int64)
        if self.history[name]:
            flat[:, :, self.order[name]] = np.concatenate(self.history[name])[:, : len(variables)]
        return {v: flat[:, k].reshape(steps, *p.shape) for k, v in enumerate(variables)}


def _merged(n: Passing, streams: Mapping[str, Stream], steps: int) -> Stream:
    """Merge streams by the ordinals of their events; equal ordinals in the order of sources."""
    parts = []
    for source, table in n.tables:
        s = streams[source]
        index = table[s.index]
        step = np.repeat(np.arange(steps), np.diff(s.start))
        there = index >= 0
        parts.append((index[there], s.ordinal[there], step[there]))
    if not parts:
        return Stream(np.zeros(0, np.int32), np.zeros(0, np.int64), np.zeros(steps + 1, np.int64))
    index, ordinal, step = (np.concatenate(column) for column in zip(*parts, strict=True))
    if len(parts) > 1:
        order = np.argsort(ordinal, kind="stable")
        index, ordinal, step = index[order], ordinal[order], step[order]
    start = np.concatenate([[0], np.cumsum(np.bincount(step, minlength=steps))])
    return Stream(index, ordinal, start)
