"""The verb targets: the installed chips."""

from __future__ import annotations

import argparse

from nrf_deploy.api import target_tables
from nrf_deploy.api.installed import selected

from .main import emit
from .usage import Parser


def add_arguments(shown: Parser) -> None:
    shown.add_examples(
        "nrf-deploy targets",
        "nrf-deploy targets speck",
        "nrf-deploy targets --json",
    )
    shown.add_argument(
        "name", nargs="?", metavar="NAME", help="a target, or one of its chips (default: all)"
    )


def run(args: argparse.Namespace) -> int:
    shelf, chip = selected(args.name)
    if args.json:
        emit(args, {"ok": True, "targets": target_tables.targets_json(shelf, chip)}, ())
    else:
        print(target_tables.targets_text(shelf, chip))
    return 0
