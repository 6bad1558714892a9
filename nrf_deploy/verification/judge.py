"""Judgement of a comparison by limits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from nrf_deploy.compare.comparison import Comparison, Divergence, LayerComparison
from nrf_deploy.diagnostics.findings import Finding, error, info, warning
from nrf_deploy.diagnostics.text import several
from nrf_deploy.ir.program import OUTPUT

from .advice import Advice
from .attribution.causes import either
from .limits import Limits
from .report.verdict import share
from .task.task import CLASS, Task

NONE = Advice()
NO_SPIKES = "VERIFY-NO-SPIKES"
WIDER = "with a wider"
RMS = " (root mean square)"
ALL = "nothing was compared of any layer"


def judge(comparison: Comparison, limits: Limits, advice: Advice = NONE) -> list[Finding]:
    """Return an error for each broken limit, and a warning or info for what was not judged."""
    findings = [
        f
        for layer in comparison.layers
        for f in _layer(comparison, layer, limits.of(layer.layer), advice)
    ]
    if len(comparison.layers) > 1 and not any(layer.steps for layer in comparison.layers):
        findings = [replace(findings[0], layer=None, what=f"{ALL}: {findings[0].what}")]
    return [*_no_spikes(comparison), *findings, *_outside(comparison), *_uncompared(comparison)]


def silent(c: Comparison) -> bool:
    """Return whether no layer has an output in either run, in the steps that both have."""
    compared = [layer for layer in c.layers if layer.steps]
    return bool(compared) and not any(layer.spikes_left or layer.spikes_right for layer in compared)


def _no_spikes(c: Comparison) -> Iterator[Finding]:
    """Yield a warning if both runs have no spikes: they are equal with any integers."""
    if silent(c):
        yield error(
            NO_SPIKES,
            "no layer spiked in "
            f"{several(max(layer.steps for layer in c.layers), 'step')} that both runs have: "
            "nothing was compared",
            why="the input is too weak, too short, or in another unit of time than the model: "
            "a --dt in another unit than the file's time constants, or a --bin that is not dt",
            fix="compare --dt with the time constants (nrf-deploy inspect shows them), give "
            "--bin the same length, or a longer or more active recording",
        )


def _layer(
    c: Comparison, layer: LayerComparison, limits: Limits, advice: Advice
) -> Iterator[Finding]:
    if layer.steps == 0:
        yield error(
            "VERIFY-NOTHING-COMPARED",
            f"with the latencies {layer.latency_left} and {layer.latency_right} subtracted, "
            "the runs share no step",
            fix="give a recording that is longer than the latency",
            layer=layer.layer,
        )
        return
    if limits.exact and layer.first is not None:
        yield _diverged(c, layer, layer.first, advice)
    if layer.analogue:
        yield from _value(layer, limits, advice)
    elif not limits.exact and layer.count_error > limits.spike_count_error:
        yield _count(c, layer, limits, advice)
    if not layer.analogue and not limits.exact:
        yield from _metrics(layer, limits, advice)


def _diverged(c: Comparison, layer: LayerComparison, first: Divergence, advice: Advice) -> Finding:
    value = first.value
    what = output_or_state(first.variable)
    earliest = c.first_divergence
    assert earliest is not None
    counts = {OUTPUT: layer.mismatches, **layer.state_mismatches}
    places = ", ".join(f"{n:,} of {v}" for v, n in counts.items() if n)
    if first.layer == earliest.layer:
        why = "everything before this is equal"
    else:
        why = f"layer {earliest.layer!r} differs first, at step {earliest.step}"
        why += "; this may follow from it" if _feeds(c, earliest.layer, first.layer) else ""
    return error(
        "VERIFY-DIVERGED",
        f"{what} is {value.left} in {c.left} and {value.right} in {c.right}; mismatches: {places}",
        why=why,
        fix=_shift_fix(layer, advice) or _states_fix(c, layer, advice),
        layer=layer.layer,
        neuron=first.neuron,
        step=first.step,
    )


def _states_fix(c: Comparison, layer: LayerComparison, advice: Advice) -> str:
    """Return the command that shows the states of the runs; a recording cannot run again."""
    run = f"nrf-deploy run ... --layer {layer.layer} --states"
    if advice.recorded:
        return f"check the states of {c.left} there: {run} --engine {c.left}"
    return (
        f"check both runs' states there: {run}, once with --engine {c.left} and once with "
        f"--engine {c.right}"
    )


def _feeds(c: Comparison, earlier: str, later: str) -> bool:
    """Return whether a layer is before another one in network order."""
    names = [layer.layer for layer in c.layers]
    return names.index(earlier) < names.index(later)


def _count(c: Comparison, layer: LayerComparison, limits: Limits, advice: Advice) -> Finding:
    metric = "spike_count_error"
    return error(
        "VERIFY-COUNT",
        f"{several(layer.spikes_left, 'spike')} in {c.left} and {layer.spikes_right:,} in "
        f"{c.right}: {_beside(layer.count_error, limits, metric)}",
        why=advice.why,
        fix=_shift_fix(layer, advice)
        or either(
            advice.of(layer, limits.spike_count_error),
            f"accept it {limits.wider(metric, 'with a wider --limit')}",
        ),
        layer=layer.layer,
    )


def _beside(value: float, limits: Limits, metric: str, how: str = "") -> str:
    """Return an error beside its limit, which is a default or the user's."""
    if metric in limits.defaults:
        return f"differs by {100 * value:.1f} %{how}, more than {share(limits, metric)}"
    return f"{value:.1%} off{how}, the limit is {getattr(limits, metric):.1%}"


