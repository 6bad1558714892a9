"""Report of a verification, as JSON and as text."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nrf_deploy.compare.comparison import Comparison, Divergence, LayerComparison, Value
from nrf_deploy.diagnostics.findings import Finding, merged
from nrf_deploy.diagnostics.text import finding_text, printable, shorten, table, wrap
from nrf_deploy.ir.recording import Trace
from nrf_deploy.ir.trained import UNKNOWN, Trained, trained_json

from ..attribution import incoming_events
from ..attribution.causes import CODES, Attribution
from ..judge import NO_SPIKES, output_or_state, silent
from ..limits import Limits
from ..task.task import CLASS, CLASS_LEGEND, Task
from .chain import Link, beside, lines
from .tables import explained
from .verdict import closing, verdict

SCHEMA_VERSION = 1
ENGINE_WIDTH = 12
HANGING = " " * len("verdict: ")


@dataclass(frozen=True, eq=False)
class Report:
    """The result of a verification: the numbers, the findings and the limits.

    Attributes:
        comparison: Both runs, layer by layer.
        limits: The limits that the runs were judged by.
        findings: What is beyond a limit, and what explains it.
        context: Plain data on how to reproduce the runs: files, hashes, versions, options.
        said: What the engines reported on these runs, such as how long they compiled. It is
            not part of the JSON, which is the same for equal runs.
        traces: Both runs without their states; None where they are not kept.
        alone: Each layer of the left engine in isolation, fed with what the right run gave;
            None where the runs are equal.
        attribution: The causes of the errors; None without `attribute`.
        task: The answers of both runs; None where the model has no readout.
        trained: How it is known that the model as read is what was trained.
        chain: The links from the trained model to the board's image.
    """

    comparison: Comparison
    limits: Limits
    findings: tuple[Finding, ...]
    context: Mapping[str, Any] = field(default_factory=dict)
    said: tuple[Finding, ...] = ()
    traces: tuple[Trace, Trace] | None = None
    alone: Comparison | None = None
    attribution: Attribution | None = None
    task: Task | None = None
    trained: Trained = UNKNOWN
    chain: tuple[Link, ...] = ()

    def __repr__(self) -> str:
        c = self.comparison
        return f"<Report of {c.left} against {c.right}: {self.verdict}>"

    def _repr_html_(self) -> str:
        """Return the verdict, the layers and the findings as a table for a notebook."""
        from nrf_deploy.diagnostics.notebook import Table, page

        c = self.comparison
        rows = [
            (
                layer.layer,
                math.prod(layer.shape),
                layer.steps,
                *_measured(layer),
                {True: "yes", False: "no", None: "-"}[layer.exact],
            )
            for layer in c.layers
        ]
        heads = ("layer", "neurons", "steps", *_heads(c), "mismatches", "error", "exact")
        shown = [f for f in (*self.said, *self._told()) if f.severity != "info"]
        title = f"{c.left} against {c.right}: {self.verdict}"
        return page(title, Table(heads, rows), findings=shown)

    @property
    def passed(self) -> bool:
        """True if no finding is an error."""
        return not any(f.severity == "error" for f in self.findings)

    @property
    def exit_code(self) -> int:
        """The exit code of `nrf-deploy verify`: 0 or 1."""
        return 0 if self.passed else 1

    @property
    def verdict(self) -> str:
        """The verdict in one line."""
        if any(f.code == NO_SPIKES for f in self.findings):
            return "nothing was compared: no layer spiked"
        passed = "passed: exact" if self.comparison.exact else "passed: within the limits"
        layers = [layer.layer for layer in self.comparison.layers]
        return verdict(self.findings, self.limits, layers) or beside(passed, self.trained)

    @property
    def state(self) -> str:
        """The comparison in a word: "exact", "within", "differs" or "silent"."""
        if any(f.code == NO_SPIKES for f in self.findings):
            return "silent"
        if self.comparison.exact:
            return "exact"
        return "within" if self.passed else "differs"

    def as_json(self) -> dict[str, Any]:
        """Return plain data, with the same keys in the same order; a NaN or an infinity is text."""
        document = comparison_json(self.comparison)
        report = {
            "schema_version": SCHEMA_VERSION,
            "passed": self.passed,
            "verdict": self.verdict,
            "chain": [link.as_json() for link in self.chain],
            "trained": trained_json(self.trained),
            **{k: document[k] for k in ("exact", "left", "right")},
            "limits": self.limits.as_json(),
            **document,
            "alone": _alone_json(self.alone),
            "causes": _causes_json(self.attribution),
            "task": None if self.task is None else dataclasses.asdict(self.task),
            "findings": [f.as_json() for f in self.findings],
            "context": self.context,
        }
        data: dict[str, Any] = plain(report)
        return data

    def text(self, *, details: bool = True) -> str:
        """Return text of at most 80 columns, but for numbers and paths that need more.

        Without `details` it leaves out the legend and the first mismatch.
        """
        c = self.comparison
        parts = [
            wrap(f"{printable(c.left)} against {printable(c.right)}", then="    "),
            *([wrap(f"silicon: {follows}")] if (follows := silicon_of(self)) else []),
            layer_table(c),
            *([wrap(_legend(c))] if details else []),
            *([wrap(CLASS_LEGEND)] if details and _classes(self) else []),
            *explained(self.comparison, self.alone, self.attribution),
            *(divergence_paragraphs(c) if details else ()),
            *(wrap(s) for s in task_sentences(self)),
            *(finding_text(f) for f in (*self.said, *merged(self._told()))),
            *(wrap(s) for s in closing(c)),
            *([lines(self.chain)] if self.chain else []),
            verdict_lines(self.verdict, labelled_sentence(self)),
        ]
        return "\n\n".join(parts)

    def _told(self) -> Iterator[Finding]:
        """Yield the findings, with layers of the same cause as one."""
        shares = self.attribution
        yield from (f for f in self.findings if shares is None or f.code not in CODES)
        yield from () if shares is None else shares.told()


def _classes(report: Report) -> bool:
    """Return whether a class is reported, whose share needs a legend."""
    return report.task is not None and report.task.kind == CLASS and not silent(report.comparison)


def silicon_of(report: Report) -> str:
    """Return which engine the silicon follows, if the target states it."""
    return str(report.context.get("silicon", ""))


def verdict_lines(verdict: str, task: str) -> str:
    """Return the lines of the verdict; with labels the result of the task is the first."""
    if not task:
        return wrap(f"verdict: {verdict}", then=HANGING)
    clause = f"{task[0].lower()}{task[1:].removesuffix('.')}"
    return "\n".join((wrap(f"verdict: {clause}", then=HANGING), wrap(verdict, HANGING)))


def _heads(c: Comparison) -> tuple[str, str]:
    """Return the engines' names as heads of columns, made different if they are equal."""
    if c.left == c.right:
        return "left", "right"
    left, right = (shorten(printable(n), ENGINE_WIDTH) for n in (c.left, c.right))
    return (left, right) if left != right else ("left", "right")


