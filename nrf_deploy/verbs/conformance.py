"""A back end is held against the programs and traces of the conformance kits."""

from __future__ import annotations

import argparse

from ..cli import emit
from ..conformance import run_conformance, show
from ..files import write_text
from ..findings import MissingError
from ..text import Progress
from .common import demand_outputs


def conformance(args: argparse.Namespace) -> int:
    if args.junit:
        demand_outputs(args, (args.junit, "a JUnit file"))
    with Progress(f"cases on {args.engine}") as progress:
        found = run_conformance(
            args.target, args.engine, kit=args.kit, case=args.case, progress=progress
        )
    if found.results and all(r.status in ("missing", "refused") for r in found.results):
        missing = [f for r in found.results if r.status == "missing" for f in r.findings]
        if missing:
            raise MissingError(dict.fromkeys(missing))
    if args.junit:
        write_text(args.junit, show.junit(found))
    if args.json:
        answer = {"ok": found.passed, "exit_code": found.exit_code, **show.as_json(found)}
        emit(args, answer, show.findings(found))
    else:
        print(show.text(found))
        if args.junit:
            print(f"\nwrote {args.junit}")
    return found.exit_code
