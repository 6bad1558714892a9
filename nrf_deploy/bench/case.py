"""What is measured, and against whom. Targets bring both, by the entry points of this group.

An entry of the group `nrf_deploy.benchmarks` names a module with `cases()` and `peers()`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ..emulator.engine import Engine
from ..findings import UsageError, error
from ..plugins import loaded
from ..program import Program
from ..recording import Recording
from ..target import Sdk

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Problem:
    """A program, ready to run on the fast emulator, and its input."""

    program: Program
    recording: Recording
    engine: Engine
    firings: Mapping[str, int] = field(default_factory=dict)
    """What others have published that each population fires in all steps, where they have."""

    def until(self, steps: int) -> Problem:
        whole = steps >= self.recording.steps
        return self if whole else Problem(self.program, self.recording.until(steps), self.engine)


@dataclass(frozen=True)
class Case:
    """`make` builds the problem, or raises MissingError that says how to get what it lacks."""

    name: str
    about: str
    make: Callable[[], Problem]
    sdk: Sdk | None = None
    """The environment that brings what it lacks, where there is one."""


@dataclass(frozen=True, eq=False)
class Answer:
    """Seconds of the run alone, and what fired: every event, or (where a peer keeps no more)
    only how many there were."""

    seconds: float
    outputs: Mapping[str, Recording]
    firings: int | None = None
    ahead: bool = False
    """The peer has no step of delay: its layer k is k steps ahead of ours."""


@dataclass(frozen=True, eq=False)
class Peer:
    """Another way to run the same programs."""

    name: str
    about: str
    run: Callable[[Problem, bool], Answer]
    """Runs all steps of the problem; records what fires only if told to."""
    steps: Mapping[str, int]
    """For each case that it can run, how many steps it is given at most: it takes the first."""
    without: str
    """Why it does not run the other cases."""
    sdk: Sdk | None = None
    """The environment that it needs."""


def _modules() -> Iterable[Any]:
    return loaded("nrf_deploy.benchmarks", ("cases", "peers")).values()


def cases() -> dict[str, Case]:
    return {c.name: c for m in _modules() for c in m.cases()}


def peers() -> dict[str, Peer]:
    return {p.name: p for m in _modules() for p in m.peers()}


def chosen(names: Sequence[str], known: Mapping[str, T], what: str) -> list[T]:
    """Those of these names, in their order, however they are spelt: sanafe is SANA-FE. All where
    none is named."""
    spelt = {_letters(name): name for name in known}
    unknown = [n for n in names if _letters(n) not in spelt]
    if unknown:
        near = [difflib.get_close_matches(_letters(n), spelt, 1) for n in unknown]
        meant = " and ".join(spelt[letters] for found in near for letters in found)
        raise UsageError(
            error(
                f"BENCH-{what.upper()}-UNKNOWN",
                f"there is no {what} {', '.join(map(repr, unknown))}",
                fix=f"{f'did you mean {meant}? ' * bool(meant)}choose from: {', '.join(known)}",
            )
        )
    return [known[spelt[_letters(n)]] for n in names] if names else list(known.values())


def _letters(name: str) -> str:
    return re.sub(r"[\W_]", "", name.casefold())
