"""How far work is: what those who do it call, and those who wait for it show."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

Progress = Callable[[int, int], None]


@runtime_checkable
class Naming(Protocol):
    """A progress that shows what is being done, and not only how much of it."""

    def part(self, name: str) -> Progress: ...


def part(progress: Progress, name: str) -> Progress:
    """From now on it is that of the part of the work with this name."""
    return progress.part(name) if isinstance(progress, Naming) else progress


def quiet(done: int, of: int) -> None:
    pass
