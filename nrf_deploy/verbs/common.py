"""What several verbs do alike: read what they are given, and say what was found."""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

from .. import kinds, pipeline, show
from ..bundle import Bundle
from ..cli import emit
from ..findings import (
    Finding,
    UnjudgedError,
    UsageError,
    error,
    merged,
    refuse,
)
from ..given import recording_for, without_steps
from ..idle import idle
from ..model import Model, rule_findings
from ..network import Network
from ..recording import Recording
from ..recordings import STATES, Options
from ..stages import Verdict
from ..target import CHOSEN
from ..text import Progress, finding_text, wrap


def recording(
    args: argparse.Namespace, path: str, network: Network
) -> tuple[Recording, tuple[Finding, ...]]:
    return recording_for(network, path, **asked(args))


def demand_steps(path: str, given: Recording) -> None:
    """Without a step there is nothing to compare. Silence is something: a bias fires in it."""
    if not given.steps:
        raise UnjudgedError(
            error(
                "VERIFY-NOTHING-COMPARED",
                f"{path} holds no event and no step: there is nothing to compare",
                fix="give a recording with events in it; look at whether this is the file that was "
                "meant, and whether --crop, --from and --until leave anything",
            )
        )


READ = (
    "bundle", "model", "file", "source", "input", "against", "limits", "labels", "calibrate",
    "scheme", "weights", "target", "kit",
)  # fmt: skip
"""Options and arguments that may name a file which is read."""
MOST_FILES = 10_000
"""Of one kit."""


def demand_outputs(args: argparse.Namespace, *outputs: tuple[str | Path, str]) -> None:
    """Refuse an output, (path, kind), that would overwrite what this call reads or writes."""
    kinds.demand_outputs(outputs, _read_by(args))


def _read_by(args: argparse.Namespace) -> Iterator[Path]:
    for name in READ:
        value = getattr(args, name, None)
        for word in value if isinstance(value, list | tuple) else [value]:
            path = Path(str(word))
            if word is None or "\0" in str(word):
                continue
            if name == "kit":
                yield from itertools.islice(path.rglob("*"), MOST_FILES)
            elif path.is_file():
                yield path
                if name == "against":
                    yield path.with_suffix(STATES)


def asked(args: argparse.Namespace) -> Options:
    """What the options ask of a recording."""
    names = Options.__annotations__
    return cast(Options, {name: getattr(args, name) for name in names})


def demand_calibrate(args: argparse.Namespace) -> None:
    """Refuse what is asked of a calibration recording where none is given."""
    if not args.calibrate:
        why = "it says how the recording of --calibrate is read, and there is none"
        refuse(idle(vars(args), asked(args), why, "give --calibrate REC too"), UsageError)


def staged(
    args: argparse.Namespace, model: Model, chip: str
) -> tuple[Verdict, tuple[Finding, ...]]:
    """The verdict under the options of `check`, `compile` and `export`, and what reading said."""
    calibration: Recording | None = None
    said: tuple[Finding, ...] = ()
    if args.calibrate:
        calibration, said = recording(args, args.calibrate, model.network)
        said = tuple(without_steps(said))  # the verdict says it
    with Progress("fitting layers") as progress:
        verdict = pipeline.check(
            model, chip, calibration, args.scheme or None, args.allow, progress=progress
        )
    return verdict, said


def built(args: argparse.Namespace, model: Model, chip: str) -> tuple[Bundle, tuple[Finding, ...]]:
    """The bundle under these options, and everything that was said on the way."""
    verdict, said = staged(args, model, chip)
    bundle = pipeline.bundled(model, chip, verdict)
    return bundle, (*said, *bundle.findings)


def running(*engines: str, why: str = "") -> Progress:
    return Progress(
        [f"{why}running on {engine}" for engine in engines], waiting=pipeline.waiting(*engines)
    )


def say_at_once(args: argparse.Namespace, said: Iterable[Finding]) -> None:
    """Before a run, which may be refused for just what these findings say."""
    if not args.json:
        for finding in merged(said):
            if finding.severity != "info":
                print(finding_text(finding) + "\n")
            elif finding.code == "RECORDING-STEP":
                print(wrap(finding.what, then="    ") + "\n")
        sys.stdout.flush()


def print_findings(findings: Iterable[Finding], infos: bool = False) -> None:
    """Warnings, errors, choices and where the firing rule comes from; `infos` if asked for."""
    for finding in merged(findings):
        told = finding.severity != "info" or finding.code == CHOSEN or rule_findings([finding])
        if infos or told:
            print("\n" + finding_text(finding))


def bundle_answer(
    args: argparse.Namespace, bundle: Bundle, path: str, findings: Sequence[Finding]
) -> None:
    if args.json:
        emit(args, {"ok": True, "bundle": str(path), **show.bundle_json(bundle)}, findings)
        return
    print(show.resources(bundle))
    print_findings(findings)
    print(f"\nwrote {path}")


def talk(args: argparse.Namespace) -> Callable[[str], Any]:
    return (lambda text: None) if args.json else print
