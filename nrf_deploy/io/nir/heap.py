"""Reads texts of varying length straight from the global heaps of an HDF5 file.

libhdf5 (2.0 and before) trusts what it finds there: a size of zero in a damaged
heap keeps it walking for ever, a wrong length makes it allocate gigabytes, and many
entries that point at one long text multiply it. The layout is simple, so the walk
is done here, within bounds.
"""

from __future__ import annotations

import struct

from nrf_deploy.diagnostics.findings import InputError, error

Bytes = bytes

HEAP = b"GCOL\x01\0\0\0"  # signature, version 1, three reserved bytes
HEAD = 16
OBJECT = struct.Struct("<HHIQ")  # index, references, reserved, size
POINTER = struct.Struct("<IQI")  # length, address of the heap, index in it
MOST_TEXTS = 1 << 20  # in a file


class HeapError(ValueError):
    """A heap that cannot be followed."""


def check_heaps(data: Bytes) -> None:
    """Walk every heap of the file, so that libhdf5 can. A heap is found by its signature;
    a chance match in the weights would take 64 equal bits.

    Heaps do not overlap and an object takes a header at least, which bounds their number."""
    most = min(MOST_TEXTS, len(data) // OBJECT.size)
    at = data.find(HEAP)
    while at >= 0:
        most -= len(walk(data, at, most))
        at = data.find(HEAP, at + 1)


def walk(data: Bytes, start: int, most: int = MOST_TEXTS) -> dict[int, tuple[int, int]]:
    """Index -> (first byte, size) of the objects in the heap at `start`, at most `most`."""
    end = start + int.from_bytes(data[start + 8 : start + HEAD], "little")
    if data[start : start + len(HEAP)] != HEAP or not start + HEAD <= end <= len(data):
        raise HeapError(f"there is no whole heap of texts at byte {start}")
    objects: dict[int, tuple[int, int]] = {}
    at = start + HEAD
    while at + OBJECT.size <= end:
        index, _, _, size = OBJECT.unpack_from(data, at)
        if index in objects:
            raise HeapError(f"the heap of texts at byte {start} numbers two of them alike")
        objects[index] = (at + OBJECT.size, size)
        # free space (index 0) counts its own header; the rest is padded to eight bytes
        step = OBJECT.size + -(-size // 8) * 8 if index else size
        if step == 0 or at + step > end:
            raise HeapError(f"the heap of texts at byte {start} has no end")
        most -= 1
        if most < 0:
            raise HeapError("its heaps hold more texts than there is room for")
        at += step
    return objects


def texts(data: Bytes, offset: int, count: int, limit: int) -> list[bytes]:
    """The `count` texts whose pointers lie at `offset`, no more than `limit` bytes in all."""
    if count > MOST_TEXTS:
        raise InputError(error("NIR-TOO-LARGE", f"the file holds more than {MOST_TEXTS:,} texts"))
    heaps: dict[int, dict[int, tuple[int, int]]] = {}
    found = []
    for at in range(offset, offset + count * POINTER.size, POINTER.size):
        if at + POINTER.size > len(data):
            raise HeapError("the pointers of a text lie beyond the end")
        length, start, index = POINTER.unpack_from(data, at)
        if length and start not in heaps:
            heaps[start] = walk(data, start)
        first, size = heaps[start].get(index, (0, 0)) if length else (0, 0)
        if length > size:
            raise HeapError("a text is longer than its place")
        limit -= length
        if limit < 0:
            raise InputError(error("NIR-TOO-LARGE", "the file holds too much text"))
        found.append(data[first : first + length])
    return found
