"""Attributes of HDF5 objects, read only after their type, shape and length were checked.

libhdf5 takes the length of a text from the pointer in the attribute and allocates it, even if
the heap is shorter. So this module finds the pointer, in the header of the object, and heap.py
takes the text from the heap. libhdf5 reads numbers once they are known to be few.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator

import h5py

from .heap import POINTER, Bytes, HeapError, texts

LONGEST = 256  # bytes of a text
CHUNK_LIMIT = 64  # of one object's header
CONTINUATION, ATTRIBUTE = 0x10, 0x0C  # types of messages
NUMBERS = (h5py.h5t.INTEGER, h5py.h5t.FLOAT)


def text(group: h5py.Group, key: str, data: Bytes) -> str | None:
    """Return the one text of an attribute, None if there is no such attribute or no text."""
    attribute = _opened(group, key)
    if attribute is None or attribute.get_type().get_class() != h5py.h5t.STRING:
        return None
    if attribute.shape != ():
        return None
    if attribute.get_type().is_variable_str():
        at = _pointer(data, h5py.h5o.get_info(group.id).addr, key.encode())
        return texts(data, at, 1, LONGEST)[0].decode("utf-8")
    if attribute.get_type().get_size() > LONGEST:
        return None
    value = group.attrs[key]
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)


def numbers(group: h5py.Group, key: str, limit: int = 1) -> list[int] | list[float]:
    """Return the numbers of an attribute: none if it is absent, of another type or too long."""
    attribute = _opened(group, key)
    if attribute is None or attribute.get_type().get_class() not in NUMBERS:
        return []
    if attribute.get_space().get_simple_extent_type() == h5py.h5s.NULL:
        return []
    if len(attribute.shape) > 1 or math.prod(attribute.shape) > limit:
        return []
    value = group.attrs[key]
    return value.ravel().tolist() if attribute.shape else [value.item()]


def _opened(group: h5py.Group, key: str) -> h5py.h5a.AttrID | None:
    name = key.encode()
    return h5py.h5a.open(group.id, name) if h5py.h5a.exists(group.id, name) else None


def _pointer(data: Bytes, header: int, key: bytes) -> int:
    """Return the position of the value of an attribute that is a text of varying length."""
    for at, size in _attributes(data, header):
        name, value = _parts(data, at, at + size)
        if name == key:
            if value + POINTER.size > at + size:
                break
            return value
    raise HeapError(
        f"the text of the attribute {key.decode()!r} is not in the header of its object"
    )


def _parts(data: Bytes, at: int, end: int) -> tuple[bytes, int]:
    """Return the name of an attribute, and the position of its value."""
    version, _, *sizes = _unpack("<BBHHH", data, at, end)
    if version not in (1, 2, 3):
        raise HeapError(f"there is no attribute of version {version}")
    begin = at + (9 if version == 3 else 8)  # 3 adds the encoding of the name
    name, kind, space = (-(-s // 8) * 8 if version == 1 else s for s in sizes)
    return bytes(data[begin : begin + sizes[0]]).rstrip(b"\0"), begin + name + kind + space


def _attributes(data: Bytes, header: int) -> Iterator[tuple[int, int]]:
    """Yield (first byte, size) of every attribute in the header of an object."""
    latest = data[header : header + 4] == b"OHDR"
    chunks, extra = [_first_latest(data, header)] if latest else [_first(data, header)], 0
    if latest:
        extra = 2 if data[header + 5] & 4 else 0  # the order in which messages were created
    for seen, (at, end) in enumerate(chunks):  # grows on the way
        if seen > CHUNK_LIMIT:
            raise HeapError("the header of an object has no end")
        fields, head = ("<BH", 4 + extra) if latest else ("<HH", 8)
        while at + head <= end:
            kind, size = _unpack(fields, data, at, end)
            at += head
            if at + size > end:
                raise HeapError("a message reaches beyond the header of its object")
            if kind == ATTRIBUTE:
                yield at, size
            elif kind == CONTINUATION:
                start, length = _unpack("<QQ", data, at, end)
                chunks.append(
                    (start + 4, start + length - 4) if latest else (start, start + length)
                )
            at += size


def _first(data: Bytes, header: int) -> tuple[int, int]:
    version, _, _, _, size = _unpack("<BBHII", data, header, len(data))
    if version != 1:
        raise HeapError(f"there is no header of an object at byte {header}")
    return header + 16, header + 16 + size


def _first_latest(data: Bytes, header: int) -> tuple[int, int]:
    version, flags = _unpack("<BB", data, header + 4, len(data))
    if version != 2:
        raise HeapError(f"there is no header of an object at byte {header}")
    at = header + 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
    width = 1 << (flags & 3)
    size = int.from_bytes(data[at : at + width], "little")
    return at + width, at + width + size


def _unpack(form: str, data: Bytes, at: int, end: int) -> tuple[int, ...]:
    if at + struct.calcsize(form) > min(end, len(data)):
        raise HeapError("the header of an object reaches beyond its end")
    return struct.unpack_from(form, data, at)
