"""Replies of vendors' workers: the form that a caller expects, and its check.

A worker is a vendor's code in another process: its files may be missing, truncated, links,
pipes or gigabytes, and its numbers may be of any kind. Only regular files of bounded size are
read, and only what the caller expects is returned.
"""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import numpy as np

from nrf_deploy.io.archive import Archive, DamagedError, from_npy
from nrf_deploy.io.toml_json import JSON_LIMIT, FormatError, parse_json
from nrf_deploy.ir.network import Array

ARRAY_BYTES = 8
"""Largest size of one number."""
HEADER_BYTES = 1 << 12
KINDS = {"integers": "iu", "numbers": "iuf"}


class BadReplyError(Exception):
    """A fault of a reply, as the end of the sentence "the reply of NAME ..."."""


@dataclass(frozen=True)
class Upto:
    """A length from 0 to `limit`, the same wherever this name stands in a reply."""

    name: str
    limit: int


@dataclass(frozen=True)
class Numbers:
    """An array that a reply must hold: its shape, kind ("integers", "numbers") and range."""

    shape: tuple[int | Upto, ...]
    kind: str = "integers"
    low: int | None = None
    high: int | None = None

    @property
    def most_bytes(self) -> int:
        lengths = (n.limit if isinstance(n, Upto) else n for n in self.shape)
        return HEADER_BYTES + ARRAY_BYTES * math.prod(lengths)


@dataclass(frozen=True)
class Expected:
    """The expected reply: exactly these arrays, and JSON of exactly this form.

    `form` is a type (str, bool, int, float, dict), [form] for a list, (form, n) for a list of
    n, or {name: form}.
    """

    form: Any = field(default_factory=dict)
    arrays: Mapping[str, Numbers] = field(default_factory=dict)

    @property
    def most_bytes(self) -> int:
        """Return the most bytes of all arrays."""
        return sum(numbers.most_bytes + HEADER_BYTES for numbers in self.arrays.values())


def read_json(folder: Path) -> dict[str, Any]:
    """Return the object in reply.json, with any fields."""
    try:
        with _regular(folder / "reply.json", JSON_LIMIT) as stream:
            reply = parse_json(stream.read(JSON_LIMIT + 1))
    except (FormatError, OSError, MemoryError) as problem:
        raise BadReplyError(f"cannot be read: {problem}") from problem
    if not isinstance(reply, dict):
        raise BadReplyError("is not a JSON object")
    return reply


def demand_form(reply: Mapping[str, Any], expected: Expected) -> None:
    for fault in _unlike(reply, expected.form, "it"):
        raise BadReplyError(f"does not have the expected form: {fault}")


def read_arrays(folder: Path, expected: Expected) -> dict[str, Array]:
    """Read the expected arrays; refuse others, and other shapes or ranges."""
    if not expected.arrays:
        return {}
    try:
        with _regular(folder / "arrays.npz", expected.most_bytes + (1 << 16)) as stream:
            return dict(_arrays(stream, expected))
    except (DamagedError, OSError, MemoryError) as problem:
        raise BadReplyError(f"has arrays that cannot be read: {problem}") from problem


def _arrays(stream: BinaryIO, expected: Expected) -> Iterator[tuple[str, Array]]:
    archive = Archive(stream, limit=expected.most_bytes, stored=True)
    names = {name.removesuffix(".npy") for name in archive.sizes if name.endswith(".npy")}
    if names != set(expected.arrays):
        lacking = sorted(set(expected.arrays) - names)[:3]
        beyond = sorted(names - set(expected.arrays))[:3]
        raise BadReplyError(
            "does not hold the expected arrays"
            + (f"; it lacks {', '.join(map(repr, lacking))}" if lacking else "")
            + (f"; not expected are {', '.join(map(repr, beyond))}" if beyond else "")
        )
    lengths: dict[str, int] = {}
    for name, wanted in expected.arrays.items():
        member = f"{name}.npy"
        if archive.sizes[member] > wanted.most_bytes:
            raise BadReplyError(f"has {archive.sizes[member]:,} bytes in its array {name!r}")
        array = from_npy(archive.read(member))
        _demand_numbers(name, array, wanted, lengths)
        yield name, array


def _demand_numbers(name: str, array: Array, wanted: Numbers, lengths: dict[str, int]) -> None:
    if array.dtype.kind not in KINDS[wanted.kind]:
        _refuse(name, f"of {array.dtype}", wanted.kind)
    if array.ndim != len(wanted.shape):
        _refuse(name, f"of {array.ndim} axes", str(len(wanted.shape)))
    for size, length in zip(array.shape, wanted.shape, strict=True):
        if isinstance(length, Upto):
            exact = lengths.setdefault(length.name, size)
            if size != exact or size > length.limit:
                _refuse(name, f"of length {size:,}", f"{min(exact, length.limit):,}")
        elif size != length:
            _refuse(name, f"of the shape {array.shape}", f"length {length} where it has {size}")
    if not array.size:
        return
    low, high = array.min(), array.max()
    if not (np.isfinite(low) and np.isfinite(high)):
        _refuse(name, "with a value that is NaN or infinite", "finite numbers")
    if wanted.low is not None and low < wanted.low:
        _refuse(name, f"with the value {low}", f"at least {wanted.low}")
    if wanted.high is not None and high > wanted.high:
        _refuse(name, f"with the value {high}", f"at most {wanted.high}")


def _refuse(name: str, problem: str, wanted: str) -> NoReturn:
    raise BadReplyError(f"has an array {name!r} {problem}; expected {wanted}")


def _unlike(value: Any, form: Any, place: str) -> Iterator[str]:
    """Yield the places where the value does not have this form."""
    if isinstance(form, dict):
        if not isinstance(value, dict) or set(value) != set(form):
            fields = sorted(value)[:5] if isinstance(value, dict) else type(value).__name__
            yield f"{place} holds {fields}, expected {sorted(form) or 'no fields'}"
            return
        for name, inner in form.items():
            yield from _unlike(value[name], inner, f"{place}.{name}")
    elif isinstance(form, list | tuple):
        if not isinstance(value, list) or (isinstance(form, tuple) and len(value) != form[1]):
            actual = f"a list of {len(value)}" if isinstance(value, list) else type(value).__name__
            wanted = f"a list of {form[1]}" if isinstance(form, tuple) else "a list"
            yield f"{place} is {actual}, expected {wanted}"
            return
        for number, each in enumerate(value):
            yield from _unlike(each, form[0], f"{place}[{number}]")
    elif not _is(value, form):
        yield f"{place} is {value!r:.60}, expected {form.__name__}"


def _is(value: Any, form: type) -> bool:
    if form is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, form) and (form is bool or not isinstance(value, bool))


def _regular(path: Path, limit: int) -> BinaryIO:
    """Open a regular file of at most `limit` bytes; refuse links, pipes and devices."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise BadReplyError(f"lacks the file {path.name}") from None
    except OSError as problem:
        raise BadReplyError(f"cannot be opened: {path.name}: {problem.strerror}") from problem
    status = os.fstat(handle)
    if stat.S_ISREG(status.st_mode) and status.st_size <= limit:
        return os.fdopen(handle, "rb")
    os.close(handle)
    if not stat.S_ISREG(status.st_mode):
        raise BadReplyError(f"has {path.name}, which is not a regular file")
    raise BadReplyError(f"has {path.name} of {status.st_size:,} bytes; the limit is {limit:,}")
