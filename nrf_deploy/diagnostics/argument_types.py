"""Type checks of Python arguments; the finding names what to pass."""

from __future__ import annotations

import os
from collections.abc import Iterable
from numbers import Integral, Real
from pathlib import Path
from typing import Any, TypeVar

from .findings import ArgumentTypeError, error

T = TypeVar("T")


def wrong(value: object, wanted: str, fix: str) -> ArgumentTypeError:
    """Return the error for an argument, which is shown in one line."""
    shown = " ".join(repr(value).split())
    what = f"{shown:.80} ({type(value).__name__}) is not {wanted}"
    return ArgumentTypeError(error("ARGUMENT-TYPE", what, fix=fix))


def demand(value: object, kind: type[T] | tuple[type[T], ...], wanted: str, fix: str) -> T:
    if not isinstance(value, kind):
        raise wrong(value, wanted, fix)
    return value


def demand_path(value: object) -> None:
    """Refuse all but a path; a number would be the descriptor of an open file."""
    demand(value, (str, os.PathLike), "a path", "pass the path of a file, as text or pathlib.Path")


def demand_text(value: object, what: str) -> None:
    """Refuse all but text or bytes: the content of a file, not its path."""
    fix = f"pass the content of the file of {what}, as text or bytes"
    demand(value, (str, bytes), "the text of a file", fix)


def demand_number(name: str, value: object, wanted: str) -> None:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise wrong_value(name, value, wanted)


def whole(name: str, value: object) -> int:
    """Return a whole number of Python or numpy, as Python's."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise wrong_value(name, value, "a whole number")
    return int(value)


def wrong_value(name: str, value: object, wanted: str) -> ArgumentTypeError:
    (f,) = wrong(value, wanted, f"pass {wanted} as {name}, or leave it out").findings
    return ArgumentTypeError(error(f.code, f"{name}: {f.what}", fix=f.fix))


def listed(name: str, value: object) -> list[Any]:
    """Return the items of an iterable; refuse a text, whose letters are not a list of names."""
    if isinstance(value, str | os.PathLike | bytes) or not isinstance(value, Iterable):
        raise wrong_value(name, value, f"a list of names, such as [{_example(value)}]")
    return list(value)


def engine_name(name: str, value: object) -> str:
    """Return the name of an engine, or the path of a recording as text."""
    if not isinstance(value, str | Path):
        raise wrong_value(name, value, "the name of an engine")
    return str(value)


def names(name: str, value: object) -> list[str]:
    items = listed(name, value)
    for each in items:
        demand(each, str, f"a name in {name}", f"pass a list of names as {name}")
    return items


def _example(value: object) -> str:
    return f"{value!r:.40}" if isinstance(value, str) else "'NAME'"
