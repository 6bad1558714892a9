"""Measurement of everything, which writes docs/performance.md with its pictures.

    python benchmarks/report.py --date 2026-11-21 [--note "..."]   measure, then write
    python benchmarks/report.py --again                            write stored measurements

Measurements are stored beside the pictures (measured.json), so that the text can change
without measuring again.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from batches import batches
from curves import curves, memory_curve
from machine import machine
from words import document, pictures

from nrf_deploy.diagnostics.findings import MissingError
from nrf_deploy.engines.sdk.environments import install
from nrf_deploy.testing.bench.case import Case, Peer, cases, peers
from nrf_deploy.testing.bench.measure import measure, measured_text

DOCS = Path(__file__).resolve().parents[1] / "docs"
FOLDER = DOCS / "performance"
KEPT = Path(__file__).with_name("results") / "performance.json"
BEGIN = time.monotonic()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=RAW)
    parser.add_argument("--date", help="the date of the measurement, as in the document")
    parser.add_argument("--note", default="", help="a sentence on the machine's state")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--only", help="measure this case, memory or batches again; keep the others"
    )
    parser.add_argument("--again", action="store_true", help="only write the document again")
    options = parser.parse_args()
    if not (options.again or options.only or options.date):
        parser.error("--date is needed, because the document contains it")
    FOLDER.mkdir(exist_ok=True)
    if not options.again:
        measured = anew(options) if options.only else everything(options)
        KEPT.write_text(json.dumps(measured, indent=1, sort_keys=True) + "\n")
    measured = json.loads(KEPT.read_text())
    for name, drawn in pictures(measured).items():
        (FOLDER / f"{name}.svg").write_text(drawn)
    (DOCS / "performance.md").write_text(document(measured))
    wrong = [c["case"] for c in measured["cases"] if not c["good"]]
    if wrong:
        say(f"the answers of {', '.join(wrong)} differ")
    return 1 if wrong else 0


RAW = argparse.RawDescriptionHelpFormatter


def everything(options: argparse.Namespace) -> dict[str, Any]:
    rivals = list(peers().values())
    for peer in rivals:
        if peer.sdk is not None:
            _installed(peer.sdk)
    say("the machine's limits")
    measured_all: dict[str, Any] = {
        "date": options.date,
        "note": options.note,
        "machine": asdict(machine()),
    }
    measured_all["peers"] = {p.name: p.about for p in rivals}
    measured_all["about"] = {c.name: c.about for c in cases().values()}
    measured_all["cases"], measured_all["lacking"] = [], {}
    for case in cases().values():
        say(f"case {case.name}: {case.about}")
        try:
            measured_all["cases"].append(one(case, rivals, options))
        except MissingError as missing:
            measured_all["lacking"][case.name] = missing.findings[0].what
            say(measured_all["lacking"][case.name])
    measured_all["batches"] = list(batches(say))
    measured_all["curves"] = [asdict(c) for c in curves(say)]
    return measured_all


def one(case: Case, rivals: list[Peer], options: argparse.Namespace) -> dict[str, Any]:
    m = measure(case, rivals, options.repeats, options.rounds, say)
    print(measured_text(m), flush=True)
    return m.as_json() | {"good": m.good, "spread": asdict(m.seconds), "apart": bool(options.only)}


def anew(options: argparse.Namespace) -> dict[str, Any]:
    """Return the stored measurements with one part measured again, which the document marks."""
    stored: dict[str, Any] = json.loads(KEPT.read_text())
    if options.only == "batches":
        return stored | {"batches": list(batches(say))}
    if options.only == "memory":
        kept = [c for c in stored["curves"] if c["name"] != "memory"]
        stored["curves"] = [*kept, asdict(memory_curve())]
        return stored
    case = one(cases()[options.only], list(peers().values()), options)
    stored["cases"] = [case if c["case"] == options.only else c for c in stored["cases"]]
    return stored


def _installed(sdk: Any) -> None:
    try:
        install(sdk, say)
    except MissingError as missing:
        say(missing.findings[0].what)


def say(line: str) -> None:
    print(f"[{time.monotonic() - BEGIN:5.0f} s] {line[:110]}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
