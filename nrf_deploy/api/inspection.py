"""Inspection of a file of any kind: a model, a bundle, a recording, states."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Unpack, cast

from nrf_deploy.bundle.bundle import load
from nrf_deploy.bundle.inputs import demand_options
from nrf_deploy.bundle.neuron_tables import (
    RULE_HEADS,
    features_of,
    number_names,
    numbers_of,
    rule_cells,
    rule_of,
)
from nrf_deploy.bundle.tables import bundle_json, bundle_text, network_table
from nrf_deploy.diagnostics.argument_types import demand_number, demand_path
from nrf_deploy.diagnostics.findings import Finding, InputError, UsageError, error, refuse
from nrf_deploy.diagnostics.text import dims, span, table, tables, wrap
from nrf_deploy.diagnostics.unused_options import idle, is_given
from nrf_deploy.io import recordings
from nrf_deploy.io.file_types import kind_of
from nrf_deploy.io.files import reading
from nrf_deploy.io.model import rule_findings
from nrf_deploy.io.recordings import Camera, Look, Options, Table
from nrf_deploy.io.rule_options import RuleOptions
from nrf_deploy.ir.network import Array, Network, Node, Population
from nrf_deploy.ir.recording import Recording
from nrf_deploy.ir.trained import trained_json
from nrf_deploy.witness.origin import trained_of, witnesses_of
from nrf_deploy.witness.reading import File
from nrf_deploy.witness.reading import look as look_at


class FileOptions(Options, RuleOptions, total=False):
    """Options for reading a recording, and for reading a .nir file."""


def look(
    path: str,
    *,
    dt: float | None = None,
    witness: File | None = None,
    cores: bool = False,
    **every: Unpack[FileOptions],
) -> tuple[str, dict[str, Any], str, tuple[Finding, ...]]:
    """Return the kind of a file, its facts, its text, and the findings of the reader.

    `cores`: of a bundle, list the content of each core in place of each layer.
    """
    kind = kind_of(path)
    rule = cast(RuleOptions, {k: v for k, v in every.items() if k in RuleOptions.__annotations__})
    options = cast(Options, {k: v for k, v in every.items() if k in Options.__annotations__})
    arguments: dict[str, object] = {"dt": dt, **options}
    if cores and kind != "bundle":
        what = f"{path} is not a bundle: only a bundle has cores"
        raise UsageError(error("INSPECT-CORES", what, fix="leave --cores out, or compile first"))
    if kind == "graph":
        demand_used(arguments, Options.__annotations__, f"{path} is a NIR graph, not a recording")
        model = look_at(path, dt, witness, **rule)
        data, text = network_json(model.network), network_text(model.network)
        if witnesses_of(model):
            trained = trained_of(model)
            data["trained"] = trained_json(trained)
            text += "\n\n" + wrap(f"trained = read: {trained.text}", then="    ")
        return "network", data, text, model.findings
    statements = {**rule, "witness": witness}
    if stated := [name for name, value in statements.items() if is_given(value)]:
        what = f"{path} is not a NIR graph: {' and '.join(stated)} state how one is read"
        fix = "leave them out; a bundle shows what it was compiled with"
        raise UsageError(error("INSPECT-RULE", what, fix=fix))
    what = "a bundle" if kind == "bundle" else "a recording"
    demand_used(arguments, ["dt"], f"{path} is {what}: it is how a NIR graph is read")
    if kind == "bundle":
        demand_used(arguments, Options.__annotations__, f"{path} is a bundle, not a recording")
        bundle = load(path)
        notes = rule_findings(bundle.findings)
        return "bundle", bundle_json(bundle, cores), bundle_text(bundle, cores), notes
    _demand_content(path)
    if path.endswith(recordings.STATES):
        why = f"{path} holds states, which are shown as they are"
        demand_used(arguments, Options.__annotations__, why)
        states = recordings.read_states(path)
        return "states", states_json(states), states_text(states), ()
    content, findings = recordings.opened(
        path, dt=options.get("bin"), layout=options.get("layout"), part=options.get("part")
    )
    if isinstance(content, Recording):
        content, findings = recordings.read(path, **options)
        return "recording", recording_json(content), recording_text(content), tuple(findings)
    return _events(path, content, options, findings)


def _events(
    path: str, content: Camera | Table, options: Options, findings: list[Finding]
) -> tuple[str, dict[str, Any], str, tuple[Finding, ...]]:
    """Describe the selected events of a camera's file; with a bin, also as steps."""
    if options.get("bin") is None:
        why = "it applies to steps, and without a bin the events have none"
        demand_used(options, ("merge", "clip"), why, "give --bin too")
    seen = recordings.looked(path, content, options)
    data, text = events_json(seen), events_text(seen)
    findings = [*findings, *seen.findings]
    if options.get("bin") is not None:
        shape = seen.shape(options.get("merge"))
        recording, findings = recordings.read(path, shape=shape, **options)
        data["recording"] = recording_json(recording)
        text += "\n\n" + recording_text(recording)
        text += "".join(f"\n\n{wrap(f.what)}" for f in findings if f.code == "RECORDING-STEP")
    return "events", data, text, tuple(findings)


