"""The verb inspect: the content of a file, as tables."""

from __future__ import annotations

import argparse
from typing import cast

from nrf_deploy.api.inspection import FileOptions
from nrf_deploy.api.inspection import inspect as inspected

from .common import print_findings, recording_options
from .main import emit
from .shared_options import add_dt, add_reading, add_rule, add_witness, rule_options
from .usage import Parser


def add_arguments(inspect: Parser) -> None:
    inspect.add_examples(
        "nrf-deploy inspect model.nir",
        "nrf-deploy inspect model.nrfb --cores",
        "nrf-deploy inspect events.npz",
        "nrf-deploy inspect camera.raw --crop 320,240,64,64 --until 2",
    )
    inspect.add_argument("file", help=".nir, .nrfb or a recording")
    inspect.add_argument(
        "--cores",
        action="store_true",
        help="for a bundle: layers, used and free budgets of each core",
    )
    add_dt(inspect)
    add_rule(inspect)
    add_witness(inspect)
    add_reading(inspect)


def run(args: argparse.Namespace) -> int:
    how = {**rule_options(args), **recording_options(args)}
    content = inspected(
        args.file, dt=args.dt, witness=args.witness, cores=args.cores, **cast(FileOptions, how)
    )
    if args.json:
        emit(args, {"ok": True, "kind": content.kind, **content.data}, content.findings)
    else:
        print(content.text())
        print_findings(content.findings)
    return 0
