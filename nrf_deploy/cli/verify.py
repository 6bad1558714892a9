"""The verb verify: two engines run a bundle and are compared and judged."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

from nrf_deploy.bundle.bundle import Bundle, save
from nrf_deploy.bundle.inputs import as_bundle, slower
from nrf_deploy.diagnostics.findings import Finding, UsageError, error, info, refuse
from nrf_deploy.diagnostics.option_types import fraction
from nrf_deploy.diagnostics.text import Progress
from nrf_deploy.diagnostics.unused_options import idle
from nrf_deploy.io.file_types import kind_of
from nrf_deploy.io.files import reading, write_text
from nrf_deploy.io.recordings import write
from nrf_deploy.io.recordings.model_fit import without_steps
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
from .shared_options import add_decay, add_dt, add_reading, add_rule, add_witness
from .trained import OF_MODELS, trained
from .usage import Parser

NOT_SAID = "--report"
"""Options that only decide where the answer is written."""


def provenance(args: argparse.Namespace) -> dict[str, Any]:
    """Return the files and the command; files without folders, so that equal calls are equal."""
    files = {"bundle": args.bundle, "input": args.input}
    if args.labels:
        files["labels"] = args.labels
    answer: dict[str, Any] = {}
    for what, path in files.items():
        with reading(path) as stream:
            answer[what] = Path(path).name
            answer[f"{what}_sha256"] = _sha256(stream)
    return answer | {"commands": [command(args.words)]}


def _sha256(stream: BinaryIO) -> str:
    digest = hashlib.sha256()
    while part := stream.read(1 << 20):
        digest.update(part)
    return digest.hexdigest()


def command(words: Sequence[str]) -> str:
    return shlex.join(["nrf-deploy", *_relevant(words)])


def _relevant(words: Sequence[str]) -> Iterator[str]:
    rest = iter(words)
    for word in rest:
        key, equals, value = word.partition("=")
        option = key.startswith("--") and len(key) > 4
        if option and NOT_SAID.startswith(key):
            if not equals:
                next(rest, None)
        elif option and equals:
            yield f"{key}={_name(value)}"
        elif word != "--json":
            yield _name(word)


def _name(word: str) -> str:
    return Path(word).name if os.sep in word else word


def add_arguments(verify: Parser) -> None:
    verify.add_examples(
        "nrf-deploy verify model.nrfb --input events.npz --bin 1e-3",
        "nrf-deploy verify model.nrfb --input events.npz --bin 1e-3 --against lava",
        "nrf-deploy verify model.nrfb --input events.npz --bin 1e-3 --report report.html",
        "nrf-deploy verify model.nrfb --input events.npz --bin 1e-3 --attribute",
        "nrf-deploy verify model.nrfb --input events.npz --bin 1e-3 --covariance",
        "nrf-deploy verify model.nrfb --input events.npz --bin 1e-3 --bisect smallest",
        "nrf-deploy verify model.nrfb --input steps.npz --limits L.toml --junit verify.xml",
        "nrf-deploy verify model.nrfb --input steps.npz --labels places.csv",
        "nrf-deploy verify loihi2.nrfb speck2b.nrfb --input events.npz --bin 1e-3",
        "nrf-deploy verify model.nir --against trained.npz --producer snntorch",
    )
    verify.add_argument(
        "bundle",
        nargs="+",
        help="a .nrfb file; for several (one model on several chips) every engine is shown in one "
        "table; or a .nir file, to compare the model with its training framework",
    )
    verify.add_argument("--input", metavar="REC", help="the recording")
    verify.add_argument(
        "--engine",
        default="emulator",
        help="the engine in question; all: one table of every engine that is installed",
    )
    verify.add_argument(
        "--against",
        default="reference",
        metavar="E",
        help="the engine to trust, or a recording of one layer from silicon (.npz; states "
        "beside it in .states.npz); of a .nir file: what its framework gave (.npz; "
        "docs/from-your-framework.md)",
    )
    verify.add_argument("--layer", help="the layer that such a recording is of")
    verify.add_argument(
        "--behind",
        type=int,
        default=0,
        metavar="N",
        help="steps by which such a recording is behind the model (default 0, as run writes it)",
    )
    verify.add_argument(
        "--limit",
        type=fraction,
        metavar="X",
        help="largest relative error of a layer's spike count against the float reference "
        "(default 0.1); between integer engines every value must be equal",
    )
    verify.add_argument("--exact", action="store_true", help="every spike must be equal")
    verify.add_argument(
        "--bisect",
        metavar="OUT",
        help="where the runs differ, write the smallest part that still does (OUT.nrfb) and the "
        "shortest input for it (OUT.npz)",
    )
    verify.add_argument(
        "--limits",
        metavar="L.toml",
        help="limits by metric and layer from a file, instead of --limit (docs/report-schema.md)",
    )
    verify.add_argument(
        "--labels",
        metavar="L.csv",
        help="what the recording shows, a class or places over time: the error of both runs is "
        "reported too (docs/report-schema.md)",
    )
    verify.add_argument("--junit", metavar="F.xml", help="also write one test a layer here, for CI")
    verify.add_argument(
        "--attribute",
        action="store_true",
        help="divide each layer's error against the model among its causes: weights, decays, "
        "thresholds, biases, saturation, pooling, latency, the order of events, rewrites, "
        "arithmetic",
    )
    verify.add_argument(
        "--covariance",
        action="store_true",
        help="also stretch, turn, scale and move the input, compare the responses of the channels "
        "for it, and report the largest cause of an error and its fix (docs/covariance.md)",
    )
    verify.add_argument(
        "--report",
        metavar="R.html",
        help="also write the report to this file: as one page (.html), or for programs (.json)",
    )
    add_decay(verify)
    add_witness(verify)
    add_dt(verify)
    add_rule(verify)
    add_reading(verify)


def run(args: argparse.Namespace) -> int:
    if len(args.bundle) == 1 and kind_of(args.bundle[0]) == "graph":
        return trained(args)
    refuse(_of_a_model(args), UsageError)
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
            witness=args.witness,
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


def _of_a_model(args: argparse.Namespace) -> Iterator[Finding]:
    if not args.input:
        what = "the following arguments are required: --input"
        yield error("USAGE", what, fix="see nrf-deploy verify --help")
    why = "a bundle was compiled with its own; it is how a .nir file is read"
    yield from idle(vars(args), OF_MODELS, why)


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
