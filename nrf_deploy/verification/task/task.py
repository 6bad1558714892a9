"""Task of the model, compared between both runs: the class, or places over time.

The model's readout (nrf_deploy/verification/task/readout.py) states which of the two it is;
without one, labels do. A class is the neuron of the last layer with the largest sum over all
steps: a tie has no decision. Places are pixels of the input, for each step.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nrf_deploy.bundle.bundle import Bundle
from nrf_deploy.bundle.pipeline import unit
from nrf_deploy.diagnostics.findings import Finding, InputError, error, refuse, warning
from nrf_deploy.diagnostics.text import several
from nrf_deploy.io.labels import ClassLabel, Labels
from nrf_deploy.ir.network import Array, Shape
from nrf_deploy.ir.recording import Recording

from ..limits import Limits
from .readout import coordinates, track

CLASS, PLACES = "class", "places"
CLASS_LEGEND = "class: the neuron of the last layer with the largest sum, and its share"
READOUTS = {"class": CLASS, "dsnt": PLACES}
MOST = 95
"""Per cent of the labels that are nearer than the distance beside the mean."""


@dataclass(frozen=True)
class Answer:
    """Answer of a run. `error` is against the labels: 0 or 1 for a class, pixels for places.

    `votes` are the sums of the classes' neurons; 95 % of the places are nearer than `far`.
    """

    decided: int | None = None
    votes: tuple[float, ...] = ()
    error: float | None = None
    far: float | None = None


@dataclass(frozen=True)
class Task:
    """A task. `kind` is "class" or "places". `change` is the distance of both answers in the unit
    of `error`, `label` the right class, `steps` the number of steps with compared places."""

    kind: str
    layer: str
    left: Answer
    right: Answer
    change: float
    label: int | None = None
    names: tuple[str, ...] = ()
    steps: int = 0
    beyond: int = 0

    def findings(self, fix: str = "") -> Iterator[Finding]:
        if self.beyond:
            yield warning(
                "VERIFY-LABELS-BEYOND",
                f"{several(self.beyond, 'label')} after the recording's end: not used",
                fix="give the whole recording, or the labels of this part",
            )
        if self.kind == CLASS and self.right.error == 0 and self.left.error:
            yield warning(
                "VERIFY-TASK-LOST",
                f"the class is {self.said(self.left)}, not {self.named(self.label)}, which the "
                "other run decides on",
                fix=fix,
                layer=self.layer,
            )

    def named(self, number: int | None) -> str:
        if number is None:
            return "undecided"
        return f"{self.names[number]!r}" if number < len(self.names) else f"{number}"

    def said(self, answer: Answer) -> str:
        """Return a class with its share."""
        total = sum(answer.votes)
        if answer.decided is None or not total > 0:
            return self.named(answer.decided)
        return f"{self.named(answer.decided)} ({answer.votes[answer.decided] / total:.0%})"

    def sentences(self, left: str, right: str) -> Iterator[str]:
        if self.kind == CLASS:
            yield (
                f"The class is {self.said(self.left)} in {left} and {self.said(self.right)} in "
                f"{right}{self._label()}."
            )
            return
        yield (
            f"The places of {left} and {right} are {self.change:.3g} pixels apart, over "
            f"{several(self.steps, 'step')}."
        )
        if self.left.error is not None and self.right.error is not None:
            yield (
                f"From the labels, {left} is {self.left.error:.3g} pixels off ({MOST} % of the "
                f"steps below {self.left.far:.3g}), {right} {self.right.error:.3g} "
                f"({self.right.far:.3g})."
            )

    def _label(self) -> str:
        return "" if self.label is None else f"; the label is {self.named(self.label)}"


def kind_of(bundle: Bundle, labels: Labels | None) -> str | None:
    """Return the kind of the model's task; None if it is not stated."""
    stated_kind = _stated_kind(bundle)
    if labels is None:
        return stated_kind or (CLASS if _a_neuron_a_class(bundle) else None)
    wanted = CLASS if isinstance(labels, ClassLabel) else PLACES
    if wanted != (stated_kind or CLASS):
        raise InputError(
            error(
                "LABELS-KIND",
                f"the labels are a {wanted}" if wanted == CLASS else "the labels are places",
                why=f"the model's readout states {stated_kind}"
                if stated_kind
                else "the model has no readout of places",
                fix="label the model's answer, or give the module readout = {'kind': 'dsnt', ...} "
                "before export",
            )
        )
    if wanted == CLASS and not _a_neuron_a_class(bundle):
        raise InputError(
            error(
                "LABELS-OUTPUT",
                "the label is a class; expected a model with one flat output and a neuron a class",
                why=f"its outputs are {', '.join(map(repr, bundle.program.outputs))}",
                fix="end the model in one layer with a neuron for each class",
            )
        )
    return wanted


def _stated_kind(bundle: Bundle) -> str | None:
    """Return the kind that the readout states; places are tried on an empty step first."""
    readout, shapes = bundle.network.readout, _outputs(bundle)
    stated_kind = READOUTS.get(str(readout.get("kind")))
    if stated_kind == PLACES and len(shapes) == 1 and len(shapes[0]) == 3:
        coordinates(np.zeros((1, *shapes[0])), readout)
        return PLACES
    return CLASS if stated_kind == CLASS and _a_neuron_a_class(bundle) else None


