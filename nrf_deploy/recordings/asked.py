"""Whether what Python asks of a recording is of its kind; a command line sees to that itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from numbers import Integral, Real

from ..findings import Finding, error

SECONDS = ("bin", "start", "until")
WHOLE = ("clip", "downsample")


def kind_faults(**asked: object) -> Iterator[Finding]:
    """Every option that is neither None nor of its kind: half a pixel would be a guess."""
    for name, given in asked.items():
        if given is None:
            continue
        if name in SECONDS and not _is(given, Real):
            yield _wrong(name, given, "a number of seconds")
        elif name in WHOLE and not _is(given, Integral):
            yield _wrong(name, given, "a whole number")
        elif name == "origin" and not (isinstance(given, str) or _is(given, Integral)):
            yield _wrong(name, given, "'first', 'zero' or a whole number of microseconds")
        elif name == "crop" and not _window(given):
            yield _wrong(name, given, "four whole numbers: x, y, width, height")


def _is(given: object, kind: type) -> bool:
    return isinstance(given, kind) and not isinstance(given, bool)


def _window(given: object) -> bool:
    return (
        isinstance(given, Sequence)
        and len(given) == 4
        and all(_is(number, Integral) for number in given)
    )


def _wrong(name: str, given: object, wanted: str) -> Finding:
    what = f"{name}={given!r:.80} is not {wanted}"
    return error("ARGUMENT-TYPE", what, fix=f"give {wanted}, or leave {name} out")
