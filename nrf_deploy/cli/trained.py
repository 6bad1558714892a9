"""The verb verify of a .nir file: the float model against its training framework."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from nrf_deploy.diagnostics.findings import Finding, UsageError, error, refuse
from nrf_deploy.diagnostics.unused_options import idle
from nrf_deploy.io.files import write_text
from nrf_deploy.io.recordings import Options
from nrf_deploy.verification.report.junit import junit_trained
from nrf_deploy.verification.trained import verify_trained
from nrf_deploy.witness.reading import look

from .common import demand_outputs, recording
from .main import emit
from .shared_options import rule_options

OF_BUNDLES = (
    "limit", "exact", "bisect", "limits", "labels", "attribute", "covariance", "report", "layer",
    "witness",
)  # fmt: skip
OF_MODELS = ("dt", "producer", "reset", "fires", "per_step", "floor", "refractory")
"""Options that say how a .nir file is read; a bundle was compiled with its own."""


def trained(args: argparse.Namespace) -> int:
    """Compare one .nir file with a recording of its framework; return the exit code."""
    (path,) = args.bundle
    refuse(_misused(args), UsageError)
    demand_outputs(args, *([(args.junit, "a JUnit file")] if args.junit else []))
    rule = rule_options(args)
    stimulus = None
    if args.input:
        stimulus, _ = recording(args, args.input, look(path, args.dt, **rule).network)
    report = verify_trained(path, args.against, stimulus, dt=args.dt, **rule)
    if args.junit:
        write_text(args.junit, junit_trained(report))
    if args.json:
        answer = {"ok": report.passed, "exit_code": report.exit_code}
        emit(args, {**answer, "report": report.as_json()}, report.findings)
    else:
        print(report.text())
        if args.junit:
            print(f"\nwrote {args.junit}")
    return report.exit_code


def _misused(args: argparse.Namespace) -> Iterator[Finding]:
    if args.against == "reference":
        yield error(
            "VERIFY-TRAINED",
            f"{args.bundle[0]} is a .nir file, and --against names no recording of its framework",
            why="the float model is compared with what the framework gave; a chip's engines run "
            "bundles",
            fix="give --against trained.npz (docs/from-your-framework.md), or compile it first",
        )
    why = f"{args.bundle[0]} is a .nir file, which is compared with a recording of its framework"
    yield from idle(vars(args), OF_BUNDLES, why, "compile it first")
    changed = {"engine": args.engine != "emulator", "behind": args.behind != 0}
    changed["decay"] = args.decay != "euler"
    yield from idle(changed, changed, why, "compile it first")
    if not args.input:
        why = "it is an option of the recording of --input, which is missing"
        yield from idle(vars(args), Options.__annotations__, why, "give --input REC too")
