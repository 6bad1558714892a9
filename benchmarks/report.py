"""Measures everything in one go and writes docs/performance.md with its pictures.

    python benchmarks/report.py --date 2026-11-21 [--note "..."]   measure, then write
    python benchmarks/report.py --again                            write from what was measured

What was measured is kept beside the pictures (measured.json), so that the words can change
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

from nrf_deploy.bench.case import Case, Peer, cases, peers
from nrf_deploy.bench.measure import measure
from nrf_deploy.bench.show import measured_text
from nrf_deploy.findings import MissingError
from nrf_deploy.sdk.environments import install

DOCS = Path(__file__).resolve().parents[1] / "docs"
FOLDER = DOCS / "performance"
KEPT = FOLDER / "measured.json"
BEGIN = time.monotonic()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=RAW)
    parser.add_argument("--date", help="the day of the measurement, as the document says it")
    parser.add_argument("--note", default="", help="a sentence on the machine's state")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", help="measure this case, memory or batches anew; keep the others")
    parser.add_argument("--again", action="store_true", help="only write the document anew")
    asked = parser.parse_args()
    if not (asked.again or asked.only or asked.date):
        parser.error("--date is needed: the document says when it was measured")
    FOLDER.mkdir(exist_ok=True)
    if not asked.again:
        measured = anew(asked) if asked.only else everything(asked)
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


def everything(asked: argparse.Namespace) -> dict[str, Any]:
    rivals = list(peers().values())
    for peer in rivals:
        if peer.sdk is not None:
            _installed(peer.sdk)
    say("the machine's limits")
    found: dict[str, Any] = {"date": asked.date, "note": asked.note, "machine": asdict(machine())}
    found["peers"] = {p.name: p.about for p in rivals}
    found["about"] = {c.name: c.about for c in cases().values()}
    found["cases"], found["lacking"] = [], {}
    for case in cases().values():
        say(f"case {case.name}: {case.about}")
        try:
            found["cases"].append(one(case, rivals, asked))
        except MissingError as missing:
            found["lacking"][case.name] = missing.findings[0].what
            say(found["lacking"][case.name])
    found["batches"] = list(batches(say))
    found["curves"] = [asdict(c) for c in curves(say)]
    return found


def one(case: Case, rivals: list[Peer], asked: argparse.Namespace) -> dict[str, Any]:
    m = measure(case, rivals, asked.repeats, asked.rounds, say)
    print(measured_text(m), flush=True)
    return m.as_json() | {"good": m.good, "spread": asdict(m.seconds), "apart": bool(asked.only)}


def anew(asked: argparse.Namespace) -> dict[str, Any]:
    """What was measured, one part of it measured again: the document says which."""
    found: dict[str, Any] = json.loads(KEPT.read_text())
    if asked.only == "batches":
        return found | {"batches": list(batches(say))}
    if asked.only == "memory":
        kept = [c for c in found["curves"] if c["name"] != "memory"]
        found["curves"] = [*kept, asdict(memory_curve())]
        return found
    case = one(cases()[asked.only], list(peers().values()), asked)
    found["cases"] = [case if c["case"] == asked.only else c for c in found["cases"]]
    return found


def _installed(sdk: Any) -> None:
    try:
        install(sdk, say)
    except MissingError as missing:
        say(missing.findings[0].what)


def say(line: str) -> None:
    print(f"[{time.monotonic() - BEGIN:5.0f} s] {line[:110]}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
