"""Parts that several verbs share: reading of the inputs, and printing of findings."""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

from nrf_deploy.bundle import pipeline, tables
from nrf_deploy.bundle.bundle import Bundle
from nrf_deploy.bundle.inputs import recording_for
from nrf_deploy.compiler.abilities import CHOSEN
from nrf_deploy.compiler.driver import Verdict
from nrf_deploy.diagnostics.findings import (
    Finding,
    UnjudgedError,
    UsageError,
    error,
    merged,
    refuse,
)
from nrf_deploy.diagnostics.text import Progress, finding_text, wrap
from nrf_deploy.diagnostics.unused_options import idle
from nrf_deploy.io import file_types
from nrf_deploy.io.model import Model, rule_findings
from nrf_deploy.io.recordings import STATES, Options
from nrf_deploy.io.recordings.model_fit import without_steps
from nrf_deploy.ir.network import Network
from nrf_deploy.ir.recording import Recording

from .main import emit


def recording(
    args: argparse.Namespace, path: str, network: Network
) -> tuple[Recording, tuple[Finding, ...]]:
    return recording_for(network, path, **recording_options(args))


def demand_steps(path: str, stimulus: Recording) -> None:
    """Refuse a recording without steps. One without events is compared: a bias fires in it."""
    if not stimulus.steps:
        raise UnjudgedError(
            error(
                "VERIFY-NOTHING-COMPARED",
                f"{path} holds no event and no step: there is nothing to compare",
                fix="give a recording with events; check that this is the right file, and that "
                "--crop, --from and --until leave any of them",
            )
        )


READ = (
    "bundle", "model", "file", "source", "input", "against", "limits", "labels", "calibrate",
    "scheme", "weights", "target", "kit", "witness",
)  # fmt: skip
"""Options and arguments that may be the path of a file to read."""
MOST_FILES = 10_000
"""Options of a kit."""


def demand_outputs(args: argparse.Namespace, *outputs: tuple[str | Path, str]) -> None:
    """Refuse an output, (path, kind), that would overwrite what this call reads or writes."""
    file_types.demand_outputs(outputs, _read_by(args))


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


def recording_options(args: argparse.Namespace) -> Options:
    """Return the options for reading a recording."""
    names = Options.__annotations__
    return cast(Options, {name: getattr(args, name) for name in names})


def demand_calibrate(args: argparse.Namespace) -> None:
    """Refuse options of a calibration recording if there is none."""
    if not args.calibrate:
        why = "it is an option of the recording of --calibrate, which is missing"
        refuse(
            idle(vars(args), recording_options(args), why, "give --calibrate REC too"), UsageError
        )


def staged(
    args: argparse.Namespace, model: Model, chip: str
) -> tuple[Verdict, tuple[Finding, ...]]:
    """Return the verdict under the options of `check`, `compile` and `export`, with findings."""
    calibration: Recording | None = None
    messages: tuple[Finding, ...] = ()
    if args.calibrate:
        calibration, messages = recording(args, args.calibrate, model.network)
        messages = tuple(without_steps(messages))  # the verdict has them
    with Progress("fitting layers") as progress:
        verdict = pipeline.check(
            model, chip, calibration, args.scheme or None, args.allow, progress=progress
        )
    return verdict, messages


def built(args: argparse.Namespace, model: Model, chip: str) -> tuple[Bundle, tuple[Finding, ...]]:
    """Compile the bundle under these options; return it with all findings."""
    verdict, messages = staged(args, model, chip)
    bundle = pipeline.bundled(model, chip, verdict)
    return bundle, (*messages, *bundle.findings)


def running(*engines: str, why: str = "") -> Progress:
    return Progress(
        [f"{why}running on {engine}" for engine in engines], waiting=pipeline.waiting(*engines)
    )


def say_at_once(args: argparse.Namespace, messages: Iterable[Finding]) -> None:
    """Print findings before a run, which may be refused because of them."""
    if not args.json:
        for finding in merged(messages):
            if finding.severity != "info" or rule_findings([finding]):
                print(finding_text(finding) + "\n")
            elif finding.code == "RECORDING-STEP":
                print(wrap(finding.what, then="    ") + "\n")
        sys.stdout.flush()


def print_findings(findings: Iterable[Finding], infos: bool = False) -> None:
    """Print warnings, errors, choices and the origin of the firing rule; with `infos` the rest."""
    for finding in merged(findings):
        shown = finding.severity != "info" or finding.code == CHOSEN or rule_findings([finding])
        if infos or shown:
            print("\n" + finding_text(finding))


def bundle_answer(
    args: argparse.Namespace, bundle: Bundle, path: str, findings: Sequence[Finding]
) -> None:
    if args.json:
        emit(args, {"ok": True, "bundle": str(path), **tables.bundle_json(bundle)}, findings)
        return
    print(tables.resources(bundle))
    print_findings(findings)
    print(f"\nwrote {path}")


def talk(args: argparse.Namespace) -> Callable[[str], Any]:
    return (lambda text: None) if args.json else print
