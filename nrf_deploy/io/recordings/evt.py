"""Prophesee's EVT2 and EVT3 (.raw): the header, and the counts of a file's words.

faery decodes the events. It does not report a clock that runs back, words of an unknown type,
bits beyond the sensor's edge, events before the clock's first word, or half a word at the end.
So the words are counted here too, and faery must return as many events as the file has.
Layout: Prophesee's documentation of its data formats, EVT 2.0 and EVT 3.0.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np

from nrf_deploy.ir.network import Array

from ..archive import DamagedError

CHUNK = 1 << 22  # bytes
MOST_HEADER = 1 << 20
MOST_PIXELS = 1 << 16  # of one side


@dataclass(frozen=True)
class Header:
    fields: Mapping[str, str]  # in lower case
    length: int  # bytes

    def size(self) -> tuple[int, int] | None:
        """Return width and height, in one of the three forms that Prophesee's tools write."""
        if "geometry" in self.fields:
            parts = self.fields["geometry"].lower().split("x")
        elif "width" in self.fields and "height" in self.fields:
            parts = [self.fields["width"], self.fields["height"]]
        elif "height=" in self.fields.get("format", ""):
            named = dict(p.split("=", 1) for p in self.fields["format"].split(";") if "=" in p)
            parts = [named.get("width", ""), named["height"]]
        else:
            return None
        if len(parts) != 2 or not all(
            p.strip().isdecimal() and len(p) < 16 and 0 < int(p) <= MOST_PIXELS for p in parts
        ):
            raise DamagedError(f"states a sensor of {' x '.join(parts)!r:.60}")
        return int(parts[0]), int(parts[1])

    def version(self) -> str | None:
        """Return the header's version: "2.0", "3.0" or another."""
        stated = self.fields.get("evt")
        form = self.fields.get("format", "").split(";")[0].upper()
        return stated or (form.removeprefix("EVT") if form.startswith("EVT") else None)


def header(stream: BinaryIO) -> Header:
    """Read the lines that begin with %, up to "% end" if there is one."""
    stream.seek(0)
    fields = {}
    length = 0
    while stream.read(1) == b"%":
        line = stream.readline(MOST_HEADER)
        length += 1 + len(line)
        if not line.endswith(b"\n") or length > MOST_HEADER:
            raise DamagedError("was cut short in its header")
        try:
            text = line.decode("utf-8").strip()
        except UnicodeDecodeError:  # the first events, which happen to begin with %
            length -= 1 + len(line)
            break
        name, _, value = text.partition(" ")
        fields[name.lower()] = value.strip()
        if name.lower() == "end":
            break
        stream.seek(length)
    return Header(fields, length)


@dataclass
class Words:
    """Counts of the words of a file."""

    events: int = 0
    early: int = 0  # events before the clock's first word
    wraps: int = 0
    backward: int = 0  # the upper bits fall, and not for a wrap
    stalls: int = 0  # the lower bits fall while the upper stay,
    furthest: int = 0  # by at most this many microseconds
    unknown: dict[int, int] = field(default_factory=dict)  # type -> count
    clock: int | None = None  # the last of the upper bits
    last: int | None = None  # the upper bits with all wraps, at the last event
    low: tuple[int, int] | None = None  # the last time: upper bits, lower bits

    def turn(self, high: Array, bits: int) -> Array:
        """Count the wraps of the clock's upper bits: a fall by more than half of them is a wrap.

        Returns the wraps before each value, those of earlier calls included.
        """
        before = high[:1] if self.clock is None else np.array([self.clock])
        fall = -np.diff(np.concatenate([before, high]))
        wrapped = fall > 1 << (bits - 1)
        wraps = self.wraps + np.cumsum(wrapped)
        self.wraps += int(np.count_nonzero(wrapped))
        self.backward += int(np.count_nonzero((fall > 0) & ~wrapped))
        self.clock = int(high[-1]) if len(high) else self.clock
        return wraps


# --- word by word ------------------------------------------------------------

WORD_BYTES = {"2": 4, "3": 2}
LOW_BITS = {"2": 6, "3": 12}  # of the clock, below those of its own words
_KNOWN = {"2": {0, 1, 8, 10, 14, 15}, "3": {0, 2, 3, 4, 5, 6, 7, 8, 10, 14, 15}}
_PAYLOAD = {"2": 28, "3": 12}
_CLOCK = 8


def demand_whole(stream: BinaryIO, start: int, version: str) -> None:
    size = stream.seek(0, os.SEEK_END) - start
    if rest := size % WORD_BYTES[version]:
        raise DamagedError(
            f"was cut short: a word takes {WORD_BYTES[version]} bytes, and {rest} are left over"
        )


def count_words(stream: BinaryIO, start: int, version: str, *, to_the_clock: bool = False) -> Words:
    """Count the words from byte `start` on, chunk by chunk: all, or until the clock is known."""
    stream.seek(start)
    words = Words()
    while data := stream.read(CHUNK):
        _count(words, np.frombuffer(data, f"<u{WORD_BYTES[version]}"), version)
        if to_the_clock and words.clock is not None:
            break
    return words


def _count(words: Words, raw: Array, version: str) -> None:
    bits = _PAYLOAD[version]
    kind = (raw >> bits).astype(np.uint8)
    each = _events_of_words(raw, kind, version)
    at = np.flatnonzero(kind == _CLOCK)
    if words.clock is None:
        words.early += int(each[: at[0] if len(at) else None].sum())
    earlier = (words.wraps << bits) + (words.clock or 0)
    high = (raw[at] & ((1 << bits) - 1)).astype(np.int64)
    clock = (words.turn(high, bits) << bits) + high
    words.events += int(each.sum())
    if each.any():
        last = int(len(each) - 1 - np.argmax(each[::-1] > 0))
        before = int(np.searchsorted(at, last))
        words.last = int(clock[before - 1]) if before else earlier
    _count_low(words, raw, kind, version, np.concatenate([[earlier], clock]), at)
    counts = np.bincount(kind, minlength=16)
    for name in np.flatnonzero(counts).tolist():
        if name not in _KNOWN[version]:
            words.unknown[name] = words.unknown.get(name, 0) + int(counts[name])


def _count_low(
    words: Words, raw: Array, kind: Array, version: str, clock: Array, at: Array
) -> None:
    """Count where only the lower bits of the time fall; `clock` is clock[k] from at[k - 1] on."""
    if version == "2":
        timed = np.flatnonzero(kind <= 1)
        low = (raw[timed] >> 22 & 63).astype(np.int64)
    else:
        timed = np.flatnonzero(kind == 6)
        low = (raw[timed] & 0xFFF).astype(np.int64)
    if not len(timed):
        return
    high = clock[np.searchsorted(at, timed)]
    before = words.low or (int(high[0]), int(low[0]))
    words.low = int(high[-1]), int(low[-1])
    stays = np.diff(high, prepend=before[0]) == 0
    falls = np.where(stays, -np.diff(low, prepend=before[1]), 0)
    words.stalls += int(np.count_nonzero(falls > 0))
    words.furthest = max(words.furthest, int(falls.max()))


def _events_of_words(raw: Array, kind: Array, version: str) -> Array:
    """Return the number of events in each word: a vector of EVT3 has one for each bit."""
    if version == "2":
        return (kind <= 1).astype(np.int64)
    vector = np.where(kind == 4, 0xFFF, np.where(kind == 5, 0xFF, 0)).astype(np.uint16)
    return np.asarray((kind == 2) + np.bitwise_count(raw & vector).astype(np.int64))
