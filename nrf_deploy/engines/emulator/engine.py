"""The fast emulator: equal to golden.run in every bit.

    Engine(program, arithmetic, kernels).run(recording)      one recording, on `threads` threads
    Engine(...).run_batch(recordings, threads=2)             several recordings in parallel
    stream = Engine(...).stream(); stream.feed(chunk)        a chunk in, a chunk out

docs/engine.md explains it. ports.py checks the input. plan.py turns the program into work
(work.py), plans.py keeps the plans, layout.py orders neurons and weights channels last, split.py
cuts what is too large for a cache. session.py holds the state of a run, schedule.py assigns work
to threads, machine.py runs it by scatter.py and delivery.py. compiled.py and cache.py build and
keep the machine code; kernels.py is the contract of a target's kernels.

Programs that the target's kernels do not cover run in golden.py, exactly, and the trace's notes
contain the reason ("plain emulator").
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from nrf_deploy.diagnostics.progress import Progress, quiet
from nrf_deploy.ir.program import Program
from nrf_deploy.ir.recording import Recording, Trace

from . import golden
from .golden import Arithmetic
from .kernels import Kernels
from .plan import NotCoveredError
from .plans import Plans
from .ports import sound
from .soundness import demand_sound
from .stream import PlainStream, Stream
from .tuning import Tuning

TUNING = Tuning()
IDLE = 4
"""Streams that are kept for the next run: building their tables costs a short run."""


class Engine:
    """A program that is ready to run, many times and from several threads."""

    def __init__(
        self, program: Program, arithmetic: Arithmetic, kernels: Kernels, tuning: Tuning = TUNING
    ):
        demand_sound(program, arithmetic)
        self.program, self.arithmetic = program, arithmetic
        self._lock = threading.Lock()
        self._idle: list[Stream] = []
        self.plans = Plans(program, arithmetic, kernels, tuning)
        self.plain: str | None = None
        """The reason why the plain emulator runs this program, if it does."""
        try:
            self.plans.up_to([p.peak for p in program.ports])
        except NotCoveredError as reason:
            self.plain = str(reason)

    def run(
        self,
        recording: Recording,
        record: Iterable[str] | None = None,
        states: Iterable[str] = (),
        steps: int | None = None,
        progress: Progress = quiet,
        threads: int = 1,
    ) -> Trace:
        """Run a recording like golden.run; the trace does not depend on the number of threads."""
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
        with self._lock:
            self._idle = [*self._idle, stream][-IDLE:]
        return trace

    def _idle_stream(
        self, record: list[str], states: list[str], peaks: list[int], threads: int
    ) -> Stream:
        """Return a stream that ran the same plan before, or a new one: the tables are reused."""
        plan, wanted = self.plans.up_to(peaks, threads), (record, states)
        with self._lock:
            fits = (
                s for s in self._idle if s.session.plan is plan and (s.record, s.logged) == wanted
            )
            stream = next(fits, None)
            if stream:
                self._idle.remove(stream)
        if stream is None:
            return Stream(self.plans, record, states, peaks, threads)
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
        """Run each recording from the initial state; return the traces in their order."""
        record = None if record is None else list(record)
        states, left = list(states), iter(range(len(recordings)))
        traces: dict[int, Trace] = {}

        def work() -> None:
            try:
                for k in left:
                    traces[k] = self.run(recordings[k], record, states, steps)
            except BaseException:
                list(left)  # no thread begins another
                raise

        helping = min(threads, len(recordings)) - 1
        with ThreadPoolExecutor(max(1, helping)) as pool:
            others = [pool.submit(work) for _ in range(helping)]
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
        """Return a stream that takes chunks of input and returns a chunk of the trace for each."""
        record = [p.name for p in self.program.populations] if record is None else list(record)
        if self.plain is not None:
            return PlainStream(self.program, self.arithmetic, self.plain, record, list(states))
        peaks = [p.peak for p in self.program.ports]
        return Stream(self.plans, record, list(states), peaks, threads)


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
    """Run a program once; to run it many times, keep an Engine."""
    engine = Engine(program, arithmetic, kernels)
    return engine.run(recording, record, states, steps, progress, threads)
