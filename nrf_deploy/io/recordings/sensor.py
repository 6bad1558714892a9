"""Events of a camera: columns of t (whole microseconds), x, y and polarity."""

from __future__ import annotations

import io
from collections.abc import Generator, Mapping
from dataclasses import dataclass

import numpy as np

from nrf_deploy.diagnostics.findings import Finding, InputError, error, refuse, warning
from nrf_deploy.ir.network import Array

from ..archive import DamagedError, damage

Columns = Mapping[str, Array]  # t, x, y and p
_COLUMNS = ("t", "x", "y", "p")
PACKET = 1 << 20  # events: processing a packet takes many times its memory
LATEST = 1 << 52  # microseconds: 142 years
FARTHEST = 1 << 31  # of x, y and p


class OtherColumnsError(DamagedError):
    """A table with other columns, which is not a recording."""

    fix = "name the columns t,x,y,p; a file of labels goes to verify --labels"


@dataclass(frozen=True, eq=False)
class Events:
    """int64 columns of one length; t never falls."""

    t: Array  # microseconds
    x: Array
    y: Array
    p: Array


@dataclass(frozen=True)
class Table:
    """Events in memory, with the interface of a camera's file."""

    events: Events
    form: str

    def packets(self) -> Generator[Columns]:
        events = self.events
        columns = {"t": events.t, "x": events.x, "y": events.y, "p": events.p}
        for at in range(0, len(events.t), PACKET):
            yield {name: column[at : at + PACKET] for name, column in columns.items()}


def nmnist(data: bytes) -> dict[str, Array]:
    """Decode N-MNIST and N-Caltech101: 40 bits an event, x 8, y 8, p 1, t 23, big-endian.

    A y of 240 is not an event: it advances the clock by 2^13 microseconds.
    """
    if rest := len(data) % 5:
        raise DamagedError(f"was cut short: an event takes 5 bytes, and {rest} are left over")
    x, y, high, middle, low = np.frombuffer(data, np.uint8).reshape(-1, 5).astype(np.int64).T
    overflow = y == 240
    t = ((high & 127) << 16 | middle << 8 | low) + (np.cumsum(overflow) << 13)
    columns = {"t": t, "x": x, "y": y, "p": high >> 7}
    return {name: column[~overflow] for name, column in columns.items()}


def csv(data: bytes) -> dict[str, Array]:
    """Decode lines of t,x,y,p, or of the order in a first line of names."""
    head = data.split(b"\n", 1)[0].decode("ascii", "replace").strip()
    names: tuple[str, ...] = _COLUMNS
    if any(c.isalpha() for c in head):
        names = tuple(name.strip().strip('"').lower() for name in head.lstrip("# ").split(","))
        data = data[data.find(b"\n") + 1 :] if b"\n" in data else b""
    if sorted(names) != sorted(_COLUMNS):
        raise OtherColumnsError(f"has the columns {head!r:.80}, not t,x,y,p")
    if not data.strip():
        return {name: np.zeros(0, np.int64) for name in names}
    with damage("is not a table of t,x,y,p"):
        table = np.loadtxt(io.BytesIO(data), delimiter=",", ndmin=2, encoding="ascii")
    if table.shape[1] != len(names):
        raise DamagedError(f"has {table.shape[1]} columns, not t,x,y,p")
    return dict(zip(names, table.T, strict=True))


def events(columns: Mapping[str, Array], path: str) -> tuple[Events, list[Finding]]:
    """Convert the columns to integers in the order of time, or refuse them with every reason."""
    arrays = {name: columns[name] for name in _COLUMNS}
    if len({c.shape for c in arrays.values()}) != 1 or arrays["t"].ndim != 1:
        shapes = ", ".join(f"{name} {column.shape}" for name, column in arrays.items())
        raise DamagedError(f"has columns that do not match: {shapes}")
    problems = [
        _not_whole(path, name, column) or _beyond(path, name, column)
        for name, column in arrays.items()
    ]
    refuse([p for p in problems if p], InputError)
    t, x, y, p = (arrays[name].astype(np.int64) for name in _COLUMNS)
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


def _beyond(path: str, name: str, column: Array) -> Finding | None:
    """Return an error for numbers too large for any sensor and for 64-bit arithmetic."""
    limit = LATEST if name == "t" else FARTHEST
    low, high = int(column.min(initial=0)), int(column.max(initial=0))
    if -limit < low and high < limit:
        return None
    worst = high if high >= limit else low
    what = f"{path} has a value of {name} of {worst:,}; expected at most {limit - 1:,}"
    return error("RECORDING-VALUES", what, fix="check how the file was made")


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
