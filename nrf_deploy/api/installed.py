"""Installed parts: chips and their limits, the vendors' SDKs, and the benchmarks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from nrf_deploy.compiler import plugins
from nrf_deploy.compiler.abilities import Detailed
from nrf_deploy.compiler.target import GROUP, Target, chip_named
from nrf_deploy.compiler.target import targets as installed
from nrf_deploy.diagnostics.argument_types import listed, whole
from nrf_deploy.diagnostics.findings import (
    Finding,
    MissingError,
    UsageError,
    error,
    refuse,
    warning,
)
from nrf_deploy.diagnostics.unused_options import idle
from nrf_deploy.engines.sdk import environments
from nrf_deploy.engines.sdk.environments import Status
from nrf_deploy.engines.sdk.sdk import Sdk
from nrf_deploy.testing.bench.case import cases, chosen
from nrf_deploy.testing.bench.case import peers as _peers
from nrf_deploy.testing.bench.measure import Measured, measure

from . import target_tables

Say = Callable[[str], None]
Action = Literal["list", "install", "doctor", "remove"]
ACTIONS = ("list", "install", "doctor", "remove")
ROUNDS = 3


def silent(line: str) -> None:
    """Discard a line."""


# --- targets ----------------------------------------------------------------------


def targets(name: str | None = None) -> dict[str, Any]:
    """Return the installed targets with their chips, limits, engines and rewrites.

    Args:
        name: A target ("loihi") or a chip ("loihi2", "emulator:weight_bits=4"). Default: all.

    Returns:
        By target: `about`; `chips`, by name the table of limits, each with its source;
        `engines`; `exporters`, the forms of `export_program`; `choices`, what `allow` takes.

    Raises:
        UsageError: An unknown name (a ValueError).
        MissingError: The plug-in of this name cannot be loaded.
    """
    return target_tables.targets_json(*selected(name))


def selected(name: str | None) -> tuple[Mapping[str, Target], str]:
    """Return the targets of a name, and the chip if it is one; no name: all targets."""
    shelf = installed()
    if name is None:
        return shelf, ""
    if name in shelf:
        return {name: shelf[name]}, ""
    plugins.demand_sound(GROUP, name)
    target, chip = chip_named(name)
    own = {n: t for n, t in shelf.items() if t is target}
    return own, chip if chip in target.chips or isinstance(target, Detailed) else ""


# --- SDKs -------------------------------------------------------------------------


@dataclass(frozen=True)
class Sdks:
    """The environments of the vendors' SDKs.

    Attributes:
        status: Each SDK: installed or not, importable or not, and what to do.
        removed: The folders that "remove" deleted.
    """

    status: tuple[Status, ...]
    removed: tuple[Path, ...] = ()

    @property
    def unusable(self) -> tuple[Status, ...]:
        """The SDKs that are missing or fail, without the optional ones."""
        return tuple(s for s in self.status if not s.usable and not s.sdk.optional)


def sdk(action: Action = "list", name: str | None = None, *, say: Say = silent) -> Sdks:
    """List, install, test or remove the environments of the vendors' SDKs.

    Args:
        action: "list": what is installed. "install": build what is missing. "doctor": also
            import each SDK. "remove": delete the environments of one SDK. Default: "list".
        name: The SDK. Default: all; of "install", those that are not optional and whose
            Python is found; "remove" needs a name.
        say: Called with each line of progress. Default: silent.

    Returns:
        The status of the SDKs after the action.

    Raises:
        UsageError: An unknown action or SDK, or "remove" without a name (a ValueError).
        MissingError: An environment that cannot be built or removed.
    """
    known = {s.name: s for t in installed().values() for s in t.sdks}
    if action not in ACTIONS:
        fix = f"choose one of: {', '.join(ACTIONS)}"
        raise UsageError(error("SDK-ACTION", f"sdk has no action {action!r:.40}", fix=fix))
    if name is not None and name not in known:
        fix = f"choose one of: {', '.join(sorted(known))}"
        raise UsageError(error("SDK-UNKNOWN", f"there is no SDK {name!r}", fix=fix))
    removed: list[Path] = []
    if action == "install":
        wanted = [known[name]] if name else [s for s in known.values() if not s.optional]
        for each in wanted:
            if name or environments.status(each).interpreter is not None:
                environments.install(each, say)
    if action == "remove":
        removed = _removed(known, name)
    one = name is not None and action in ("list", "doctor")
    shown = [known[str(name)]] if one else list(known.values())
    if action == "doctor":
        _try_imports(shown, say)
    return Sdks(tuple(environments.status(s) for s in shown), tuple(removed))


def _removed(known: Mapping[str, Sdk], name: str | None) -> list[Path]:
    if name is None:
        fix = f"nrf-deploy sdk remove NAME, one of: {', '.join(sorted(known))}"
        raise UsageError(error("SDK-NAME-MISSING", "sdk remove needs the name of an SDK", fix=fix))
    return environments.remove(known[name])


def _try_imports(sdks: Sequence[Sdk], say: Say) -> None:
    """Import each installed SDK that was never imported; a failure is noted for its status."""
    for each in sdks:
        python = environments.installed_python(each)
        if python is not None:
            with suppress(MissingError):
                environments.prove(each, python, say)


# --- benchmarks -------------------------------------------------------------------


@dataclass(frozen=True)
class Benchmark:
    """The measured cases, and why others could not run.

    Attributes:
        measured: Each case with its times, and those of the peers.
        findings: An error for each case whose answers differ, a warning for each that lacks
            something.
    """

    measured: tuple[Measured, ...]
    findings: tuple[Finding, ...]

    @property
    def good(self) -> bool:
        """True if the answers of every case agree."""
        return all(m.good for m in self.measured)


def bench(
    case: Sequence[str] = (),
    *,
    peers: Sequence[str] | None = None,
    repeats: int = 10,
    rounds: int | None = None,
    install: bool = False,
    say: Say = silent,
    each: Callable[[Measured], object] | None = None,
) -> Benchmark:
    """Measure how fast the emulator runs known networks, alone or beside other tools.

    Args:
        case: The networks, as docs/performance.md names them. Default: all.
        peers: Other tools to run on the same networks; an empty list: all of them. Default:
            none.
        repeats: Runs of the emulator, of which the median counts, 1 or more. Default: 10.
        rounds: Runs of each other tool, 1 or more. Default: 3.
        install: First build the environments that this needs. Default: False.
        say: Called with each line of progress. Default: silent.
        each: Called with each case as soon as it is measured. Default: nothing.

    Returns:
        The Benchmark: times in seconds and ratios, with their spread.

    Raises:
        UsageError: An unknown case or tool, or `rounds` without `peers` (a ValueError).
        MissingError: What a named case needs is not installed, or no case could run.
    """
    if peers is None:
        why = "it counts the runs of other tools, and none is asked for"
        refuse(idle({"rounds": rounds}, ["rounds"], why, "give --peers too"), UsageError)
    runs = _count("repeats", repeats)
    turns = ROUNDS if rounds is None else _count("rounds", rounds)
    named = chosen(listed("case", case), cases(), "case")
    rivals = [] if peers is None else chosen(listed("peers", peers), _peers(), "peer")
    if install:
        wanted = [*(c.sdk for c in named), *(p.sdk for p in rivals)]
        for needed in dict.fromkeys(s for s in wanted if s is not None):
            environments.install(needed, say)
    measured: list[Measured] = []
    missing: list[Finding] = []
    for one in named:
        try:
            measured.append(measure(one, rivals, runs, turns, say))
        except MissingError as lacking:
            missing.extend(lacking.findings)
            continue
        if each is not None:
            each(measured[-1])
    if missing and (case or not measured):
        refuse(missing, MissingError)
    findings = [warning(f.code, f.what, why=f.why, fix=f.fix) for f in missing]
    findings += [
        error("BENCH-DIFFERS", f"the answers of the case {m.case!r} differ", fix="report it")
        for m in measured
        if not m.good
    ]
    return Benchmark(tuple(measured), tuple(findings))


def _count(name: str, value: object) -> int:
    count = whole(name, value)
    if count < 1:
        raise UsageError(error("BENCH-COUNT", f"{name} is {count}; expected 1 or more"))
    return count
