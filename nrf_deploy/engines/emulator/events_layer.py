"""A running layer of the fast event engine: its states and the buffer of its spikes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nrf_deploy.ir.network import Array

from .compiled import address, aligned, compiling, kernel_address
from .events_machine import ROOM, USED, run_layer
from .events_tables import Neurons


@dataclass(frozen=True, eq=False)
class Stream:
    """Events of a source: addresses, ordinals of the causing events, and starts of the steps."""

    index: Array
    ordinal: Array
    start: Array


class Running:
    def __init__(self, n: Neurons):
        self.n = n
        self.size = n.population.size
        self.states = n.start.copy()
        longest = max(self.size, n.runs.longest * n.runs.target[0])
        self.spiked = aligned(longest + ROOM, np.int8)
        self.tick = np.zeros(1, np.int16) if n.tick is None else n.tick
        self.kernel = kernel_address(n.cell, 2, True)
        arrays = (n.runs.weights, self.tick, self.states, n.each, n.one, self.spiked)
        self.cell = tuple(address(array) for array in arrays)
        self.room = 2 * (self.size + n.runs.most)

    def run(self, events: Stream, ticks: Array, first: int, logged: bool) -> tuple[Stream, Array]:
        """Run events; return the spikes and, if logged, states as (steps, variables, neurons)."""
        room = max(self.room, len(events.index))
        index, order = np.empty(room, np.int32), np.empty(room, np.int64)
        start = np.zeros(len(ticks) + 1, np.int64)
        log = np.empty((len(ticks) if logged else 0, *self.states.shape), np.int32)
        place = np.zeros(4, np.int64)
        done = False
        while not done:
            with compiling(lambda: any(run_layer.stats.cache_misses.values())):
                done = run_layer(
                    self.kernel, self.n.runs.numbers, self.n.runs.weights, self.cell,
                    self.n.tick is not None, self.size, events.index, events.ordinal, events.start,
                    ticks, first, self.spiked, index, order, start, log, self.states, place,
                )  # fmt: skip
            if not done:
                index = np.concatenate([index, np.empty(len(index), np.int32)])
                order = np.concatenate([order, np.empty(len(order), np.int64)])
        used = int(place[USED])
        return Stream(index[:used].copy(), order[:used].copy(), start), log
