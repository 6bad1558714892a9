"""Pieces that one call runs consecutively.

A call releases the interpreter lock and takes it again, and threads that run samples in
parallel wait for this; so the pieces that one thread runs in turn are one call.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from . import machine

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
