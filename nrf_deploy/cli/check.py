"""The verb check: every layer's verdict, under the options of `compile`."""

from __future__ import annotations

import argparse

from nrf_deploy.bundle import tables
from nrf_deploy.diagnostics.text import finding_text
from nrf_deploy.witness.reading import read

from .common import demand_calibrate, staged
from .main import emit
from .shared_options import add_compiling, add_dt, add_rule, add_witness, rule_options
from .usage import Parser


def add_arguments(check: Parser) -> None:
    check.add_examples(
        "nrf-deploy check model.nir --target loihi2",
        "nrf-deploy check model.nir --target loihi2 --dt 1e-3 --calibrate events.npz --bin 1e-3",
    )
    check.add_argument("model", help="a .nir file")
    check.add_argument("--target", required=True, help="a chip (nrf-deploy targets lists them)")
    add_dt(check)
    add_rule(check)
    add_witness(check)
    add_compiling(check)


def run(args: argparse.Namespace) -> int:
    demand_calibrate(args)
    model = read(args.model, args.dt, witness=args.witness, **rule_options(args))
    verdict, messages = staged(args, model, args.target)
    rows = tables.verdicts(verdict)
    good = verdict.fits
    if args.json:
        layers = [dict(zip(tables.VERDICT_KEYS, row, strict=True)) for row in rows]
        answer = {"ok": good, "exit_code": 0 if good else 4, "target": args.target}
        emit(args, {**answer, "layers": layers}, (*messages, *verdict.findings))
    else:
        print("".join(f"{finding_text(f)}\n\n" for f in messages if f.severity != "info"), end="")
        print(tables.verdict_text(args.model, args.target, verdict))
    return 0 if good else 4
