"""The command line: parse, call, print, exit. It has no logic that the Python functions lack.

Nothing heavy is imported before a verb needs it: `--help` must answer at once.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any

from . import __version__
from .findings import Finding, NrfError
from .text import finding_text
from .usage import MisuseError, Parser, nearest

SCHEMA_VERSION = 1

EPILOG = """\
examples:
  nrf-deploy demo                                       the whole way, for the shipped model
  nrf-deploy check model.nir --target loihi2 --dt 1e-3  can this model go on that chip?
  nrf-deploy compile model.nir --target loihi2 --dt 1e-3 -o model.nrfb
  nrf-deploy verify model.nrfb --input events.npz --bin 1e-3

exit codes: 0 good, 1 verification failed, 2 usage, 3 unreadable or hostile input,
4 the model cannot go on this target, 5 an SDK or a board is missing, 70 our bug
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and give its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    args = argparse.Namespace(verb=None, json="--json" in words)
    try:
        args = _parse(words)
        code = int(_verb(args.verb)(args))
        sys.stdout.flush()
        return code
    except MisuseError as misuse:
        args.verb = misuse.verb
        if not args.json:
            print(misuse.usage, end="", file=sys.stderr)
        return _refuse(misuse, args)
    except NrfError as refusal:
        return _refuse(refusal, args)
    except KeyboardInterrupt:
        print("interrupted; nothing was written", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception:
        traceback.print_exc()
        print(
            f"nrf-deploy {__version__}: this is a bug of ours, not of your model. "
            "Please report the lines above.",
            file=sys.stderr,
        )
        return 70


def _refuse(refusal: NrfError, args: argparse.Namespace) -> int:
    if args.json:
        emit(args, {"ok": False, "exit_code": refusal.exit_code}, refusal.findings)
    else:
        print("\n".join(finding_text(f) for f in refusal.findings), file=sys.stderr)
    return refusal.exit_code


def emit(args: argparse.Namespace, result: dict[str, Any], findings: Sequence[Finding]) -> None:
    """The answer of a verb as JSON."""
    document = {"schema_version": SCHEMA_VERSION, "verb": args.verb, **result}
    document["findings"] = [f.as_json() for f in findings]
    print(json.dumps(document, indent=2, sort_keys=True, allow_nan=False))


def _verb(name: str) -> Callable[[argparse.Namespace], int]:
    from . import verbs

    return getattr(verbs, name)  # type: ignore[no-any-return]


def _parse(words: Sequence[str]) -> argparse.Namespace:
    parser = _parser()
    try:
        args, extra = parser.parse_known_args(words)
    except MisuseError as misuse:
        hints = nearest(misuse.parser, misuse.message, words)
        raise MisuseError(misuse.parser, misuse.message, hints) from None
    if extra:
        verb = parser.verbs[args.verb]
        message = f"there is no {' '.join(extra)} here"
        raise MisuseError(verb, message, nearest(verb, message, words))
    return args


def _parser() -> Parser:
    parser = Parser(
        prog="nrf-deploy",
        description="Take a trained spiking model to a neuromorphic chip, "
        "and prove that what runs there is what was trained.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"nrf-deploy {__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    demo = parser.add_verb(
        verbs, "demo", "the whole way for the shipped model", "nrf-deploy demo -o demo-out"
    )
    demo.add_argument("-o", "--output", default="demo-out", help="folder for what it makes")
    demo.add_argument("--steps", type=_positive, default=300, help="length of the input")
    demo.add_argument("--seed", type=int, default=0, help="seed of the input")

    export = parser.add_verb(
        verbs,
        "export",
        "write a trained model as .nir, and on to bundles",
        "nrf-deploy export covariant-frontend -o front.nir --target loihi2",
    )
    export.add_argument(
        "source",
        help="a shipped model's name, or package.module:factory of a torch module; the factory "
        "takes nothing and ends in: return module, (2, 34, 34), the input's shape without batch "
        "and time (or it sets module.input_shape)",
    )
    export.add_argument("--weights", help="file of weights (state_dict) to load into the module")
    export.add_argument("-o", "--output", required=True, help="the .nir file to write")
    export.add_argument("--target", action="append", default=[], help="also compile for this chip")
    _dt(export, "time step in seconds, for a module without Norse cells (they know theirs)")

    check = parser.add_verb(
        verbs,
        "check",
        "every layer's verdict on a chip, without building",
        "nrf-deploy check model.nir --target loihi2 --dt 1e-3",
    )
    check.add_argument("model", help="a .nir file")
    check.add_argument("--target", required=True, help="a chip (nrf-deploy targets lists them)")
    _dt(check)

    compiling = parser.add_verb(
        verbs,
        "compile",
        "make a bundle: legalise, quantise, place, save",
        "nrf-deploy compile model.nir --target loihi2 --dt 1e-3 -o model.nrfb",
    )
    compiling.add_argument("model", help="a .nir file")
    compiling.add_argument("--target", required=True, help="a chip (nrf-deploy targets)")
    compiling.add_argument("--calibrate", metavar="REC", help="recording that is typical input")
    compiling.add_argument(
        "--scheme",
        metavar="S.toml",
        help="bits, gains and the error to make small, by layer (docs/quantising.md)",
    )
    compiling.add_argument("-o", "--output", required=True, help="the bundle to write (.nrfb)")
    _dt(compiling)
    _reading(compiling)

    inspect = parser.add_verb(
        verbs,
        "inspect",
        "show any .nir, bundle or recording as tables",
        "nrf-deploy inspect model.nrfb",
    )
    inspect.add_argument("file", help=".nir, .nrfb or a recording")
    _dt(inspect)
    _reading(inspect)

    run = parser.add_verb(
        verbs,
        "run",
        "run a bundle on a recording",
        "nrf-deploy run model.nrfb --input events.npz --bin 1e-3 -o spikes.npz",
    )
    run.add_argument("bundle", help="a .nrfb file")
    run.add_argument("--input", required=True, metavar="REC", help="the recording")
    run.add_argument("--engine", default="emulator", help="reference, emulator, or a vendor's")
    run.add_argument("--layer", action="append", help="layer to write (default: the outputs)")
    run.add_argument(
        "--states",
        action="store_true",
        help="also write the states (u, v) of these layers, beside the spikes (.states.npz)",
    )
    run.add_argument("-o", "--output", required=True, help="where the spikes go (.npz)")
    _reading(run)

    verify = parser.add_verb(
        verbs,
        "verify",
        "compare two engines layer by layer, and judge",
        "nrf-deploy verify model.nrfb --input events.npz --bin 1e-3 --against lava",
    )
    verify.add_argument("bundle", help="a .nrfb file")
    verify.add_argument("--input", required=True, metavar="REC", help="the recording")
    verify.add_argument("--engine", default="emulator", help="the engine in question")
    verify.add_argument("--against", default="reference", help="the engine to trust")
    verify.add_argument(
        "--limit",
        type=_fraction,
        metavar="X",
        help="largest relative error of a layer's spike count against the float reference "
        "(default 0.1); between integer engines every value must be equal",
    )
    verify.add_argument("--exact", action="store_true", help="every spike must be equal")
    verify.add_argument("--report", metavar="R.json", help="also write the report here")
    _reading(verify)

    parser.add_verb(
        verbs, "targets", "the chips that are installed, with their limits", "nrf-deploy targets"
    )

    sdk = parser.add_verb(
        verbs, "sdk", "find and build the vendors' environments", "nrf-deploy sdk install lava"
    )
    sdk.add_argument("action", choices=["list", "install", "doctor"])
    sdk.add_argument(
        "name", nargs="?", help="which SDK to install (default: all whose Python is found)"
    )
    return parser


FILE_DT = "time step, in the units of the file's time constants, where the file has none"


def _dt(parser: argparse.ArgumentParser, about: str = FILE_DT) -> None:
    parser.add_argument("--dt", type=_positive_float, metavar="S", help=about)


def _reading(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--bin",
        type=_positive_float,
        metavar="S",
        help="seconds of one step, for recordings of events with timestamps",
    )
    parser.add_argument(
        "--merge",
        choices=["polarity", "all"],
        help="count both polarities together (inputs of (1, H, W) or (H, W)), or all events "
        "(inputs of one element)",
    )
    parser.add_argument(
        "--clip",
        type=_positive,
        metavar="N",
        help="bring values above N down to N (1 for chips whose inputs are spikes)",
    )


def _number(text: str, kind: type, low: float, name: str) -> Any:
    try:
        value = kind(text)
    except ValueError:
        value = None
    if value is None or not low < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not {name}")
    return value


def _positive(text: str) -> Any:
    return _number(text, int, 0, "a whole number above 0")


def _positive_float(text: str) -> Any:
    return _number(text, float, 0, "a number above 0")


def _fraction(text: str) -> Any:
    return _number(text, float, -1e-300, "a number of at least 0")
