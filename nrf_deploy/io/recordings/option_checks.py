"""Check of the types of a recording's options in Python; the command line has its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from numbers import Integral, Real

from nrf_deploy.diagnostics.findings import Finding, error

SECONDS = ("bin", "start", "until")
WHOLE = ("clip", "downsample")


def kind_faults(**options: object) -> Iterator[Finding]:
    """Yield an error for every option that is neither None nor of its type."""
    for name, value in options.items():
        if value is None:
            continue
        if name in SECONDS and not _is(value, Real):
            yield _wrong(name, value, "a number of seconds")
        elif name in WHOLE and not _is(value, Integral):
            yield _wrong(name, value, "a whole number")
        elif name == "origin" and not (isinstance(value, str) or _is(value, Integral)):
            yield _wrong(name, value, "'first', 'zero' or a whole number of microseconds")
        elif name == "crop" and not _window(value):
            yield _wrong(name, value, "four whole numbers: x, y, width, height")


def _is(value: object, kind: type) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def _window(value: object) -> bool:
    return (
        isinstance(value, Sequence)
        and len(value) == 4
        and all(_is(number, Integral) for number in value)
    )


def _wrong(name: str, value: object, wanted: str) -> Finding:
    what = f"{name}={value!r:.80} is not {wanted}"
    return error("ARGUMENT-TYPE", what, fix=f"give {wanted}, or leave {name} out")
