"""The verb verify: two engines run a bundle and are compared and judged."""

from __future__ import annotations

import argparse
import json
import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from nrf_deploy.bundle.bundle import Bundle, save
from nrf_deploy.bundle.inputs import as_bundle, slower, without_steps
from nrf_deploy.diagnostics.findings import UsageError, error, info
from nrf_deploy.diagnostics.text import Progress
from nrf_deploy.io.files import write_text
from nrf_deploy.io.recordings import write
from nrf_deploy.ir.recording import Recording
from nrf_deploy.verification import Limits, Report, junit
from nrf_deploy.verification.bisect import bisect
from nrf_deploy.verification.covariance import Covariance, covariance
from nrf_deploy.verification.covariance.text_report import text as in_words
from nrf_deploy.verification.options import as_labels, chosen_limits
from nrf_deploy.verification.report.page import report_html
from nrf_deploy.verification.verify import verify as verify_bundle

from . import engines
from .common import demand_outputs, demand_steps, recording, recording_options, running, say_at_once
from .main import emit
from .provenance import provenance


def verify(args: argparse.Namespace) -> int:
    if engines.is_requested(args):
        return engines.engines(args)
    (args.bundle,) = args.bundle
    demand_outputs(args, *_outputs(args))
    if args.report:
        _demand_form(args.report)
    limits, labels = _limits(args), as_labels(args.labels or None)
    bundle = as_bundle(args.bundle)
    stimulus, messages = recording(args, args.input, bundle.network)
    demand_steps(args.input, stimulus)
    messages = tuple(without_steps(messages))  # the report has them
    say_at_once(args, messages)
    pair = (args.engine, args.against)
    with running(*pair) as progress:
        report = verify_bundle(
            bundle,
            stimulus,
            *pair,
            limits=limits,
            decay=args.decay,
            context=provenance(args),
            attribute=args.attribute,
            layer=args.layer,
            behind=args.behind,
            labels=labels,
            progress=progress,
        )
    measured = _covariance(args, bundle, stimulus) if args.covariance else None
    if args.junit:
        write_text(args.junit, junit(report))
    if args.report:
        write_text(args.report, _written(args.report, report, bundle, stimulus, measured))
    if args.bisect:
        report = _bisected(args, report, bundle, stimulus)
    if args.json:
        answer = {"ok": report.passed, "exit_code": report.exit_code, "report": report.as_json()}
        if measured:
            answer["covariance"] = measured.as_json()
        emit(args, answer, (*messages, *report.said, *report.findings))
    else:
        print(report.text())
        if measured:
            print(f"\n{in_words(measured)}")
        wrote = [path for path in (args.report, args.junit) if path]
        if wrote:
            print("\n" + "\n".join(f"wrote {path}" for path in wrote))
    return report.exit_code


def _outputs(args: argparse.Namespace) -> Iterator[tuple[str, str]]:
    both = ((args.report, "a report"), (args.junit, "a JUnit file"))
    yield from ((path, kind) for path, kind in both if path)
    if args.bisect:
        yield f"{args.bisect}.nrfb", "a bundle"
        yield f"{args.bisect}.npz", "a recording"


def _bisected(
    args: argparse.Namespace, report: Report, bundle: Bundle, stimulus: Recording
) -> Report:
    """Write the smallest part that still differs, or report that nothing differs."""
    if report.comparison.first_divergence is None:
        same = info(
            "VERIFY-BISECT-NOTHING", f"the runs do not differ: {args.bisect} is not written"
        )
        return replace(report, said=(*report.said, same))

    pair = (args.engine, args.against)
    with running(*pair, why="bisecting: ") as progress:
        part = bisect(
            bundle,
            stimulus,
            *pair,
            report=report,
            layer=args.layer,
            behind=args.behind,
            decay=args.decay,
            progress=progress,
        )
    files = (f"{args.bisect}.nrfb", f"{args.bisect}.npz")
    save(part.bundle, files[0])
    write(part.recording, files[1])
    again_by = shlex.join(_repeated(args, files))
    hand_on = f"{files[0]} and {files[1]} contain it; they fail with {again_by}"
    messages = replace(part.said(), fix=hand_on)
    return replace(report, said=(*report.said, messages))


def _repeated(args: argparse.Namespace, files: tuple[str, str]) -> Iterator[str]:
    """Yield the words of the command that verifies the part exactly, not within limits."""
    yield from ("nrf-deploy", "verify", files[0], "--input", files[1])
    usual = {"engine": "emulator", "against": "reference", "layer": None, "behind": 0}
    for option, default in {**usual, "decay": "euler"}.items():
        if (value := getattr(args, option)) != default:
            yield from (f"--{option}", str(value))
    yield "--exact"


def _covariance(args: argparse.Namespace, bundle: Bundle, stimulus: Recording) -> Covariance:
    real = slower(bundle.network, args.input, **recording_options(args))
    with Progress("covariance") as progress:
        return covariance(bundle, stimulus, progress, real)


def _demand_form(path: str) -> None:
    """Refuse a path of a report whose suffix is neither .html nor .json."""
    if Path(path).suffix.lower() not in (".html", ".htm", ".json"):
        what = f"--report is {path}; expected a name that ends in .html or .json"
        fix = "name it .html for a page, or .json for programs"
        raise UsageError(error("OUTPUT-SUFFIX", what, fix=fix))


def _written(
    path: str, report: Report, bundle: Bundle, stimulus: Recording, measured: Covariance | None
) -> str:
    measured_json = measured.as_json() if measured else None
    if Path(path).suffix.lower() in (".html", ".htm"):
        return report_html(report, bundle, stimulus, covariance=measured_json)
    document = report.as_json() | ({"covariance": measured_json} if measured_json else {})
    return json.dumps(document, indent=2, allow_nan=False) + "\n"


def _limits(args: argparse.Namespace) -> Limits:
    """Return the limits before the runs: a bad file is refused at once."""
    return chosen_limits(
        args.engine, args.against, exact=args.exact, limit=args.limit, limits=args.limits or None
    )
