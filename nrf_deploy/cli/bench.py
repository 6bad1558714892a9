"""The verb bench: the speed of the emulator on known networks, and of its peers."""

from __future__ import annotations

import argparse
import sys

from nrf_deploy.api.installed import bench as measured_cases
from nrf_deploy.diagnostics.option_types import positive
from nrf_deploy.diagnostics.text import WIDTH, finding_text, shorten
from nrf_deploy.testing.bench.measure import Measured, measured_text

from .main import emit
from .usage import Parser

ALONE = ("firings", "synaptic_events", "seconds")
"""Keys of the answer of a single case that stand outside `cases` too."""


def add_arguments(bench: Parser) -> None:
    bench.add_examples(
        "nrf-deploy bench yardstick --install",
        "nrf-deploy bench yardstick --json --repeats 30",
        "nrf-deploy bench nmnist dense --peers scipy sinabs --install",
    )
    bench.add_argument(
        "case",
        nargs="*",
        metavar="CASE",
        help="networks, by the names in docs/performance.md (default: all)",
    )
    bench.add_argument(
        "--peers", nargs="*", metavar="NAME", help="also run these tools (no name: all of them)"
    )
    bench.add_argument(
        "--repeats", type=positive, default=10, metavar="N", help="runs to take the median of"
    )
    bench.add_argument(
        "--rounds", type=positive, metavar="N", help="runs of each other tool (default 3)"
    )
    bench.add_argument(
        "--install", action="store_true", help="first build the environments that this needs"
    )


def run(args: argparse.Namespace) -> int:
    results = measured_cases(
        args.case,
        peers=args.peers,
        repeats=args.repeats,
        rounds=args.rounds,
        install=args.install,
        say=_progress,
        each=None if args.json else _print,
    )
    code = 0 if results.good else 1
    if args.json:
        each = [m.as_json() for m in results.measured]
        one = {key: each[0][key] for key in ALONE} if len(each) == 1 else {}
        emit(args, {**one, "ok": code == 0, "exit_code": code, "cases": each}, results.findings)
    else:
        for finding in results.findings:
            print(finding_text(finding), file=sys.stderr)
    return code


def _print(measured: Measured) -> None:
    print(measured_text(measured))


def _progress(line: str) -> None:
    if sys.stderr.isatty():
        print(shorten(line, WIDTH), file=sys.stderr)
