"""Scan of an HDF5 file without reading its data.

A .nir file may come from anyone. HDF5 can point into other local files (external
links, external raw storage, virtual datasets), loop, call plug-ins (filters) and
declare terabytes in a few kilobytes. None of that belongs in a model, so the scan
walks the raw structure, follows only hard links, and reports everything else.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import h5py

from nrf_deploy.diagnostics.findings import Finding, InputError, NrfError, error

from ..files import content
from .heap import Bytes, check_heaps

Source = str | Path | IO[bytes]

SIGNATURE = b"\x89HDF\r\n\x1a\n"
SIMPLE = "a model holds only plain groups, numbers and text"

# Filters built into HDF5. For any other filter number HDF5 loads a plug-in.
FILTERS = {1, 2, 3, 4, 5, 6, h5py.h5z.FILTER_LZF}
LAYOUTS = {h5py.h5d.COMPACT, h5py.h5d.CONTIGUOUS, h5py.h5d.CHUNKED}
LINKS = {h5py.h5l.TYPE_SOFT: "soft link", h5py.h5l.TYPE_EXTERNAL: "external link"}

# libhdf5 reports a damaged file through any of these.
DAMAGE = (OSError, RuntimeError, ValueError, TypeError, LookupError, ArithmeticError)

# Bytes that an element takes once it is read: text becomes objects, integers become floats.
LEAST_BYTES = {h5py.h5t.FLOAT: 4, h5py.h5t.INTEGER: 16, h5py.h5t.ENUM: 16, h5py.h5t.STRING: 256}


@dataclass(frozen=True)
class Limits:
    """Limits on the cost of reading a file.

    `size` bounds the bytes of the file, and those of its data in memory: 200 million float32
    weights. Packed data may grow to `packed` times the bytes of the file, and to `free`
    more. `neurons` bounds the elements of all layers together, beside one for each 8
    bytes of the file's arrays.
    """

    size: int = 800 << 20
    packed: int = 64
    free: int = 256 << 20
    text: int = 16 << 20
    objects: int = 20_000
    depth: int = 24
    neurons: int = 1 << 24


LIMITS = Limits()


@dataclass(frozen=True)
class Opened:
    """An HDF5 file and all of its bytes."""

    file: h5py.File
    data: Bytes


@contextmanager
def opened(source: Source, limits: Limits = LIMITS) -> Iterator[Opened]:
    """Open a file for reading, and convert errors inside HDF5 to a refusal.

    HDF5 reads the same bytes that were checked, not a file that may change meanwhile.
    """
    data = _raw(source, limits)
    _demand_hdf5(data)
    try:
        check_heaps(data)
        with h5py.File(io.BytesIO(data), "r") as file:
            if file.id.get_create_plist().get_sizes() != (8, 8):
                raise _damaged("its addresses are not of eight bytes")
            yield Opened(file, data)
    except NrfError:
        raise
    except MemoryError as e:
        what = "reading the file needs more memory than the machine has"
        raise InputError(error("NIR-TOO-LARGE", what, fix="use a smaller model")) from e
    except DAMAGE as e:
        raise _damaged(str(e)) from e


def _raw(source: Source, limits: Limits) -> Bytes:
    """Return all bytes of the source; refuse a path that cannot be read."""
    if not isinstance(source, (str, Path)):
        source.seek(0)
        return source.read()
    return content(source, limits.size, "NIR-TOO-LARGE")


def _demand_hdf5(data: Bytes) -> None:
    if data[: len(SIGNATURE)] != SIGNATURE:
        raise InputError(
            error(
                "NIR-NOT-HDF5",
                "this is not an HDF5 file",
                why="a .nir file is HDF5 and starts with its signature",
                fix="name a file written by nir.write or nrf-deploy export",
            )
        )


def _damaged(cause: str) -> InputError:
    return InputError(
        error(
            "NIR-DAMAGED",
            f"the file is damaged or cut off: {cause}",
            why="HDF5 cannot follow its own structure in this file",
            fix="copy or download it again, or export the model again",
        )
    )


def scan(source: Source, limits: Limits = LIMITS) -> list[Finding]:
    """Return an error for everything in a file that a model may not hold."""
    with opened(source, limits) as source_open:
        return scan_open(source_open.file, limits)


def scan_open(
    file: h5py.File, limits: Limits = LIMITS, least: Mapping[int, int] = LEAST_BYTES
) -> list[Finding]:
    """Scan an open file; `least` holds the bytes of an element in memory by type."""
    walk = _Walk(limits, least)
    walk.group(file.id, "", 0)
    stored = file.id.get_filesize()
    limit = min(limits.size, limits.packed * stored + limits.free)
    if walk.declared > limit:
        largest = f"the largest is {walk.largest[1]!r} with {walk.largest[0]:,} bytes"
        walk.report(
            "NIR-TOO-LARGE",
            f"reading the file would take {walk.declared:,} bytes of data; {largest}",
            why=f"the limit is {limit:,} bytes for a file of {stored:,} bytes",
            fix="use a smaller model, or store it without packing; in Python, io.nir.read takes "
            "limits=Limits(size=...)",
        )
    return walk.findings


@dataclass
class _Walk:
    """A walk over all groups and datasets of a file, with findings."""

    limits: Limits
    least: Mapping[int, int]
    findings: list[Finding] = field(default_factory=list)
    groups: set[int] = field(default_factory=set)
    datasets: set[int] = field(default_factory=set)
    objects: int = 0
    declared: int = 0
    largest: tuple[int, str] = (0, "")

    def report(self, code: str, what: str, why: str = SIMPLE, fix: str = "") -> None:
        fix = fix or "write the model again with nir.write or nrf-deploy export"
        self.findings.append(error(code, what, why=why, fix=fix))

    def group(self, group: Any, path: str, depth: int) -> None:
        self.groups.add(h5py.h5o.get_info(group).addr)
        if depth > self.limits.depth:
            self.report("NIR-TOO-DEEP", f"{path!r} is more than {self.limits.depth} groups deep")
            return
        self.objects += group.get_num_objs()
        if self.objects > self.limits.objects:
            self.report("NIR-TOO-MANY", f"the file holds more than {self.limits.objects:,} objects")
            return
        for name in group:
            self.link(group, name, f"{path}/{_shown(name)}", depth)

    def link(self, group: Any, name: bytes, path: str, depth: int) -> None:
        kind = group.links.get_info(name).type
        if kind != h5py.h5l.TYPE_HARD:
            self.report("NIR-LINK", f"{path!r} is not data: {LINKS.get(kind, 'user-defined link')}")
            return
        if not _is_name(name):
            self.report("NIR-NAME", f"the name {path!r} holds an unprintable character")
        thing = h5py.h5o.open(group, name)
        address = h5py.h5o.get_info(thing).addr
        if isinstance(thing, h5py.h5d.DatasetID):
            if address not in self.datasets:
                self.datasets.add(address)
                self.dataset(thing, path)
        elif not isinstance(thing, h5py.h5g.GroupID):
            self.report("NIR-OBJECT", f"{path!r} is neither a group nor a dataset")
        elif address in self.groups:
            self.report("NIR-LOOP", f"{path!r} is a second path to the same group")
        else:
            self.group(thing, path, depth + 1)

    def dataset(self, data: Any, path: str) -> None:
        plan = data.get_create_plist()
        layout = plan.get_layout()
        if layout not in LAYOUTS:
            self.report("NIR-VIRTUAL", f"{path!r} is a virtual dataset: its data are elsewhere")
            return
        if plan.get_external_count():
            self.report("NIR-EXTERNAL", f"the data of {path!r} are in another file")
            return
        if trouble := _type_trouble(data.get_type()):
            self.report("NIR-TYPE", f"{path!r} holds {trouble}")
            return
        if is_text(data) and layout != h5py.h5d.CONTIGUOUS:
            self.report("NIR-TEXT-LAYOUT", f"the text {path!r} is not stored in one piece")
            return
        self.filters(plan, path)
        self.size(data, plan, path)

    def filters(self, plan: Any, path: str) -> None:
        used = [plan.get_filter(i)[0] for i in range(plan.get_nfilters())]
        if unknown := sorted(set(used) - FILTERS):
            self.report("NIR-FILTER", f"{path!r} is packed with the unknown filter {unknown[0]}")
        elif len(set(used)) < len(used):
            self.report("NIR-FILTER", f"{path!r} is packed with the same filter twice")

    def size(self, data: Any, plan: Any, path: str) -> None:
        """Count the memory that reading needs, and refuse data that were never written.

        HDF5 returns fill values for such data, so that a file of a few kilobytes could
        need gigabytes of zeros.
        """
        item = data.get_type().get_size()
        cost = max(item, self.least.get(data.get_type().get_class(), 1))
        if data.get_space().get_simple_extent_type() == h5py.h5s.NULL:
            self.report("NIR-DATA-ABSENT", f"{path!r} is declared but holds no data")
            return
        size, unpacked = math.prod(data.shape) * item, 0
        if plan.get_layout() == h5py.h5d.CHUNKED:
            chunk = plan.get_chunk()
            unpacked = math.prod(chunk) * item
            expected = math.prod(-(-n // c) for n, c in zip(data.shape, chunk, strict=True))
            whole = size == 0 or data.get_num_chunks() == expected
        else:
            whole = data.get_storage_size() >= size
        cost *= math.prod(data.shape)
        size, cost = max(size, unpacked), max(cost, unpacked)
        self.declared += cost
        self.largest = max(self.largest, (cost, path))
        if size <= self.limits.size and not whole:
            self.report(
                "NIR-DATA-ABSENT", f"{path!r} declares {size:,} bytes, but they were never written"
            )


def _shown(name: bytes) -> str:
    return name.decode("utf-8", "backslashreplace")


def is_text(data: Any) -> bool:
    """Return whether data are text of varying length; others are stored like numbers."""
    kind = data.get_type()
    return bool(kind.get_class() == h5py.h5t.STRING and kind.is_variable_str())


def _is_name(name: bytes) -> bool:
    try:
        return name.decode("utf-8").isprintable()
    except UnicodeDecodeError:
        return False


def _type_trouble(kind: Any) -> str:
    """Return why a model may not hold values of this HDF5 type; empty if it may."""
    what = kind.get_class()
    if what in (h5py.h5t.STRING, h5py.h5t.INTEGER):
        return ""
    if what == h5py.h5t.FLOAT:
        wide = kind.get_size() not in (2, 4, 8)
        return f"numbers of {kind.get_size()} bytes, which are not IEEE floats" if wide else ""
    if what == h5py.h5t.ENUM:
        return "" if kind.dtype == bool else "an enumeration"
    names = {
        h5py.h5t.REFERENCE: "references",
        h5py.h5t.COMPOUND: "compound values",
        h5py.h5t.VLEN: "lists of varying length",
        h5py.h5t.OPAQUE: "opaque bytes",
        h5py.h5t.ARRAY: "arrays in arrays",
    }
    return names.get(what, "values that are neither numbers nor text")
