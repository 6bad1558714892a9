"""Streams: a chunk of input gives a chunk of the trace, and the state is kept.

The chunks of the trace, joined, are the trace of one run, for any division of the input.
"""

from __future__ import annotations

import numpy as np

from nrf_deploy.diagnostics.findings import UsageError, error, refuse
from nrf_deploy.diagnostics.progress import Progress, quiet
from nrf_deploy.ir.network import Array
from nrf_deploy.ir.program import Program
from nrf_deploy.ir.recording import Recording, Trace

from . import golden, order
from .compiled import findings
from .golden import Arithmetic
from .kernels import WORD
from .plans import Plans
from .ports import port_slices, sound
from .running import Running
from .session import Session, steps_a_chunk
from .work import Plan

BROKEN_OFF = error(
    "EMULATOR-STREAM",
    "an earlier chunk was interrupted, or is still running",
    why="some neurons were updated and others were not",
    fix="begin another stream, and feed the chunks consecutively",
)


class Stream:
    """A stream (see Engine.stream). `peaks` are the largest expected input values; larger ones
    need a new plan and are not an error."""

    def __init__(
        self,
        plans: Plans,
        record: list[str],
        states: list[str],
        peaks: list[int],
        threads: int = 1,
    ):
        self.plans, self.record, self.logged = plans, record, states
        self.peaks, self.threads = peaks, threads
        self.session = self._session(plans.up_to(peaks, threads))

    def _session(self, plan: Plan) -> Session:
        arithmetic, program = self.plans.arithmetic, self.plans.program
        chunk = steps_a_chunk(
            plan,
            self.logged,
            lambda name: len(arithmetic.states[program.population(name).model]),
            self.plans.tuning.chunk,
        )
        cells = {n.population.name: n.cell for s in plan.stages for n in s.pieces[0].neurons}
        values = [r for r in self.record if cells[r].output(WORD) != (0, 1)]
        return Session(
            plan,
            arithmetic,
            chunk,
            values,
            self.record,
            self.logged,
            self.threads,
            self.plans.tuning,
        )

    def feed(
        self, recording: Recording, steps: int | None = None, progress: Progress = quiet
    ) -> Trace:
        """Run the next `steps` steps, without input after the recording, and return their trace."""
        peaks = sound(self.plans.program, recording)
        return self.advance(recording, steps, progress, peaks)

    def advance(
        self, recording: Recording, steps: int | None, progress: Progress, peaks: list[int]
    ) -> Trace:
        """Run a recording that is known to be sound and to have values up to `peaks`."""
        program = self.plans.program
        steps = recording.steps if steps is None else steps
        refuse([BROKEN_OFF] if self.session.under_way else [], UsageError)
        self.peaks = [max(p) for p in zip(peaks, self.peaks, strict=True)]
        plan, before = self.plans.up_to(self.peaks, self.threads), self.session
        if plan is not before.plan:
            self.session = self._session(plan)
            self.session.take_over(before)
        lists = recording.start, recording.index, recording.value
        arrays = tuple(np.ascontiguousarray(a, np.int64) for a in lists)
        outputs: dict[str, list[tuple[Array, Array, Array]]] = {n: [] for n in self.record}
        logs: dict[str, list[Array]] = {n: [] for n in self.logged}
        fired = dict.fromkeys((p.name for p in program.populations), 0)

        def took(stage: Running, chunk: int) -> None:
            for name in stage.stage.names:
                fired[name] += stage.fired(name, chunk)
                if name in outputs:
                    outputs[name].append(self._outward(name, chunk))
                if name in logs:
                    logs[name].append(stage.log(name, chunk))

        def put(chunk: int, first: int, last: int) -> None:
            self._put(arrays, chunk, first, last)

        self.session.advance(steps, put, took, lambda done: progress(done, steps))
        costs = [f.as_json() for f in findings()]
        return Trace(
            engine="emulator",
            outputs={n: self._joined(n, parts, recording.dt) for n, parts in outputs.items()},
            states={n: self._states(n, parts) for n, parts in logs.items()},
            notes={"events": fired} | ({"findings": costs} if costs else {}),
        )

    def _put(self, arrays: tuple[Array, ...], chunk: int, first: int, last: int) -> None:
        """Write steps first to last of a recording as events of the ports."""
        edges, end = arrays[0], len(arrays[0]) - 1
        new_events = int(edges[min(last, end)] - edges[min(first, end)])
        plan = self.session.plan
        for name, port in port_slices(self.plans.program).items():
            layout, events = plan.layouts[name], self.session.events[name].at(chunk)
            events.reserve(events.used + new_events)
            sites, pitch = (layout.size, 1) if layout.same else (layout.sites, layout.pitch)
            sorts = name in plan.ordered and not layout.same
            to = events.start[events.history :], events.index, events.value
            order.inward(arrays, first, last, port, sites, pitch, sorts, *to)

    def _outward(self, name: str, chunk: int) -> tuple[Array, Array, Array]:
        start, index, value = self.session.events[name].at(chunk).chunk()
        layout = self.session.plan.layouts[name]
        to_index, to_value = np.empty(len(index), np.int64), np.empty(len(index), np.int64)
        if not len(value):
            to_value.fill(1)
        if layout.same:
            to_index[:] = index
            if len(value):
                to_value[:] = value
        else:
            lay = layout.channels, layout.sites, layout.pitch
            order.outward(start, index, value, *lay, to_index, to_value)
        return start, to_index, to_value

    def _joined(
        self, name: str, parts: list[tuple[Array, Array, Array]], dt: float | None
    ) -> Recording:
        shape = self.plans.program.population(name).shape
        if len(parts) == 1:
            return Recording(shape, *parts[0], dt)
        start, before = [np.zeros(1, np.int64)], 0
        for steps, _, _ in parts:
            start.append(before + steps[1:])
            before += int(steps[-1])
        none = [np.zeros(0, np.int64)]
        return Recording(
            shape,
            np.concatenate(start),
            np.concatenate([p[1] for p in parts] or none),
            np.concatenate([p[2] for p in parts] or none),
            dt,
        )

    def _states(self, name: str, parts: list[Array]) -> dict[str, Array]:
        population = self.plans.program.population(name)
        names = self.plans.arithmetic.states[population.model]
        layout = self.session.plan.layouts[name]
        states = {}
        for k, variable in enumerate(names):
            chunks = [layout.outer(p[:, k, : layout.size]).astype(np.int64) for p in parts]
            whole = np.concatenate(chunks) if chunks else np.zeros((0, population.size), np.int64)
            states[variable] = whole.reshape(-1, *population.shape)
        return states


