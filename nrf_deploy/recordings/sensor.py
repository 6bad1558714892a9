"""What an event camera saw, and how it becomes steps.

Times are whole microseconds of the camera's clock. The first event is at the beginning
of step 0, unless an origin says where step 0 begins; step k holds the events from
origin + k*bin up to, but not including, origin + (k+1)*bin, in exact arithmetic: a bin of
0.000255 s is 255 microseconds, not a float near it.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np

from ..archive import DamagedError, damage
from ..findings import Finding, InputError, UsageError, error, refuse, warning
from ..network import Array, Shape
from ..recording import Recording

Merge = Literal["polarity", "all"]

_COLUMNS = ("t", "x", "y", "p")


@dataclass(frozen=True, eq=False)
class Events:
    """int64 columns of one length; t never falls."""

    t: Array  # microseconds
    x: Array
    y: Array
    p: Array


def nmnist(data: bytes) -> dict[str, Array]:
    """N-MNIST and N-Caltech101: 40 bits an event, x 8, y 8, p 1, t 23, big-endian.

    A y of 240 is no event: it says that the clock went on by 2^13 microseconds.
    """
    if rest := len(data) % 5:
        raise DamagedError(f"was cut short: an event takes 5 bytes, and {rest} are left over")
    x, y, high, middle, low = np.frombuffer(data, np.uint8).reshape(-1, 5).astype(np.int64).T
    overflow = y == 240
    t = ((high & 127) << 16 | middle << 8 | low) + (np.cumsum(overflow) << 13)
    columns = {"t": t, "x": x, "y": y, "p": high >> 7}
    return {name: column[~overflow] for name, column in columns.items()}


def csv(data: bytes) -> dict[str, Array]:
    """Lines of t,x,y,p, or of the order that a first line of names gives."""
    head = data.split(b"\n", 1)[0].decode("ascii", "replace").strip()
    names: tuple[str, ...] = _COLUMNS
    if any(c.isalpha() for c in head):
        names = tuple(name.strip().strip('"').lower() for name in head.lstrip("# ").split(","))
        data = data[data.find(b"\n") + 1 :] if b"\n" in data else b""
    if sorted(names) != sorted(_COLUMNS):
        raise DamagedError(f"has the columns {head!r:.80}, not t,x,y,p")
    if not data.strip():
        return {name: np.zeros(0, np.int64) for name in names}
    with damage("is no table of t,x,y,p"):
        table = np.loadtxt(io.BytesIO(data), delimiter=",", ndmin=2, encoding="ascii")
    if table.shape[1] != len(names):
        raise DamagedError(f"has {table.shape[1]} columns, not t,x,y,p")
    return dict(zip(names, table.T, strict=True))


def events(columns: Mapping[str, Array], path: str) -> tuple[Events, list[Finding]]:
    """The columns as whole numbers in the order of time, or every reason why not."""
    held = {name: columns[name] for name in _COLUMNS}
    if len({c.shape for c in held.values()}) != 1 or held["t"].ndim != 1:
        shapes = ", ".join(f"{name} {column.shape}" for name, column in held.items())
        raise DamagedError(f"has columns that do not match: {shapes}")
    problems = [_not_whole(path, name, column) for name, column in held.items()]
    refuse([p for p in problems if p], InputError)
    t, x, y, p = (held[name].astype(np.int64) for name in _COLUMNS)
    if negative := int(np.count_nonzero(t < 0)):
        raise InputError(
            error(
                "RECORDING-TIME-NEGATIVE",
                f"{path} has {negative:,} events before time 0, the first at {t.min():,} us",
                fix="add a constant to all times, so that the first is not negative",
            )
        )
    findings = []
    falls = np.diff(t)
    if back := int(np.count_nonzero(falls < 0)):
        order = np.argsort(t, kind="stable")
        t, x, y, p = t[order], x[order], y[order], p[order]
        findings.append(
            warning(
                "RECORDING-UNSORTED",
                f"the time goes back {back:,} times in {path}, by up to {-falls.min():,} us",
                why="a decoder that loses a wrap of the clock gives such times",
                fix="the events were sorted; look at the decoder if the jumps are large",
            )
        )
    return Events(t, x, y, p), findings


def _not_whole(path: str, name: str, column: Array) -> Finding | None:
    if column.dtype.kind == "f":
        with np.errstate(invalid="ignore"):
            strange = ~(np.abs(column) < 2.0**53)
            broken = np.isfinite(column) & (column != np.floor(column))
        if count := int(np.count_nonzero(strange)):
            what = f"{path} has {count:,} values of {name} that are NaN, infinite or beyond 2^53"
            return error("RECORDING-VALUES", what, fix="look at how the file was made")
        if count := int(np.count_nonzero(broken)):
            what = f"{path} has {count:,} values of {name} that are not whole numbers"
            fix = "give t in microseconds, and x, y and p as integers"
            return error("RECORDING-VALUES", what, fix=fix)
    elif column.dtype == np.uint64 and column.max(initial=0) > np.iinfo(np.int64).max:
        what = f"{path} has values of {name} beyond 2^63"
        return error("RECORDING-VALUES", what, fix="look at how the file was made")
    return None


def binned(
    events: Events,
    path: str,
    *,
    shape: Shape | None,
    bin: float | None,
    merge: Merge | None = None,
    origin: int | None = None,
    max_steps: int,
) -> Recording:
    """The number of events of each element in each step of `bin` seconds.

    `shape` is (P, H, W), with polarity as the channel. Polarities merge into a shape of
    (1, H, W) or (H, W), all events into a shape of one element.
    """
    refuse(_misuse(shape, bin, merge), UsageError)
    assert shape is not None and bin is not None  # noqa: PT018 - for the type checker
    size = Fraction(repr(float(bin))) * 1_000_000  # microseconds
    first = int(events.t[0]) if len(events.t) else 0
    origin = first if origin is None else origin
    since = events.t - origin
    steps = math.floor(int(since[-1]) / size) + 1 if len(since) else 0
    refuse([*_outside(events, path, shape, merge), *_times(first, origin, steps, max_steps, path)],
           InputError)  # fmt: skip
    if max(int(since.max(initial=0)) * size.denominator, size.numerator) < 2**63:
        step = since * size.denominator // size.numerator
    else:  # a bin with many digits: the same in integers without bounds
        step = (since.astype(object) * size.denominator // size.numerator).astype(np.int64)
    if merge == "all":
        index = np.zeros(len(since), np.int64)
    else:
        *_, height, width = shape
        channel = events.p if merge is None else 0
        index = (channel * height + events.y) * width + events.x
    return Recording.from_events(step, index, np.ones_like(step), shape, steps, float(bin))


def _misuse(shape: Shape | None, bin: float | None, merge: Merge | None) -> list[Finding]:
    found = []
    if bin is None:
        found.append(
            error(
                "RECORDING-BIN-MISSING",
                "the recording holds events in microseconds, and no length of a step is given",
                why="how many events meet in a step decides what the network sees",
                fix="give the length of a step in seconds (--bin 0.001)",
            )
        )
    elif not (math.isfinite(bin) and bin > 0):
        fix = "give --bin a positive number of seconds"
        found.append(error("RECORDING-BIN", f"a step of {bin} s is no length", fix=fix))
    if merge not in (None, "polarity", "all"):
        fix = "give --merge polarity or --merge all, or leave it out"
        found.append(error("RECORDING-MERGE", f"there is no way to merge {merge!r}", fix=fix))
    elif shape is None:
        fix = "give the shape of the model's input (shape=)"
        found.append(error("RECORDING-SHAPE-MISSING", "events need a shape to go in", fix=fix))
    elif not _suits(shape, merge):
        found.append(
            error(
                "RECORDING-SHAPE",
                f"events{f' merged by {merge!r}' if merge else ''} go into a shape of "
                f"{_WANTED[merge]}; the model's input is {shape}",
                fix=_fitting(shape),
            )
        )
    return found


_WANTED: dict[Merge | None, str] = {
    None: "(P, H, W)",
    "polarity": "(1, H, W) or (H, W)",
    "all": "one element",
}


def _fitting(shape: Shape) -> str:
    """The option that brings events into this shape."""
    if len(shape) == 3 and shape[0] > 1:
        return "leave --merge out: each polarity has a channel of its own"
    if _suits(shape, "all"):
        return "give --merge all: all events of a step are counted together"
    if _suits(shape, "polarity"):
        return "give --merge polarity: both polarities are counted in one channel"
    return "bring the events into the model's shape, and save frames (steps, *shape) as .npz"


def _suits(shape: Shape, merge: Merge | None) -> bool:
    if merge == "all":
        return math.prod(shape) == 1
    if merge == "polarity":
        return len(shape) == 2 or (len(shape) == 3 and shape[0] == 1)
    return len(shape) == 3


def _outside(events: Events, path: str, shape: Shape, merge: Merge | None) -> list[Finding]:
    if merge == "all":
        return []
    *channels, height, width = shape
    axes = [("x", events.x, width), ("y", events.y, height)]
    if merge is None:
        axes.append(("p", events.p, channels[0]))
    found = []
    for name, column, limit in axes:
        if count := int(np.count_nonzero((column < 0) | (column >= limit))):
            place = "polarity" if name == "p" else name
            found.append(
                error(
                    "RECORDING-OUTSIDE",
                    f"{count:,} of {len(column):,} events of {path} have a {place} outside "
                    f"0..{limit - 1}: it goes from {column.min()} to {column.max()}",
                    fix=_polarities(shape)
                    if name == "p"
                    else f"the model's input is {shape}: crop or scale the recording to it",
                )
            )
    return found


def _polarities(shape: Shape) -> str:
    if shape[0] == 1:
        return "give --merge polarity: both polarities are counted in one channel"
    return f"write polarities as {'0 and 1' if shape[0] == 2 else f'0 to {shape[0] - 1}'}"


def _times(first: int, origin: int, steps: int, max_steps: int, path: str) -> list[Finding]:
    if first < origin:
        what = f"{path} begins at {first:,} us, before the origin at {origin:,} us"
        return [error("RECORDING-ORIGIN", what, fix=f"give an origin of at most {first}")]
    if steps > max_steps:
        return [
            error(
                "RECORDING-TOO-LONG",
                f"{path} would have {steps:,} steps; the limit is {max_steps:,}",
                why="one wrong time can stretch a recording without end",
                fix="give a longer --bin, or look at the last times of the file",
            )
        ]
    return []
