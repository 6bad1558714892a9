"""Tables of networks, verdicts, bundles and runs, within 80 columns."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nrf_deploy.compiler.abilities import CHOSEN
from nrf_deploy.compiler.driver import Verdict
from nrf_deploy.compiler.place.placement import Piece, Placement
from nrf_deploy.diagnostics.findings import Finding, merged
from nrf_deploy.diagnostics.text import dims, finding_text, number, several, span, table, wrap
from nrf_deploy.io.model import rule_findings
from nrf_deploy.ir.network import Array, Input, Network, Node, Output, Shape
from nrf_deploy.ir.program import Program
from nrf_deploy.ir.trained import trained_json

from .bundle import Bundle
from .neuron_tables import RULE_HEADS, features_of, population_tables, rule_cells, rule_of

VERDICT_KEYS = ("layer", "kind", "shape", "verdict", "code", "into")
NAMED = re.compile(r"'([^']*)'")

_WORDS = {"warning": "warning", "error": "refused"}


def network_table(network: Network) -> str:
    rows = [
        (n.name, n.kind, dims(n.shape), _weights(n), ", ".join(network.sources(n.name)))
        for n in network.nodes
    ]
    pace = f"dt = {network.dt:g}" if network.dt > 0 else "no time step stated (--dt gives it)"
    head = f"{len(network.nodes)} nodes, {pace}"
    heads = ("node", "kind", "gives", "weights", "from")
    return f"{head}\n\n{table(heads, rows, 'lllrl', names=True)}"


def _weights(node: Node) -> str:
    weight = getattr(node, "weight", None)
    return "" if weight is None else number(weight.size)


LEGEND = "latency: steps behind it"


def verdicts(verdict: Verdict) -> list[tuple[str, ...]]:
    """Return a row for each node: ok, warning, refused, or folded into another.

    The rows are in the model's order; nodes that a rewrite added come last.
    """
    worst: dict[str, Finding] = {}
    for finding in verdict.findings:
        known = worst.get(finding.layer or "")
        if finding.severity != "info" and (known is None or finding.severity == "error"):
            worst[finding.layer or ""] = finding
    model = verdict.model.nodes if verdict.model is not None else ()
    new = [n for n in verdict.network.nodes if n.name not in {m.name for m in model}]
    rows: list[tuple[str, ...]] = []
    for node in (*model, *new):
        if node.name in verdict.network:
            node, problem = verdict.network[node.name], worst.get(node.name)
            word = "ok" if problem is None else _WORDS[problem.severity]
            rows.append(
                (node.name, node.kind, dims(node.shape), word, problem.code if problem else "", "")
            )
        else:
            into = _survivor(verdict, node.name)
            rows.append((node.name, node.kind, dims(node.shape), "folded", "", into))
    return rows


def _survivor(verdict: Verdict, lost: str) -> str:
    """Return the node of the legalised network that this one was folded into."""
    fate: dict[str, str] = {}
    for finding in (f for step in verdict.steps for f in step.findings):
        if finding.severity == "info" and finding.layer is not None:
            named = [n for n in NAMED.findall(finding.what) if n != finding.layer]
            if named and finding.layer not in verdict.network:
                fate[finding.layer] = named[-1]
            fate |= {n: finding.layer for n in named if n not in verdict.network}
    seen: set[str] = set()
    while lost in fate and lost not in verdict.network and lost not in seen:
        seen.add(lost)
        lost = fate[lost]
    return lost if lost in verdict.network else ""


def verdict_text(model: str, chip: str, verdict: Verdict) -> str:
    chip = verdict.chip or chip
    ruled = rule_findings(verdict.findings)
    findings = merged(
        f for f in verdict.findings if f.severity != "info" or f.code == CHOSEN or f in ruled
    )
    refused = sum(f.severity == "error" for f in findings)
    rows = [
        (*row[:3], f"folded into {into}" if into else f"{row[3]} {row[4]}".strip())
        for *row, into in verdicts(verdict)
    ]
    parts = [table(("layer", "kind", "shape", "verdict"), rows, names=True)]
    parts += [finding_text(f) for f in findings]
    if verdict.placement is not None and not refused:
        p = verdict.placement
        fits = f"{Path(model).name} fits on {chip}: {p.used_cores} of {p.cores} cores"
        parts.append(wrap(fits, then="    "))
    else:
        parts.append(f"{Path(model).name} cannot go on {chip}: {several(refused, 'problem')}")
    return "\n\n".join(parts)


def resources(bundle: Bundle) -> str:
    """Return the resource table: each budget of the fullest core of each layer, and the cores."""
    return resource_table(bundle.program, bundle.placement)


def resource_table(program: Program, placement: Placement, by_core: bool = False) -> str:
    """Return each budget as used/whole, of the fullest core of each layer or of each core."""
    shown = _shown(placement)
    budgets = [b.replace("synaptic_words", "words") for b in shown]
    heads = [b.replace("neuron_groups", "groups").replace("_", " ") for b in budgets]
    limits = tuple(placement.limits.get(b, "none") for b in shown)
    if by_core:
        many = placement.chips > 1
        first = ("chip", "core", "holds") if many else ("core", "holds")
        rows = [row if many else row[1:] for row in _core_rows(placement)]
        if placement.limits:
            rows.append((*[""] * (len(first) - 1), "limit a core", *limits))
        align = "r" * (len(first) - 1) + "l" + "r" * len(heads)
        which = "each core uses"
    else:
        first, rows = ("layer", "size", "cores"), _layer_rows(program, placement)
        if placement.limits:
            rows.append(("limit a core", "", placement.cores, *limits))
        align = "l" + "r" * (2 + len(heads))
        which = "the fullest core of a layer uses"
    limited = bool(placement.limits) or len(shown) < len(placement.budgets)
    whole = " of what it has" if limited else ""
    cores = f"{placement.used_cores} of {placement.cores} cores"
    if placement.chips > 1:
        chips = len({placement.chip_of(p.core) for p in placement.pieces})
        cores += f", {chips} of {placement.chips} chips"
    head = wrap(f"{placement.chip}: {cores}; of each budget, what {which}{whole}")
    return head + "\n\n" + table((*first, *heads), rows, align, names=not by_core)


def _layer_rows(program: Program, placement: Placement) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for population in program.populations:
        pieces = [p for p in placement.pieces if p.population == population.name]
        budgets = {b for p in pieces for b in p.used}
        largest = {
            b: max(p.used.get(b, 0) for p in pieces) for b in placement.budgets if b in budgets
        }
        cores = len({p.core for p in pieces})
        rows.append((population.name, population.size, cores, *_used_whole(largest, placement)))
    return rows


def _by_core(placement: Placement) -> dict[int, list[Piece]]:
    cores: dict[int, list[Piece]] = {}
    for piece in sorted(placement.pieces, key=lambda p: p.core):
        cores.setdefault(piece.core, []).append(piece)
    return cores


def _core_rows(placement: Placement) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for core, pieces in _by_core(placement).items():
        used = {b: sum(p.used.get(b, 0) for p in pieces) for b in placement.budgets}
        holds = " + ".join(map(_holds, pieces))
        rows.append((placement.chip_of(core), core, holds, *_used_whole(used, placement)))
    return rows


def _holds(piece: Piece) -> str:
    spans = zip(piece.start, piece.stop, strict=True)
    return f"{piece.population} {','.join(f'{a}:{b}' for a, b in spans)}"


def _shown(placement: Placement) -> list[str]:
    """Return the budgets that have a column: `x_left` is shown in that of `x_words`."""
    rests = {_rest(b) for b in placement.budgets if b.endswith("_words")}
    return [b for b in placement.budgets if b not in rests]


def _rest(budget: str) -> str:
    """Return the budget that counts the rest, where cores differ in size and have no one limit."""
    return budget.removesuffix("_words") + "_left"


def _used_whole(used: Mapping[str, int], placement: Placement) -> list[str]:
    """Return used/whole for each budget shown: 2048/4095 is 2048 of 4095."""
    whole = dict(placement.limits)
    whole |= {b: used.get(b, 0) + used[_rest(b)] for b in _shown(placement) if _rest(b) in used}
    return [
        f"{used.get(b, 0)}/{whole[b]}" if b in whole else f"{used.get(b, 0)}"
        for b in _shown(placement)
    ]


def bundle_json(bundle: Bundle, by_core: bool = False) -> dict[str, Any]:
    cores = Counter(p.population for p in bundle.placement.pieces)
    data: dict[str, Any] = {"by_core": cores_json(bundle.placement)} if by_core else {}
    nodes = _nodes(bundle)
    return data | {
        "chip": bundle.chip,
        "model_sha256": bundle.source_sha256,
        "trained": trained_json(bundle.trained),
        "tool_version": bundle.tool_version,
        "dt": bundle.network.dt,
        "inputs": {n.name: list(n.shape) for n in bundle.network.of(Input)},
        "outputs": {n.name: list(n.shape) for n in bundle.network.of(Output)},
        "passes": [s.rewrite for s in bundle.steps],
        "cores_used": bundle.placement.used_cores,
        "cores": bundle.placement.cores,
        "layers": [
            {"layer": p.name, "shape": list(p.shape), "model": p.model, "cores": cores[p.name]}
            | rule_of(nodes.get(p.name))
            | ({"features": more} if (more := features_of(nodes.get(p.name))) else {})
            for p in bundle.program.populations
        ],
    }


def cores_json(placement: Placement) -> list[dict[str, Any]]:
    """Return the content, the use and the rest of each core."""
    rows = []
    for core, pieces in sorted(_by_core(placement).items()):
        used = placement.used(core)
        rows.append(
            {
                "chip": placement.chip_of(core),
                "core": core,
                "holds": [
                    {"layer": p.population, "start": list(p.start), "stop": list(p.stop)}
                    for p in pieces
                ],
                "used": used,
                "left": {b: limit - used[b] for b, limit in placement.limits.items()},
            }
        )
    return rows


def bundle_text(bundle: Bundle, by_core: bool = False) -> str:
    applied = [s.rewrite for s in bundle.steps if s.findings]
    ports = [f"{n.kind.lower()} {n.name} {dims(n.shape)}" for n in bundle.network.of(Input, Output)]
    lines = [
        wrap(f"bundle for {bundle.chip}, made by nrf-deploy {bundle.tool_version}", then="    "),
        wrap(f"model: {bundle.source_sha256 or 'made in memory'}", then="    "),
        wrap(f"trained = read: {bundle.trained.text}", then="    "),
        wrap(f"{', '.join(ports)}; dt = {bundle.network.dt:g}", "    "),
        wrap(f"rewrites: {', '.join(applied) or 'none'}", then="    "),
    ]
    latency = {o.population: o.latency for o in bundle.program.origins}
    nodes = _nodes(bundle)
    more = [", ".join(features_of(nodes.get(p.name))) for p in bundle.program.populations]
    features = ["features"] if any(more) else []
    rows = [
        (
            p.name,
            p.model,
            dims(p.shape),
            *rule_cells(nodes.get(p.name)),
            latency.get(p.name, ""),
            *([own] if features else []),
            _params(p.params),
        )
        for p, own in zip(bundle.program.populations, more, strict=True)
    ]
    heads = ("population", "model", "shape", *RULE_HEADS, "latency", *features, "integers")
    synapses = [
        (s.name, s.kind, s.source, ", ".join(s.targets), number(s.weight.size), span(s.weight))
        for s in bundle.program.synapses
    ]
    return "\n\n".join(
        [
            "\n".join(lines),
            *population_tables(heads, rows, "lllllr" + "l" * len(features) + "l"),
            _legend(bundle.program, ", ".join((*RULE_HEADS, *features))),
            table(("synapses", "kind", "from", "to", "weights", "range"), synapses, "llllrr"),
            resource_table(bundle.program, bundle.placement, by_core),
        ]
    )


def _nodes(bundle: Bundle) -> dict[str, Node]:
    """Return the model's node of each population of the program that has one."""
    network = bundle.network
    return {o.population: network[o.node] for o in bundle.program.origins if o.node in network}


