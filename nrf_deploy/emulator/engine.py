"""The fast emulator: the bits of golden.run, as fast as a CPU can.

    Engine(program, arithmetic, kernels).run(recording)      one recording; threads=2 shares it out
    Engine(...).run_batch(recordings, threads=2)             several, side by side
    stream = Engine(...).stream(); stream.feed(chunk)        a chunk in, a chunk out

docs/engine.md tells how it works. plan.py turns the program into work (work.py), layout.py lays
neurons and weights channels last, split.py cuts what is too large for a cache. session.py holds
what changes, schedule.py says which thread does what next, machine.py does it, and scatter.py
and delivery.py what it calls. compiled.py and cache.py make and keep the machine code;
kernels.py says what a target gives.

What the target's kernels do not cover runs in golden.py, exactly, and the trace's notes say
why ("plain emulator").
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from ..findings import Finding, InputError, error, refuse
from ..program import Program
from ..progress import Progress, quiet
from ..recording import Recording, Trace
from . import golden
from .golden import Arithmetic
from .kernels import Kernels
from .plan import NotCoveredError, plan
from .tuning import Tuning
from .work import Plan

if TYPE_CHECKING:
    from .stream import PlainStream, Stream

WORD = 2**31 - 1
TUNING = Tuning()
IDLE = 4
"""Streams that are kept for the next run: laying their tables costs as much as a short run."""


class Engine:
    """A program made ready to run; it can be run many times, and from several threads."""

    def __init__(
        self, program: Program, arithmetic: Arithmetic, kernels: Kernels, tuning: Tuning = TUNING
    ):
        self.program, self.arithmetic, self.kernels = program, arithmetic, kernels
        self.tuning = tuning
        self._planning = threading.Lock()
        self._plans: dict[tuple[int, ...], Plan] = {}
        self._idle: list[Stream] = []
        self.plain: str | None = None
        """Why the plain emulator runs this program, if it does."""
        try:
            self.plan([p.peak for p in program.ports])
        except NotCoveredError as reason:
            self.plain = str(reason)

    def plan(self, peaks: Sequence[int], threads: int = 1) -> Plan:
        """The plan for input values up to `peaks`, or up to what the ports say if that is more."""
        key = tuple(
            port.peak if peak <= port.peak else 2 ** int(peak).bit_length() - 1
            for port, peak in zip(self.program.ports, peaks, strict=True)
        )
        with self._planning:
            if (threads, *key) not in self._plans:
                peak = dict(zip((p.name for p in self.program.ports), key, strict=True))
                made = plan(self.program, self.arithmetic, self.kernels, peak, threads, self.tuning)
                self._plans[threads, *key] = made
            return self._plans[threads, *key]

    def run(
        self,
        recording: Recording,
        record: Iterable[str] | None = None,
        states: Iterable[str] = (),
        steps: int | None = None,
        progress: Progress = quiet,
        threads: int = 1,
    ) -> Trace:
        """As golden.run, on so many threads; the trace does not depend on how many."""
        peaks = sound(self.program, recording)
        record = [p.name for p in self.program.populations] if record is None else list(record)
        states = list(states)
        if self.plain is not None:
            trace = golden.run(
                self.program, self.arithmetic, recording, record, states, steps, progress
            )
            return Trace("emulator", trace.outputs, trace.states, {"plain emulator": self.plain})
        stream = self._idle_stream(record, states, peaks, threads)
        trace = stream.advance(recording, steps, progress, peaks)
        with self._planning:
            self._idle = [*self._idle, stream][-IDLE:]
        return trace

    def _idle_stream(
        self, record: list[str], states: list[str], peaks: list[int], threads: int
    ) -> Stream:
        """One that has run the same plan before, if there is one: its tables are laid."""
        from .stream import Stream

        plan, wanted = self.plan(peaks, threads), (record, states)
        with self._planning:
            fits = (
                s for s in self._idle if s.session.plan is plan and (s.record, s.logged) == wanted
            )
            stream = next(fits, None)
            if stream:
                self._idle.remove(stream)
        if stream is None:
            return Stream(self, record, states, peaks, threads)
        stream.session.restart()
        return stream

    def run_batch(
        self,
        recordings: Sequence[Recording],
        record: Iterable[str] | None = None,
        states: Iterable[str] = (),
        steps: int | None = None,
        threads: int = 1,
    ) -> list[Trace]:
        """Each recording from the same start; the traces come in their order."""
        record = None if record is None else list(record)
        states, left = list(states), iter(range(len(recordings)))
        traces: dict[int, Trace] = {}

        def work() -> None:
            try:
                for k in left:
                    traces[k] = self.run(recordings[k], record, states, steps)
            except BaseException:
                list(left)  # nobody begins another
                raise

        with ThreadPoolExecutor(max(1, threads - 1)) as pool:
            others = [pool.submit(work) for _ in range(threads - 1)]
            work()
            for other in others:
                other.result()
        return [traces[k] for k in range(len(recordings))]

    def stream(
        self,
        record: Iterable[str] | None = None,
        states: Iterable[str] = (),
        threads: int = 1,
    ) -> Stream | PlainStream:
        """What takes a chunk of input after another and gives a chunk of the trace for each."""
        from .stream import PlainStream, Stream

        record = [p.name for p in self.program.populations] if record is None else list(record)
        if self.plain is not None:
            return PlainStream(self, record, list(states))
        return Stream(self, record, list(states), [p.peak for p in self.program.ports], threads)


def run(
    program: Program,
    arithmetic: Arithmetic,
    kernels: Kernels,
    recording: Recording,
    record: Iterable[str] | None = None,
    states: Iterable[str] = (),
    steps: int | None = None,
    progress: Progress = quiet,
    threads: int = 1,
) -> Trace:
    """One run; to run a program many times, keep an Engine."""
    engine = Engine(program, arithmetic, kernels)
    return engine.run(recording, record, states, steps, progress, threads)


# --- what comes in -------------------------------------------------------


def sound(program: Program, recording: Recording) -> list[int]:
    """The largest magnitude that enters at each port; refuses what the machine cannot take."""
    arrays = recording.start, recording.index, recording.value
    usual = (
        len(program.ports) == 1
        and (recording.dt is None or 0 < recording.dt < math.inf)
        and recording.shape == program.ports[0].shape
        and all(a.ndim == 1 and a.dtype == np.int64 and a.flags.c_contiguous for a in arrays)
    )
    if usual:
        from .order import soundness

        largest = soundness(*arrays, recording.size, WORD)
        if largest >= 0:
            return [int(largest)]
    refuse(input_faults(program, recording), InputError)
    return recording_peaks(program, recording)


def input_faults(program: Program, recording: Recording) -> list[Finding]:
    """What the machine must not be handed: it trusts its input."""
    size = sum(math.prod(p.shape) for p in program.ports)
    found = [
        error(
            "EMULATOR-INPUT",
            fault,
            fix="make the recording with Recording.from_events, or mend the file",
        )
        for fault in recording.faults()
    ]
    if found:
        return found
    if recording.size != size:
        found.append(
            error(
                "RECORDING-SHAPE",
                f"the recording has {recording.size} elements, the program's ports {size}",
                fix="record, crop or merge the input to the program's ports",
            )
        )
    values = recording.value
    if len(values):
        beyond = np.abs(values.astype(np.float64)) > WORD
        if beyond.any():
            at = int(np.argmax(beyond))
            found.append(
                error(
                    "EMULATOR-INPUT-VALUE",
                    f"the value {values[at]} does not fit 32 bits",
                    step=int(recording.step[at]),
                    fix="send smaller values",
                )
            )
        elif values.dtype.kind == "f" and np.any(values != np.rint(values)):
            at = int(np.argmax(values != np.rint(values)))
            found.append(
                error(
                    "EMULATOR-INPUT-VALUE",
                    f"the value {values[at]} is no whole number",
                    step=int(recording.step[at]),
                    fix="send counts of events, or scale the input in the model's first layer",
                )
            )
    return found


def port_slices(program: Program) -> Mapping[str, tuple[int, int]]:
    """Where each port lies in the stacked, flat input."""
    first, found = 0, {}
    for port in program.ports:
        size = math.prod(port.shape)
        found[port.name] = (first, first + size)
        first += size
    return found


def recording_peaks(program: Program, recording: Recording) -> list[int]:
    """The largest magnitude that enters at each port."""
    found = []
    for first, last in port_slices(program).values():
        inside = (recording.index >= first) & (recording.index < last)
        found.append(int(np.abs(recording.value[inside].astype(np.int64)).max(initial=0)))
    return found
