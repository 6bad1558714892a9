"""Arguments of the verbs that take a model to a chip and inspect the result."""

from __future__ import annotations

from typing import Any

from ..shared_options import compiling, dt, positive, positive_float, reading, rule
from ..usage import Parser


def add_demo(root: Parser, verbs: Any) -> None:
    demo = root.add_verb(
        verbs,
        "demo",
        "take a shipped model to a verified bundle",
        "nrf-deploy demo",
        "nrf-deploy demo -o demo-out --steps 1000 --seed 3",
    )
    demo.add_argument("-o", "--output", default="demo-out", help="folder for the results")
    demo.add_argument("--steps", type=positive, default=200, help="length of the input")
    demo.add_argument("--seed", type=int, default=0, help="seed of the input")


def add_export(root: Parser, verbs: Any) -> None:
    export = root.add_verb(
        verbs,
        "export",
        "write a trained model as .nir, as bundles, or as a vendor's own program",
        "nrf-deploy export my_package.my_module:build -o model.nir",
        "nrf-deploy export lif-tracker -o tracker.nir --sample scene.npz",
        "nrf-deploy export covariant-frontend -o front.nir --target loihi2",
        "nrf-deploy export model.nir --target loihi2 --as lava out",
        "nrf-deploy export model.nrfb --as lava out",
    )
    export.add_argument(
        "source",
        help="a shipped model's name, or package.module:factory of a torch module; the factory "
        "has no arguments and ends in: return module, (2, 34, 34), the input's shape without batch "
        "and time (or it sets module.input_shape). With --as also a .nir or .nrfb file",
    )
    export.add_argument("--weights", help="file of weights (state_dict) to load into the module")
    export.add_argument("-o", "--output", help="the .nir file to write")
    export.add_argument(
        "--sample",
        metavar="REC",
        help="for a shipped model: also write a recording for it (.npz) and, if the model has "
        "them, the true places beside it (.csv, for verify --labels)",
    )
    export.add_argument("--target", action="append", default=[], help="also compile for this chip")
    export.add_argument(
        "--as",
        dest="form",
        nargs=2,
        metavar=("FORM", "FOLDER"),
        help="write the compiled network to FOLDER as a vendor's program (lava)",
    )
    dt(
        export,
        "time step: in seconds for a module without Norse cells (these have one), in the units "
        "of the time constants for a .nir file that has none",
    )
    rule(export)
    compiling(export)


def add_check(root: Parser, verbs: Any) -> None:
    check = root.add_verb(
        verbs,
        "check",
        "report every layer's verdict on a chip, without building",
        "nrf-deploy check model.nir --target loihi2",
        "nrf-deploy check model.nir --target loihi2 --dt 1e-3 --calibrate events.npz --bin 1e-3",
    )
    check.add_argument("model", help="a .nir file")
    check.add_argument("--target", required=True, help="a chip (nrf-deploy targets lists them)")
    dt(check)
    rule(check)
    compiling(check)


def add_compile(root: Parser, verbs: Any) -> None:
    compiler = root.add_verb(
        verbs,
        "compile",
        "make a bundle: legalise, quantise, place, save",
        "nrf-deploy compile model.nir --target loihi2 --dt 1e-3 -o model.nrfb",
        "nrf-deploy compile model.nir --target loihi2 --allow subtract-as-zero-reset -o m.nrfb",
        "nrf-deploy compile model.nir --target loihi2 --calibrate events.npz --bin 1e-3 -o m.nrfb",
    )
    compiler.add_argument("model", help="a .nir file")
    compiler.add_argument("--target", required=True, help="a chip (nrf-deploy targets)")
    compiler.add_argument("-o", "--output", required=True, help="the bundle to write (.nrfb)")
    dt(compiler)
    rule(compiler)
    compiling(compiler)


def add_inspect(root: Parser, verbs: Any) -> None:
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
        "--cores",
        action="store_true",
        help="for a bundle: layers, used and free budgets of each core",
    )
    dt(inspect)
    rule(inspect)
    reading(inspect)


def add_flash(root: Parser, verbs: Any) -> None:
    flash = root.add_verb(
        verbs,
        "flash",
        "load a board, or write its image",
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


def add_targets(root: Parser, verbs: Any) -> None:
    shown = root.add_verb(
        verbs,
        "targets",
        "list the installed chips, their limits, and the names for --allow",
        "nrf-deploy targets",
        "nrf-deploy targets speck",
        "nrf-deploy targets --json",
    )
    shown.add_argument(
        "name", nargs="?", metavar="NAME", help="a target, or one of its chips (default: all)"
    )


def add_sdk(root: Parser, verbs: Any) -> None:
    sdk = root.add_verb(
        verbs,
        "sdk",
        "find and build the vendors' environments",
        "nrf-deploy sdk list",
        "nrf-deploy sdk install lava",
        "nrf-deploy sdk doctor",
        "nrf-deploy sdk remove lava",
    )
    sdk.add_argument("action", choices=["list", "install", "doctor", "remove"])
    sdk.add_argument(
        "name",
        nargs="?",
        help="which SDK to install (default: all whose Python is found), to remove, or to show "
        "(default: all)",
    )
