"""The verb export: a trained model becomes a .nir file, bundles, and a vendor's program."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path

from nrf_deploy.api import shipped
from nrf_deploy.api.export import export as export_module
from nrf_deploy.api.export import sample
from nrf_deploy.bundle import pipeline, tables
from nrf_deploy.bundle.bundle import Bundle, save
from nrf_deploy.bundle.inputs import as_bundle
from nrf_deploy.compiler.target import target_of_chip
from nrf_deploy.diagnostics.findings import Finding, UsageError, error, refuse
from nrf_deploy.diagnostics.unused_options import is_given, options
from nrf_deploy.io.file_types import kind_of
from nrf_deploy.io.files import write_text
from nrf_deploy.io.model import Model
from nrf_deploy.io.recordings import Options, write
from nrf_deploy.io.rule_options import RuleOptions
from nrf_deploy.ir.network import Network
from nrf_deploy.witness.reading import read

from .common import built, demand_calibrate, demand_outputs, print_findings
from .main import emit
from .shared_options import add_compiling, add_dt, add_rule, add_witness, rule_options
from .usage import Parser


def add_arguments(export: Parser) -> None:
    export.add_examples(
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
    add_dt(
        export,
        "time step: in seconds for a module whose neurons have none, in the units of the time "
        "constants for a .nir file that has none",
    )
    add_rule(export)
    add_witness(export, "; for a torch module: the input on which it shows its spikes")
    add_compiling(export)


def run(args: argparse.Namespace) -> int:
    kind = _kind(args.source)
    refuse(_misused(args, kind), UsageError)
    demand_calibrate(args)
    if args.sample:
        _demand_sample(args)
    demand_outputs(args, *_outputs(args))
    for target in map(target_of_chip, args.target):
        if args.form:
            pipeline.exporter(target, args.form[0])
    if kind == "bundle":
        bundle = as_bundle(args.source)
        return _answer(args, [_emitted(args, bundle)], bundle.network, ())
    model = _model(args, kind)
    messages = model.findings
    wrote = [args.output] if args.output else []
    if args.sample:
        wrote += _sampled(args)
    for chip in args.target:
        bundle, messages = built(args, model, chip)
        if args.form:
            wrote.append(_emitted(args, bundle))
        else:
            path = _bundle_path(args, chip)
            save(bundle, path)
            wrote.append(path)
    return _answer(args, wrote, model.network, messages)


def _kind(source: str) -> str:
    """Return the kind of SOURCE: one of our files, or the name of a torch module."""
    if Path(source).suffix.lower() in (".nir", ".nrfb") or Path(source).is_file():
        return kind_of(source) or "torch"
    return "torch"


def _model(args: argparse.Namespace, kind: str) -> Model:
    if kind == "graph":
        return read(args.source, args.dt, witness=args.witness, **rule_options(args))
    own = {"weights": args.weights, "dt": args.dt, "witness": args.witness}
    return export_module(args.source, args.output, **own)


def _outputs(args: argparse.Namespace) -> Iterator[tuple[str, str]]:
    if args.output:
        yield args.output, "a NIR graph"
        if not args.form:
            yield from ((_bundle_path(args, chip), "a bundle") for chip in args.target)
    if args.sample:
        yield args.sample, "a recording"
        yield _truth(args), "a recording"


def _bundle_path(args: argparse.Namespace, chip: str) -> str:
    return str(Path(args.output).with_suffix(f".{Path(chip).stem}.nrfb"))


def _demand_sample(args: argparse.Namespace) -> None:
    if Path(args.sample).suffix.lower() != ".npz":
        what = f"{args.sample} is for a recording, which is written only as .npz"
        raise UsageError(error("OUTPUT-SUFFIX", what, fix="name it .npz"))


def _truth(args: argparse.Namespace) -> str:
    return str(Path(args.sample).with_suffix(".csv"))


def _sampled(args: argparse.Namespace) -> list[str]:
    """Write a recording of the model, and its labels if the model has them."""
    recording, labels = sample(args.source)
    write(recording, args.sample)
    if labels is None:
        return [args.sample]
    write_text(_truth(args), labels.csv())
    return [args.sample, _truth(args)]


def _emitted(args: argparse.Namespace, bundle: Bundle) -> str:
    form, folder = args.form
    pipeline.export_program(bundle, form, folder)
    return f"{Path(folder)}/"


def _answer(
    args: argparse.Namespace, wrote: list[str], network: Network, messages: Iterable[Finding]
) -> int:
    if args.json:
        bundles = [path for path in wrote if path.endswith(".nrfb")]
        answer = {"ok": True, "model": args.output, "bundles": bundles}
        if args.sample:
            answer["sample"] = args.sample
            answer["truth"] = _truth(args) if _truth(args) in wrote else None
        emit(args, answer | ({"folder": args.form[1]} if args.form else {}), tuple(messages))
        return 0
    print(tables.network_table(network))
    print_findings(messages)
    print("\n" + "\n".join(f"wrote {path}" for path in wrote))
    return 0


# --- options that exclude each other ---------------------------------------

COMPILING = ("allow", "calibrate", "scheme", *Options.__annotations__)
RULE = (*RuleOptions.__annotations__, "witness")
IDLE = {
    "graph": ("weights", "output", "sample"),
    "bundle": ("weights", "output", "sample", "target", "dt", *RULE, *COMPILING),
}
NAMES = {"graph": "a NIR graph", "bundle": "a bundle", "torch": "a torch module"}


def _misused(args: argparse.Namespace, kind: str) -> Iterator[Finding]:
    """Yield an error for each option that would have no effect, and for each that is missing."""
    if kind == "recording":
        yield _wrong(f"{args.source} is a recording", "name a torch module, a .nir or a .nrfb file")
        return
    if kind == "bundle" and not args.form:
        yield _wrong(f"{args.source} is already compiled", "add --as FORM FOLDER, e.g. --as lava")
    elif kind == "graph" and not args.form:
        fix = f"nrf-deploy compile {args.source} --target CHIP -o FILE.nrfb, or add --as"
        yield _wrong(f"{args.source} is already a NIR graph", fix)
    elif not args.form and not args.output:
        yield _wrong("there is no output", "give -o FILE.nir, or --as FORM FOLDER")
    if args.form and kind != "bundle" and len(args.target) != 1:
        yield _wrong(f"--as needs one chip, not {len(args.target)}", "give --target CHIP once")
    if args.sample and kind == "torch" and args.source not in shipped.names():
        ours = ", ".join(shipped.names())
        what = f"--sample: {args.source} has no recording; only shipped models have one"
        yield _wrong(what, f"leave it out, or export one of: {ours}")
    stated = tuple(option for option in RULE if option != "witness")
    idle = IDLE.get(kind, stated if args.target else (*stated, *COMPILING))
    if dropped := [option for option in idle if is_given(getattr(args, option))]:
        what = f"{options(dropped)} would change nothing for {NAMES[kind]}"
        helps = kind == "torch" and not args.target and set(dropped) <= set(COMPILING)
        yield _wrong(what, "give --target too" if helps else "leave it out")


def _wrong(what: str, fix: str) -> Finding:
    return error("EXPORT-OPTIONS", what, fix=fix)
