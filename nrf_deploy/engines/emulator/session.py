"""Session: the state of one run of a plan, which advances chunk by chunk.

Weights belong to the plan and are shared; everything that changes belongs to a session. So
several samples run in parallel on one plan, and the threads of one run share its pieces.

Pieces that one call runs consecutively.

A call releases the interpreter lock and takes it again, and threads that run samples in
parallel wait for this; so the pieces that one thread runs in turn are one call.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from . import machine
from .compiled import address
from .events import Slots
from .golden import Arithmetic
from .running import Running
from .schedule import Schedule, Work
from .tuning import Tuning
from .work import Plan

if TYPE_CHECKING:
    from .running import Running


class Line:
    """A line of parts, each a stage and the number of one of its pieces."""

    def __init__(self, parts: Sequence[tuple[Running, int]]):
        self.parts = parts
        self.pieces = [stage.pieces[piece] for stage, piece in parts]
        tables_of = [(p.order, p.wires, p.delivers, p.cells) for p in self.pieces]
        sizes = [[len(table) for table in tables] for tables in tables_of]
        self.places = np.concatenate([np.zeros((1, 4), np.int64), np.cumsum(sizes, axis=0)])
        self.tables = [np.concatenate(same) for same in zip(*tables_of, strict=True)]
        for piece, first, last in zip(self.pieces, self.places, self.places[1:], strict=False):
            piece.move(*(t[a:b] for t, a, b in zip(self.tables, first, last, strict=True)))

    def run(self, chunk: int, steps: int, t: int) -> None:
        """Run a chunk from step `t` of the run on."""
        events = [stage.begin(piece, chunk, steps) for stage, piece in self.parts]
        at = first = 0
        while at < len(self.pieces):
            for piece, (read, written) in zip(self.pieces, events, strict=True):
                piece.multiply_where_it_pays(read)
                piece.read_and_write(read, written)
            at, first = machine.advance(*self.tables, self.places, at, first, steps, t)
            if at < len(self.pieces):
                self.pieces[at].grow(events[at][1], first, steps)
        for piece, (read, _) in zip(self.pieces, events, strict=True):
            piece.multiply_where_it_pays(read)


TUNING = Tuning()


@dataclass(frozen=True, eq=False)
class Block:
    """Stages that run in turn, by independent lines: one line for all stages if each is one
    piece, otherwise a line for each piece of one stage."""

    stages: list[Running]
    lines: list[Line]


class Session:
    """A run of a plan. `chunk` is the largest number of steps at once; `values` names the
    populations whose events keep their value, `taken` those whose events are returned, `states`
    those whose states are logged."""

    def __init__(
        self,
        plan: Plan,
        arithmetic: Arithmetic,
        chunk: int,
        values: Iterable[str] = (),
        taken: Iterable[str] = (),
        states: Iterable[str] = (),
        threads: int = 1,
        tuning: Tuning = TUNING,
    ):
        self.plan, self.chunk, self.threads, self.tuning = plan, chunk, threads, tuning
        self.t = self.chunks = 0
        """Steps and chunks that are done."""
        self.under_way = False
        """True also after an interrupted run, whose state is unknown."""
        self.slots = 1 if threads == 1 else 2
        valued = plan.valued | set(values)
        self.events = {
            name: Slots(self.slots, history, chunk, name in valued)
            for name, history in plan.history.items()
        }
        inside = {name for stage in plan.stages for name in stage.names}
        self.ports = [name for name in plan.layouts if name not in inside]
        needed = set(taken).union(*(stage.sources for stage in plan.stages))
        self.stages = [
            Running(stage, plan, arithmetic, self.events, chunk, needed, frozenset(states), tuning)
            for stage in plan.stages
        ]
        self.work = self._work()
        self.blocks = self._blocks()
        changing = [a for stage in self.stages for piece in stage.pieces for a in piece.changing]
        places = [(address(a), a.nbytes) for a in changing]
        self._changing = np.array(places, np.int64).reshape(-1, 2)

    def restart(self) -> None:
        """Return to the state before the first step; plan and memory stay."""
        self.t = self.chunks = 0
        for slots in self.events.values():
            slots.restart()
        machine.clear(self._changing)
        for stage in self.stages:
            stage.restart()

    def _blocks(self) -> list[Block]:
        """Return the blocks; a single thread runs stages of one piece in one call."""
        together: list[list[Running]] = []
        for stage in self.stages:
            single = self.threads == 1 and len(stage.pieces) == 1
            if single and together and len(together[-1][0].pieces) == 1:
                together[-1].append(stage)
            else:
                together.append([stage])
        return [
            Block(stages, [Line([(s, k) for s in stages]) for k in range(len(stages[0].pieces))])
            for stages in together
        ]

    def _work(self) -> list[Work]:
        """Return the stages of the schedule; the ports are the first."""
        stages = self.plan.stages
        place = dict.fromkeys(self.ports, 0)
        place |= {name: k for k, stage in enumerate(stages, 1) for name in stage.names}
        sources = [frozenset(), *(frozenset(place[s] for s in stage.sources) for stage in stages)]
        return [
            Work(
                pieces=len(stages[k - 1].pieces) if k else 1,
                sources=sources[k],
                readers=frozenset(r for r, of in enumerate(sources) if k in of),
            )
            for k in range(len(sources))
        ]

    def advance(
        self,
        steps: int,
        put: Callable[[int, int, int], None],
        took: Callable[[Running, int], None],
        progress: Callable[[int], None],
    ) -> None:
        """Advance everything by `steps` steps.

        `put(chunk, first, last)` writes the ports' events of these steps; `took(stage, chunk)`
        is called on any thread when a stage has run a chunk, before its output is overwritten;
        `progress` is called with the steps that all stages have done.
        """
        self.under_way = True
        edges = self._edges(steps)
        place = {stage: k for k, stage in enumerate(self.stages, 1)}
        over, reported, lock = [0] * len(self.stages), 0, threading.Lock()

        def run(block: int, piece: int, chunk: int) -> None:
            first, last = edges[chunk]
            if block:
                line = self.blocks[block - 1].lines[piece]
                line.run(self.chunks + chunk, last - first, self.t + first)

        def finish(stage: int, chunk: int) -> None:
            nonlocal reported
            if stage == 0:
                self._put(put, self.chunks + chunk, *edges[chunk])
                return
            running = self.stages[stage - 1]
            running.join(self.chunks + chunk)
            took(running, self.chunks + chunk)
            with lock:
                over[stage - 1] = chunk + 1
                if min(over) > reported:
                    reported = min(over)
                    progress(edges[chunk][1])

        if self.threads == 1:
            for chunk in range(len(edges)):
                finish(0, chunk)
                for k, block in enumerate(self.blocks, 1):
                    for piece in range(len(block.lines)):
                        run(k, piece, chunk)
                    for stage in block.stages:
                        finish(place[stage], chunk)
        else:
            Schedule(self.work, len(edges), self.slots, run, finish).work(self.threads)
        self.t += steps
        self.chunks += len(edges)
        self.under_way = False

    def _put(self, put: Callable[[int, int, int], None], chunk: int, first: int, last: int) -> None:
        for name in self.ports:
            self.events[name].begin(chunk, last - first)
        put(chunk, first, last)

    def _edges(self, steps: int) -> list[tuple[int, int]]:
        """Return (first, last) of each chunk; their lengths differ by at most 1."""
        size = self.chunk
        if self.threads > 1:
            size = min(size, max(self.tuning.shortest, -(-steps // self.tuning.turns)))
        count = -(-steps // size)
        return list(pairwise(steps * k // count for k in range(count + 1))) if count else []

    def take_over(self, before: Session) -> None:
        """Continue from the state of another plan's session of the same program."""
        self.t, self.chunks = before.t, before.chunks
        self.events.update(before.events)
        for mine, theirs in zip(self.stages, before.stages, strict=True):
            mine.take_over(theirs)


def steps_a_chunk(
    plan: Plan, logged: Iterable[str], states: Callable[[str], int], limit: int
) -> int:
    """Return the steps of a chunk whose logs stay below about 64 MiB."""
    bytes_a_step = sum(4 * states(name) * plan.layouts[name].size for name in logged)
    return max(1, min(limit, 2**26 // max(bytes_a_step, 1)))
