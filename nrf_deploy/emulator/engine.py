"""The fast emulator: the bits of golden.run, as fast as a CPU can.

    Engine(program, arithmetic, kernels).run(recording)      one recording; threads=2 shares it out
    Engine(...).run_batch(recordings, threads=2)             several, side by side
    stream = Engine(...).stream(); stream.feed(chunk)        a chunk in, a chunk out

docs/engine.md tells how it works. ports.py looks at what comes in. plan.py turns the program into
work (work.py), plans.py keeps the plans, layout.py lays neurons and weights channels last,
split.py cuts what is too large for a cache. session.py holds what changes, schedule.py says which
thread does what next, machine.py does it, and scatter.py and delivery.py what it calls.
compiled.py and cache.py make and keep the machine code; kernels.py says what a target gives.

What the target's kernels do not cover runs in golden.py, exactly, and the trace's notes say
why ("plain emulator").
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from ..program import Program
from ..progress import Progress, quiet
from ..recording import Recording, Trace
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
"""Streams that are kept for the next run: laying their tables costs as much as a short run."""


class Engine:
    """A program made ready to run; it can be run many times, and from several threads."""

    def __init__(
        self, program: Program, arithmetic: Arithmetic, kernels: Kernels, tuning: Tuning = TUNING
    ):
        demand_sound(program, arithmetic)
        self.program, self.arithmetic = program, arithmetic
        self._lock = threading.Lock()
        self._idle: list[Stream] = []
        self.plans = Plans(program, arithmetic, kernels, tuning)
        self.plain: str | None = None
        """Why the plain emulator runs this program, if it does."""
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
        with self._lock:
            self._idle = [*self._idle, stream][-IDLE:]
        return trace

    def _idle_stream(
        self, record: list[str], states: list[str], peaks: list[int], threads: int
    ) -> Stream:
        """One that has run the same plan before, if there is one: its tables are laid."""
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
        """What takes a chunk of input after another and gives a chunk of the trace for each."""
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
    """One run; to run a program many times, keep an Engine."""
    engine = Engine(program, arithmetic, kernels)
    return engine.run(recording, record, states, steps, progress, threads)
