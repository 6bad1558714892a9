"""Which thread runs what next: the stages of a plan over the chunks of a run.

A stage may run a chunk when those that feed it have finished that chunk, and when those that
it feeds have finished the chunk whose slot it would write into. Its pieces run in any order
and on any thread; the last one finishes the stage. So layer k works on a chunk while layer
k + 1 works on the one before, and what is computed does not depend on who computes it.

The earliest chunk goes first: that keeps few events under way.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Work:
    """A stage as the schedule sees it; sources and readers are places of other stages."""

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
        """`run` is called with (stage, piece, chunk), and `finish` with (stage, chunk) once all
        of them ran and before anybody reads what they gave."""
        self.stages, self.chunks, self.slots = stages, chunks, slots
        self.run, self.finish = run, finish
        self.finished = [0] * len(stages)
        self.begun = [0] * len(stages)
        self.left = [s.pieces for s in stages]
        self.changed = threading.Condition()
        self.failure: BaseException | None = None

    def work(self, threads: int) -> None:
        """Runs everything; what a thread raises ends all of them and is raised here."""
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
        """The next task; waits while there is none yet, None when there is none any more."""
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