def _metrics(layer: LayerComparison, limits: Limits, advice: Advice) -> Iterator[Finding]:
    """Yield errors by the user's metrics. Two layers without spikes have no cosine."""
    spikes = max(layer.spikes_right, 1)
    metrics = {
        "mismatches": ("mismatches per spike", layer.mismatches / spikes),
        "victor_purpura": (
            "moves (Victor and Purpura) per spike",
            layer.timing and layer.timing.victor_purpura,
        ),
        "van_rossum": ("van Rossum's distance", layer.timing and layer.timing.van_rossum),
    }
    for name, (text, value) in metrics.items():
        limit = getattr(limits, name)
        if limit is not None and value is not None and value > limit:
            what = f"{text}: {value:.4g}, the limit is {limit:.4g}"
            yield _beyond(layer, limits, name, what, advice)
    if limits.cosine is not None and (layer.spikes_left or layer.spikes_right):
        cosine = layer.cosine or 0.0
        if cosine < limits.cosine:
            text = f"the cosine of the activities is {cosine:.4f}, at least {limits.cosine:.4f}"
            yield _beyond(layer, limits, "cosine", f"{text} is asked for", advice)


def judge_task(task: Task, limits: Limits, advice: Advice = NONE) -> Iterator[Finding]:
    """Yield errors of the model's task, for limits about it."""
    errors = {
        "task_error": (task.left.error, f"the label {task.named(task.label)}", "the labels"),
        "task_change": (task.change, f"{task.said(task.right)}", "those of the other run"),
    }
    for name, (value, wanted, whose) in errors.items():
        limit = getattr(limits, name)
        if limit is not None and value is not None and value > limit:
            yield error(
                f"VERIFY-{name.upper().replace('_', '-')}",
                f"the class is {task.said(task.left)}, not {wanted}"
                if task.kind == CLASS
                else f"its places are {value:.4g} pixels from {whose}, the limit is {limit:.4g}",
                fix=advice.farthest(),
                layer=task.layer,
            )


def _beyond(
    layer: LayerComparison, limits: Limits, name: str, what: str, advice: Advice
) -> Finding:
    return error(
        f"VERIFY-{name.upper().replace('_', '-')}",
        what,
        why=advice.why,
        fix=_shift_fix(layer, advice)
        or either(
            advice.cause(layer.layer),
            f"accept it {limits.wider(name, 'with a wider limit for this layer')}",
        ),
        layer=layer.layer,
    )


def _value(layer: LayerComparison, limits: Limits, advice: Advice) -> Iterator[Finding]:
    if layer.value_error is None:
        yield warning(
            "VERIFY-UNSCALED",
            "its values are integers on one side and fractions on the other, and were not judged",
            why="the scale between them is not known",
            layer=layer.layer,
        )
    elif layer.value_error > limits.value_error:
        yield error(
            "VERIFY-VALUE",
            f"its values: {_beside(layer.value_error, limits, 'value_error', RMS)}",
            fix=either(
                advice.of(layer, limits.value_error),
                f"accept it {limits.wider('value_error', f'{WIDER} value_error in --limits FILE')}",
            ),
            layer=layer.layer,
        )


def _shift_fix(layer: LayerComparison, advice: Advice) -> str:
    """Return the fix for outputs that are equal after a shift: a latency, or --behind."""
    if layer.shift is None:
        return ""
    when = "later" if layer.shift > 0 else "earlier"
    same = f"the output is the same {several(abs(layer.shift), 'step')} {when}"
    behind = layer.latency_right - layer.shift
    if not advice.recorded:
        return f"{same}: the stated latency {layer.latency_left} is off"
    if behind < 0:
        early = several(-behind, "step")
        return f"{same}: the recording begins {early} after the model; record from step 0"
    way = f"give --behind {behind}" if behind else "leave --behind out"
    late = f"{several(behind, 'step')} behind the model, not {layer.latency_right}"
    return f"{same}: the recording is {late}; {way}"


def _outside(c: Comparison) -> Iterator[Finding]:
    left = sum(layer.outside_left for layer in c.layers)
    right = sum(layer.outside_right for layer in c.layers)
    if left or right:
        yield info(
            "VERIFY-OUTSIDE",
            f"{several(left, 'output')} of {c.left} and {right:,} of {c.right} in steps that only "
            "one of them has: not compared",
            why="one run is longer, or they fall into the latency",
        )


def _uncompared(c: Comparison) -> Iterator[Finding]:
    engines = {"left": c.left, "right": c.right}
    for name, sides in c.uncompared.items():
        without = " and ".join(engines[s] for s in sides)
        yield info("VERIFY-UNCOMPARED", f"{without} recorded no output of it", layer=name)


def output_or_state(variable: str) -> str:
    return "the output" if variable == OUTPUT else f"the state {variable!r}"
