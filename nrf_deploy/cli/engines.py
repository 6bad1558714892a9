"""The verb verify of several bundles, or with `--engine all`: every engine in one table."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from nrf_deploy.bundle import pipeline
from nrf_deploy.bundle.inputs import as_bundle
from nrf_deploy.diagnostics.findings import UsageError, error
from nrf_deploy.diagnostics.text import Progress
from nrf_deploy.io.files import write_text
from nrf_deploy.io.recordings.model_fit import without_steps
from nrf_deploy.verification.engine_pair import OWN
from nrf_deploy.verification.engine_table.compare_engines import as_json, compare_engines
from nrf_deploy.verification.engine_table.text import engines_text
from nrf_deploy.verification.options import as_labels, chosen_limits

from .common import demand_outputs, demand_steps, recording, say_at_once
from .main import emit

ALL = "all"
ONE_PAIR = ("layer", "behind", "exact", "bisect", "junit", "attribute", "covariance", "witness")
"""Options for a comparison of two engines."""


def is_requested(args: argparse.Namespace) -> bool:
    return len(args.bundle) > 1 or args.engine == ALL


def engines(args: argparse.Namespace) -> int:
    _demand_fit(args)
    limits = chosen_limits(OWN[0], OWN[1], limit=args.limit, limits=args.limits or None)
    labels = as_labels(args.labels or None)
    bundles = [as_bundle(path) for path in args.bundle]
    stimulus, messages = recording(args, args.input, bundles[0].network)
    demand_steps(args.input, stimulus)
    messages = tuple(without_steps(messages))  # the table has them
    say_at_once(args, messages)
    every = ((f"{b.chip} ", engine) for b in bundles for engine in pipeline.engines_of(b)[1:])
    runs = [("", "reference"), *every]
    shown = [f"running on {chip}{engine}" for chip, engine in runs]
    hints = pipeline.waiting(*(engine for _, engine in runs))
    with Progress(shown, waiting=hints) as progress:
        results = compare_engines(
            bundles,
            stimulus,
            limits=limits,
            decay=args.decay,
            labels=labels,
            progress=progress,
        )
    document: dict[str, Any] = as_json(results)
    document |= {"input_made": list(stimulus.made)} if stimulus.made else {}
    if args.report:
        write_text(args.report, json.dumps(document, indent=2, allow_nan=False) + "\n")
    code = 0 if results.passed else 1
    if args.json:
        answer = {"ok": results.passed, "exit_code": code, "engines": document}
        emit(args, answer, (*messages, *results.said, *results.findings))
    else:
        print(engines_text(results))
        if args.report:
            print(f"\nwrote {args.report}")
    return code


def _demand_fit(args: argparse.Namespace) -> None:
    beside = [f"--{name}" for name in ONE_PAIR if getattr(args, name)]
    beside += ["--against"] * (args.against != "reference")
    beside += ["--engine"] * (args.engine not in ("emulator", ALL))
    if beside:
        raise UsageError(
            error(
                "ENGINES-OPTION",
                f"{', '.join(beside)} is about two engines, and here all of them run",
                fix="give one bundle, with --engine and --against",
            )
        )
    if args.report:
        demand_outputs(args, (args.report, "a report"))
        if Path(args.report).suffix.lower() != ".json":
            what = f"{args.report}: the table of all engines is written only as .json"
            fix = "verify one bundle against one engine for a page"
            raise UsageError(error("OUTPUT-SUFFIX", what, fix=fix))
