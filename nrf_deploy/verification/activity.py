"""Layers that say nothing: those that never spike and those that always do."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from ..findings import Finding, warning
from ..recording import Recording, Trace
from ..text import several

SATURATED = 0.95
"""The share of (step, neuron) places with a spike above which a layer carries no news."""


def activity(
    trace: Trace,
    *,
    reference: Trace | None = None,
    order: Iterable[str] | None = None,
    graded: Collection[str] = (),
    cause: Callable[[str], str] = lambda layer: "",
) -> list[Finding]:
    """One warning a layer of `trace` that never or (almost) always spikes.

    `reference` tells a fault of the model from one of its integers. `graded` names layers
    whose values are no spikes (readouts without a threshold), which may well always give one.
    `cause` says what to do about a layer whose integers differ from the model (Advice.cause).
    """
    names = trace.outputs if order is None else [n for n in order if n in trace.outputs]
    found = []
    for name in names:
        own = trace.outputs[name]
        model = reference.outputs.get(name) if reference is not None else None
        places = own.steps * own.size
        if places and not len(own.index):
            found.append(_silent(name, trace.engine, own, model, cause(name)))
        elif len(own.index) > SATURATED * places and not (name in graded or _analogue(own)):
            found.append(_saturated(name, trace.engine, own, model, cause(name)))
    return found


def _analogue(recording: Recording) -> bool:
    return recording.value.dtype.kind == "f"


def _silent(name: str, engine: str, own: Recording, model: Recording | None, cause: str) -> Finding:
    if model is None:
        why = "what follows sees nothing of the input"
        fix = "lower its threshold or raise its weights; check that the input reaches it"
    elif len(model.index):
        why = f"it spikes {several(model.events, 'time')} in the reference: the integers lost it"
        fix = "; ".join(filter(None, (cause, "nrf-deploy check shows how it was rounded")))
    else:
        why = "it is silent in the reference too: the model does it, not its integers"
        fix = "lower its threshold or raise its weights, or give a longer or livelier input"
    return warning(
        "VERIFY-SILENT-LAYER",
        f"never spikes in {several(own.steps, 'step')} ({engine})",
        why=why,
        fix=fix,
        layer=name,
    )


def _saturated(
    name: str, engine: str, own: Recording, model: Recording | None, cause: str
) -> Finding:
    share = len(own.index) / (own.steps * own.size)
    if model is None or not model.steps * model.size:
        why = "a layer that always spikes says nothing about the input"
        fix = "raise its threshold or lower its weights; check its bias"
    else:
        other = len(model.index) / (model.steps * model.size)
        why = f"in the reference it is {other:.1%}"
        fix = (
            "the model does it: raise its threshold or lower its weights; check its bias"
            if other > SATURATED
            else cause
        )
    return warning(
        "VERIFY-SATURATED-LAYER",
        f"spikes in {share:.1%} of all places of a neuron and a step ({engine})",
        why=why,
        fix=fix,
        layer=name,
    )