def demand_used(
    options: Mapping[str, object], names: Iterable[str], why: str, fix: str = ""
) -> None:
    refuse(idle(options, names, why, fix), UsageError)


def network_json(network: Network) -> dict[str, Any]:
    nodes = [
        {"name": n.name, "kind": n.kind, "shape": list(n.shape), "parameters": _parameters(n)}
        | rule_of(n)
        | ({"features": more} if (more := features_of(n, numbers=False)) else {})
        for n in network.nodes
    ]
    return {"dt": network.dt if network.dt > 0 else None, "nodes": nodes}


def _parameters(node: Node) -> dict[str, list[float]]:
    """Return the smallest and the largest value of each number of a neuron."""
    return {n: [float(v.min()), float(v.max())] for n, v in numbers_of(node).items() if v.size}


def network_text(network: Network) -> str:
    """Return the nodes and the ranges of the neurons' constants, which show the unit of time."""
    neurons = list(network.of(Population))
    if not neurons:
        return network_table(network)
    names = number_names(neurons)
    more = [", ".join(features_of(n, numbers=False)) for n in neurons]
    also = any(more)
    rows = []
    for n, features in zip(neurons, more, strict=True):
        own = numbers_of(n)
        cells = (span(own[name]) if name in own else "" for name in names)
        rows.append((n.name, *cells, *rule_cells(n), *([features] if also else [])))
    shown = tables(("neurons", *names, *RULE_HEADS, *(["features"] if also else [])), rows)
    return f"{network_table(network)}\n\n{shown}"


def recording_json(recording: Recording) -> dict[str, Any]:
    return {
        "shape": list(recording.shape),
        "steps": recording.steps,
        "events": recording.events,
        "places": len(recording.index),
        "dt": recording.dt,
    }


def recording_text(recording: Recording) -> str:
    places = max(recording.steps * recording.size, 1)
    busiest = int(recording.events_by_step().max(initial=0))
    events, occupied = recording.events, len(recording.index)
    rows = [
        ("shape", dims(recording.shape)),
        ("steps", f"{recording.steps:,}"),
        ("step", f"{recording.dt:g} s" if recording.dt else "not stated"),
        ("events", f"{events:,}"),
        *([("places", f"{occupied:,} (an element in a step)")] * (occupied < events)),
        ("density", f"{len(recording.index) / places:.4%}"),
        ("busiest step", f"{busiest:,} events"),
        ("values", span(recording.value)),
    ]
    return table(("recording", ""), rows)


def states_json(states: Mapping[str, Array]) -> dict[str, Any]:
    return {
        "variables": {
            name: {"shape": list(x.shape[1:]), "steps": len(x), "range": _extent_of(x)}
            for name, x in states.items()
        }
    }


def _extent_of(values: Array) -> list[float]:
    return [values.min().item(), values.max().item()] if values.size else []


def states_text(states: Mapping[str, Array]) -> str:
    rows = [(name, dims(x.shape[1:]), f"{len(x):,}", span(x)) for name, x in states.items()]
    return table(("state", "shape", "steps", "values"), rows, "llrr")


