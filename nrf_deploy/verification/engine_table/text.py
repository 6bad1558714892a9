"""Table of every engine of several bundles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from nrf_deploy.compare.comparison import Comparison, Divergence, LayerComparison
from nrf_deploy.diagnostics.findings import Finding
from nrf_deploy.diagnostics.text import finding_text, several, table, wrap

from ..limits import Limits
from ..report.chain import beside, lines
from ..report.report import divergence_sentences, verdict_lines
from ..report.verdict import METRIC, by_default, distance
from ..task.task import CLASS, CLASS_LEGEND, Answer, Task
from .compare_engines import Engines, Row
from .findings import shown_findings

LEGEND = (
    "differ: mismatches with the reference (a neuron and step whose outputs differ), or the root "
    "mean square error of values; vendor: mismatches with the simulator of the chip's vendor, in "
    "parentheses if it has another arithmetic; exact: equal in every spike and state; cosine: of "
    "the neurons' activities with the reference's; parts at: step and neuron of the first mismatch"
)
ANSWERS = {
    "class": CLASS_LEGEND,
    "off": "off: mean distance of its places from the labels in pixels",
    "apart": "apart: mean distance of its places from the reference's in pixels",
}


def engines_text(engines_result: Engines) -> str:
    """Return the comparison as text of 80 columns; only long numbers need more."""
    answer = _answer(engines_result)
    parts = [
        engines_table(engines_result),
        wrap(LEGEND),
        *([wrap(ANSWERS[answer])] if answer else []),
        *(wrap(s) for s in sentences(engines_result)),
        *(finding_text(f) for f in (*engines_result.said, *shown_findings(engines_result))),
        *([lines(engines_result.chain)] if engines_result.chain else []),
        verdict_lines(verdict(engines_result), labelled(engines_result)),
    ]
    return "\n\n".join(parts)


def engines_table(engines_result: Engines) -> str:
    """Return a table with a line for each run, with its answer, and for its layers."""
    answer = _answer(engines_result)
    head: tuple[str, ...] = (
        "run, layer",
        "spikes",
        "differ",
        "vendor",
        "cosine",
        answer or "",
        "parts at",
    )
    rows = [
        *_reference(engines_result, answer),
        *(r for row in engines_result.rows for r in _rows(row, answer)),
    ]
    align = "lrrrrrl"
    if answer is None:
        head, rows = _without(head), [_without(r) for r in rows]
        align = "lrrrrl"
    return table(head, rows, align)


def _without(cells: tuple[str, ...]) -> tuple[str, ...]:
    """Return the cells without the answer, for a model without one."""
    return (*cells[:5], *cells[6:])


def _answer(engines_result: Engines) -> str | None:
    task_row = next((row.task for row in engines_result.rows if row.task is not None), None)
    if task_row is None or task_row.kind == CLASS:
        return None if task_row is None else "class"
    return "apart" if task_row.left.error is None else "off"


def labelled(engines_result: Engines) -> str:
    """Return the distance of every run from the labels; empty without labels."""
    tasks = [(row.name, row.task) for row in engines_result.rows if row.task is not None]
    if not tasks or tasks[0][1].left.error is None:
        return ""
    answers = [("reference", tasks[0][1].right), *((name, task_of.left) for name, task_of in tasks)]
    first = tasks[0][1]
    if first.kind != CLASS:
        answers_text = (f"{name} {task_of.error:.3g}" for name, task_of in answers)
        return f"mean pixels off the labels: {', '.join(answers_text)}"
    right = [name for name, task_of in answers if task_of.error == 0]
    wrong = [f"{name} ({first.said(task_of)})" for name, task_of in answers if task_of.error]
    summary = f"the class is {first.named(first.label)} in {len(right)} of {len(answers)} runs"
    return summary + (f"; not in {', '.join(wrong)}" if wrong else "")


def verdict(engines_result: Engines) -> str:
    errors = [
        (row, f) for row in engines_result.rows for f in row.findings if f.severity == "error"
    ]
    failed = [f for _, f in errors if not _unchosen(f, engines_result.limits)]
    parts_text = [f"failed: {several(len(failed), 'error')}"] if failed else []
    where: dict[str, dict[str, None]] = {}
    for row, f in errors:
        if _unchosen(f, engines_result.limits):
            where.setdefault(distance(f, engines_result.limits), {})[row.name] = None
    parts_text += [f"{far}: {', '.join(names)}" for far, names in where.items()]
    sure = sum(row.agrees is True for row in engines_result.rows)
    passed = f"passed: within the limits, {several(sure, 'engine')} exact beside the vendor's"
    return "; ".join(parts_text) or beside(passed, engines_result.trained)


def _unchosen(finding: Finding, limits: Limits) -> bool:
    """Return whether a finding is about a default limit, or about equality with the vendor."""
    beside = METRIC.get(finding.code) == "exact" and not limits.of(finding.layer or "").exact
    return beside or by_default(finding, limits)


def _reference(engines_result: Engines, answer: str | None) -> Iterator[tuple[str, ...]]:
    task_row = next((row.task for row in engines_result.rows if row.task is not None), None)
    valued = {x.layer for row in engines_result.rows for x in row.against.layers if x.analogue}
    yield ("reference", "", "", "", "", _answer_text(task_row, engines_result.answer, answer), "")
    for layer in engines_result.layers:
        yield (
            f"  {layer}",
            _counts(engines_result.spikes, layer, layer in valued),
            "",
            "",
            "",
            "",
            "",
        )


def _rows(row: Row, answer: str | None) -> Iterator[tuple[str, ...]]:
    beside = {} if row.vendor is None else {x.layer: x for x in row.vendor.layers}
    own_answer = None if row.task is None else row.task.left
    yield (row.name, "", "", "", "", _answer_text(row.task, own_answer, answer), "")
    for x in row.against.layers:
        yield (
            f"  {x.layer}",
            _counts(row.spikes, x.layer, x.analogue),
            _differ(x),
            _vendor(row, beside.get(x.layer)),
            "-" if x.cosine is None else f"{x.cosine:.4f}",
            "",
            _parts(x),
        )


def _counts(spikes: Mapping[str, int], layer: str, valued: bool) -> str:
    return "values" if valued else f"{spikes.get(layer, 0):,}"


def _answer_text(task: Task | None, answer_of: Answer | None, answer: str | None) -> str:
    if task is None or answer_of is None or answer is None:
        return ""
    if answer == "class":
        return task.said(answer_of)
    if answer == "off":
        return "" if answer_of.error is None else f"{answer_of.error:.3g}"
    return f"{task.change:.3g}" if answer_of is task.left else ""


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


def sentences(engines_result: Engines) -> Iterator[str]:
    """Yield the arithmetic of each run, and the first mismatch with a simulator of the same."""
    names_by_arithmetic: dict[str, list[str]] = {}
    for row in engines_result.rows:
        names_by_arithmetic.setdefault(row.arithmetic, []).append(row.name)
    if len(names_by_arithmetic) > 1:
        texts = (
            f"{arithmetic}: {', '.join(names)}" for arithmetic, names in names_by_arithmetic.items()
        )
        yield f"Arithmetic. {'; '.join(texts)}."
    for chips, follows in _silicon(engines_result).items():
        yield f"Silicon of {chips}: {follows}."
    for row in engines_result.rows:
        if row.agrees is False and row.vendor is not None:
            yield from divergence_sentences(_named(row.vendor, row))


def _silicon(engines_result: Engines) -> dict[str, str]:
    chips: dict[str, dict[str, None]] = {}
    for row in engines_result.rows:
        if row.silicon:
            chips.setdefault(row.silicon, {})[row.chip] = None
    return {", ".join(names): follows for follows, names in chips.items()}


def _named(c: Comparison, row: Row) -> Comparison:
    return Comparison(row.name, c.right, c.layers, c.first_divergence, c.uncompared)
