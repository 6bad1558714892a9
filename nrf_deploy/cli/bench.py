"""The verb bench: the speed of the emulator on known networks, and of its peers."""

from __future__ import annotations

import argparse
import sys

from nrf_deploy.api.installed import bench as measured_cases
from nrf_deploy.diagnostics.text import WIDTH, finding_text, shorten
from nrf_deploy.testing.bench.measure import Measured
from nrf_deploy.testing.bench.show import measured_text

from .main import emit

ALONE = ("firings", "synaptic_events", "seconds")
"""Keys of the answer of a single case that stand outside `cases` too."""


def bench(args: argparse.Namespace) -> int:
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
