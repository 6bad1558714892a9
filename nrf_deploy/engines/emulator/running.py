"""Running stage of a plan: its pieces, and the join of their events to a population's."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nrf_deploy.ir.network import Array

from . import order
from .compiled import address
from .events import Events, Slots
from .golden import Arithmetic
from .tables import Piece, Whole
from .tuning import Tuning
from .work import Neurons, Plan, Stage

Lists = dict[str, Events]


class Running:
    """A running stage. `events` holds every source's slots; `needed` names the populations
    whose events are read, `logged` those whose states are kept."""

    def __init__(
        self,
        stage: Stage,
        plan: Plan,
        arithmetic: Arithmetic,
        events: Mapping[str, Slots],
        chunk: int,
        needed: set[str],
        logged: frozenset[str],
        tuning: Tuning,
    ):
        self.stage, self.events, self.needed = stage, events, needed
        wholes: dict[str, Whole] = {}

        def whole(n: Neurons) -> Whole:
            name = n.population.name
            if name not in wholes:
                wholes[name] = _whole(n, arithmetic)
            return wholes[name]

        self.pieces = [Piece(s, plan.layouts, whole, chunk, logged, tuning) for s in stage.pieces]
        self.own: list[dict[str, Events]] = [
            {name: Events(0, chunk, events[name].valued) for name in stage.names}
            for _ in stage.pieces[1:] and stage.pieces
        ]
        """Events of each piece if there are several; a single one writes into the slot."""

    def restart(self) -> None:
        """Set the initial states of a run."""
        for piece in self.pieces:
            piece.restart()

    def begin(self, piece: int, chunk: int, steps: int) -> tuple[Lists, Lists]:
        """Return the events that a piece reads in a chunk, and the empty lists that it writes."""
        if self.own:
            written = self.own[piece]
            for events in written.values():
                events.begin(events, steps)
        else:
            written = {name: self.events[name].begin(chunk, steps) for name in self.stage.names}
        return {name: self.events[name].at(chunk) for name in self.stage.sources} | written, written

    def join(self, chunk: int) -> None:
        """Join the pieces' events to the population's."""
        if not self.own:
            return
        steps = next(iter(self.own[0].values())).steps
        for name in self.stage.names:
            if name not in self.needed:
                continue
            whole = self.events[name].begin(chunk, steps)
            parts = [own[name] for own in self.own]
            whole.reserve(whole.used + sum(p.count for p in parts))
            table = np.zeros(len(parts), order.part_type)
            for row, part, segment in zip(table, parts, self.stage.pieces, strict=True):
                row["start"], row["index"] = address(part.start), address(part.index)
                row["value"] = address(part.value) if part.valued else 0
                row["first"] = next(n.first for n in segment.neurons if n.population.name == name)
            order.join(table, steps, whole.start[whole.history :], whole.index, whole.value)

    def fired(self, name: str, chunk: int) -> int:
        if self.own:
            return sum(own[name].count for own in self.own)
        return self.events[name].at(chunk).count

    def log(self, name: str, chunk: int) -> Array:
        """Return the chunk's states as (steps, variables, neurons) in engine order."""
        steps = (self.own[0][name] if self.own else self.events[name].at(chunk)).steps
        return np.concatenate([p.logs[name][:steps] for p in self.pieces], axis=-1)

    def take_over(self, before: Running) -> None:
        """Copy the states of the same populations; every neuron is then updated once."""
        for name in self.stage.names:
            states = np.concatenate([p.states[name] for p in before.pieces], axis=-1)
            for piece in self.pieces:
                first = next(n.first for n in piece.segment.neurons if n.population.name == name)
                mine = piece.states[name]
                mine[:] = states[:, first : first + mine.shape[1]]


def _whole(n: Neurons, arithmetic: Arithmetic) -> Whole:
    p, layout = n.population, n.layout

    def row(value: object) -> Array:
        return layout.inner(np.broadcast_to(np.asarray(value), p.shape).ravel())

    starts = [row(v) if np.any(v) else None for v in arithmetic.start(p).values()]
    return starts, [row(v) for v in n.cell.params.values() if np.ndim(v)]
