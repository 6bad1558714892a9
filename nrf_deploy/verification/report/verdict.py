"""Verdict as text: beyond a default limit a run differs, beyond a chosen one it failed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from nrf_deploy.compare.comparison import Comparison, LayerComparison
from nrf_deploy.compare.spike_trains import COST
from nrf_deploy.diagnostics.findings import Finding
from nrf_deploy.diagnostics.text import printable, several
from nrf_deploy.ir.program import OUTPUT

from ..limits import Limits

METRIC = {
    "VERIFY-COUNT": "spike_count_error",
    "VERIFY-VALUE": "value_error",
    "VERIFY-DIVERGED": "exact",
}
"""Limits with a default, by the code of their error."""


def by_default(finding: Finding, limits: Limits) -> bool:
    """Return whether an error is about a default limit."""
    metric = METRIC.get(finding.code)
    layer_limits = limits if finding.layer is None else limits.of(finding.layer)
    return metric in layer_limits.defaults


def verdict(findings: Iterable[Finding], limits: Limits, layers: Collection[str]) -> str:
    """Return the errors as text; empty if there are none."""
    errors = [f for f in findings if f.severity == "error"]
    failed = [f for f in errors if not by_default(f, limits)]
    texts = [f"failed: {several(len(failed), 'error')}"] if failed else []
    beyond = [f for f in errors if f not in failed]
    return "; ".join([*texts, *_differences(beyond, limits, layers)])


def _differences(
    beyond: Iterable[Finding], limits: Limits, layers: Collection[str]
) -> Iterator[str]:
    where: dict[str, dict[str, None]] = {}
    for f in beyond:
        where.setdefault(distance(f, limits), {})[f.layer or ""] = None
    for far, names in where.items():
        yield f"{far} in {_among(list(names), layers)}"


def distance(finding: Finding, limits: Limits) -> str:
    """Return "differs by more than 10 %", or "differs" if every value must be equal."""
    metric = METRIC[finding.code]
    return "differs" if metric == "exact" else f"differs by more than {share(limits, metric)}"


def share(limits: Limits, metric: str) -> str:
    return f"{100 * getattr(limits, metric):g} %"


def _among(names: list[str], layers: Collection[str]) -> str:
    if len(names) == 1:
        return f"layer {names[0]!r}"
    return f"{len(names)} of {several(len(layers), 'layer')}"


MOVED_COUNT = 0.01
MOVED_COST = 0.5
"""Limits below which spikes only moved: the largest error of a layer's count, and Victor and
Purpura's distance per spike. A lost spike and an extra one cost 2, so three of four spikes have a
counterpart of the same neuron less than four steps away."""
MOVES = "Victor and Purpura: 0.5 for a step, 1 for a lost or extra spike"


def closing(c: Comparison) -> Iterator[str]:
    """Yield whether spikes that differ only moved in time, or how much they differ."""
    spiking = [x for x in c.layers if x.timing is not None]
    differ = sum(x.mismatches for x in spiking)
    if not differ:
        return
    if moved := _moved(c, [x for x in spiking if x.mismatches]):
        yield moved
        return
    off = max(x.count_error for x in spiking)
    apart = max(_apart(x) for x in spiking)
    places = f"{differ:,} {'mismatch' if differ == 1 else 'mismatches'}"
    if off <= MOVED_COUNT and apart <= MOVED_COST:
        only = ", but moved by steps" if _only_moved(spiking) else ""
        yield (
            f"Most spikes are in both runs{only}: {places}, the counts of the layers "
            f"{f'by at most {off:.2%}' if off else 'are equal'}, and the spike-time "
            f"distance is at most {apart:.2f} a spike "
            f"({MOVES})."
        )
        return
    worst = max(spiking, key=_apart)
    yield (
        f"More than the times of spikes differs: {places}; layer {worst.layer!r} has the largest "
        f"error, with {several(worst.spikes_left, 'spike')} for {worst.spikes_right:,} and a "
        f"spike-time distance of {_apart(worst):.2f} a spike ({MOVES})."
    )


def _moved(c: Comparison, differ: Sequence[LayerComparison]) -> str:
    """Return a sentence if only spikes of one neuron moved from one step to another, or ""."""
    (layer, *others), d = differ, differ[0].first
    if others or layer.mismatches != 2 or layer.count_error or not d or d.variable != OUTPUT:
        return ""
    spikes = abs(d.value.left - d.value.right)
    steps = _apart(layer) * max(layer.spikes_right, 1) / (COST * spikes)
    if round(steps) >= 2 / COST or abs(steps - round(steps)) > 1e-6:
        return ""
    a, b = (d.step, d.step + round(steps))
    when, left, right = ("earlier", a, b) if d.value.left > d.value.right else ("later", b, a)
    return (
        f"{several(int(spikes), 'spike')} of layer {layer.layer!r}, neuron {d.neuron}, "
        f"{'comes' if spikes == 1 else 'come'} {several(round(steps), 'step')} {when} in "
        f"{printable(c.left)} (step {left}) than in {printable(c.right)} (step {right}): nothing "
        "else differs in any spike."
    )


def _only_moved(layers: Sequence[LayerComparison]) -> bool:
    """Return whether spikes only moved: a lost and an extra one cost 2, a moved one costs less."""
    cost = sum(_apart(x) * max(x.spikes_right, 1) for x in layers)
    return cost <= 0.75 * sum(x.mismatches for x in layers)


def _apart(layer: LayerComparison) -> float:
    return 0.0 if layer.timing is None else layer.timing.victor_purpura
