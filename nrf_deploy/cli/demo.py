"""The verb demo: a shipped model is exported, compiled, run and verified."""

from __future__ import annotations

import argparse

from .common import talk
from .main import emit


def demo(args: argparse.Namespace) -> int:
    from nrf_deploy.api.demo import demo as run_demo

    report = run_demo(args.output, steps=args.steps, seed=args.seed, say=talk(args))
    if args.json:
        emit(args, {"ok": report["passed"], **report}, ())
    return 0 if report["passed"] else 1
