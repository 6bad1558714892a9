"""Prophesee's .dat of change events: a header, then 8 bytes an event.

t 32 bits, then x 14, y 14 and p 4 (version 2), or x 9, y 8 and p 1 (version 1, of the first
ATIS sensors), little-endian. The clock wraps every 2^32 microseconds.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from ..archive import DamagedError
from .evt import Header, Words
from .sensor import Columns

CHUNK = 1 << 20  # bytes
CHANGES = {0x00, 0x0C}  # the event types of "2d" and "cd"
FIELDS = {"1": ((0, 9), (9, 8), (17, 1)), "2": ((0, 14), (14, 14), (28, 4))}


def chunks(stream: BinaryIO, head: Header, words: Words) -> Iterator[Columns]:
    """Yield the events, and count in `words` how often the clock wrapped."""
    places = _places(head)
    size = stream.seek(0, os.SEEK_END)
    if size == head.length:
        return
    stream.seek(head.length)
    kind = stream.read(2)
    if len(kind) < 2:
        raise DamagedError("was cut short after its header")
    if kind[0] not in CHANGES or kind[1] != 8:
        raise DamagedError(f"holds events of type {kind[0]} in {kind[1]} bytes, not changes in 8")
    if rest := (size - head.length - 2) % 8:
        raise DamagedError(f"was cut short: an event takes 8 bytes, and {rest} are left over")
    while data := stream.read(CHUNK):
        raw = np.frombuffer(data, "<u4").reshape(-1, 2)
        low = raw[:, 0].astype(np.int64)
        wraps = words.turn(low, 32)
        word = raw[:, 1].astype(np.int64)
        x, y, p = (word >> first & ((1 << bits) - 1) for first, bits in places)
        words.events += len(low)
        yield {"t": low + (wraps << 32), "x": x, "y": y, "p": p}


def _places(head: Header) -> tuple[tuple[int, int], ...]:
    stated = head.fields.get("version", "none")
    if stated not in FIELDS:
        raise DamagedError(f"is written in version {stated:.20} of the format, not in 1 or 2")
    return FIELDS[stated]
