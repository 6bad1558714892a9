"""AEDAT 2.0 (jAER) and AEDAT 3.1 (cAER): events of a camera in numbered words.

AEDAT 2.0 is a list of address and time, two big-endian words of 32 bits each, behind lines that
begin with "#". What the bits of an address are depends on the chip, and most files do not state
it, so a layout must be given:

    dvs128   x = bits 1-7, y = bits 8-14, p = bit 0 (0 is ON); bit 15 set: no event of a pixel
    davis    x = bits 12-21, y = bits 22-30, p = bit 11 (1 is ON); bit 31 or 10 set: no such event

As in jAER x is counted from the other side: x = width - 1 - bits; y is left as it is.

AEDAT 3.1 is a list of packets behind lines that begin with "#". A packet has a head of 28 bytes
(type, source, bytes of an event, place of the time, overflows of the clock, capacity, number,
valid ones; little-endian). Polarity events (type 1) have 8 bytes: a word with bit 0 valid, bit 1
polarity, bits 2-16 y and bits 17-31 x, and a time in microseconds.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np

from nrf_deploy.ir.network import Array

from ..archive import DamagedError
from .sensor import Columns

CHUNK = 1 << 20  # bytes
MOST_HEADER = 1 << 20
HEAD = struct.Struct("<HHIIIIII")
POLARITY = 1
KINDS = {0: "special", 2: "frame", 3: "IMU6", 4: "IMU9", 5: "sample", 6: "ear", 7: "configuration"}


@dataclass(frozen=True)
class Layout:
    """Bits of an address: (first, count) of x and y, the bit of p, and the bits of no event."""

    size: tuple[int, int]
    x: tuple[int, int]
    y: tuple[int, int]
    p: int
    on: int
    other: int

    def events(self, address: Array) -> tuple[Columns, Array]:
        """Return x, y and p of each address, and which of them are events of a pixel."""
        x, y = ((address >> at) & ((1 << count) - 1) for at, count in (self.x, self.y))
        p = ((address >> self.p) & 1) == self.on
        columns = {"x": self.size[0] - 1 - x, "y": y, "p": p.astype(np.int64)}
        return columns, (address & self.other) == 0


LAYOUTS = {
    "dvs128": Layout((128, 128), (1, 7), (8, 7), 0, 0, 1 << 15),
    "davis240": Layout((240, 180), (12, 10), (22, 9), 11, 1, 1 << 31 | 1 << 10),
    "davis346": Layout((346, 260), (12, 10), (22, 9), 11, 1, 1 << 31 | 1 << 10),
}


@dataclass
class Left:
    """Words and packets that are not events of a pixel, by kind."""

    count: dict[str, int] = field(default_factory=dict)

    def add(self, kind: str, count: int) -> None:
        if count:
            self.count[kind] = self.count.get(kind, 0) + count


def header(stream: BinaryIO, ends: bytes | None) -> int:
    """Return the length of the lines that begin with "#"; they end in `ends` if it is given."""
    stream.seek(0)
    length = 0
    while True:
        line = stream.readline(MOST_HEADER)
        if not line.startswith(b"#") or not (line.endswith(b"\n") or ends is None):
            if ends is not None:
                raise DamagedError("was cut short in its header")
            return length
        if ends is None and not _text(line):
            return length
        length += len(line)
        if length > MOST_HEADER:
            raise DamagedError("has a header of more than 1 MB")
        if ends is not None and line.startswith(ends):
            return length


def _text(line: bytes) -> bool:
    """Return whether this is a line of text, and not the first events, which begin like one."""
    return line.endswith(b"\n") and all(byte in (9, 10, 13) or byte >= 32 for byte in line)


def version2(stream: BinaryIO, layout: Layout, left: Left) -> Generator[Columns]:
    """Yield the events of an AEDAT 2.0 file."""
    start = header(stream, None)
    size = stream.seek(0, os.SEEK_END) - start
    if rest := size % 8:
        raise DamagedError(f"was cut short: an event takes 8 bytes, and {rest} are left over")
    stream.seek(start)
    wraps, last = 0, 0
    while data := stream.read(CHUNK):
        words = np.frombuffer(data, ">u4").astype(np.int64).reshape(-1, 2)
        address, t = words[:, 0], words[:, 1]
        falls = -np.diff(t, prepend=last)
        turns = wraps + np.cumsum(falls > 1 << 31)
        wraps, last = int(turns[-1]), int(t[-1])
        columns, events = layout.events(address)
        left.add("special", int(np.count_nonzero(~events)))
        columns = {"t": t + (turns << 32), **columns}
        for name, limit in zip("xy", layout.size, strict=True):
            wrong = events & ((columns[name] < 0) | (columns[name] >= limit))
            if wrong.any():
                value = int(columns[name][wrong][0])
                raise DamagedError(
                    f"has an event at {name} = {value}, outside 0..{limit - 1}: it is of another "
                    "sensor than its layout says"
                )
        yield {name: column[events] for name, column in columns.items()}


def version3(stream: BinaryIO, left: Left) -> Generator[Columns]:
    """Yield the polarity events of an AEDAT 3.1 file, packet by packet."""
    start = header(stream, b"#!END-HEADER")
    stream.seek(start)
    while head := stream.read(HEAD.size):
        if len(head) < HEAD.size:
            raise DamagedError("was cut short in the head of a packet")
        kind, _, size, place, turns, _, number, _ = HEAD.unpack(head)
        body = stream.read(size * number) if size * number <= _rest(stream) else b""
        if len(body) != size * number:
            raise DamagedError(
                f"was cut short: a packet declares {number:,} events of {size} bytes"
            )
        if kind != POLARITY:
            left.add(KINDS.get(kind, f"type {kind}"), number)
            continue
        if (size, place) != (8, 4):
            raise DamagedError(f"has events of {size} bytes with the time at {place}, not 8 and 4")
        words = np.frombuffer(body, "<u4").astype(np.int64).reshape(-1, 2)
        data, t = words[:, 0], words[:, 1]
        if (t >> 31).any():
            raise DamagedError("has a negative time")
        valid = (data & 1) == 1
        left.add("invalid", int(np.count_nonzero(~valid)))
        columns = {
            "t": t + (turns << 31),
            "x": data >> 17,
            "y": data >> 2 & 0x7FFF,
            "p": data >> 1 & 1,
        }
        yield {name: column[valid] for name, column in columns.items()}


def _rest(stream: BinaryIO) -> int:
    at = stream.tell()
    size = stream.seek(0, os.SEEK_END)
    stream.seek(at)
    return size - at
