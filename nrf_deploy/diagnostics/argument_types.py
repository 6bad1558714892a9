"""Type checks of Python arguments; the finding names what to pass."""

from __future__ import annotations

import os
from collections.abc import Iterable
from numbers import Integral, Real
from pathlib import Path
from typing import Any, TypeVar

from .findings import ArgumentTypeError, error

T = TypeVar("T")


def wrong(given: object, wanted: str, fix: str) -> ArgumentTypeError:
    """Return the refusal of an argument, shown in one line."""
    shown = " ".join(repr(given).split())
    what = f"{shown:.80} ({type(given).__name__}) is not {wanted}"
    return ArgumentTypeError(error("ARGUMENT-TYPE", what, fix=fix))


def demand(given: object, kind: type[T] | tuple[type[T], ...], wanted: str, fix: str) -> T:
    if not isinstance(given, kind):
        raise wrong(given, wanted, fix)
    return given


def demand_path(given: object) -> None:
    """Also a number is refused: it would be the descriptor of an open file."""
    demand(given, (str, os.PathLike), "a path", "pass the path of a file, as text or pathlib.Path")


def demand_text(given: object, what: str) -> None:
    """Refuse what is neither text nor bytes: the content of a file, not its path."""
    fix = f"pass the content of the file of {what}, as text or bytes"
    demand(given, (str, bytes), "the text of a file", fix)


def demand_number(name: str, given: object, wanted: str) -> None:
    if isinstance(given, bool) or not isinstance(given, Real):
        raise wrong_value(name, given, wanted)


def whole(name: str, given: object) -> int:
    """Return a whole number of Python or numpy, as Python's."""
    if isinstance(given, bool) or not isinstance(given, Integral):
        raise wrong_value(name, given, "a whole number")
    return int(given)


def wrong_value(name: str, given: object, wanted: str) -> ArgumentTypeError:
    (f,) = wrong(given, wanted, f"pass {wanted} as {name}, or leave it out").findings
    return ArgumentTypeError(error(f.code, f"{name}: {f.what}", fix=f.fix))


def listed(name: str, given: object) -> list[Any]:
    """Return what a list holds. A text is refused: its letters are no list of names."""
    if isinstance(given, str | os.PathLike | bytes) or not isinstance(given, Iterable):
        raise wrong_value(name, given, f"a list of names, such as [{_example(given)}]")
    return list(given)


def engine_name(name: str, given: object) -> str:
    """Return the name of an engine, or the path of a recording as text."""
    if not isinstance(given, str | Path):
        raise wrong_value(name, given, "the name of an engine")
    return str(given)


def names(name: str, given: object) -> list[str]:
    found = listed(name, given)
    for each in found:
        demand(each, str, f"a name in {name}", f"pass a list of names as {name}")
    return found


def _example(given: object) -> str:
    return f"{given!r:.40}" if isinstance(given, str) else "'NAME'"