def events_json(seen: Look) -> dict[str, Any]:
    summary = seen.summary
    return {
        "format": seen.form,
        "sensor": list(seen.size) if seen.size else None,
        "events": summary.events,
        "polarities": {str(p): n for p, n in sorted(summary.polarities.items())},
        "seconds": summary.seconds,
        "events_per_second": summary.rate,
        "same_place_and_time": summary.crowded,
        "wraps": seen.wraps,
        "times_back": summary.falls + seen.backward,
        "steps": list(seen.made),
        **{name: list(summary.extent.get(name, ())) for name in "txyp"},
    }


def events_text(seen: Look) -> str:
    summary = seen.summary

    def extent(name: str, unit: str = "") -> str:
        return " to ".join(f"{n:,}{unit}" for n in summary.extent.get(name, ())) or "none"

    polarity = ", ".join(f"{n:,} of {p}" for p, n in sorted(summary.polarities.items()))
    rows = [
        ("format", seen.form),
        ("sensor", f"{seen.size[0]} x {seen.size[1]}" if seen.size else "not stated"),
        *([("chosen", ", ".join(seen.made))] if seen.made else []),
        ("events", f"{summary.events:,}"),
        ("polarity", polarity or "none"),
        ("time", extent("t", " us")),
        ("duration", f"{summary.seconds:g} s"),
        ("rate", f"{summary.rate:,.0f} events a second" if summary.rate else "none"),
        ("x", extent("x")),
        ("y", extent("y")),
        ("at the place and time of another", f"{summary.crowded:,}"),
        ("wraps of the clock", "not told" if seen.wraps is None else f"{seen.wraps:,}"),
        ("times that go back", f"{summary.falls + seen.backward:,}"),
    ]
    return table(("events of a camera", ""), rows, "ll")


def _demand_content(path: str) -> None:
    with reading(path) as stream:
        if not stream.read(1) and not path.lower().endswith((".bin", ".csv")):
            raise InputError(error("FILE-EMPTY", f"{path} is empty"))


@dataclass(frozen=True, eq=False)
class Inspection:
    """The content of a file, as `nrf-deploy inspect` shows it.

    Attributes:
        kind: "network", "bundle", "recording", "events" or "states".
        data: The facts, as plain data.
        findings: What reading the file reported.
    """

    kind: str
    data: Mapping[str, Any]
    findings: tuple[Finding, ...]
    tables: str

    def text(self) -> str:
        """Return the facts as tables of at most 80 columns."""
        return self.tables

    def __repr__(self) -> str:
        return f"<Inspection of a {self.kind}, {len(self.findings)} findings>"


def inspect(
    file: str | Path,
    *,
    dt: float | None = None,
    witness: File | None = None,
    cores: bool = False,
    **options: Unpack[FileOptions],
) -> Inspection:
    """Return what a file holds; its kind is recognised by its content.

    Args:
        file: The path of a .nir file, a bundle or a recording.
        dt: Of a .nir file: the time step, in the unit of its time constants. Default: as the
            file states; it may state none.
        witness: Of a .nir file: the path of a recording from its framework, as in `read`.
            Default: none.
        cores: Of a bundle: list what each core holds, in place of each layer. Default: False.
        options: Of a recording: how it is read, as in `read_recording`. Default: all events
            of the file. Of a .nir file: producer, reset, fires and so on, as in
            `read`. Default: as it states; where it states nothing, NIR's printed equations are
            shown, with a warning.

    Returns:
        The Inspection: its kind, the facts as data and as text, and the findings.

    Raises:
        MissingFileError: The file does not exist (a FileNotFoundError).
        InputError: A file that is damaged or hostile (a ValueError).
        UsageError: An option that does not belong to a file of this kind (a ValueError).
    """
    demand_path(file)
    if dt is not None:
        demand_number("dt", dt, "a number")
    demand_options("inspect", options, FileOptions.__annotations__)
    kind, data, text, findings = look(str(file), dt=dt, witness=witness, cores=cores, **options)
    return Inspection(kind, data, findings, text)
