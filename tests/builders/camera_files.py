"""Camera files written word by word, as their makers document them, and EVT3 read that way."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

Row = tuple[int, int, int, int]  # t, x, y, p


def evt2(rows: Iterable[Row], header: str = "% evt 2.0\n") -> bytes:
    """Encode events; a clock word is written whenever the upper 28 bits change, and they wrap."""
    words, clock = [], None
    for t, x, y, p in rows:
        if (high := t >> 6 & (1 << 28) - 1) != clock:
            words.append(8 << 28 | high)
            clock = high
        words.append(p << 28 | (t & 63) << 22 | x << 11 | y)
    return header.encode() + np.array(words, "<u4").tobytes()


def evt3(rows: Iterable[Row], header: str = "% evt 3.0\n") -> bytes:
    """Encode single events, each with its lower time; a clock word is written every 4096 us."""
    words, clock = [], None
    for t, x, y, p in rows:
        if (high := t >> 12) != clock:
            passed = range(high if clock is None or high < clock else clock + 1, high + 1)
            words += [8 << 12 | k & 0xFFF for k in passed]
            clock = high
        words += [6 << 12 | t & 0xFFF, y, 2 << 12 | p << 11 | x]
    return header.encode() + np.array(words, "<u2").tobytes()


def dat(rows: Iterable[Row], header: str = "% Version 2\n", kind: int = 0) -> bytes:
    words = [(t & 0xFFFFFFFF, p << 28 | y << 14 | x) for t, x, y, p in rows]
    return header.encode() + bytes([kind, 8]) + np.array(words, "<u4").tobytes()


def es(rows: Iterable[Row], width: int = 5, height: int = 4) -> bytes:
    """Encode DVS events; y counts from the bottom, and a byte of 255 moves the clock by 127."""
    body, now = b"", 0
    for t, x, y, p in rows:
        more, rest = divmod(t - now, 127)
        body += b"\xff" * more + struct.pack("<BHH", rest << 1 | p, x, height - 1 - y)
        now = t
    return b"Event Stream" + bytes([2, 0, 0, 1]) + struct.pack("<HH", width, height) + body


WRITERS = {"e2.raw": evt2, "e3.raw": evt3, "e.dat": dat, "e.es": es}


def evt3_by_the_book(path: Path, *, hold: bool) -> Iterator[Row]:
    """Decode word by word, as the format's documentation says, for a clock that never wraps.

    `hold`: time never falls, as in faery. Nothing is shared with the code under test.
    """
    data = path.read_bytes()
    start = 0
    while data[start : start + 1] == b"%":
        start = data.index(b"\n", start) + 1
    t = high = low = x = y = polarity = 0
    for word in np.frombuffer(data[start:], "<u2").tolist():
        kind, rest = word >> 12, word & 0xFFF
        if kind == 0x0:
            y = rest & 0x7FF
        elif kind == 0x2:
            yield t, rest & 0x7FF, y, rest >> 11
        elif kind == 0x3:
            x, polarity = rest & 0x7FF, rest >> 11
        elif kind in (0x4, 0x5):
            width = 12 if kind == 0x4 else 8
            for bit in range(width):
                if rest >> bit & 1:
                    yield t, x + bit, y, polarity
            x += width
        elif kind in (0x6, 0x8):
            if kind == 0x6:
                low = rest
            elif rest != high:
                high, low = rest, 0
            t = max(t, high << 12 | low) if hold else high << 12 | low
