"""What a camera's events are like, counted packet by packet."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field

import numpy as np

from ..archive import DamagedError
from ..findings import Finding, UsageError, refuse
from ..network import Array, Shape
from .binning import Packets
from .camera import Camera
from .choice import Choice, Merge, Options, beyond, choice
from .sensor import Columns, Table


@dataclass
class Summary:
    events: int = 0
    extent: dict[str, tuple[int, int]] = field(default_factory=dict)  # t, x, y, p
    polarities: dict[int, int] = field(default_factory=dict)
    crowded: int = 0  # at the place, polarity and time of another before
    falls: int = 0  # the time goes back
    largest_fall: int = 0

    @property
    def seconds(self) -> float:
        first, last = self.extent.get("t", (0, 0))
        return (last - first) / 1e6

    @property
    def rate(self) -> float | None:
        """Events a second, where there is a duration."""
        return self.events / self.seconds if self.seconds else None


def summarise(packets: Packets, chosen: Choice) -> Summary:
    found = Summary()
    origin = chosen.origin
    last: int | None = None
    moment: Columns = {name: np.zeros(0, np.int64) for name in "txyp"}
    with closing(packets()) as given:
        for packet in given:
            if not len(packet["t"]):
                continue
            origin = int(packet["t"][0]) if origin is None else origin
            if chosen.is_over(packet["t"], origin):
                break
            fall = -np.diff(packet["t"], prepend=packet["t"][0] if last is None else last)
            last = int(packet["t"][-1])
            found.falls += int(np.count_nonzero(fall > 0))
            found.largest_fall = max(found.largest_fall, int(fall.max()))
            part = chosen.of(packet, origin)
            if len(part["t"]):
                moment = _add(found, part, moment)
    return found


def _add(found: Summary, part: Columns, moment: Columns) -> Columns:
    """Count a packet; `moment` holds the events of the last time of the one before."""
    found.events += len(part["t"])
    for name in "txyp":
        low, high = int(part[name].min()), int(part[name].max())
        before = found.extent.get(name, (low, high))
        found.extent[name] = (min(low, before[0]), max(high, before[1]))
    for polarity, count in zip(*np.unique(part["p"], return_counts=True), strict=True):
        held = found.polarities.get(int(polarity), 0)
        found.polarities[int(polarity)] = held + int(count)
    both = {name: np.concatenate([moment[name], part[name]]) for name in "txyp"}
    found.crowded += _doubles(both) - _doubles(moment)
    latest = both["t"] == part["t"][-1]
    return {name: column[latest] for name, column in both.items()}


def _doubles(events: Mapping[str, Array]) -> int:
    if not len(events["t"]):
        return 0
    order = np.lexsort([events[name] for name in "pyxt"])
    same = np.ones(len(order) - 1, np.bool_)
    for name in "txyp":
        same &= np.diff(events[name][order]) == 0
    return int(np.count_nonzero(same))


@dataclass(frozen=True)
class Look:
    """A camera's file for the eyes."""

    form: str
    size: tuple[int, int] | None  # width, height of the sensor, where the file states them
    made: tuple[str, ...]
    summary: Summary
    wraps: int | None  # of the clock; None where the format or the choice cannot tell
    backward: int
    findings: tuple[Finding, ...]
    chosen: Choice

    def shape(self, merge: Merge | None) -> Shape:
        """The shape that all of it goes into."""
        if merge == "all":
            return (1,)
        seen = [self.summary.extent.get(name, (0, 0))[1] + 1 for name in "xy"]
        if self.size:
            width, height = self.chosen.size(self.size)
        elif self.chosen.crop:
            width, height = self.chosen.size(self.chosen.crop[2:])
        else:
            width, height = seen
        channels = max(2, max(self.summary.polarities, default=1) + 1)
        return (channels if merge is None else 1, height, width)


def looked(path: str | os.PathLike[str], held: Camera | Table, options: Options) -> Look:
    """What `held`, the opened file of that path, is like in the part that is asked for."""
    keys = ("crop", "downsample", "start", "until", "origin")
    chosen = choice(**{key: options.get(key) for key in keys})  # type: ignore[arg-type]
    size = held.size if isinstance(held, Camera) else None
    refuse(beyond(chosen, size, os.fspath(path)), UsageError)
    try:
        found = summarise(held.packets, chosen)
    except DamagedError as damage:
        raise damage.refusal(path, "RECORDING") from damage
    made = tuple(chosen.made())
    if not isinstance(held, Camera):
        return Look(held.form, None, made, found, None, 0, (), chosen)
    told = held.form != "AEDAT4" and held.form != "ES" and chosen.end is None
    wraps = held.words.wraps if told else None
    back = 0 if held.form == "DAT" else held.words.backward + held.words.held
    said = tuple(held.findings)
    return Look(
        held.form,
        held.size,
        made,
        found,
        wraps,
        back,
        said,
        chosen,
    )
