"""The words of the command line: every verb with its options, its help and its examples."""

from __future__ import annotations

import argparse
from typing import Any

from . import __version__
from .usage import Parser

EPILOG = """\
examples:
  nrf-deploy demo               the whole way, for the shipped model
  nrf-deploy VERB --help        options and examples of a verb
  nrf-deploy check model.nir --target loihi2 --dt 1e-3
  nrf-deploy compile model.nir --target loihi2 --dt 1e-3 -o model.nrfb
  nrf-deploy verify model.nrfb --input events.npz --bin 1e-3

exit codes: 0 good, 1 verification failed, 2 usage, 3 unreadable or hostile
input, 4 the model cannot go on this target, 5 an SDK or a board is missing,
70 our bug
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
        _demo,
        _export,
        _check,
        _compile,
        _inspect,
        _run,
        _verify,
        _conformance,
        _flash,
        _targets,
        _sdk,
        _bench,
    ):
        add(root, verbs)
    return root


def _demo(root: Parser, verbs: Any) -> None:
    demo = root.add_verb(
        verbs,
        "demo",
        "the whole way for the shipped model",
        "nrf-deploy demo",
        "nrf-deploy demo -o demo-out --steps 1000 --seed 3",
    )
    demo.add_argument("-o", "--output", default="demo-out", help="folder for what it makes")
    demo.add_argument("--steps", type=_positive, default=200, help="length of the input")
    demo.add_argument("--seed", type=int, default=0, help="seed of the input")


def _export(root: Parser, verbs: Any) -> None:
    export = root.add_verb(
        verbs,
        "export",
        "write a trained model as .nir, as bundles, or as a vendor's own program",
        "nrf-deploy export my_package.my_module:build -o model.nir",
        "nrf-deploy export covariant-frontend -o front.nir --target loihi2",
        "nrf-deploy export model.nir --target loihi2 --as lava out",
        "nrf-deploy export model.nrfb --as lava out",
    )
    export.add_argument(
        "source",
        help="a shipped model's name, or package.module:factory of a torch module; the factory "
        "takes nothing and ends in: return module, (2, 34, 34), the input's shape without batch "
        "and time (or it sets module.input_shape). With --as also a .nir or .nrfb file",
    )
    export.add_argument("--weights", help="file of weights (state_dict) to load into the module")
    export.add_argument("-o", "--output", help="the .nir file to write")
    export.add_argument("--target", action="append", default=[], help="also compile for this chip")
    export.add_argument(
        "--as",
        dest="form",
        nargs=2,
        metavar=("FORM", "FOLDER"),
        help="write the compiled network to FOLDER as a program of the vendor's (lava)",
    )
    _dt(
        export,
        "time step: in seconds for a module without Norse cells (they know theirs), in the units "
        "of the time constants for a .nir file that has none",
    )
    _compiling(export)


def _check(root: Parser, verbs: Any) -> None:
    check = root.add_verb(
        verbs,
        "check",
        "every layer's verdict on a chip, without building",
        "nrf-deploy check model.nir --target loihi2",
        "nrf-deploy check model.nir --target loihi2 --dt 1e-3 --calibrate events.npz --bin 1e-3",
    )
    check.add_argument("model", help="a .nir file")
    check.add_argument("--target", required=True, help="a chip (nrf-deploy targets lists them)")
    _dt(check)
    _compiling(check)


def _compile(root: Parser, verbs: Any) -> None:
    compiling = root.add_verb(
        verbs,
        "compile",
        "make a bundle: legalise, quantise, place, save",
        "nrf-deploy compile model.nir --target loihi2 --dt 1e-3 -o model.nrfb",
        "nrf-deploy compile model.nir --target loihi2 --allow subtract-as-zero-reset -o m.nrfb",
        "nrf-deploy compile model.nir --target loihi2 --calibrate events.npz --bin 1e-3 -o m.nrfb",
    )
    compiling.add_argument("model", help="a .nir file")
    compiling.add_argument("--target", required=True, help="a chip (nrf-deploy targets)")
    compiling.add_argument("-o", "--output", required=True, help="the bundle to write (.nrfb)")
    _dt(compiling)
    _compiling(compiling)


def _inspect(root: Parser, verbs: Any) -> None:
    inspect = root.add_verb(
        verbs,
        "inspect",
        "show any .nir, bundle or recording as tables",
        "nrf-deploy inspect model.nir",
        "nrf-deploy inspect model.nrfb --cores",
        "nrf-deploy inspect events.npz",
        "nrf-deploy inspect camera.raw --crop 320,240,64,64 --until 2",
    )
    inspect.add_argument("file", help=".nir, .nrfb or a recording")
    inspect.add_argument(
        "--cores", action="store_true", help="of a bundle: what each core holds, uses and has left"
    )
    _dt(inspect)
    _reading(inspect)


def _run(root: Parser, verbs: Any) -> None:
    run = root.add_verb(
        verbs,
        "run",
        "run a bundle on a recording",
        "nrf-deploy run model.nrfb --input events.npz --bin 1e-3 -o spikes.npz",
        "nrf-deploy run model.nrfb --input events.npz --layer conv1 --states -o conv1.npz",
        "nrf-deploy run model.nrfb --input events.npz --engine reference --decay exact -o s.npz",
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
    run.add_argument(
        "-o", "--output", required=True, help="where the spikes go (.npz, or .nir as NIR data)"
    )
    _decay(run)
    _reading(run)


def _verify(root: Parser, verbs: Any) -> None:
    verify = root.add_verb(
        verbs,
        "verify",
        "compare two engines layer by layer, and judge",
        "nrf-deploy verify model.nrfb --input events.npz --bin 1e-3",
        "nrf-deploy verify model.nrfb --input events.npz --bin 1e-3 --against lava",
        "nrf-deploy verify model.nrfb --input events.npz --bin 1e-3 --report report.html",
        "nrf-deploy verify model.nrfb --input events.npz --bin 1e-3 --attribute",
        "nrf-deploy verify model.nrfb --input events.npz --bin 1e-3 --covariance",
        "nrf-deploy verify model.nrfb --input events.npz --bin 1e-3 --bisect smallest",
        "nrf-deploy verify model.nrfb --input steps.npz --limits L.toml --junit verify.xml",
        "nrf-deploy verify model.nrfb --input steps.npz --labels places.csv",
        "nrf-deploy verify loihi2.nrfb speck2b.nrfb --input events.npz --bin 1e-3",
    )
    verify.add_argument(
        "bundle",
        nargs="+",
        help="a .nrfb file; of several (one model on several chips) every engine is shown in one "
        "table",
    )
    verify.add_argument("--input", required=True, metavar="REC", help="the recording")
    verify.add_argument(
        "--engine",
        default="emulator",
        help="the engine in question; all: one table of every engine that is installed",
    )
    verify.add_argument(
        "--against",
        default="reference",
        metavar="E",
        help="the engine to trust, or a recording of one layer from silicon (.npz; states "
        "beside it in .states.npz)",
    )
    verify.add_argument("--layer", help="the layer that such a recording is of")
    verify.add_argument(
        "--behind",
        type=int,
        default=0,
        metavar="N",
        help="steps by which such a recording is behind the model (default 0, as run writes it)",
    )
    verify.add_argument(
        "--limit",
        type=_fraction,
        metavar="X",
        help="largest relative error of a layer's spike count against the float reference "
        "(default 0.1); between integer engines every value must be equal",
    )
    verify.add_argument("--exact", action="store_true", help="every spike must be equal")
    verify.add_argument(
        "--bisect",
        metavar="OUT",
        help="where the runs differ, write the smallest part that still does (OUT.nrfb) and the "
        "shortest input for it (OUT.npz)",
    )
    verify.add_argument(
        "--limits",
        metavar="L.toml",
        help="limits by metric and layer from a file, instead of --limit (docs/report-schema.md)",
    )
    verify.add_argument(
        "--labels",
        metavar="L.csv",
        help="what the recording shows, a class or places over time: the error of both runs is "
        "told too (docs/report-schema.md)",
    )
    verify.add_argument("--junit", metavar="F.xml", help="also write one test a layer here, for CI")
    verify.add_argument(
        "--attribute",
        action="store_true",
        help="divide each layer's error against the model among its causes: weights, decays, "
        "thresholds, biases, saturation, pooling, latency, the order of events, rewrites, "
        "arithmetic",
    )
    verify.add_argument(
        "--covariance",
        action="store_true",
        help="also stretch the input in time, turn and scale it, let it move faster, and see "
        "whether the channels that stand for this answer alike; says what costs most and what "
        "would mend it (docs/covariance.md)",
    )
    verify.add_argument(
        "--report",
        metavar="R.html",
        help="also write the report here: as one page to open (.html), or for programs (.json)",
    )
    _decay(verify)
    _reading(verify)


def _conformance(root: Parser, verbs: Any) -> None:
    conformance = root.add_verb(
        verbs,
        "conformance",
        "what a target or an engine gets wrong, case by case",
        "nrf-deploy conformance --target loihi2",
        "nrf-deploy conformance --target loihi2 --engine lava",
        "nrf-deploy conformance --target loihi2 --kit recorded-on-silicon --case drift",
        "nrf-deploy conformance --target emulator:weight_bits=4 --junit conformance.xml",
    )
    conformance.add_argument("--target", required=True, help="a chip (nrf-deploy targets)")
    conformance.add_argument("--engine", default="emulator", help="the engine in question")
    conformance.add_argument(
        "--kit",
        action="append",
        default=[],
        metavar="FOLDER",
        help="also the cases of this kit (docs/conformance.md)",
    )
    conformance.add_argument(
        "--case", action="append", default=[], metavar="NAME", help="only this case"
    )
    conformance.add_argument(
        "--junit", metavar="F.xml", help="also write one test a case here, for CI"
    )


def _flash(root: Parser, verbs: Any) -> None:
    flash = root.add_verb(
        verbs,
        "flash",
        "load a board, or write the image that it would receive",
        "nrf-deploy flash model.nrfb --dry-run --image model.img",
        "nrf-deploy flash model.nrfb",
        "nrf-deploy flash model.nrfb --device Speck2fDevKit:1234",
    )
    flash.add_argument("bundle", help="a .nrfb file")
    flash.add_argument("--device", metavar="D", help="the board, where several are plugged in")
    flash.add_argument("--image", metavar="F", help="also write the image to this file")
    flash.add_argument(
        "--dry-run", action="store_true", help="make the image and check it, touch no board"
    )
    flash.add_argument(
        "--tick",
        type=_positive_float,
        metavar="S",
        help="seconds of one step on a board that has a clock for its leak (default: the "
        "model's dt)",
    )


def _targets(root: Parser, verbs: Any) -> None:
    root.add_verb(
        verbs,
        "targets",
        "the chips that are installed, their limits, and what --allow takes",
        "nrf-deploy targets",
        "nrf-deploy targets --json",
    )


def _sdk(root: Parser, verbs: Any) -> None:
    sdk = root.add_verb(
        verbs,
        "sdk",
        "find and build the vendors' environments",
        "nrf-deploy sdk list",
        "nrf-deploy sdk install lava",
        "nrf-deploy sdk doctor",
    )
    sdk.add_argument("action", choices=["list", "install", "doctor"])
    sdk.add_argument(
        "name", nargs="?", help="which SDK to install (default: all whose Python is found)"
    )


def _bench(root: Parser, verbs: Any) -> None:
    bench = root.add_verb(
        verbs,
        "bench",
        "how fast the emulator runs known networks, alone or beside other tools",
        "nrf-deploy bench yardstick --install",
        "nrf-deploy bench yardstick --json --repeats 30",
        "nrf-deploy bench nmnist dense --peers scipy sinabs --install",
    )
    bench.add_argument("case", nargs="*", metavar="CASE", help="which networks (default: all)")
    bench.add_argument(
        "--peers", nargs="*", metavar="NAME", help="also run these tools (no name: all of them)"
    )
    bench.add_argument(
        "--repeats", type=_positive, default=10, metavar="N", help="runs to take the median of"
    )
    bench.add_argument(
        "--rounds", type=_positive, default=3, metavar="N", help="runs of each other tool"
    )
    bench.add_argument(
        "--install", action="store_true", help="first build the environments that this needs"
    )


# --- options that several verbs share ----------------------------------------

FILE_DT = "time step, in the units of the file's time constants, where the file has none"


def _dt(parser: argparse.ArgumentParser, about: str = FILE_DT) -> None:
    parser.add_argument("--dt", type=_positive_float, metavar="S", help=about)


def _compiling(parser: argparse.ArgumentParser) -> None:
    """What decides the integers, and with them the verdict."""
    parser.add_argument(
        "--allow",
        action="append",
        default=[],
        metavar="NAME",
        help="allow a rewrite that changes spikes; its cost is measured with --calibrate "
        "(nrf-deploy targets lists the names)",
    )
    parser.add_argument("--calibrate", metavar="REC", help="recording that is typical input")
    parser.add_argument(
        "--scheme",
        metavar="S.toml",
        help="bits, gains and the error to make small, by layer (docs/quantising.md)",
    )
    _reading(parser)


def _decay(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--decay",
        choices=["euler", "exact"],
        default="euler",
        help="how the float reference steps: as Norse does (default), or by the exact solution "
        "of the neurons' equations",
    )


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
    parser.add_argument(
        "--crop",
        type=_window,
        metavar="X,Y,W,H",
        help="of a camera's events only those in this window of the sensor",
    )
    parser.add_argument(
        "--downsample",
        type=_positive,
        metavar="N",
        help="make one pixel of N x N, after --crop",
    )
    parser.add_argument(
        "--from",
        dest="start",
        type=_fraction,
        metavar="S",
        help="begin S seconds after the first event of a camera's file",
    )
    parser.add_argument(
        "--until",
        type=_positive_float,
        metavar="S",
        help="end S seconds after the first event; the rest of the file is not read",
    )


def _window(text: str) -> tuple[int, ...]:
    try:
        window = tuple(int(part) for part in text.split(","))
    except ValueError:
        window = ()
    if len(window) != 4:
        raise argparse.ArgumentTypeError(f"{text!r} is not X,Y,W,H in whole numbers")
    return window


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
