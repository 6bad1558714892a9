"""One function a verb: call the Python function of the same name, and print what it says."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from . import pipeline, show
from .bundle import Bundle, save
from .cli import emit
from .files import reading, write_text
from .findings import Finding, UsageError, error
from .given import as_bundle, recording_for
from .kinds import demand_output
from .network import Network
from .quantise.rules import Rules, parse_rules
from .recording import Recording
from .target import target_of_chip
from .target import targets as installed_targets
from .text import WIDTH, Progress, finding_text, shorten


def check(args: argparse.Namespace) -> int:
    model = pipeline.read(args.model, args.dt)
    verdict = pipeline.check(model, args.target)
    rows = show.verdicts(verdict)
    good = verdict.placement is not None and not _errors(verdict.findings)
    if args.json:
        layers = [dict(zip(show.VERDICT_KEYS, row, strict=True)) for row in rows]
        emit(args, {"ok": good, "target": args.target, "layers": layers}, verdict.findings)
    else:
        print(show.verdict_text(args.model, args.target, verdict))
    return 0 if good else 4


def compile(args: argparse.Namespace) -> int:
    demand_output(args.output, "a bundle", (args.model, args.calibrate, args.scheme))
    model = pipeline.read(args.model, args.dt)
    calibration: Recording | None = None
    said: tuple[Finding, ...] = ()
    if args.calibrate:
        calibration, said = _recording(args, args.calibrate, model.network)
    with Progress("fitting layers") as progress:
        bundle = pipeline.compile(model, args.target, calibration, _rules(args), progress)
    save(bundle, args.output)
    _compiled(args, bundle, args.output, (*said, *bundle.findings))
    return 0


def _rules(args: argparse.Namespace) -> Rules:
    if not args.scheme:
        return Rules()
    with reading(args.scheme) as stream:
        return parse_rules(stream.read(2**20).decode("utf-8", "replace"))


def _compiled(
    args: argparse.Namespace, bundle: Bundle, path: str, findings: Sequence[Finding]
) -> None:
    if args.json:
        emit(args, {"ok": True, "bundle": str(path), **show.bundle_json(bundle)}, findings)
        return
    print(show.resources(bundle))
    _print_findings(findings)
    print(f"\nwrote {path}")


def export(args: argparse.Namespace) -> int:
    from .shipped import export as export_model

    demand_output(args.output, "a NIR graph", (args.weights,))
    for chip in args.target:
        target_of_chip(chip)
    model = export_model(args.source, args.output, weights=args.weights, dt=args.dt)
    bundles = []
    for chip in args.target:
        path = str(Path(args.output).with_suffix(f".{chip}.nrfb"))
        save(pipeline.compile(model, chip), path)
        bundles.append(path)
    if args.json:
        emit(args, {"ok": True, "model": args.output, "bundles": bundles}, model.findings)
        return 0
    print(show.network_table(model.network))
    _print_findings(model.findings)
    print("\n" + "\n".join(f"wrote {path}" for path in (args.output, *bundles)))
    return 0


def inspect(args: argparse.Namespace) -> int:
    from .look import look

    what, data, text, said = look(
        args.file, dt=args.dt, bin=args.bin, merge=args.merge, clip=args.clip
    )
    if args.json:
        emit(args, {"ok": True, "kind": what, **data}, said)
    else:
        print(text)
        _print_findings(said)
    return 0


def run(args: argparse.Namespace) -> int:
    from .recordings import demand_npz, write, write_states

    demand_output(args.output, "a recording", (args.bundle, args.input))
    demand_npz(args.output)
    bundle = as_bundle(args.bundle)
    recording, said = _recording(args, args.input, bundle.network)
    layers = args.layer or list(bundle.program.outputs)
    unknown = [n for n in layers if n not in pipeline.populations(bundle)]
    if unknown:
        raise UsageError(
            error(
                "LAYER-UNKNOWN",
                f"the bundle has no layer {', '.join(map(repr, unknown))}",
                fix=f"choose from: {', '.join(pipeline.populations(bundle))}",
            )
        )
    _say_at_once(args, said)
    paths = _paths(args.output, layers)
    for path in paths:
        demand_output(path, "a recording", (args.bundle, args.input))
    with Progress(f"running on {args.engine}") as progress:
        trace = pipeline.run(
            bundle,
            recording,
            args.engine,
            record=layers,
            states=layers if args.states else (),
            progress=progress,
        )
    behind = pipeline.latency(bundle, args.engine)
    rows = []
    for layer, path in zip(layers, paths, strict=True):
        late = behind.get(layer, 0)
        out = trace.outputs[layer].shifted(late).until(recording.steps)
        write(out, path)
        if args.states:
            states = trace.states.get(layer, {})
            write_states(path, {k: v[late:][: recording.steps] for k, v in states.items()})
        rows.append((layer, out.shape, out.steps, len(out.index), path))
    if args.json:
        keys = ("layer", "shape", "steps", "events", "file")
        layers_json = [dict(zip(keys, row, strict=True)) for row in rows]
        emit(args, {"ok": True, "engine": trace.engine, "layers": layers_json}, said)
    else:
        print(show.run_text(rows))
    return 0


def _paths(output: str, layers: Sequence[str]) -> list[str]:
    """One layer goes to the file itself, several to files beside it."""
    if len(layers) == 1:
        return [output]
    path = Path(output)
    return [str(path.with_name(f"{path.stem}.{layer}{path.suffix}")) for layer in layers]


def verify(args: argparse.Namespace) -> int:
    from .verification import Limits
    from .verification.verify import default_limits
    from .verification.verify import verify as verify_bundle

    if args.report:
        demand_output(args.report, "a report", (args.bundle, args.input))
    bundle = as_bundle(args.bundle)
    recording, said = _recording(args, args.input, bundle.network)
    _say_at_once(args, said)
    limits = default_limits(args.engine, args.against)
    if args.exact:
        limits = Limits(exact=True)
    elif args.limit is not None:
        limits = Limits(exact=False, spike_count_error=args.limit)
    stages = [f"running {engine}" for engine in (args.engine, args.against)]
    with Progress(stages) as progress:
        report = verify_bundle(
            bundle, recording, args.engine, args.against, limits=limits, progress=progress
        )
    document = json.dumps(report.as_json(), indent=2, allow_nan=False) + "\n"
    if args.report:
        write_text(args.report, document)
    if args.json:
        emit(args, {"ok": report.passed, "report": report.as_json()}, (*said, *report.findings))
    else:
        print(report.text())
    return report.exit_code


def targets(args: argparse.Namespace) -> int:
    shelf = installed_targets()
    if args.json:
        described = {
            name: {"about": t.about, "chips": t.chips, "engines": list(t.engines)}
            for name, t in shelf.items()
        }
        emit(args, {"ok": True, "targets": described}, ())
    else:
        print(show.targets_text(shelf))
    return 0


def sdk(args: argparse.Namespace) -> int:
    from .sdk.environments import install, status

    known = {s.name: s for t in installed_targets().values() for s in t.sdks}
    if args.name is not None and args.name not in known:
        raise UsageError(
            error(
                "SDK-UNKNOWN",
                f"there is no SDK {args.name!r}",
                fix=f"choose one of: {', '.join(sorted(known))}",
            )
        )
    if args.action == "install":
        wanted = [known[args.name]] if args.name else list(known.values())
        for each in wanted:
            if args.name or status(each).interpreter is not None:
                install(each, _to_terminal)
    found = [status(s) for s in known.values()]
    missing = [s for s in found if not s.installed]
    if args.json:
        rows = [
            {
                "sdk": s.sdk.name,
                "about": s.sdk.about,
                "installed": s.installed,
                "python": s.sdk.python,
                "interpreter": str(s.interpreter) if s.interpreter else None,
                "folder": str(s.folder),
                "todo": s.todo,
            }
            for s in found
        ]
        emit(args, {"ok": not missing, "sdks": rows}, ())
    else:
        print(show.sdk_text(found, doctor=args.action == "doctor"))
    return 5 if missing and args.action == "doctor" else 0


def demo(args: argparse.Namespace) -> int:
    from .demo import run_demo

    report = run_demo(Path(args.output), steps=args.steps, seed=args.seed, say=_say(args))
    if args.json:
        emit(args, {"ok": report["passed"], **report}, ())
    return 0 if report["passed"] else 1


def _to_terminal(line: str) -> None:
    if sys.stderr.isatty():
        print(shorten(line, WIDTH), file=sys.stderr)


def _say(args: argparse.Namespace) -> Any:
    return (lambda text: None) if args.json else print


def _errors(findings: Iterable[Finding]) -> list[Finding]:
    return [f for f in findings if f.severity == "error"]


def _say_at_once(args: argparse.Namespace, said: Iterable[Finding]) -> None:
    """Before a run, which may be refused for just what these findings say."""
    if not args.json:
        _print_findings(said)
        sys.stdout.flush()


def _print_findings(findings: Iterable[Finding]) -> None:
    """Warnings and errors in full; what went well is only counted."""
    shown = [f for f in findings if f.severity != "info"]
    for finding in shown:
        print("\n" + finding_text(finding))


def _recording(
    args: argparse.Namespace, path: str, network: Network
) -> tuple[Recording, tuple[Finding, ...]]:
    return recording_for(network, path, bin=args.bin, merge=args.merge, clip=args.clip)