def _legend(program: Program, rule: str) -> str:
    shown = sorted({k for p in program.populations for k, v in p.params.items() if not _zero(v)})
    means = f"docs/semantics.md explains {', '.join(shown)}" if shown else ""
    return wrap("; ".join(filter(None, [f"{rule}: of the model; {LEGEND}", means])))


def _params(params: Mapping[str, Any]) -> str:
    def one(value: Any) -> str:
        return str(value) if isinstance(value, int) else span(value)

    return " ".join(f"{k}={one(v)}" for k, v in params.items() if not _zero(v))


def _zero(value: Any) -> bool:
    return isinstance(value, int) and value == 0


@dataclass(frozen=True, eq=False)
class Written:
    """The output of one layer in a run, spikes or `values`.

    `unit` is 1 of the model in these values, None where they are the model's own. A value of n
    counts as n `events` in a layer of spikes, and as 1 in a layer of values. `places` counts
    neurons in a step with an output.
    """

    layer: str
    shape: Shape
    steps: int
    events: int
    places: int
    file: str
    values: bool
    unit: Array | None

    def as_json(self) -> dict[str, Any]:
        data = {k: v for k, v in vars(self).items() if k not in ("values", "unit")}
        return data if self.unit is None else data | {"unit": self.unit.tolist()}


def run_text(written: Sequence[Written]) -> str:
    rows = [(w.layer, dims(w.shape), w.steps, w.events, w.file) for w in written]
    valued = [w for w in written if w.values]
    what = "values" if len(valued) == len(written) else "events" if valued else "spikes"
    text = table(("layer", "shape", "steps", what, "written to"), rows, "llrrl", names=True)
    notes = [
        wrap(
            f"{w.layer} gave {several(w.events, 'spike')} at {several(w.places, 'place')} (a "
            "neuron in a step): where a neuron spiked n times in one step, the file holds n"
        )
        for w in written
        if w.places < w.events
    ]
    notes += (
        wrap(f"{w.layer} gives values: 1 in the model is {span(w.unit)} in this file")
        for w in valued
        if w.unit is not None
    )
    return "\n\n".join([text, *notes])
