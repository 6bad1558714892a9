"""The verb flash: a bundle is loaded to a board, or its image is written to a file."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from nrf_deploy.bundle.flash import JSON, image, write_image
from nrf_deploy.bundle.flash import flash as flash_board
from nrf_deploy.bundle.inputs import as_bundle
from nrf_deploy.compiler.abilities import Image
from nrf_deploy.diagnostics.findings import UsageError, refuse
from nrf_deploy.diagnostics.option_types import positive_float
from nrf_deploy.diagnostics.text import wrap
from nrf_deploy.diagnostics.unused_options import idle
from nrf_deploy.io.model import rule_findings

from .common import demand_outputs, print_findings, say_at_once
from .main import emit
from .usage import Parser

FAILED = 1


def add_arguments(flash: Parser) -> None:
    flash.add_examples(
        "nrf-deploy flash model.nrfb --dry-run --image model.img",
        "nrf-deploy flash model.nrfb --dry-run --image model.json",
        "nrf-deploy flash model.nrfb",
        "nrf-deploy flash model.nrfb --device Speck2fDevKit:1234",
    )
    flash.add_argument("bundle", help="a .nrfb file")
    flash.add_argument("--device", metavar="D", help="the board, if several are connected")
    flash.add_argument(
        "--image", metavar="F", help="also write the image to this file; .json: the configuration"
    )
    flash.add_argument(
        "--dry-run", action="store_true", help="build and check the image without a board"
    )
    flash.add_argument(
        "--tick",
        type=positive_float,
        metavar="S",
        help="seconds of one step on a board that has a clock for its leak (default: the "
        "model's dt)",
    )


def run(args: argparse.Namespace) -> int:
    if args.dry_run:
        why = "--dry-run does not use a board"
        fix = "leave --dry-run out to load a board"
        refuse(idle(vars(args), ("device", "tick"), why, fix), UsageError)
    if args.image:
        is_json = Path(args.image).suffix.lower() == JSON
        kind = "a chip configuration" if is_json else "a chip image"
        demand_outputs(args, (args.image, kind))
    bundle = as_bundle(args.bundle)
    rule = rule_findings(bundle.findings)
    say_at_once(args, rule)
    answer: dict[str, object] = {"chip": bundle.chip}
    if args.dry_run or args.image:
        chip_image = write_image(bundle, args.image) if args.image else image(bundle)
        answer["image"] = {**chip_image.as_json(), "file": args.image}
        if not args.json:
            _print_image(bundle.chip, chip_image, args.image)
    if args.dry_run:
        if args.json:
            emit(args, {"ok": True, **answer}, rule)
        return 0
    done = flash_board(bundle, args.device, args.tick)
    code = 0 if done.sound else FAILED
    if args.json:
        board = {"board": done.board, "written": dict(done.written), "read": dict(done.read)}
        answer = {"ok": done.sound, "exit_code": code, **answer, **board}
        emit(args, answer, (*rule, *done.findings))
    else:
        print(f"{bundle.chip}: the board {done.board} is loaded")
        _print_counts("written", done.written)
        _print_counts("read back and found equal", done.read)
        print_findings(done.findings, infos=True)
    return code


def _print_image(chip: str, chip_image: Image, path: str | None) -> None:
    what = "configuration" if chip_image.suffix == JSON else "image"
    print(
        wrap(
            f"the {what} for {chip}: {len(chip_image.data):,} bytes, {chip_image.form}", then="    "
        )
    )
    _print_counts("it writes", chip_image.counts)
    for check in chip_image.checks:
        print(wrap(f"checked: {check}", then="    "))
    for gap in chip_image.unchecked:
        print(wrap(f"not checked: {gap}", then="    "))
    kept = f"nothing was written; --image F{chip_image.suffix} keeps it"
    print(f"\nwrote {path}" if path else f"\n{kept}")


def _print_counts(what: str, counts: Mapping[str, int]) -> None:
    numbers = ", ".join(f"{count:,} {name}" for name, count in counts.items())
    print(wrap(f"{what}: {numbers or 'nothing'}", then="    "))
