"""Progress: the function that long work calls with the steps done and their number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

Progress = Callable[[int, int], None]


@runtime_checkable
class Naming(Protocol):
    """A progress that also shows the name of the part of the work."""

    def part(self, name: str) -> Progress: ...


def part(progress: Progress, name: str) -> Progress:
    """Return the progress for the part of the work with this name."""
    return progress.part(name) if isinstance(progress, Naming) else progress


def quiet(done: int, of: int) -> None:
    pass