def _legend(c: Comparison) -> str:
    text = (
        "steps: those that both runs have; differ: mismatches (a neuron and step whose outputs "
        "differ); error: of the spike counts"
    )
    values = any(layer.analogue for layer in c.layers)
    return f"{text}, or of values their root mean square" if values else text


def layer_table(c: Comparison) -> str:
    header = ("layer", "neurons", "steps", *_heads(c), "differ", "error", "exact")
    rows = [
        (
            layer.layer,
            f"{math.prod(layer.shape):,}",
            f"{layer.steps:,}",
            *_measured(layer),
            {True: "yes", False: "no", None: "-"}[layer.exact],
        )
        for layer in c.layers
    ]
    return table(header, rows, "lrrrrrrl", names=True)


def _measured(layer: LayerComparison) -> tuple[str, str, str, str]:
    """Return both outputs, the mismatches, and the error by which the layer is judged."""
    if layer.analogue:
        off = "-" if layer.value_error is None else f"{layer.value_error:.2%}"
        return "values", "values", "-", off
    counts = (layer.spikes_left, layer.spikes_right, layer.mismatches)
    left, right, differ = (f"{n:,}" for n in counts)
    return left, right, differ, f"{layer.count_error:.2%}"


def divergence_sentences(c: Comparison) -> Iterator[str]:
    yield from _parting_sentences(c)
    if c.first_divergence is not None:
        yield from incoming_events.sentences(c.first_divergence)


