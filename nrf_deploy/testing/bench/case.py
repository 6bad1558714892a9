"""Cases and peers of the benchmarks. Targets provide both by entry points.

An entry of the group `nrf_deploy.benchmarks` names a module with `cases()` and `peers()`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from nrf_deploy.compiler.plugins import has, loaded
from nrf_deploy.diagnostics.findings import MissingError, UsageError, error
from nrf_deploy.engines.emulator.engine import Engine
from nrf_deploy.engines.sdk.sdk import Sdk
from nrf_deploy.ir.program import Program
from nrf_deploy.ir.recording import Recording

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Problem:
    """A program, ready to run on the fast emulator, and its input."""

    program: Program
    recording: Recording
    engine: Engine
    firings: Mapping[str, int] = field(default_factory=dict)
    """Published spike counts of the populations over all steps, if there are any."""

    def until(self, steps: int) -> Problem:
        whole = steps >= self.recording.steps
        return self if whole else Problem(self.program, self.recording.until(steps), self.engine)


@dataclass(frozen=True)
class Case:
    """A benchmark: `make` builds the problem, or raises MissingError if a part is missing."""

    name: str
    about: str
    make: Callable[[], Problem]
    sdk: Sdk | None = None
    """The environment with the files that the case needs, if there is one."""


@dataclass(frozen=True, eq=False)
class Answer:
    """A peer's run: its seconds, and its spikes or (if the peer keeps no spikes) their number."""

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
    """Function that runs all steps of a problem and, if its second argument is true, records."""
    steps: Mapping[str, int]
    """Largest number of steps for each case that the peer can run; it runs the first ones."""
    without: str
    """The reason why the peer does not run the other cases."""
    sdk: Sdk | None = None
    """The environment that the peer needs."""


def _modules() -> Iterable[Any]:
    return loaded("nrf_deploy.benchmarks", has("cases", "peers")).values()


def cases() -> dict[str, Case]:
    """Return the networks by name; refuse if none are installed: the wheel has none."""
    networks = {c.name: c for m in _modules() for c in m.cases()}
    if not networks:
        raise MissingError(
            error(
                "BENCH-NONE",
                "no networks to measure are installed",
                why="they are in the repository, with the tools that they are compared with; "
                "the package has neither",
                fix="in a checkout of nrf-deploy: pip install -e . -e benchmarks/peers",
            )
        )
    return networks


def peers() -> dict[str, Peer]:
    return {p.name: p for m in _modules() for p in m.peers()}


def chosen(names: Sequence[str], known: Mapping[str, T], what: str) -> list[T]:
    """Return the items of these names in their order, or all items if `names` is empty.

    Case and punctuation are ignored: sanafe is SANA-FE.
    """
    spelt = {_letters(name): name for name in known}
    unknown = [n for n in names if _letters(n) not in spelt]
    if unknown:
        near = [difflib.get_close_matches(_letters(n), spelt, 1) for n in unknown]
        meant = " and ".join(spelt[letters] for near_names in near for letters in near_names)
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
