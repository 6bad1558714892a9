"""A model becomes a bundle."""

from __future__ import annotations

import argparse

from ..bundle import save
from ..kinds import demand_output
from ..model import read
from .common import built, bundle_answer


def compile(args: argparse.Namespace) -> int:
    demand_output(args.output, "a bundle", (args.model, args.calibrate, args.scheme))
    model = read(args.model, args.dt, reset=args.reset, fires=args.fires)
    bundle, said = built(args, model, args.target)
    save(bundle, args.output)
    bundle_answer(args, bundle, args.output, said)
    return 0
