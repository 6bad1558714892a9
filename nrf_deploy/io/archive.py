"""Zip files of .npy arrays and other members, with reproducible bytes and checks on reading.

Members are stored, not deflated: zlib's output differs between its builds, and a bundle
must not. Dates, permissions and the operating system are fixed for the same reason.
"""

from __future__ import annotations

import contextlib
import io
import math
import os
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, BinaryIO

import numpy as np

from nrf_deploy.diagnostics.findings import InputError, error
from nrf_deploy.ir.network import Array

NUMBERS = "biuf"
LIMIT = 1 << 30  # bytes of all members together
PACKED, FREE = 64, 256 << 20  # packed members: PACKED times the file's bytes, and FREE more
DIRECTORY = 16 << 20  # bytes of a zip file's list of members

_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


class DamagedError(Exception):
    """The fault of a file, as the end of the sentence "FILE ..."."""

    kind = "DAMAGED"
    fix = "use a complete copy of the file, or create it again"

    def refusal(self, path: str | os.PathLike[str], prefix: str) -> InputError:
        return InputError(error(f"{prefix}-{self.kind}", f"{os.fspath(path)} {self}", fix=self.fix))


class TooLargeError(DamagedError):
    """A file with more bytes than the limit."""

    kind = "TOO-LARGE"
    fix = "use a smaller file; in Python, limit= of the function that reads it can be raised"


class TooLongError(DamagedError):
    """A recording with more steps than the limit."""

    kind = "TOO-LONG"
    fix = "cut the recording into parts, or use longer steps"


@contextlib.contextmanager
def damage(what: str) -> Iterator[None]:
    """Convert all exceptions of zipfile and numpy on hostile bytes to a DamagedError."""
    try:
        yield
    except (
        zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, ValueError, TypeError,
        LookupError, OverflowError, NotImplementedError, RuntimeError, SyntaxError,
        tokenize.TokenError,
    ) as problem:  # fmt: skip
        raise DamagedError(f"{what} ({problem})") from problem


def write(stream: BinaryIO, members: Iterable[tuple[str, Sequence[bytes | memoryview]]]) -> None:
    """Write a zip file; each member is a name and the parts of its content, in order."""
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name, parts in members:
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.create_system, info.external_attr = 3, 0o100644 << 16
            info.file_size = sum(map(len, parts))
            with archive.open(info, "w") as member:
                for part in parts:
                    member.write(part)


def to_npy(array: Array) -> tuple[bytes, memoryview]:
    """Return the header and the content of a .npy file: version 1.0, C order, little endian."""
    if not _plain(array.dtype, NUMBERS + "U"):
        raise TypeError(f"arrays of {array.dtype} are not stored")
    plain = np.asarray(array, array.dtype.newbyteorder("<"), order="C")
    header = io.BytesIO()
    fields = np.lib.format.header_data_from_array_1_0(plain)
    np.lib.format.write_array_header_1_0(header, fields)
    return header.getvalue(), plain.reshape(-1).view(np.uint8).data


def from_npy(data: bytes, kinds: str = NUMBERS) -> Array:
    """Return a new array; nothing is allocated before the header is known to fit the content."""
    stream = io.BytesIO(data)
    with damage("is not a sound .npy array"):
        version = np.lib.format.read_magic(stream)
        shape, fortran, dtype = _HEADERS[version](stream, max_header_size=4096)
    if dtype.hasobject:
        raise DamagedError("holds an array of Python objects (pickle), which is never loaded")
    if not _plain(dtype, kinds):
        raise DamagedError(f"holds an array of {dtype}, not of plain numbers")
    here = len(data) - stream.tell()
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != here:
        raise DamagedError(f"declares an array of {shape} {dtype} and holds {here} of its bytes")
    with damage("is not a sound .npy array"):
        flat = np.frombuffer(data, dtype, offset=stream.tell())
        array = flat.reshape(shape, order="F" if fortran else "C")
        return array.astype(dtype.newbyteorder("="), order="C")


def _plain(dtype: np.dtype[np.generic], kinds: str) -> bool:
    """Return whether a type is plain; long double is not, since it differs between machines.

    With "V" among the kinds a structure of plain numbers is.
    """
    if dtype.names is not None:
        inner: Any = dtype
        fields = (inner[name] for name in dtype.names)
        return "V" in kinds and all(f.names is None and _plain(f, NUMBERS) for f in fields)
    return dtype.kind in kinds and (dtype.kind == "U" or dtype.itemsize <= 8)


class Archive:
    """The members of a zip file that may be damaged or hostile.

    `limit` bounds the declared size of all members together; zipfile never returns more than
    a member declares. Compressed members are also limited in proportion to the file, so that
    a small file never needs gigabytes. With `stored`, a compressed member is refused.
    """

    def __init__(self, stream: BinaryIO, *, limit: int = LIMIT, stored: bool = False) -> None:
        size = stream.seek(0, os.SEEK_END)
        if size == 0:
            raise DamagedError("is empty")
        _demand_short_directory(stream, size)
        with damage("is not a zip archive, or is cut off"):
            self._zip = zipfile.ZipFile(stream)
        members = self._zip.infolist()
        self.size = size
        self.sizes = {m.filename: m.file_size for m in members}
        if len(self.sizes) != len(members):
            raise DamagedError("holds two members of the same name")
        total = sum(self.sizes.values())
        if stored and (
            any(m.compress_type or m.compress_size != m.file_size for m in members) or total > size
        ):
            raise DamagedError("holds members that are not plainly stored")
        packed = any(m.compress_type for m in members)
        largest = min(limit, PACKED * size + FREE) if packed else limit
        if total > largest:
            of = f" for {size:,} bytes of packed ones" if largest < limit else ""
            raise TooLargeError(f"declares {total:,} bytes; the limit is {largest:,}{of}")

    def read(self, name: str) -> bytes:
        with damage(f"holds a damaged member {name}"):
            data = self._zip.read(name)
        if len(data) != self.sizes[name]:
            raise DamagedError(f"holds {len(data)} of {self.sizes[name]} bytes of {name}")
        return data


def _demand_short_directory(stream: BinaryIO, size: int) -> None:
    """Refuse a list of members that zipfile would turn into gigabytes of objects.

    The record at the end of a zip file holds the length of the list; a second record, for
    lists whose length this one cannot hold, is right before it.
    """
    start = max(0, size - (1 << 16) - 64)
    stream.seek(start)
    tail = stream.read(size - start)
    at = tail.find(b"PK\x05\x06")
    while at >= 0:
        length = int.from_bytes(tail[at + 12 : at + 16], "little")
        if DIRECTORY < length <= size or tail[max(0, at - 20) : at].startswith(b"PK\x06\x07"):
            raise TooLargeError(f"holds a list of members of more than {DIRECTORY:,} bytes")
        at = tail.find(b"PK\x05\x06", at + 1)