def divergence_paragraphs(c: Comparison) -> Iterator[str]:
    """Yield the same for a terminal, with many inputs as a table."""
    yield from map(wrap, _parting_sentences(c))
    if c.first_divergence is not None:
        yield from incoming_events.paragraphs(c.first_divergence)


def _parting_sentences(c: Comparison) -> Iterator[str]:
    d = c.first_divergence
    if d is None:
        if not silent(c):
            yield "No difference was found." if c.layers else "No layer was compared."
        return
    yield (
        f"The runs first differ in layer {d.layer!r}, neuron {d.neuron}, at step {d.step}"
        f"{_own_steps(c, d)}. The first to differ is {output_or_state(d.variable)}: "
        f"{_sides(c, d.value)}."
    )
    for v in d.values:
        if v.variable != d.variable:
            same = "also differs" if v.left != v.right else "is equal"
            yield f"Here {output_or_state(v.variable)} {same}: {_sides(c, v)}."


def task_sentences(report: Report) -> Iterator[str]:
    """Yield sentences on the two answers, without those in the verdict."""
    yield from (s for s in _task_sentences(report) if s != labelled_sentence(report))


def labelled_sentence(report: Report) -> str:
    """Return both answers beside the label; empty without labels."""
    labelled = report.task is not None and report.task.left.error is not None
    return list(_task_sentences(report))[-1] if labelled and not silent(report.comparison) else ""


def _task_sentences(report: Report) -> Iterator[str]:
    if report.task is not None and not silent(report.comparison):
        engines = (printable(e) for e in (report.comparison.left, report.comparison.right))
        yield from report.task.sentences(*engines)


def _own_steps(c: Comparison, d: Divergence) -> str:
    if d.left_step == d.right_step == d.step:
        return ""
    return f" (step {d.left_step} of {printable(c.left)}, {d.right_step} of {printable(c.right)})"


def _sides(c: Comparison, v: Value) -> str:
    sides = ((c.left, v.left, v.left_float), (c.right, v.right, v.right_float))
    texts = (
        f"{value}{'' if real is None or real == value else f' ({real:.6g} in the model)'} "
        f"in {printable(engine)}"
        for engine, value, real in sides
    )
    return ", ".join(texts)


def comparison_json(c: Comparison) -> dict[str, Any]:
    return {
        "exact": c.exact,
        "left": c.left,
        "right": c.right,
        "layers": [_layer_json(layer) for layer in c.layers],
        "first_divergence": _divergence_json(c.first_divergence),
        "uncompared": c.uncompared,
    }


def _alone_json(isolated: Comparison | None) -> list[dict[str, Any]] | None:
    return None if isolated is None else [_layer_json(layer) for layer in isolated.layers]


def _causes_json(shares: Attribution | None) -> list[dict[str, Any]] | None:
    if shares is None:
        return None
    return [{**dataclasses.asdict(x), "dominant": x.dominant} for x in shares.layers]


def _layer_json(layer: LayerComparison) -> dict[str, Any]:
    return {**dataclasses.asdict(layer), "first": _divergence_json(layer.first)}


def _divergence_json(d: Divergence | None) -> dict[str, Any] | None:
    if d is None:
        return None
    value = {k: v for k, v in dataclasses.asdict(d.value).items() if k != "variable"}
    return {**dataclasses.asdict(d), **value}


def plain(data: Any) -> Any:
    if isinstance(data, Mapping):
        return {str(k): plain(v) for k, v in data.items()}
    if isinstance(data, list | tuple):
        return [plain(v) for v in data]
    if isinstance(data, np.generic | np.ndarray):
        return plain(data.tolist())
    if isinstance(data, float) and not math.isfinite(data):
        return str(data)
    return data
