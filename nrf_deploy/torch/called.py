"""Identity, names and needs of the calls of a run."""

from __future__ import annotations

import builtins
import keyword
from collections.abc import Iterator
from itertools import count
from typing import Any

from .runs import Run
from .values import INPUT, Made, OverTime, Signal, Term


def alive(run: Run) -> set[int]:
    """Return the numbers of the calls on which an output depends."""
    ahead = [
        term.call
        for returned in run.returned
        for value in returned.values()
        for term in terms(value)
    ]
    reached: set[int] = set()
    while ahead:
        number = ahead.pop()
        if number != INPUT and number not in reached:
            reached.add(number)
            ahead += [t.call for t in run.calls[number].terms()]
    return reached


def terms(value: Any) -> Iterator[Term]:
    signal = value.signal if isinstance(value, OverTime) else value
    if isinstance(signal, Signal):
        yield from signal.terms()


class Names:
    """Names of layers: the second call of a module gets a number, a function those of torch.fx."""

    def __init__(self) -> None:
        self.taken: set[str] = set()

    def name(self, call: Made) -> str:
        name = unused(call.name, self.taken) if call.in_model else self._function(call.name)
        self.taken.add(name)
        return name

    def _function(self, name: str) -> str:
        name = name.strip("_")
        plain = [] if hasattr(builtins, name) or keyword.iskeyword(name) else [name]
        tries = (*plain, *(f"{name}_{n}" for n in range(1, len(self.taken) + 2)))
        return next(t for t in tries if t not in self.taken)


def unused(name: str, taken: set[str]) -> str:
    """Return a name that is not taken: a module that is called again gets a number."""
    tries = (name if n == 1 else f"{name}_{n}" for n in count(1))
    return next(t for t in tries if t not in taken)
