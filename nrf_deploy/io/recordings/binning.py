"""Binning of a camera's events into steps, packet by packet; only the result is in memory.

Times are whole microseconds of the camera's clock. The first event is at the beginning
of step 0, unless an origin sets where step 0 begins; step k has the events from
origin + k*bin up to, but not including, origin + (k+1)*bin, in exact arithmetic: a bin of
0.000255 s is 255 microseconds, not a float near it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from nrf_deploy.diagnostics.findings import (
    Finding,
    InputError,
    UsageError,
    error,
    info,
    refuse,
    warning,
)
from nrf_deploy.ir.network import Array, Shape
from nrf_deploy.ir.recording import Recording

from .event_options import Choice, Merge
from .limits import demand_elements
from .model_fit import misuse, polarities
from .sensor import Columns

Packets = Callable[[], Generator[Columns]]
ROOM = 1 << 20  # events, before those of one element and step are added together


def binned(
    packets: Packets,
    path: str,
    choice: Choice,
    *,
    shape: Shape | None,
    bin: float | None,
    merge: Merge | None = None,
    max_steps: int,
) -> tuple[Recording, list[Finding]]:
    """Count the events of each element in each step of `bin` seconds.

    `shape` is (P, H, W), with polarity as the channel. Polarities merge into a shape of
    (1, H, W) or (H, W), all events into a shape of one element.
    """
    refuse(misuse(shape, bin, merge), UsageError)
    assert shape is not None and bin is not None  # noqa: PT018 - for the type checker
    demand_elements(shape)
    origin = first = choice.origin
    while True:
        tally = _Tally(path, choice, shape, Fraction(repr(float(bin))) * 1_000_000, merge, first)
        with closing(packets()) as columns:
            tally.take(columns, max_steps)
        if first is not None or tally.least >= tally.first:
            break
        first = tally.least  # a later event is the earliest: count again from there
    early = (
        [_early(path, tally.least, origin)] if origin is not None and tally.least < origin else []
    )
    refuse([*early, *tally.problems(max_steps)], InputError)
    return tally.recording(float(bin)), list(tally.findings())


def _early(path: str, least: int, origin: int) -> Finding:
    return error(
        "RECORDING-ORIGIN",
        f"{path} begins at {least:,} us, before the origin at {origin:,} us",
        fix=f"count from the first event (--origin first), or give an origin of at most {least}",
    )


@dataclass
class _Outside:
    """Events beyond one axis of the shape."""

    limit: int
    count: int = 0
    low: int = 1 << 62
    high: int = -1 << 62

    def keep(self, column: Array) -> Array:
        inside = (column >= 0) & (column < self.limit)
        self.count += len(column) - int(np.count_nonzero(inside))
        if len(column):
            self.low = min(self.low, int(column.min()))
            self.high = max(self.high, int(column.max()))
        return np.asarray(inside)


@dataclass
class _Tally:
    """Counts of the packets so far."""

    path: str
    choice: Choice
    shape: Shape
    size: Fraction  # microseconds of a step
    merge: Merge | None
    origin: int | None  # start of time; None: the first event
    first: int = 0
    least: int = 0
    latest: int = 0
    seen: int = 0
    taken: int = 0
    falls: int = 0
    last: int = 0
    largest_fall: int = 0
    steps: int = 0
    axes: dict[str, _Outside] = field(default_factory=dict)
    parts: list[tuple[Array, Array]] = field(default_factory=list)  # place and step, count
    done: list[tuple[Array, Array]] = field(default_factory=list)  # in order, before `parts`
    pending: int = 0  # events in `parts`
    room: int = field(default_factory=lambda: ROOM)

    def take(self, packets: Iterator[Columns], max_steps: int) -> None:
        if self.merge != "all":
            *channels, height, width = self.shape
            self.axes = {"x": _Outside(width), "y": _Outside(height)}
            if self.merge is None:
                self.axes["p"] = _Outside(channels[0])
        for packet in packets:
            if not len(packet["t"]):
                continue
            self._watch(packet["t"])
            if self.choice.is_over(packet["t"], self.first):
                break
            chosen = self.choice.of(packet, self.first)
            self.taken += len(chosen["t"])
            self._add(chosen, max_steps)

    def _watch(self, t: Array) -> None:
        """Update the extent of the time, and count where it falls."""
        if not self.seen:
            self.first = int(t[0]) if self.origin is None else self.origin
            self.least = self.latest = int(t[0])
        fall = -np.diff(t, prepend=self.last if self.seen else t[0])
        self.falls += int(np.count_nonzero(fall > 0))
        self.largest_fall = max(self.largest_fall, int(fall.max()))
        self.last = int(t[-1])
        self.least = min(self.least, int(t.min()))
        self.latest = max(self.latest, int(t.max()))
        self.seen += len(t)

    def _add(self, events: Columns, max_steps: int) -> None:
        since = events["t"] - (self.first + self.choice.begin)
        if not len(since):
            return
        self.steps = max(self.steps, math.floor(int(since.max()) / self.size) + 1)
        inside = np.ones(len(since), np.bool_)
        for name, axis in self.axes.items():
            inside &= axis.keep(events[name])
        if (
            self.steps > max_steps
            or int(since.min()) < 0
            or any(a.count for a in self.axes.values())
        ):
            self.parts.clear()  # it will be refused
            return
        step, index = self._step(since), self._index(events)
        self._hold(step * math.prod(self.shape) + index, np.ones_like(step))

    def _hold(self, key: Array, count: Array) -> None:
        """Store counts, in memory bounded by the output and a constant."""
        self.parts.append(_together([(key, count)]))
        self.pending += len(self.parts[-1][0])
        if self.pending > self.room:
            self._settle()

    def _settle(self) -> None:
        """Add the parts together. All steps before the last are complete, unless time falls."""
        key, count = _together(self.parts)
        if self.done and key[0] <= self.done[-1][0][-1]:
            key, count = _together([*self.done, (key, count)])
            self.done.clear()
        size = math.prod(self.shape)
        cut = int(np.searchsorted(key, key[-1] // size * size))
        if cut:
            self.done.append((key[:cut], count[:cut]))
        self.parts = [(key[cut:], count[cut:])]
        self.pending = len(key) - cut
        self.room = 2 * self.pending + ROOM

    def _step(self, since: Array) -> Array:
        over, under = self.size.denominator, self.size.numerator
        if max(int(since.max(initial=0)) * over, under) < 2**63:
            return np.asarray(since * over // under)
        # a bin with many digits: the same in integers without bounds
        return np.asarray((since.astype(object) * over // under).astype(np.int64))

    def _index(self, events: Columns) -> Array:
        if self.merge == "all":
            return np.zeros(len(events["t"]), np.int64)
        *_, height, width = self.shape
        channel = events["p"] if self.merge is None else 0
        return np.asarray((channel * height + events["y"]) * width + events["x"])

    def problems(self, max_steps: int) -> Iterator[Finding]:
        for name, axis in self.axes.items():
            if axis.count:
                yield self._outside(name, axis)
        if self.steps > max_steps:
            yield error(
                "RECORDING-TOO-LONG",
                f"{self.path} would have {self.steps:,} steps; the limit is {max_steps:,}",
                why="one wrong time can make a recording arbitrarily long"
                if self.choice.origin is None
                else f"they are counted from {self.first:,} us on, and the first event is at "
                f"{self.least:,} us",
                fix="give a longer --bin, or check the last times of the file"
                if self.choice.origin is None
                else "count from the first event (--origin first), give a --from near it, or a "
                "longer --bin",
            )

    def _outside(self, name: str, axis: _Outside) -> Finding:
        place = "a polarity" if name == "p" else f"{'an' if name == 'x' else 'a'} {name}"
        return error(
            "RECORDING-OUTSIDE",
            f"{axis.count:,} of {self.taken:,} events of {self.path} have {place} outside "
            f"0..{axis.limit - 1}: it goes from {axis.low} to {axis.high}",
            fix=polarities(self.shape)
            if name == "p"
            else f"the model's input is {self.shape}: crop or scale the recording to it "
            "(--crop X,Y,W,H, --downsample N)",
        )

    def findings(self) -> Iterator[Finding]:
        if self.seen:
            yield info(
                "RECORDING-STEP",
                f"step 0 of {self.path} begins {self._beginning()}",
                why="steps are counted from the first event; --origin zero counts them from t = 0"
                if self.choice.origin is None
                else "",
            )
        steps = [*self.choice.made(), *([f"merge {self.merge}"] if self.merge else [])]
        if steps:
            yield info(
                "RECORDING-MADE",
                f"{self.taken:,} of the {self.seen:,} events of {self.path} that were read are "
                f"used: {', '.join(steps)}",
            )
        if self.falls:
            yield warning(
                "RECORDING-UNSORTED",
                f"the time goes back {self.falls:,} times in {self.path}, "
                f"by up to {self.largest_fall:,} us",
                why="a decoder that loses a wrap of the clock gives such times",
                fix="the events were sorted; look at the decoder if the jumps are large",
            )

    def _beginning(self) -> str:
        """Describe where step 0 begins: the origin, and what --from adds to it."""
        begin = self.choice.begin
        if self.choice.origin is not None:
            at = self.first + begin
            return f"at t = {at:,} us" if at else "at t = 0"
        later = f"{begin:,} us after its first event" if begin else "at its first event"
        return f"{later}, at t = {self.first + begin:,} us"

    def recording(self, bin: float) -> Recording:
        if self.parts:
            self._settle()
        none = np.zeros(0, np.int64)
        settled = [*self.done, *self.parts]
        key, count = (np.concatenate([none, *(part[k] for part in settled)]) for k in range(2))
        self.done.clear()
        self.parts.clear()
        step, index = np.divmod(key, math.prod(self.shape))
        start = np.searchsorted(step, np.arange(self.steps + 1))
        return Recording(self.shape, start.astype(np.int64), index, count, bin)


def _together(parts: list[tuple[Array, Array]]) -> tuple[Array, Array]:
    """Return each key once, in order, with the sum of its counts."""
    none = np.zeros(0, np.int64)
    key, count = (np.concatenate([none, *(part[k] for part in parts)]) for k in range(2))
    order = np.argsort(key, kind="stable")
    key = key[order]
    first = np.flatnonzero(np.diff(key, prepend=-1))
    return key[first], np.add.reduceat(count[order], first) if len(first) else none
