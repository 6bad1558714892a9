"""Two engines run a bundle, and are compared and judged."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from ..bundle import Bundle
from ..cli import emit
from ..files import write_text
from ..given import as_bundle
from ..kinds import demand_output
from ..recording import Recording
from ..verification import Limits, Report
from ..verification.page import page
from ..verification.verify import default_limits
from ..verification.verify import verify as verify_bundle
from .common import recording, running, say_at_once
from .provenance import provenance


def verify(args: argparse.Namespace) -> int:
    if args.report:
        demand_output(args.report, "a report", (args.bundle, args.input))
    bundle = as_bundle(args.bundle)
    given, said = recording(args, args.input, bundle.network)
    say_at_once(args, said)
    engines = (args.engine, args.against)
    with running(*engines) as progress:
        report = verify_bundle(
            bundle,
            given,
            *engines,
            limits=_limits(args),
            decay=args.decay,
            context=provenance(args),
            causes=args.attribute,
            progress=progress,
        )
    if args.report:
        write_text(args.report, _written(args.report, report, bundle, given))
    if args.json:
        answer = {"ok": report.passed, "exit_code": report.exit_code, "report": report.as_json()}
        emit(args, answer, (*said, *report.said, *report.findings))
    else:
        print(report.text())
    return report.exit_code


def _written(path: str, report: Report, bundle: Bundle, given: Recording) -> str:
    if Path(path).suffix.lower() in (".html", ".htm"):
        return page(report, bundle, given)
    return json.dumps(report.as_json(), indent=2, allow_nan=False) + "\n"


def _limits(args: argparse.Namespace) -> Limits:
    if args.exact:
        return Limits(exact=True)
    if args.limit is not None:
        return Limits(exact=False, spike_count_error=args.limit)
    return default_limits(args.engine, args.against)
