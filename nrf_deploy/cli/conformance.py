"""The verb conformance: a back end runs the programs of the kits, whose traces are known."""

from __future__ import annotations

import argparse

from nrf_deploy.diagnostics.findings import MissingError
from nrf_deploy.diagnostics.text import Progress
from nrf_deploy.io.files import write_text
from nrf_deploy.testing.conformance import run_conformance, show

from .common import demand_outputs
from .main import emit
from .usage import Parser


def add_arguments(conformance: Parser) -> None:
    conformance.add_examples(
        "nrf-deploy conformance --target loihi2",
        "nrf-deploy conformance --target loihi2 --engine lava",
        "nrf-deploy conformance --target loihi2 --kit recorded-on-silicon --case drift",
        "nrf-deploy conformance --target emulator:weight_bits=4 --junit conformance.xml",
    )
    conformance.add_argument("--target", required=True, help="a chip (nrf-deploy targets)")
    conformance.add_argument("--engine", default="emulator", help="the engine in question")
    conformance.add_argument(
        "--kit",
        action="append",
        default=[],
        metavar="FOLDER",
        help="also the cases of this kit (docs/conformance.md)",
    )
    conformance.add_argument(
        "--case", action="append", default=[], metavar="NAME", help="only this case"
    )
    conformance.add_argument(
        "--junit", metavar="F.xml", help="also write one test a case here, for CI"
    )


def run(args: argparse.Namespace) -> int:
    if args.junit:
        demand_outputs(args, (args.junit, "a JUnit file"))
    with Progress(f"cases on {args.engine}") as progress:
        outcome = run_conformance(
            args.target, args.engine, kit=args.kit, case=args.case, progress=progress
        )
    if outcome.results and all(r.status in ("missing", "refused") for r in outcome.results):
        missing = [f for r in outcome.results if r.status == "missing" for f in r.findings]
        if missing:
            raise MissingError(dict.fromkeys(missing))
    if args.junit:
        write_text(args.junit, show.junit(outcome))
    if args.json:
        answer = {"ok": outcome.passed, "exit_code": outcome.exit_code, **show.as_json(outcome)}
        emit(args, answer, show.findings(outcome))
    else:
        print(show.text(outcome))
        if args.junit:
            print(f"\nwrote {args.junit}")
    return outcome.exit_code
