"""Options that would change nothing in a call: each is refused by its name, none is dropped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from .findings import Finding, error

FLAGS = {"start": "from", "form": "as"}
"""Options whose name on the command line is not the one that the functions have."""


def idle(
    given: Mapping[str, object],
    names: Iterable[str],
    why: str,
    fix: str = "",
    code: str = "OPTION-UNUSED",
) -> Iterator[Finding]:
    """One error for those of `names` that were given; `why` nothing reads them here.

    What is None, False or an empty list was not given; a 0 was.
    """
    found = [n for n in names if is_given(given.get(n))]
    if found:
        out = "it" if len(found) == 1 else "them"
        yield error(
            code,
            f"{options(found)} would change nothing here",
            why=why,
            fix=f"{fix}, or leave {out} out" if fix else f"leave {out} out",
        )


def is_given(value: object) -> bool:
    return value is not None and value is not False and value != []


def options(names: Iterable[str]) -> str:
    return ", ".join(f"--{FLAGS.get(n, n).replace('_', '-')}" for n in names)
