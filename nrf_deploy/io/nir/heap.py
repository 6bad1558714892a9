"""Texts of varying length, read directly from the global heaps of an HDF5 file.

libhdf5 (2.0 and before) trusts the content of the heaps: with a size of zero in a
damaged heap it never stops, with a wrong length it allocates gigabytes, and many
entries that point at one long text multiply it. The layout is simple, so this
module walks the heaps within bounds.
"""

from __future__ import annotations

import struct

from nrf_deploy.diagnostics.findings import InputError, error

Bytes = bytes

HEAP = b"GCOL\x01\0\0\0"  # signature, version 1, three reserved bytes
HEAD = 16
OBJECT = struct.Struct("<HHIQ")  # index, references, reserved, size
POINTER = struct.Struct("<IQI")  # length, address of the heap, index in it
TEXT_LIMIT = 1 << 20  # in a file


class HeapError(ValueError):
    """A heap that cannot be followed."""


def check_heaps(data: Bytes) -> None:
    """Walk every heap of the file to make sure that libhdf5 can do so too.

    A heap is found by its signature; a match by chance in the weights would need 64 equal
    bits. Heaps do not overlap and an object has at least a header, which bounds their number.
    """
    limit = min(TEXT_LIMIT, len(data) // OBJECT.size)
    at = data.find(HEAP)
    while at >= 0:
        limit -= len(walk(data, at, limit))
        at = data.find(HEAP, at + 1)


def walk(data: Bytes, start: int, limit: int = TEXT_LIMIT) -> dict[int, tuple[int, int]]:
    """Return (first byte, size) by index of at most `limit` objects in the heap at `start`."""
    end = start + int.from_bytes(data[start + 8 : start + HEAD], "little")
    if data[start : start + len(HEAP)] != HEAP or not start + HEAD <= end <= len(data):
        raise HeapError(f"there is no whole heap of texts at byte {start}")
    objects: dict[int, tuple[int, int]] = {}
    at = start + HEAD
    while at + OBJECT.size <= end:
        index, _, _, size = OBJECT.unpack_from(data, at)
        if index in objects:
            raise HeapError(f"the heap of texts at byte {start} gives two of them the same number")
        objects[index] = (at + OBJECT.size, size)
        # free space (index 0) counts its own header; the rest is padded to eight bytes
        step = OBJECT.size + -(-size // 8) * 8 if index else size
        if step == 0 or at + step > end:
            raise HeapError(f"the heap of texts at byte {start} has no end")
        limit -= 1
        if limit < 0:
            raise HeapError("its heaps hold more texts than there is room for")
        at += step
    return objects


def texts(data: Bytes, offset: int, count: int, limit: int) -> list[bytes]:
    """Return the `count` texts with pointers at `offset`, at most `limit` bytes in all."""
    if count > TEXT_LIMIT:
        raise InputError(error("NIR-TOO-LARGE", f"the file holds more than {TEXT_LIMIT:,} texts"))
    heaps: dict[int, dict[int, tuple[int, int]]] = {}
    contents = []
    for at in range(offset, offset + count * POINTER.size, POINTER.size):
        if at + POINTER.size > len(data):
            raise HeapError("the pointers of a text lie beyond the end")
        length, start, index = POINTER.unpack_from(data, at)
        if length and start not in heaps:
            heaps[start] = walk(data, start)
        first, size = heaps[start].get(index, (0, 0)) if length else (0, 0)
        if length > size:
            raise HeapError("a text is longer than its entry")
        limit -= length
        if limit < 0:
            raise InputError(error("NIR-TOO-LARGE", "the file holds too much text"))
        contents.append(data[first : first + length])
    return contents
