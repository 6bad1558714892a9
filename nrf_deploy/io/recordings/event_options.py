"""Choice of a camera's events: named steps, applied in this order.

origin (the start of time: the first event, or t = 0 of the file's clock), from/until (seconds
after the origin), crop (a window of the sensor), downsample (N x N pixels become one). Merging,
binning and clipping follow.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from numbers import Integral, Real
from typing import Literal, TypedDict, get_args

import numpy as np

from nrf_deploy.diagnostics.findings import Finding, UsageError, error, refuse
from nrf_deploy.ir.network import Array

from .sensor import FARTHEST, LATEST, Columns

Merge = Literal["polarity", "all"]
Crop = tuple[int, int, int, int]
Origin = Literal["first", "zero"]
ORIGINS: tuple[Origin, ...] = get_args(Origin)


class Options(TypedDict, total=False):
    """Options for reading a recording."""

    bin: float | None  # seconds of one step
    merge: Merge | None
    clip: int | None
    crop: Crop | None  # x, y, width, height
    downsample: int | None
    start: float | None  # seconds after the origin
    until: float | None
    origin: Origin | int | None  # an integer: microseconds of the file's clock
    layout: str | None  # of files that do not state it: "x,y,t,p", "frames", "dvs128"
    part: str | None  # of a file of several recordings: "NODE/OBSERVABLE@SAMPLE"


@dataclass(frozen=True)
class Choice:
    """A choice of events. Times are microseconds after the origin; None is the first event."""

    origin: int | None = None
    begin: int = 0
    end: int | None = None
    crop: Crop | None = None
    downsample: int = 1

    def of(self, events: Columns, origin: int) -> Columns:
        keep = np.ones(len(events["t"]), np.bool_)
        if self.begin:
            keep &= events["t"] >= origin + self.begin
        if self.end is not None:
            keep &= events["t"] < origin + self.end
        x, y = events["x"], events["y"]
        if self.crop:
            left, top, width, height = self.crop
            keep &= (x >= left) & (x < left + width) & (y >= top) & (y < top + height)
            x, y = x - left, y - top
        if self.downsample > 1:
            x, y = x // self.downsample, y // self.downsample
        columns = {"t": events["t"], "x": x, "y": y, "p": events["p"]}
        return columns if keep.all() else {name: column[keep] for name, column in columns.items()}

    def is_over(self, t: Array, origin: int) -> bool:
        """Return whether this packet, and so every later one, is after the end of the choice."""
        return self.end is not None and bool((t >= origin + self.end).all())

    def size(self, sensor: tuple[int, int]) -> tuple[int, int]:
        """Return the width and height of the result for a sensor."""
        width, height = self.crop[2:] if self.crop else sensor
        return -(-width // self.downsample), -(-height // self.downsample)

    @property
    def counted(self) -> str:
        """The origin by name."""
        if not self.origin:
            return "origin first" if self.origin is None else "origin zero"
        return f"origin {self.origin:,} us"

    def made(self, usual: bool = False) -> Iterator[str]:
        """Yield the steps by name, and the default origin if `usual`."""
        if usual or self.origin is not None:
            yield self.counted
        if self.begin:
            yield f"from {self.begin:,} us"
        if self.end is not None:
            yield f"until {self.end:,} us"
        if self.crop:
            yield "crop {},{},{},{}".format(*self.crop)
        if self.downsample > 1:
            yield f"downsample {self.downsample}"


def choice(
    *,
    crop: Crop | None = None,
    downsample: int | None = None,
    start: float | None = None,
    until: float | None = None,
    origin: Origin | int | None = None,
) -> Choice:
    """Create a choice, or refuse the options with every reason."""
    problems = [*_large(crop=crop, downsample=downsample, origin=origin)]
    problems += [] if problems else [*_crop_faults(crop, downsample or 1)]
    if isinstance(origin, str) and origin not in ORIGINS:
        what = f"the origin is {origin!r:.40}; expected {' or '.join(ORIGINS)}"
        problems.append(error("RECORDING-ORIGIN", what, fix="give --origin first or --origin zero"))
    if downsample is not None and downsample < 1:
        what = f"--downsample is {downsample}; expected 1 or more"
        problems.append(error("RECORDING-DOWNSAMPLE", what, fix="give --downsample 2 or more"))
    times = {"--from": start, "--until": until}
    for name, seconds in times.items():
        if seconds is not None and (not math.isfinite(seconds) or _micro(seconds) is None):
            what = f"{name} is {seconds}; expected whole microseconds from 0 to 2^52"
            fix = f"give {name} a number of seconds with at most 6 decimals"
            problems.append(error("RECORDING-WINDOW", what, fix=fix))
    if not problems and start is not None and until is not None and until <= start:
        what = f"nothing lies between {start:g} s and {until:g} s"
        problems.append(error("RECORDING-WINDOW", what, fix="give an --until after --from"))
    refuse(problems, UsageError)
    end = None if until is None else _micro(until)
    at = {"first": None, "zero": 0}.get(origin) if isinstance(origin, str) else origin
    return Choice(at, _micro(start or 0.0) or 0, end, crop, downsample or 1)


def _micro(seconds: float) -> int | None:
    exact = Fraction(repr(float(seconds))) * 1_000_000
    return int(exact) if exact.denominator == 1 and 0 <= exact < LATEST else None


def _large(**options: object) -> Iterator[Finding]:
    """Yield an error for integers too large for any sensor and for 64-bit arithmetic."""
    for name, value in options.items():
        limit = LATEST if name == "origin" else FARTHEST
        numbers = value if isinstance(value, tuple | list) else [value]
        if any(isinstance(n, int) and abs(n) >= limit for n in numbers):
            what = f"--{name} holds a number of {limit:,} or more"
            yield error("RECORDING-WINDOW", what, fix=f"give numbers below {limit:,}")


def _crop_faults(crop: Crop | None, downsample: int) -> Iterator[Finding]:
    if crop is None:
        return
    x, y, width, height = crop
    if min(x, y) < 0 or min(width, height) < 1:
        what = f"a window of {width} x {height} at {x}, {y} does not contain a pixel of a sensor"
        fix = "give --crop X,Y,W,H with X and Y of 0 or more, W and H of 1 or more"
        yield error("RECORDING-CROP", what, fix=fix)
    elif width % downsample or height % downsample:
        what = f"a window of {width} x {height} does not divide by --downsample {downsample}"
        yield error("RECORDING-CROP", what, fix="choose a window whose sides do")


def beyond(chosen: Choice, sensor: tuple[int, int] | None, path: str) -> list[Finding]:
    """Return an error if the window reaches over the edge of a sensor of known size."""
    if chosen.crop is None or sensor is None:
        return []
    x, y, width, height = chosen.crop
    if x + width <= sensor[0] and y + height <= sensor[1]:
        return []
    what = f"the window {x},{y},{width},{height} reaches beyond the {sensor[0]} x {sensor[1]} of"
    fix = "give a --crop within the sensor"
    return [error("RECORDING-CROP", f"{what} {path}", fix=fix)]


SECONDS = ("bin", "start", "until")
WHOLE = ("clip", "downsample")
TEXTS = ("layout", "part")


def kind_faults(**options: object) -> Iterator[Finding]:
    """Yield an error for every option that is neither None nor of its type."""
    for name, value in options.items():
        if value is None:
            continue
        if name in SECONDS and not _is(value, Real):
            yield _wrong(name, value, "a number of seconds")
        elif name in WHOLE and not _is(value, Integral):
            yield _wrong(name, value, "a whole number")
        elif name == "origin" and not (isinstance(value, str) or _is(value, Integral)):
            yield _wrong(name, value, "'first', 'zero' or a whole number of microseconds")
        elif name in TEXTS and not isinstance(value, str):
            yield _wrong(name, value, "text")
        elif name == "crop" and not _window(value):
            yield _wrong(name, value, "four whole numbers: x, y, width, height")


def _is(value: object, kind: type) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def _window(value: object) -> bool:
    return (
        isinstance(value, Sequence)
        and len(value) == 4
        and all(_is(number, Integral) for number in value)
    )


def _wrong(name: str, value: object, wanted: str) -> Finding:
    what = f"{name}={value!r:.80} is not {wanted}"
    return error("ARGUMENT-TYPE", what, fix=f"give {wanted}, or leave {name} out")
