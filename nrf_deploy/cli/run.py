"""The verb run: a bundle runs on a recording, and its layers' outputs are written."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from nrf_deploy.bundle import pipeline, tables
from nrf_deploy.bundle.bundle import Bundle
from nrf_deploy.bundle.inputs import as_bundle
from nrf_deploy.bundle.run_bundle import align
from nrf_deploy.bundle.run_bundle import run as run_bundle
from nrf_deploy.diagnostics.findings import UsageError, error
from nrf_deploy.diagnostics.text import wrap
from nrf_deploy.io.model import rule_findings
from nrf_deploy.io.recordings import STATES
from nrf_deploy.io.recordings.model_fit import without_steps

from .common import demand_outputs, print_findings, recording, running, say_at_once
from .main import emit
from .shared_options import add_decay, add_reading
from .usage import Parser


def add_arguments(run: Parser) -> None:
    run.add_examples(
        "nrf-deploy run model.nrfb --input events.npz --bin 1e-3 -o spikes.npz",
        "nrf-deploy run model.nrfb --input events.npz --layer conv1 --states -o conv1.npz",
        "nrf-deploy run model.nrfb --input events.npz --engine reference --decay exact -o s.npz",
    )
    run.add_argument("bundle", help="a .nrfb file")
    run.add_argument("--input", required=True, metavar="REC", help="the recording")
    run.add_argument("--engine", default="emulator", help="reference, emulator, or a vendor's")
    run.add_argument(
        "--layer",
        action="append",
        help="layer to write (default: the outputs); can be given several times. Several layers "
        "have separate files: -o z.npz writes z.LAYER.npz",
    )
    run.add_argument(
        "--states",
        action="store_true",
        help="also write the states (u, v) of these layers, beside the spikes (.states.npz)",
    )
    run.add_argument(
        "-o",
        "--output",
        required=True,
        help="file for the spikes (.npz, or .nir as NIR data); for several layers see --layer",
    )
    add_decay(run)
    add_reading(run)


def run(args: argparse.Namespace) -> int:
    from nrf_deploy.io.recordings import demand_npz, write, write_states

    demand_outputs(args, *_outputs(args, [args.output]))
    demand_npz(args.output)
    bundle = as_bundle(args.bundle)
    stimulus, messages = recording(args, args.input, bundle.network)
    layers = args.layer or list(bundle.program.outputs)
    _demand_layers(bundle, layers)
    messages = (*rule_findings(bundle.findings), *messages)
    say_at_once(args, messages)
    paths = _paths(args.output, layers)
    demand_outputs(args, *_outputs(args, paths))
    with running(args.engine) as progress:
        trace = run_bundle(
            bundle,
            stimulus,
            args.engine,
            layer=layers,
            states=args.states,
            decay=args.decay,
            progress=progress,
        )
    ran = without_steps(trace.findings)
    trace = align(bundle, trace, stimulus.steps)
    units = {layer: pipeline.unit(bundle, layer, args.engine) for layer in layers}
    valued = {layer: pipeline.unit(bundle, layer) is not None for layer in layers}
    rows = []
    for layer, path in zip(layers, paths, strict=True):
        out = trace.outputs[layer]
        write(out, path)
        if args.states:
            write_states(path, trace.states.get(layer, {}))
        places = len(out.index)
        size = (out.shape, out.steps, places if valued[layer] else out.events, places)
        rows.append(tables.Written(layer, *size, path, valued[layer], units[layer]))
    if args.json:
        layers_json = [row.as_json() for row in rows]
        answer = {"ok": True, "engine": trace.engine, "layers": layers_json}
        emit(args, answer, (*messages, *ran))
    else:
        print(tables.run_text(rows))
        if follows := pipeline.silicon(bundle):
            print(f"\n{wrap(f'silicon: {follows}')}")
        print_findings(ran, infos=True)
    return 0


def _demand_layers(bundle: Bundle, layers: Sequence[str]) -> None:
    twice = [name for name, times in Counter(layers).items() if times > 1]
    if twice:
        what = f"--layer is {', '.join(map(repr, twice))} twice; expected each layer once"
        raise UsageError(error("LAYER-TWICE", what, fix="name each layer once"))
    known = dict.fromkeys((*pipeline.populations(bundle), *bundle.program.outputs))
    unknown = [n for n in layers if n not in known]
    if unknown:
        raise UsageError(
            error(
                "LAYER-UNKNOWN",
                f"the bundle has no layer {', '.join(map(repr, unknown))}",
                fix=f"choose from: {', '.join(known)}",
            )
        )


def _outputs(args: argparse.Namespace, paths: Sequence[str]) -> Iterator[tuple[str | Path, str]]:
    """Yield every file that is written: spikes, and states beside them."""
    for path in paths:
        yield path, "a recording"
        if args.states:
            yield Path(path).with_suffix(STATES), "a recording"


def _paths(output: str, layers: Sequence[str]) -> list[str]:
    """Return a path for each layer: one layer is written to `output`, several beside it."""
    if len(layers) == 1:
        return [output]
    path = Path(output)
    names = ["".join(c if c.isprintable() and c != "/" else "_" for c in n) for n in layers]
    return [str(path.with_name(f"{path.stem}.{name}{path.suffix}")) for name in names]