class PlainStream:
    """A stream of a program that only the plain emulator runs. Every chunk runs again from the
    start, which is slow and exact."""

    def __init__(
        self,
        program: Program,
        arithmetic: Arithmetic,
        why: str,
        record: list[str],
        states: list[str],
    ):
        self.program, self.arithmetic, self.why = program, arithmetic, why
        self.record, self.logged = record, states
        size = sum(last - first for first, last in port_slices(program).values())
        none = np.zeros(0, np.int64)
        self.past = Recording((size,), np.zeros(1, np.int64), none, none)

    def feed(
        self, recording: Recording, steps: int | None = None, progress: Progress = quiet
    ) -> Trace:
        program, past = self.program, self.past
        sound(program, recording)
        steps = recording.steps if steps is None else steps
        edges = recording.start[np.clip(np.arange(1, steps + 1), 0, recording.steps)]
        used = int(edges[-1]) if steps else 0
        whole = Recording(
            past.shape,
            np.concatenate([past.start, past.start[-1] + edges]),
            np.concatenate([past.index, recording.index[:used]]),
            np.concatenate([past.value, recording.value[:used]]),
            recording.dt,
        )
        trace = golden.run(
            program,
            self.arithmetic,
            whole,
            self.record,
            self.logged,
            progress=progress,
        )
        self.past = whole
        return Trace(
            "emulator",
            {name: x.shifted(past.steps) for name, x in trace.outputs.items()},
            {
                name: {v: x[past.steps :] for v, x in states.items()}
                for name, states in trace.states.items()
            },
            {"plain emulator": self.why},
        )
