"""The verb compile: a model becomes a bundle."""

from __future__ import annotations

import argparse

from nrf_deploy.bundle.bundle import save
from nrf_deploy.io.model import read

from .common import built, bundle_answer, demand_calibrate, demand_outputs


def compile(args: argparse.Namespace) -> int:
    demand_calibrate(args)
    demand_outputs(args, (args.output, "a bundle"))
    model = read(args.model, args.dt, reset=args.reset, fires=args.fires)
    bundle, messages = built(args, model, args.target)
    save(bundle, args.output)
    bundle_answer(args, bundle, args.output, messages)
    return 0
