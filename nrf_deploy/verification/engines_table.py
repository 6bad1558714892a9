"""Every engine of some bundles as one table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..findings import Finding
from ..text import finding_text, several, table, wrap
from .comparison import Comparison, Divergence, LayerComparison
from .engines import Engines, Row
from .engines_findings import told
from .limits import Limits
from .report import divergence_sentences, verdict_lines
from .task import CLASS, CLASS_LEGEND, Answer, Task
from .verdict import METRIC, by_default, distance

LEGEND = (
    "differ: places (a neuron in a step) unlike the reference, or of values the root mean square "
    "that they are off; vendor: unlike the simulator of the chip's vendor, in parentheses where "
    "that has another arithmetic; exact: equal in every spike and state; cosine: of the neurons' "
    "activities with the reference's; parts at: the first step and neuron unlike the reference"
)
ANSWERS = {
    "class": CLASS_LEGEND,
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
        *(finding_text(f) for f in (*found.said, *told(found))),
        verdict_lines(verdict(found), labelled(found)),
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


def labelled(found: Engines) -> str:
    """Return how far every run is from the labels; empty without labels."""
    tasks = [(row.name, row.task) for row in found.rows if row.task is not None]
    if not tasks or tasks[0][1].left.error is None:
        return ""
    answers = [("reference", tasks[0][1].right), *((name, own.left) for name, own in tasks)]
    first = tasks[0][1]
    if first.kind != CLASS:
        said = (f"{name} {own.error:.3g}" for name, own in answers)
        return f"mean pixels off the labels: {', '.join(said)}"
    right = [name for name, own in answers if own.error == 0]
    wrong = [f"{name} ({first.said(own)})" for name, own in answers if own.error]
    told = f"the class is {first.named(first.label)} in {len(right)} of {len(answers)} runs"
    return told + (f"; not in {', '.join(wrong)}" if wrong else "")


def verdict(found: Engines) -> str:
    errors = [(row, f) for row in found.rows for f in row.findings if f.severity == "error"]
    failed = [f for _, f in errors if not _unchosen(f, found.limits)]
    said = [f"failed: {several(len(failed), 'error')}"] if failed else []
    where: dict[str, dict[str, None]] = {}
    for row, f in errors:
        if _unchosen(f, found.limits):
            where.setdefault(distance(f, found.limits), {})[row.name] = None
    said += [f"{far}: {', '.join(names)}" for far, names in where.items()]
    sure = sum(row.agrees is True for row in found.rows)
    passed = f"passed: within the limits, {several(sure, 'engine')} exact beside the vendor's"
    return "; ".join(said) or passed


def _unchosen(finding: Finding, limits: Limits) -> bool:
    """Return True if no limit of the user asks for it: a default, or equality with the vendor."""
    beside = METRIC.get(finding.code) == "exact" and not limits.of(finding.layer or "").exact
    return beside or by_default(finding, limits)


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
    for chips, follows in _silicon(found).items():
        yield f"Silicon of {chips}: {follows}."
    for row in found.rows:
        if row.agrees is False and row.vendor is not None:
            yield from divergence_sentences(_named(row.vendor, row))


def _silicon(found: Engines) -> dict[str, str]:
    chips: dict[str, dict[str, None]] = {}
    for row in found.rows:
        if row.silicon:
            chips.setdefault(row.silicon, {})[row.chip] = None
    return {", ".join(names): follows for follows, names in chips.items()}


def _named(c: Comparison, row: Row) -> Comparison:
    return Comparison(row.name, c.right, c.layers, c.first_divergence, c.uncompared)
