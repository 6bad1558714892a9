"""How fast the emulator runs known networks, alone or beside its peers."""

from __future__ import annotations

import argparse
import sys

from ..bench.case import Case, Peer, cases, chosen, peers
from ..bench.measure import Measured, measure
from ..bench.show import measured_text
from ..cli import emit
from ..findings import Finding, MissingError, UsageError, error, refuse, warning
from ..idle import idle
from ..sdk.environments import install
from ..text import WIDTH, finding_text, shorten

ALONE = ("firings", "synaptic_events", "seconds")
"""What the answer of a single case says outside `cases` too."""


ROUNDS = 3


def bench(args: argparse.Namespace) -> int:
    if args.peers is None:
        why = "it counts the runs of other tools, and none is asked for"
        refuse(idle(vars(args), ["rounds"], why, "give --peers too"), UsageError)
    named = chosen(args.case, cases(), "case")
    rivals = [] if args.peers is None else chosen(args.peers, peers(), "peer")
    if args.install:
        wanted = [*(c.sdk for c in named), *(p.sdk for p in rivals)]
        for sdk in dict.fromkeys(s for s in wanted if s is not None):
            install(sdk, _progress)
    found: list[Measured] = []
    missing: list[Finding] = []
    for case in named:
        try:
            found.append(_measured(case, rivals, args))
        except MissingError as lacking:
            missing.extend(lacking.findings)
            continue
        if not args.json:
            print(measured_text(found[-1]))
    if missing and (args.case or not found):
        refuse(missing, MissingError)
    code = 0 if all(m.good for m in found) else 1
    said = [warning(f.code, f.what, why=f.why, fix=f.fix) for f in missing]
    said += [
        error("BENCH-DIFFERS", f"the answers of the case {m.case!r} differ", fix="report it")
        for m in found
        if not m.good
    ]
    if args.json:
        each = [m.as_json() for m in found]
        one = {key: each[0][key] for key in ALONE} if len(each) == 1 else {}
        emit(args, {**one, "ok": code == 0, "exit_code": code, "cases": each}, said)
    else:
        for finding in said:
            print(finding_text(finding), file=sys.stderr)
    return code


def _measured(case: Case, rivals: list[Peer], args: argparse.Namespace) -> Measured:
    return measure(case, rivals, args.repeats, args.rounds or ROUNDS, _progress)


def _progress(line: str) -> None:
    if sys.stderr.isatty():
        print(shorten(line, WIDTH), file=sys.stderr)
