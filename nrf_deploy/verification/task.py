"""What the model is for, asked of both runs: which class they decide on, which places they say.

The model's readout (nrf_deploy/readout.py) says which of the two it is; without one, labels do.
A class is the neuron of the last layer that gives most, summed over all steps: a tie decides
nothing. Places are pixels of the input, step by step.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..bundle import Bundle
from ..findings import Finding, InputError, error, refuse, warning
from ..network import Array, Shape
from ..pipeline import unit
from ..readout import coordinates, track
from ..recording import Recording
from ..text import several
from .labels import ClassLabel, Labels
from .limits import Limits

CLASS, PLACES = "class", "places"
CLASS_LEGEND = "class: the neuron of the last layer that gives most, and its share"
READOUTS = {"class": CLASS, "dsnt": PLACES}
MOST = 95
"""Per cent of the labels that are nearer than what is told beside the mean."""


@dataclass(frozen=True)
class Answer:
    """What one run says. `error` is against the labels: 0 or 1 of a class, pixels of places.

    `votes` are what the neurons of a class gave, `far` is what 95 % of places are nearer than.
    """

    decided: int | None = None
    votes: tuple[float, ...] = ()
    error: float | None = None
    far: float | None = None


@dataclass(frozen=True)
class Task:
    """`kind` is "class" or "places". `change` is how far both answers are from each other, as
    `error` counts; `label` the class that is right, `steps` those whose places were compared."""

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
                f"{several(self.beyond, 'label')} beyond the recording's end: not used",
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
        """A class with how clear it was."""
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
            f"The places that {left} and {right} say are {self.change:.3g} pixels apart, over "
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
    """What this model's output means; None where nobody says so."""
    told = _told(bundle)
    if labels is None:
        return told or (CLASS if _a_neuron_a_class(bundle) else None)
    wanted = CLASS if isinstance(labels, ClassLabel) else PLACES
    if wanted != (told or CLASS):
        raise InputError(
            error(
                "LABELS-KIND",
                f"the labels are a {wanted}" if wanted == CLASS else "the labels are places",
                why=f"the model's readout says {told}"
                if told
                else "the model has no readout that says places",
                fix="label what the model says, or give the module readout = {'kind': 'dsnt', ...} "
                "before export",
            )
        )
    if wanted == CLASS and not _a_neuron_a_class(bundle):
        raise InputError(
            error(
                "LABELS-OUTPUT",
                "the label is a class, and the model has not one flat output with a neuron a class",
                why=f"its outputs are {', '.join(map(repr, bundle.program.outputs))}",
                fix="end the model in one layer with a neuron for each class",
            )
        )
    return wanted


def _told(bundle: Bundle) -> str | None:
    """By the readout. One that says places is tried on a step of nothing, before any run."""
    readout, shapes = bundle.network.readout, _outputs(bundle)
    told = READOUTS.get(str(readout.get("kind")))
    if told == PLACES and len(shapes) == 1 and len(shapes[0]) == 3:
        coordinates(np.zeros((1, *shapes[0])), readout)
        return PLACES
    return CLASS if told == CLASS and _a_neuron_a_class(bundle) else None


def _outputs(bundle: Bundle) -> list[Shape]:
    return [bundle.program.population(name).shape for name in bundle.program.outputs]


def _a_neuron_a_class(bundle: Bundle) -> bool:
    shapes = _outputs(bundle)
    return len(shapes) == 1 and len(shapes[0]) == 1 and shapes[0][0] > 1


def limit_faults(kind: str | None, labels: Labels | None, limits: Limits) -> Iterator[Finding]:
    """A limit of what cannot be measured would always hold."""
    lacking = {
        "task_error": labels is None
        and ("it is counted against labels", "give --labels FILE (docs/report-schema.md)"),
        "task_change": kind is None
        and ("the model's output is neither classes nor places", "leave it out"),
    }
    for name, why in lacking.items():
        if why and getattr(limits, name) is not None:
            what = f"the limits name {name}, which cannot be known here"
            yield error("LIMITS-TASK", what, why=why[0], fix=why[1])


def task(
    bundle: Bundle,
    outputs: Sequence[Mapping[str, Recording]],
    engines: Sequence[str],
    late: Sequence[Mapping[str, int]],
    recording: Recording,
    labels: Labels | None = None,
) -> Task | None:
    """`outputs`, `engines` and `late` (the steps that a layer is behind) are left and right."""
    kind = kind_of(bundle, labels)
    if kind is None:
        return None
    (name,) = bundle.program.outputs
    lacking = [e for e, sent in zip(engines, outputs, strict=True) if name not in sent]
    if lacking and labels is not None:
        what = f"{lacking[0]} has no output of {name!r}, which the labels are of"
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
    own = unit(bundle, name, engine)
    return 1.0 if own is None else own


def votes(output: Recording, unit: Array | float) -> tuple[float, ...]:
    given = np.bincount(output.index, output.value, output.size) / np.ravel(unit)
    return tuple(given.tolist())


def decided(given: Sequence[float]) -> int | None:
    most = max(given)
    return given.index(most) if most > 0 and given.count(most) == 1 else None


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
    for output, own in zip(outputs, units, strict=True):
        given = votes(output, own)
        found = decided(given)
        off = None if label is None else float(found != label)
        answers.append(Answer(decided=found, votes=given, error=off))
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
    left, right = (track(r, readout, own) for r, own in zip(outputs, units, strict=True))
    steps = min(len(left), len(right))
    at, truth, beyond = np.arange(steps), None, 0
    if labels is not None and not isinstance(labels, ClassLabel):
        every = labels.steps(recording.dt)
        held = every < steps
        at, truth, beyond = every[held], labels.place[held], int((~held).sum())
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


def _place_faults(truth: Array, found: Array, steps: int) -> Iterator[Finding]:
    fix = "label this recording, with a pair of columns for each map"
    if not len(truth):
        what = f"no label lies within the {several(steps, 'step')} of the recording"
        yield error("LABELS-NONE", what, fix=fix)
    elif truth.shape[1] != found.shape[1]:
        what = f"the labels have {truth.shape[1]} places a step, the model {found.shape[1]}"
        yield error("LABELS-MAPS", what, fix=fix)


def _off(found: Array, truth: Array | None) -> Answer:
    if truth is None:
        return Answer()
    away = np.linalg.norm(found - truth, axis=-1)
    return Answer(error=float(away.mean()), far=float(np.percentile(away, MOST)))
