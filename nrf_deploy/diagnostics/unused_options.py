"""Refusal of options that would change nothing in a call; none is dropped silently."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from .findings import Finding, error

FLAGS = {"start": "from", "form": "as"}
"""Options whose name on the command line is not the argument's name."""


def idle(
    values: Mapping[str, object],
    names: Iterable[str],
    why: str,
    fix: str = "",
    code: str = "OPTION-UNUSED",
) -> Iterator[Finding]:
    """Yield one error for those of `names` that have a value; `why`: the reason they are not read.

    None, False and an empty list are not values; 0 is.
    """
    used = [n for n in names if is_given(values.get(n))]
    if used:
        out = "it" if len(used) == 1 else "them"
        yield error(
            code,
            f"{options(used)} would change nothing here",
            why=why,
            fix=f"{fix}, or leave {out} out" if fix else f"leave {out} out",
        )


def is_given(value: object) -> bool:
    return value is not None and value is not False and value != []


def options(names: Iterable[str]) -> str:
    return ", ".join(f"--{FLAGS.get(n, n).replace('_', '-')}" for n in names)
