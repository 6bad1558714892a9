"""Layers without information: those that never spike and those that always do."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from nrf_deploy.diagnostics.findings import Finding, warning
from nrf_deploy.diagnostics.text import several
from nrf_deploy.ir.recording import Recording, Trace

SATURATED = 0.95
"""Share of steps and neurons with a spike above which a layer carries no information."""


def activity(
    trace: Trace,
    *,
    reference: Trace | None = None,
    order: Iterable[str] | None = None,
    graded: Collection[str] = (),
    cause: Callable[[str], str] = lambda layer: "",
) -> list[Finding]:
    """Return a warning for each layer of `trace` that never or (almost) always spikes.

    `reference` distinguishes a fault of the model from one of its integers. `graded` names layers
    whose values are not spikes (readouts without a threshold), which may always have one.
    `cause` returns a fix for a layer whose integers differ from the model (Advice.cause).
    """
    names = trace.outputs if order is None else [n for n in order if n in trace.outputs]
    findings = []
    for name in names:
        output = trace.outputs[name]
        model = reference.outputs.get(name) if reference is not None else None
        places = output.steps * output.size
        if places and not len(output.index):
            findings.append(_silent(name, trace.engine, output, model, cause(name)))
        elif len(output.index) > SATURATED * places and not (name in graded or _analogue(output)):
            findings.append(_saturated(name, trace.engine, output, model, cause(name)))
    return findings


def _analogue(recording: Recording) -> bool:
    return recording.value.dtype.kind == "f"


def _silent(
    name: str, engine: str, output: Recording, model: Recording | None, cause: str
) -> Finding:
    if model is None:
        why = "the layers after it get nothing of the input"
        fix = "lower its threshold or raise its weights; check that the input reaches it"
    elif len(model.index):
        why = f"it spikes {several(model.events, 'time')} in the reference: the integers lost it"
        fix = "; ".join(filter(None, (cause, "nrf-deploy check shows how it was rounded")))
    else:
        why = "it is silent in the reference too: the model does it, not its integers"
        fix = "lower its threshold or raise its weights, or give a longer or more active input"
    return warning(
        "VERIFY-SILENT-LAYER",
        f"never spikes in {several(output.steps, 'step')} ({engine})",
        why=why,
        fix=fix,
        layer=name,
    )


def _saturated(
    name: str, engine: str, output: Recording, model: Recording | None, cause: str
) -> Finding:
    share = len(output.index) / (output.steps * output.size)
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