def _outputs(bundle: Bundle) -> list[Shape]:
    return [bundle.program.population(name).shape for name in bundle.program.outputs]


def _a_neuron_a_class(bundle: Bundle) -> bool:
    shapes = _outputs(bundle)
    return len(shapes) == 1 and len(shapes[0]) == 1 and shapes[0][0] > 1


def limit_faults(kind: str | None, labels: Labels | None, limits: Limits) -> Iterator[Finding]:
    """Refuse a limit of a quantity that cannot be measured, since it would always hold."""
    lacking = {
        "task_error": labels is None
        and ("it is counted against labels", "give --labels FILE (docs/report-schema.md)"),
        "task_change": kind is None
        and ("the model's output is neither classes nor places", "leave it out"),
    }
    for name, why in lacking.items():
        if why and getattr(limits, name) is not None:
            what = f"the limits name {name}, which cannot be measured here"
            yield error("LIMITS-TASK", what, why=why[0], fix=why[1])


def task(
    bundle: Bundle,
    outputs: Sequence[Mapping[str, Recording]],
    engines: Sequence[str],
    late: Sequence[Mapping[str, int]],
    recording: Recording,
    labels: Labels | None = None,
) -> Task | None:
    """Return the answers of both runs; the sequences are (left, right), `late` is in steps."""
    kind = kind_of(bundle, labels)
    if kind is None:
        return None
    (name,) = bundle.program.outputs
    lacking = [e for e, sent in zip(engines, outputs, strict=True) if name not in sent]
    if lacking and labels is not None:
        what = f"{lacking[0]} has no output of {name!r}, which the labels describe"
        raise InputError(error("LABELS-OUTPUT", what, fix="leave --labels out, or run it all"))
    if lacking:
        return None
    aligned = [
        sent[name].shifted(behind.get(name, 0)).until(recording.steps)
        for sent, behind in zip(outputs, late, strict=True)
    ]
    units = [1.0 if e == "reference" else _unit(bundle, name, e) for e in engines]
    if kind == CLASS:
        return _class(bundle, name, aligned, units, labels)
    return _places(bundle, name, aligned, units, recording, labels)


def _unit(bundle: Bundle, name: str, engine: str) -> Array | float:
    unit_of = unit(bundle, name, engine)
    return 1.0 if unit_of is None else unit_of


def votes(output: Recording, unit: Array | float) -> tuple[float, ...]:
    totals = np.bincount(output.index, output.value, output.size) / np.ravel(unit)
    return tuple(totals.tolist())


def decided(totals: Sequence[float]) -> int | None:
    largest = max(totals)
    return totals.index(largest) if largest > 0 and totals.count(largest) == 1 else None


def _class(
    bundle: Bundle,
    name: str,
    outputs: Sequence[Recording],
    units: Sequence[Any],
    labels: Labels | None,
) -> Task:
    names = tuple(map(str, bundle.network.readout.get("names", ())))
    label = labels.number(names) if isinstance(labels, ClassLabel) else None
    size = outputs[0].size
    if label is not None and label >= size:
        what = f"the label is the class {label}, the output has {size} neurons"
        raise InputError(error("LABELS-CLASS", what, fix="count classes from 0"))
    answers = []
    for output, unit_of in zip(outputs, units, strict=True):
        totals = votes(output, unit_of)
        decision = decided(totals)
        off = None if label is None else float(decision != label)
        answers.append(Answer(decided=decision, votes=totals, error=off))
    left, right = answers
    return Task(
        CLASS, name, left, right, float(left.decided != right.decided), label=label, names=names
    )


def _places(
    bundle: Bundle,
    name: str,
    outputs: Sequence[Recording],
    units: Sequence[Any],
    recording: Recording,
    labels: Labels | None,
) -> Task:
    readout = bundle.network.readout
    left, right = (track(r, readout, unit_of) for r, unit_of in zip(outputs, units, strict=True))
    steps = min(len(left), len(right))
    at, truth, beyond = np.arange(steps), None, 0
    if labels is not None and not isinstance(labels, ClassLabel):
        every = labels.steps(recording.dt)
        inside = every < steps
        at, truth, beyond = every[inside], labels.place[inside], int((~inside).sum())
        refuse(_place_faults(truth, left, steps), InputError)
    change = np.linalg.norm(left[at] - right[at], axis=-1)
    return Task(
        PLACES,
        name,
        left=_off(left[at], truth),
        right=_off(right[at], truth),
        change=float(change.mean()) if len(at) else 0.0,
        steps=len(at),
        beyond=beyond,
    )


def _place_faults(truth: Array, places: Array, steps: int) -> Iterator[Finding]:
    fix = "label this recording, with a pair of columns for each map"
    if not len(truth):
        what = f"no label is within the {several(steps, 'step')} of the recording"
        yield error("LABELS-NONE", what, fix=fix)
    elif truth.shape[1] != places.shape[1]:
        what = f"the labels have {truth.shape[1]} places a step, the model {places.shape[1]}"
        yield error("LABELS-MAPS", what, fix=fix)


def _off(places: Array, truth: Array | None) -> Answer:
    if truth is None:
        return Answer()
    away = np.linalg.norm(places - truth, axis=-1)
    return Answer(error=float(away.mean()), far=float(np.percentile(away, MOST)))
