"""The verb compile: a model becomes a bundle."""

from __future__ import annotations

import argparse

from nrf_deploy.bundle.bundle import save
from nrf_deploy.witness.reading import read

from .common import built, bundle_answer, demand_calibrate, demand_outputs
from .shared_options import add_compiling, add_dt, add_rule, add_witness, rule_options
from .usage import Parser


def add_arguments(compiler: Parser) -> None:
    compiler.add_examples(
        "nrf-deploy compile model.nir --target loihi2 --dt 1e-3 -o model.nrfb",
        "nrf-deploy compile model.nir --target loihi2 --allow subtract-as-zero-reset -o m.nrfb",
        "nrf-deploy compile model.nir --target loihi2 --calibrate events.npz --bin 1e-3 -o m.nrfb",
    )
    compiler.add_argument("model", help="a .nir file")
    compiler.add_argument("--target", required=True, help="a chip (nrf-deploy targets)")
    compiler.add_argument("-o", "--output", required=True, help="the bundle to write (.nrfb)")
    add_dt(compiler)
    add_rule(compiler)
    add_witness(compiler)
    add_compiling(compiler)


def run(args: argparse.Namespace) -> int:
    demand_calibrate(args)
    demand_outputs(args, (args.output, "a bundle"))
    model = read(args.model, args.dt, witness=args.witness, **rule_options(args))
    bundle, messages = built(args, model, args.target)
    save(bundle, args.output)
    bundle_answer(args, bundle, args.output, messages)
    return 0
