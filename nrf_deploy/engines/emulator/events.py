"""Events of a source, in chunks of time.

A chunk's events are stored after those of the `history` steps before it, which delays read.
There is a slot for each chunk that may be in progress: while one layer writes the next chunk
into one slot, later layers still read the chunk before in another.
"""

from __future__ import annotations

import numpy as np

from nrf_deploy.ir.network import Array

from .compiled import address
from .vectors import LOOK

SLACK = LOOK
"""Elements after the last event that whole vectors may read and write."""


class Events:
    """Events of a chunk; those of step t are start[history + t] to start[history + t + 1]."""

    def __init__(self, history: int, steps: int, valued: bool):
        self.history, self.valued = history, valued
        self.steps = 0
        """Steps of the chunk that is stored here."""
        self.start = np.zeros(history + steps + 1, np.int64)
        self.index = np.zeros(SLACK, np.int32)
        self.value = np.zeros(SLACK if valued else 0, np.int32)
        self._place: tuple[int, int, int, int] | None = None

    def restart(self) -> None:
        """Remove all events; the capacity stays."""
        self.steps = 0
        self.start[:] = 0

    @property
    def used(self) -> int:
        """Number of stored events, history included."""
        return int(self.start[self.history + self.steps])

    @property
    def count(self) -> int:
        """Number of events of the chunk."""
        return self.used - int(self.start[self.history])

    @property
    def capacity(self) -> int:
        """Number of events that can be stored."""
        return len(self.index) - SLACK

    def reserve(self, capacity: int) -> None:
        """Reserve capacity for this many events in all; stored events stay."""
        if capacity > self.capacity:
            self._place = None
            for name in ("index", "value") if self.valued else ("index",):
                grown = np.zeros(capacity + SLACK, np.int32)
                old = getattr(self, name)
                grown[: len(old)] = old
                setattr(self, name, grown)

    def place(self) -> tuple[int, int, int, int]:
        """Return the record (records.EVENTS) of this chunk."""
        if self._place is None:
            value = address(self.value) if self.valued else 0
            self._place = address(self.start), address(self.index), value, self.history
        return self._place

    def chunk(self) -> tuple[Array, Array, Array]:
        """Return (start, index, value) of the chunk."""
        start = self.start[self.history : self.history + self.steps + 1]
        part = slice(start[0], start[-1])
        return start - start[0], self.index[part], self.value[part]

    def begin(self, before: Events, steps: int) -> None:
        """Begin a chunk of `steps` steps after the one in `before` (which may be this slot)."""
        kept = before.start[before.steps : before.steps + self.history + 1]
        first, last = int(kept[0]), int(kept[-1])
        count = last - first
        if count:
            self.reserve(count)
            self.index[:count] = before.index[first:last].copy()
            if self.valued:
                self.value[:count] = before.value[first:last].copy()
        self.start[: self.history + 1] = kept - first
        self.start[self.history + 1 :] = count
        self.steps = steps


class Slots:
    """Slots of a source, used in turn."""

    def __init__(self, slots: int, history: int, steps: int, valued: bool):
        self.valued = valued
        self.slots = [Events(history, steps, valued) for _ in range(slots)]

    def at(self, chunk: int) -> Events:
        return self.slots[chunk % len(self.slots)]

    def restart(self) -> None:
        for events in self.slots:
            events.restart()

    def begin(self, chunk: int, steps: int) -> Events:
        self.at(chunk).begin(self.at(chunk - 1), steps)
        return self.at(chunk)
