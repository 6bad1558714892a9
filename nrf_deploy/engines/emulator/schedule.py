"""Schedule of the stages of a plan over the chunks of a run, on several threads.

A stage may run a chunk when the stages that feed it have finished that chunk, and when those
that it feeds have finished the chunk whose slot it would write into. Its pieces run in any order
and on any thread; the last one finishes the stage. So layer k works on a chunk while layer
k + 1 works on the one before, and the result does not depend on the threads.

The earliest chunk has priority, which keeps few events in memory.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Work:
    """A stage in the schedule; sources and readers are indices of other stages."""

    pieces: int
    sources: frozenset[int]
    readers: frozenset[int]


Task = tuple[int, int, int]  # (stage, piece, chunk)


class Schedule:
    def __init__(
        self,
        stages: Sequence[Work],
        chunks: int,
        slots: int,
        run: Callable[[int, int, int], None],
        finish: Callable[[int, int], None],
    ):
        """Create a schedule that calls `run(stage, piece, chunk)` and `finish(stage, chunk)`.

        `finish` is called once all pieces ran and before another stage reads their output.
        """
        self.stages, self.chunks, self.slots = stages, chunks, slots
        self.run, self.finish = run, finish
        self.finished = [0] * len(stages)
        self.begun = [0] * len(stages)
        self.left = [s.pieces for s in stages]
        self.changed = threading.Condition()
        self.failure: BaseException | None = None

    def work(self, threads: int) -> None:
        """Run everything; an exception in a thread ends all threads and is raised here."""
        helpers = [threading.Thread(target=self._help) for _ in range(threads - 1)]
        for helper in helpers:
            helper.start()
        self._help()
        try:
            for helper in helpers:
                helper.join()
        except KeyboardInterrupt as stop:
            self._fail(stop)
            for helper in helpers:
                helper.join()
        if self.failure is not None:
            raise self.failure

    def _help(self) -> None:
        try:
            while (task := self._take()) is not None:
                stage, _, chunk = task
                self.run(*task)
                with self.changed:
                    self.left[stage] -= 1
                    last = self.left[stage] == 0
                if last:
                    self.finish(stage, chunk)
                    with self.changed:
                        self.left[stage] = self.stages[stage].pieces
                        self.begun[stage] = 0
                        self.finished[stage] += 1
                        self.changed.notify_all()
        except BaseException as failure:
            self._fail(failure)

    def _fail(self, failure: BaseException) -> None:
        with self.changed:
            self.failure = self.failure or failure
            self.changed.notify_all()

    def _take(self) -> Task | None:
        """Return the next task, and wait for it if there is none yet; None after the last."""
        with self.changed:
            while True:
                if self.failure or min(self.finished, default=self.chunks) == self.chunks:
                    return None
                ready = [k for k in range(len(self.stages)) if self._ready(k)]
                if ready:
                    stage = min(ready, key=lambda k: (self.finished[k], k))
                    self.begun[stage] += 1
                    return stage, self.begun[stage] - 1, self.finished[stage]
                self.changed.wait()

    def _ready(self, k: int) -> bool:
        stage, chunk = self.stages[k], self.finished[k]
        return (
            chunk < self.chunks
            and self.begun[k] < stage.pieces
            and all(self.finished[s] > chunk for s in stage.sources)
            and all(self.finished[r] > chunk - self.slots for r in stage.readers)
        )
