"""Every engine of some bundles as one table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..text import finding_text, several, table, wrap
from .comparison import Comparison, Divergence, LayerComparison
from .engines import Engines, Row
from .report import divergence_sentences
from .task import CLASS, Answer, Task

LEGEND = (
    "differ: places (a neuron in a step) unlike the reference, or of values the root mean square "
    "that they are off; vendor: unlike the simulator of the chip's vendor, in parentheses where "
    "that has another arithmetic; exact: equal in every spike and state; cosine: of the neurons' "
    "activities with the reference's; parts at: the first step and neuron unlike the reference"
)
ANSWERS = {
    "class": "class: the neuron of the last layer that gives most, and its share",
    "off": "off: mean pixels from the labels to the places that it says",
    "apart": "apart: mean pixels from the reference's places to those that it says",
}


def engines_text(found: Engines) -> str:
    """Within 80 columns, but for numbers that need more."""
    answer = _answer(found)
    parts = [
        engines_table(found),
        wrap(LEGEND),
        *([wrap(ANSWERS[answer])] if answer else []),
        *(wrap(s) for s in sentences(found)),
        *(finding_text(f) for f in (*found.said, *found.findings)),
        f"verdict: {verdict(found)}",
    ]
    return "\n\n".join(parts)


def engines_table(found: Engines) -> str:
    """A line a run, with its answer, then its layers."""
    answer = _answer(found)
    head: tuple[str, ...] = (
        "run, layer",
        "spikes",
        "differ",
        "vendor",
        "cosine",
        answer or "",
        "parts at",
    )
    rows = [*_reference(found, answer), *(r for row in found.rows for r in _rows(row, answer))]
    align = "lrrrrrl"
    if answer is None:
        head, rows = _without(head), [_without(r) for r in rows]
        align = "lrrrrl"
    return table(head, rows, align)


def _without(cells: tuple[str, ...]) -> tuple[str, ...]:
    """Without the answer, where the model has none."""
    return (*cells[:5], *cells[6:])


def _answer(found: Engines) -> str | None:
    asked = next((row.task for row in found.rows if row.task is not None), None)
    if asked is None or asked.kind == CLASS:
        return None if asked is None else "class"
    return "apart" if asked.left.error is None else "off"


def verdict(found: Engines) -> str:
    errors = sum(f.severity == "error" for f in found.findings)
    if errors:
        return f"failed: {several(errors, 'error')}"
    sure = sum(row.agrees is True for row in found.rows)
    return f"passed: within the limits, {several(sure, 'engine')} exact beside the vendor's"


def _reference(found: Engines, answer: str | None) -> Iterator[tuple[str, ...]]:
    asked = next((row.task for row in found.rows if row.task is not None), None)
    valued = {x.layer for row in found.rows for x in row.against.layers if x.analogue}
    yield ("reference", "", "", "", "", _told(asked, found.answer, answer), "")
    for layer in found.layers:
        yield (f"  {layer}", _given(found.spikes, layer, layer in valued), "", "", "", "", "")


def _rows(row: Row, answer: str | None) -> Iterator[tuple[str, ...]]:
    beside = {} if row.vendor is None else {x.layer: x for x in row.vendor.layers}
    own = None if row.task is None else row.task.left
    yield (row.name, "", "", "", "", _told(row.task, own, answer), "")
    for x in row.against.layers:
        yield (
            f"  {x.layer}",
            _given(row.spikes, x.layer, x.analogue),
            _differ(x),
            _vendor(row, beside.get(x.layer)),
            "-" if x.cosine is None else f"{x.cosine:.4f}",
            "",
            _parts(x),
        )


def _given(spikes: Mapping[str, int], layer: str, valued: bool) -> str:
    return "values" if valued else f"{spikes.get(layer, 0):,}"


def _told(task: Task | None, own: Answer | None, answer: str | None) -> str:
    if task is None or own is None or answer is None:
        return ""
    if answer == "class":
        return task.said(own)
    if answer == "off":
        return "" if own.error is None else f"{own.error:.3g}"
    return f"{task.change:.3g}" if own is task.left else ""


def _differ(layer: LayerComparison) -> str:
    if not layer.analogue:
        return f"{layer.mismatches:,}"
    return "-" if layer.value_error is None else f"{layer.value_error:.1%}"


def _vendor(row: Row, layer: LayerComparison | None) -> str:
    if layer is None:
        return "itself" if row.engine == row.simulator else ""
    if layer.exact:
        return "exact"
    if not row.alike:
        return f"({layer.mismatches:,})"
    return f"{layer.mismatches:,}" if layer.mismatches else "states"


def _parts(layer: LayerComparison) -> str:
    if layer.exact:
        return "exact"
    return "-" if layer.first is None else place(layer.first)


def place(d: Divergence) -> str:
    return f"{d.step} ({','.join(map(str, d.neuron))})"


def sentences(found: Engines) -> Iterator[str]:
    """What the table cannot show: which arithmetic a run has, and where one parts from a
    simulator that it should equal."""
    held: dict[str, list[str]] = {}
    for row in found.rows:
        held.setdefault(row.arithmetic, []).append(row.name)
    if len(held) > 1:
        told = (f"{arithmetic}: {', '.join(names)}" for arithmetic, names in held.items())
        yield f"Arithmetic. {'; '.join(told)}."
    for row in found.rows:
        if row.agrees is False and row.vendor is not None:
            yield from divergence_sentences(_named(row.vendor, row))


def _named(c: Comparison, row: Row) -> Comparison:
    return Comparison(row.name, c.right, c.layers, c.first_divergence, c.uncompared)
