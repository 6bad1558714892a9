"""Input or output over time, as events.

A Recording holds, for each step, which elements were non-zero and their
values, in compressed rows: the events of step t are `index[start[t]:start[t+1]]`
(flat, row-major over `shape`) with the same part of `value`. Within a step the
indices rise and are unique. Silence costs nothing; a dense array is built on
request only.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from nrf_deploy.diagnostics.findings import Finding, info

from .network import Array, Shape

MAX_STEPS = 10_000_000
"""Limit on the steps of a recording in a file: silent ones take time and memory, too."""
MAX_ELEMENTS = 1 << 24
"""Limit on the elements of a step in a file, equal to that of all layers of a model."""
FREE_EVENTS = 1 << 23
"""Limit on the events in a file of any size; a larger file may hold one event a byte."""


@dataclass(frozen=True, eq=False)
class Recording:
    """Input or output over time, as events in compressed rows.

    Attributes:
        shape: The shape of a step, without batch and time.
        start: int64 (steps + 1,): where the events of each step begin in `index`.
        index: int64: the flat element of each event, rising within a step.
        value: The value of each event, not 0: int64 for spikes, counts and payloads, float32
            for analogue signals.
        dt: Seconds of one step; None if it is not known.
        made: The conversion steps from a camera's events, in words.
    """

    shape: Shape
    start: Array
    index: Array
    value: Array
    dt: float | None = None
    made: tuple[str, ...] = ()

    def __repr__(self) -> str:
        pace = "" if self.dt is None else f" of {self.dt:g} s"
        events = f"{self.events:,} events"
        return f"<Recording of {events} in {self.steps:,} steps{pace}, shape {self.shape}>"

    @property
    def steps(self) -> int:
        """The number of steps."""
        return len(self.start) - 1

    @property
    def size(self) -> int:
        """The number of elements of a step."""
        return math.prod(self.shape)

    @property
    def events(self) -> int:
        """The number of events: a value of n counts as n, a negative or float value as 1."""
        if self.value.dtype.kind == "f" or self.value.min(initial=1) < 0:
            return len(self.index)
        return int(self.value.sum())

    def events_by_step(self) -> Array:
        """Return the number of events of each step, counted as in `events`."""
        if self.events == len(self.index):
            return np.diff(self.start)
        return np.diff(np.concatenate([[0], np.cumsum(self.value)])[self.start])

    @cached_property
    def step(self) -> Array:
        """The step of each event."""
        return np.repeat(np.arange(self.steps), np.diff(self.start))

    def at(self, t: int) -> tuple[Array, Array]:
        """Return the indices and values of step t."""
        part = slice(self.start[t], self.start[t + 1])
        return self.index[part], self.value[part]

    def frame(self, t: int) -> Array:
        """Return step t as a dense array of `shape`."""
        out = np.zeros(self.size, self.value.dtype)
        index, value = self.at(t)
        out[index] = value
        return out.reshape(self.shape)

    def dense(self) -> Array:
        """Return a dense array (steps, *shape); only for small recordings."""
        out = np.zeros((self.steps, self.size), self.value.dtype)
        out[self.step, self.index] = self.value
        return out.reshape(self.steps, *self.shape)

    def counts(self) -> Array:
        """Return in how many steps each element is not 0, in `shape`."""
        return np.bincount(self.index, minlength=self.size).reshape(self.shape)

    def same(self, other: Recording) -> bool:
        """Return whether another recording has the same shape, steps and events."""
        return (
            self.shape == other.shape
            and np.array_equal(self.start, other.start)
            and np.array_equal(self.index, other.index)
            and np.array_equal(self.value, other.value)
        )

    def faults(self) -> Iterator[str]:
        """Yield the faults of these arrays in words; a sound Recording has none."""
        arrays = (self.start, self.index, self.value)
        if any(a.ndim != 1 for a in arrays) or len(self.index) != len(self.value):
            yield "start, index and value are not three lists, the last two of one length"
            return
        if any(a.dtype.kind not in "iu" and len(a) for a in (self.start, self.index)):
            yield "start and index are not whole numbers"
            return
        ends = (self.start[0], self.start[-1]) if len(self.start) else None
        if ends != (0, len(self.index)) or np.any(self.start[1:] < self.start[:-1]):
            yield f"start does not rise from 0 to the number of events, {len(self.index)}"
            return
        if min(self.shape, default=1) < 1:
            yield f"the shape {self.shape} holds nothing"
        if np.any((self.index < 0) | (self.index >= self.size)):
            yield f"an index is outside 0..{self.size - 1}"
        falls = np.flatnonzero(self.index[1:] <= self.index[:-1]) + 1
        if not np.isin(falls, self.start).all():
            yield "the indices of a step do not rise"
        if np.any(self.value == 0) or not np.isfinite(self.value).all():
            yield "a value is 0, NaN or infinite"
        if self.dt is not None and not (math.isfinite(self.dt) and self.dt > 0):
            yield f"dt is {self.dt}, not a positive number of seconds"

    def shifted(self, steps: int) -> Recording:
        """Return the same events `steps` earlier; the first `steps` steps are dropped.

        It aligns an output with latency with the reference.
        """
        first = self.start[min(steps, self.steps)]
        return Recording(
            self.shape,
            self.start[min(steps, self.steps) :] - first,
            self.index[first:],
            self.value[first:],
            self.dt,
        )

    def until(self, steps: int) -> Recording:
        """Return the first `steps` steps."""
        start = self.start[: steps + 1]
        return Recording(
            self.shape, start, self.index[: start[-1]], self.value[: start[-1]], self.dt
        )

    @staticmethod
    def from_dense(frames: Array, dt: float | None = None) -> Recording:
        """Return the recording of dense frames (steps, *shape); integers stay integers."""
        frames = np.asarray(frames)
        flat = frames.reshape(len(frames), math.prod(frames.shape[1:]))
        step, index = np.nonzero(flat)
        value = flat[step, index]
        integral = value.dtype.kind in "biu"
        start = np.concatenate([[0], np.cumsum(np.bincount(step, minlength=len(frames)))])
        return Recording(
            tuple(frames.shape[1:]),
            start.astype(np.int64),
            index.astype(np.int64),
            value.astype(np.int64 if integral else np.float32),
            dt,
        )

    @staticmethod
    def from_events(
        step: Array, index: Array, value: Array, shape: Shape, steps: int, dt: float | None = None
    ) -> Recording:
        """Return the recording of events in any order; events of one element and step add up."""
        step, index, value = np.asarray(step), np.asarray(index), np.asarray(value)
        size = math.prod(shape)
        if np.any((index < 0) | (index >= size) | (step < 0) | (step >= steps)):
            raise ValueError(f"an event is outside {steps} steps of {shape}")
        key = step.astype(np.int64) * size + index
        order = np.argsort(key, kind="stable")
        key = key[order]
        first = np.flatnonzero(np.diff(key, prepend=-1))
        unique = key[first]
        integral = value.dtype.kind in "biu"
        total = np.add.reduceat(value[order].astype(np.int64 if integral else np.float64), first)
        keep = total != 0
        unique, total = unique[keep], total[keep]
        start = np.concatenate([[0], np.cumsum(np.bincount(unique // size, minlength=steps))])
        return Recording(
            shape,
            start.astype(np.int64),
            unique % size,
            total if integral else total.astype(np.float32),
            dt,
        )


@dataclass(frozen=True, eq=False)
class Trace:
    """The result of a run: outputs and states of the layers that were recorded.

    Attributes:
        engine: The engine that ran it.
        outputs: A Recording by layer, named as in the Network (or, without one, as in the
            Program), in the steps of the engine.
        states: Arrays (steps, *shape) by layer and variable.
        notes: Plain data from the engine.
    """

    engine: str
    outputs: Mapping[str, Recording]
    states: Mapping[str, Mapping[str, Array]]
    notes: Mapping[str, Any]

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The findings of the engine on this run, such as an input in other steps."""
        findings = [Finding(**f) for f in self.notes.get("findings", ())]
        if reason := self.notes.get("plain emulator"):
            findings.append(
                info(
                    "EMULATOR-PLAIN",
                    "the plain emulator ran this program: the same bits, many times slower",
                    why=str(reason),
                )
            )
        return tuple(findings)

    def _repr_html_(self) -> str:
        """Return the recorded layers as a table for a notebook."""
        from nrf_deploy.diagnostics.notebook import Table, page

        rows = [
            (
                name,
                "x".join(map(str, r.shape)) or "1",
                r.steps,
                r.events,
                f"{r.events / max(r.steps * r.size, 1):.4g}",
                ", ".join(self.states.get(name, ())),
            )
            for name, r in self.outputs.items()
        ]
        heads = ("layer", "shape", "steps", "events", "events a neuron and step", "states")
        return page(f"Trace by {self.engine}", Table(heads, rows), findings=self.findings)

    def __repr__(self) -> str:
        events = sum(r.events for r in self.outputs.values())
        return f"<Trace by {self.engine}: {events:,} events of {', '.join(self.outputs)}>"
