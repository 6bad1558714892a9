"""The words of the command line: every command, and what all of them share."""

from __future__ import annotations

import argparse

from nrf_deploy import __version__

from .usage import Parser

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

COMMANDS = {
    "demo": "take a shipped model to a verified bundle",
    "export": "write a trained model as .nir, as bundles, or as a vendor's own program",
    "check": "report every layer's verdict on a chip, without building",
    "compile": "make a bundle: legalise, quantise, place, save",
    "inspect": "show any .nir, bundle or recording as tables",
    "run": "run a bundle on a recording",
    "verify": "compare two engines layer by layer, and judge",
    "conformance": "test a target or an engine, case by case",
    "flash": "load a board, or write its image",
    "targets": "list the installed chips, their limits, and the names for --allow",
    "sdk": "find and build the vendors' environments",
    "bench": "measure the emulator on known networks, alone or beside other tools",
}
"""Each is a module of this folder: `add_arguments` and `run`, imported when it is called."""


def parser() -> Parser:
    """Return the parser of all commands; the options of each are added when it is called."""
    root = Parser(
        prog="nrf-deploy",
        description="Take a trained spiking model to a neuromorphic chip, "
        "and prove that what\nruns there is what was trained.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    root.add_argument("--version", action="version", version=f"nrf-deploy {__version__}")
    verbs = root.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, about in COMMANDS.items():
        root.add_verb(verbs, name, about)
    return root
