"""The verb demo: a shipped model is exported, compiled, run and verified."""

from __future__ import annotations

import argparse

from nrf_deploy.diagnostics.option_types import positive

from .common import talk
from .main import emit
from .usage import Parser


def add_arguments(demo: Parser) -> None:
    demo.add_examples(
        "nrf-deploy demo",
        "nrf-deploy demo -o demo-out --steps 1000 --seed 3",
    )
    demo.add_argument("-o", "--output", default="demo-out", help="folder for the results")
    demo.add_argument("--steps", type=positive, default=200, help="length of the input")
    demo.add_argument("--seed", type=int, default=0, help="seed of the input")


def run(args: argparse.Namespace) -> int:
    from nrf_deploy.api.demo import demo as run_demo

    report = run_demo(args.output, steps=args.steps, seed=args.seed, say=talk(args))
    if args.json:
        emit(args, {"ok": report["passed"], **report}, ())
    return 0 if report["passed"] else 1
