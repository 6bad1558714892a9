"""Every engine of some bundles as one table."""

from __future__ import annotations

from collections.abc import Iterator

from ..text import finding_text, printable, several, table, wrap
from .comparison import Comparison, Divergence, LayerComparison
from .engines import Engines, Row
from .report import divergence_sentences
from .task import CLASS, Answer, Task

HEAD = ("run", "layer", "spikes", "differ", "vendor", "cosine", "class", "parts at")
LEGEND = (
    "differ: places (a neuron in a step) unlike the reference; vendor: unlike the simulator of "
    "the chip's vendor, in parentheses where that has another arithmetic; exact: equal in every "
    "spike and state; cosine: of the neurons' activities with the reference's; parts at: the "
    "first step and neuron unlike the reference"
)
VOTED = "class: the neuron of the last layer that spikes most, and its share of the spikes"


def engines_text(found: Engines) -> str:
    """Within 80 columns, but for numbers that need more."""
    classes = any(row.task is not None and row.task.kind == CLASS for row in found.rows)
    parts = [
        engines_table(found),
        wrap(LEGEND),
        *([wrap(VOTED)] if classes else []),
        *(wrap(s) for s in sentences(found)),
        *(finding_text(f) for f in (*found.said, *found.findings)),
        f"verdict: {verdict(found)}",
    ]
    return "\n\n".join(parts)


def engines_table(found: Engines) -> str:
    rows = [*_reference(found), *(r for row in found.rows for r in _rows(row))]
    return table(HEAD, rows, "llrrrrrl")


def verdict(found: Engines) -> str:
    errors = sum(f.severity == "error" for f in found.findings)
    if errors:
        return f"failed: {several(errors, 'error')}"
    sure = sum(row.agrees is True for row in found.rows)
    return f"passed: within the limits, {several(sure, 'engine')} exact beside the vendor's"


def _reference(found: Engines) -> Iterator[tuple[str, ...]]:
    any_task = next((row.task for row in found.rows if row.task is not None), None)
    for i, layer in enumerate(found.layers):
        yield (
            "reference" if i == 0 else "",
            layer,
            f"{found.spikes.get(layer, 0):,}",
            "",
            "",
            "",
            _class(any_task, found.answer, layer),
            "",
        )


def _rows(row: Row) -> Iterator[tuple[str, ...]]:
    beside = {} if row.vendor is None else {x.layer: x for x in row.vendor.layers}
    for i, x in enumerate(row.against.layers):
        yield (
            printable(row.name) if i == 0 else "",
            x.layer,
            f"{row.spikes.get(x.layer, 0):,}",
            "" if x.analogue else f"{x.mismatches:,}",
            _vendor(row, beside.get(x.layer)),
            "-" if x.cosine is None else f"{x.cosine:.4f}",
            _class(row.task, None if row.task is None else row.task.left, x.layer),
            _parts(x),
        )


def _vendor(row: Row, layer: LayerComparison | None) -> str:
    if layer is None:
        return "itself" if row.engine == row.simulator else ""
    if layer.exact:
        return "exact"
    if not row.alike:
        return f"({layer.mismatches:,})"
    return f"{layer.mismatches:,}" if layer.mismatches else "states"


def _class(task: Task | None, answer: Answer | None, layer: str) -> str:
    if task is None or answer is None or task.kind != CLASS or task.layer != layer:
        return ""
    return task.said(answer)


def _parts(layer: LayerComparison) -> str:
    if layer.exact:
        return "exact"
    return "-" if layer.first is None else place(layer.first)


def place(d: Divergence) -> str:
    return f"{d.step} ({','.join(map(str, d.neuron))})"


def sentences(found: Engines) -> Iterator[str]:
    """What the table cannot show: which arithmetic a run has, places, and where a run parts from
    a simulator that it should equal."""
    held: dict[str, list[str]] = {}
    for row in found.rows:
        held.setdefault(row.arithmetic, []).append(row.name)
    if len(held) > 1:
        told = (f"{arithmetic}: {', '.join(names)}" for arithmetic, names in held.items())
        yield f"Arithmetic. {'; '.join(told)}."
    for row in found.rows:
        if row.task is not None and row.task.kind != CLASS:
            yield from row.task.sentences(row.name, "the reference")
        if row.agrees is False and row.vendor is not None:
            yield from divergence_sentences(_named(row.vendor, row))


def _named(c: Comparison, row: Row) -> Comparison:
    return Comparison(row.name, c.right, c.layers, c.first_divergence, c.uncompared)
