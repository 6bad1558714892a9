"""Arguments of the command line: every verb with its options, help and examples."""

from __future__ import annotations

import argparse

from nrf_deploy import __version__

from ..usage import Parser
from .making import (
    add_check,
    add_compile,
    add_demo,
    add_export,
    add_flash,
    add_inspect,
    add_sdk,
    add_targets,
)
from .running import add_bench, add_conformance, add_run, add_verify

EPILOG = """\
examples:
  nrf-deploy demo               take a shipped model to a verified bundle
  nrf-deploy VERB --help        options and examples of a verb
  nrf-deploy check model.nir --target loihi2 --dt 1e-3
  nrf-deploy compile model.nir --target loihi2 --dt 1e-3 -o model.nrfb
  nrf-deploy verify model.nrfb --input events.npz --bin 1e-3

exit codes: 0 good, 1 verification differs or failed, 2 usage, 3 unreadable or
hostile input, 4 the model cannot go on this target, 5 an SDK or a board is
missing, 70 our bug
"""


def parser() -> Parser:
    root = Parser(
        prog="nrf-deploy",
        description="Take a trained spiking model to a neuromorphic chip, "
        "and prove that what\nruns there is what was trained.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    root.add_argument("--version", action="version", version=f"nrf-deploy {__version__}")
    verbs = root.add_subparsers(dest="verb", required=True, metavar="VERB")
    for add in (
        add_demo,
        add_export,
        add_check,
        add_compile,
        add_inspect,
        add_run,
        add_verify,
        add_conformance,
        add_flash,
        add_targets,
        add_sdk,
        add_bench,
    ):
        add(root, verbs)
    return root
