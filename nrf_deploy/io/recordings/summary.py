"""Summary of a camera's events, counted packet by packet."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field

import numpy as np

from nrf_deploy.diagnostics.findings import Finding, UsageError, refuse
from nrf_deploy.ir.network import Array, Shape

from ..archive import DamagedError
from .binning import Packets
from .camera import Camera
from .event_options import Choice, Merge, Options, beyond, choice
from .sensor import Columns, Table


@dataclass
class Summary:
    events: int = 0
    extent: dict[str, tuple[int, int]] = field(default_factory=dict)  # t, x, y, p
    polarities: dict[int, int] = field(default_factory=dict)
    crowded: int = 0  # with the pixel, polarity and time of an earlier one
    falls: int = 0  # the time goes back
    largest_fall: int = 0

    @property
    def seconds(self) -> float:
        first, last = self.extent.get("t", (0, 0))
        return (last - first) / 1e6

    @property
    def rate(self) -> float | None:
        """Events a second, if there is a duration."""
        return self.events / self.seconds if self.seconds else None


def summarise(packets: Packets, chosen: Choice) -> Summary:
    summary = Summary()
    origin = chosen.origin
    last: int | None = None
    moment: Columns = {name: np.zeros(0, np.int64) for name in "txyp"}
    with closing(packets()) as packet_list:
        for packet in packet_list:
            if not len(packet["t"]):
                continue
            origin = int(packet["t"][0]) if origin is None else origin
            if chosen.is_over(packet["t"], origin):
                break
            fall = -np.diff(packet["t"], prepend=packet["t"][0] if last is None else last)
            last = int(packet["t"][-1])
            summary.falls += int(np.count_nonzero(fall > 0))
            summary.largest_fall = max(summary.largest_fall, int(fall.max()))
            part = chosen.of(packet, origin)
            if len(part["t"]):
                moment = _add(summary, part, moment)
    return summary


def _add(summary: Summary, part: Columns, moment: Columns) -> Columns:
    """Count a packet; `moment` holds the events of the last time of the one before."""
    summary.events += len(part["t"])
    for name in "txyp":
        low, high = int(part[name].min()), int(part[name].max())
        before = summary.extent.get(name, (low, high))
        summary.extent[name] = (min(low, before[0]), max(high, before[1]))
    for polarity, count in zip(*np.unique(part["p"], return_counts=True), strict=True):
        earlier = summary.polarities.get(int(polarity), 0)
        summary.polarities[int(polarity)] = earlier + int(count)
    both = {name: np.concatenate([moment[name], part[name]]) for name in "txyp"}
    summary.crowded += _doubles(both) - _doubles(moment)
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
    """A camera's file as `inspect` shows it."""

    form: str
    size: tuple[int, int] | None  # width, height of the sensor, where the file states them
    made: tuple[str, ...]
    summary: Summary
    wraps: int | None  # of the clock; None where the format or the choice cannot tell
    backward: int
    findings: tuple[Finding, ...]
    chosen: Choice

    def shape(self, merge: Merge | None) -> Shape:
        """Return the shape for all of the events."""
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


def looked(path: str | os.PathLike[str], content: Camera | Table, options: Options) -> Look:
    """Describe the opened file of a path, in the part that the options choose."""
    keys = ("crop", "downsample", "start", "until", "origin")
    chosen = choice(**{key: options.get(key) for key in keys})  # type: ignore[arg-type]
    size = content.size if isinstance(content, Camera) else None
    refuse(beyond(chosen, size, os.fspath(path)), UsageError)
    try:
        summary = summarise(content.packets, chosen)
    except DamagedError as damage:
        raise damage.refusal(path, "RECORDING") from damage
    steps = tuple(chosen.made())
    if not isinstance(content, Camera):
        return Look(content.form, None, steps, summary, None, 0, (), chosen)
    known = content.form != "AEDAT4" and content.form != "ES" and chosen.end is None
    wraps = content.words.wraps if known else None
    back = 0 if content.form == "DAT" else content.words.backward + content.words.stalls
    findings = tuple(content.findings)
    return Look(
        content.form,
        content.size,
        steps,
        summary,
        wraps,
        back,
        findings,
        chosen,
    )
