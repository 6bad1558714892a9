"""A bundle runs on a recording; what its layers gave is written."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from .. import pipeline, show
from ..bundle import Bundle
from ..cli import emit
from ..findings import Finding, UsageError, error, warning
from ..given import as_bundle, without_steps
from ..model import rule_findings
from ..recording import Trace
from ..recordings import STATES
from ..text import several, wrap
from .common import demand_outputs, print_findings, recording, running, say_at_once


def run(args: argparse.Namespace) -> int:
    from ..recordings import demand_npz, write, write_states

    demand_outputs(args, *_outputs(args, [args.output]))
    demand_npz(args.output)
    bundle = as_bundle(args.bundle)
    given, said = recording(args, args.input, bundle.network)
    layers = args.layer or list(bundle.program.outputs)
    _demand_layers(bundle, layers)
    said = (*rule_findings(bundle.findings), *said)
    say_at_once(args, said)
    paths = _paths(args.output, layers)
    demand_outputs(args, *_outputs(args, paths))
    with running(args.engine) as progress:
        trace = pipeline.run(
            bundle,
            given,
            args.engine,
            record=layers,
            states=layers if args.states else (),
            decay=args.decay,
            progress=progress,
        )
    said = (*said, *(nothing := tuple(_silent(trace))))
    ran = without_steps(pipeline.said_by(trace))
    behind = pipeline.latency(bundle, args.engine)
    units = {layer: pipeline.unit(bundle, layer, args.engine) for layer in layers}
    valued = {layer: pipeline.unit(bundle, layer) is not None for layer in layers}
    rows = []
    for layer, path in zip(layers, paths, strict=True):
        late = behind.get(layer, 0)
        out = trace.outputs[layer].shifted(late).until(given.steps)
        write(out, path)
        if args.states:
            states = trace.states.get(layer, {})
            write_states(path, {k: v[late:][: given.steps] for k, v in states.items()})
        places = len(out.index)
        size = (out.shape, out.steps, places if valued[layer] else out.events, places)
        rows.append(show.Written(layer, *size, path, valued[layer], units[layer]))
    if args.json:
        layers_json = [row.as_json() for row in rows]
        answer = {"ok": True, "engine": trace.engine, "layers": layers_json}
        emit(args, answer, (*said, *ran))
    else:
        print(show.run_text(rows))
        if follows := pipeline.silicon(bundle):
            print(f"\n{wrap(f'silicon: {follows}')}")
        print_findings((*ran, *nothing), infos=True)
    return 0


def _silent(trace: Trace) -> Iterator[Finding]:
    """A file without an event is an answer that looks like a fault, and often is one."""
    if not any(len(r.index) for r in trace.outputs.values()):
        steps = max((r.steps for r in trace.outputs.values()), default=0)
        yield warning(
            "RUN-NO-SPIKES",
            f"no layer that was asked for gave anything in {several(steps, 'step')}: "
            f"{', '.join(map(repr, trace.outputs))}",
            why="the input is too weak, too short, or on another scale of time than the model",
            fix="look at the layers before with --layer; compare --bin and --dt with the time "
            "constants (nrf-deploy inspect shows them)",
        )


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
    """Every file that is written: the spikes, and the states beside them."""
    for path in paths:
        yield path, "a recording"
        if args.states:
            yield Path(path).with_suffix(STATES), "a recording"


def _paths(output: str, layers: Sequence[str]) -> list[str]:
    """One layer goes to the file itself, several to files beside it."""
    if len(layers) == 1:
        return [output]
    path = Path(output)
    names = ["".join(c if c.isprintable() and c != "/" else "_" for c in n) for n in layers]
    return [str(path.with_name(f"{path.stem}.{name}{path.suffix}")) for name in names]
