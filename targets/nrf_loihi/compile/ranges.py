"""What was lost to rounding, and how far sums may reach: the bound, and what data showed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nrf_deploy.compiler.quantize.neuron import Neuron
from nrf_deploy.compiler.quantize.scheme import PopulationScheme
from nrf_deploy.diagnostics.findings import Finding, error, info, warning
from nrf_deploy.ir.network import Array, AvgPool, Network, Population, SumPool, exact

from ..chip import STATE_LIMIT, STATE_SHIFT
from .task import Task

COARSE_WEIGHTS, COARSE_THRESHOLD = 0.1, 0.01  # relative errors, above which a warning is due


@dataclass(frozen=True, eq=False)
class Observed:
    """On the calibration data: differing spikes, the model's spikes, and the sums."""

    mismatches: int
    spikes: int
    arriving: Array


def lost(name: str, form: Neuron, scheme: PopulationScheme, bias: Array) -> Iterator[Finding]:
    vth, scale = np.asarray(scheme.params.get("vth", 1)), np.asarray(scheme.scale["v"])
    if form.threshold is not None and np.any((form.threshold > 0) & (vth == 0)):
        yield error(
            "LOIHI-THRESHOLD-LOST",
            f"a threshold of {form.threshold[form.threshold > 0].min():.4g} rounds to 0",
            layer=name,
            why=f"one unit of v is {scale.min() / 2**STATE_SHIFT:.4g} integer units here",
            fix="make weights and thresholds of this layer more alike in size",
        )
    yield from _coarse_threshold(name, form, scale)
    exact = bias * scale
    gone = (bias != 0) & (np.abs(exact) < 0.5)
    if gone.any():
        yield warning(
            "LOIHI-BIAS-LOST",
            f"{int(gone.sum())} of {int((bias != 0).sum())} biases round to 0",
            layer=name,
            why=f"the largest of them is {np.abs(exact[gone]).max():.3g} integer units a step",
            fix="smaller weights in this layer leave more room for its biases",
        )


def _coarse_threshold(name: str, form: Neuron, scale: Array) -> Iterator[Finding]:
    if form.threshold is None:
        return
    exact = np.broadcast_to(form.threshold * scale / 2**STATE_SHIFT, form.threshold.shape)
    counts = exact >= 0.5  # what rounds to 0 is told apart
    if not counts.any():
        return
    off = np.abs(np.rint(exact) - exact)[counts] / exact[counts]
    if (worst := float(off.max())) > COARSE_THRESHOLD:
        at = exact[counts][off.argmax()]
        yield warning(
            "LOIHI-THRESHOLD-COARSE",
            f"a threshold of {at:.4g} integer units becomes {np.rint(at):.0f}: {worst:.1%} off",
            layer=name,
            why="thresholds are whole multiples of a weight unit",
            fix="let weights be smaller against the threshold, or give the layer more bits or a "
            "larger gain (--scheme)",
        )


def coarse_weights(name: str, off: float, bits: int, ways: Sequence[str]) -> Iterator[Finding]:
    """`ways` are those ways out that are still open."""
    if off > COARSE_WEIGHTS:
        yield warning(
            "LOIHI-WEIGHTS-COARSE",
            f"at {bits} bits its weights are {off:.0%} off",
            layer=name,
            why="the sums that its neurons see are off by as much, or nearly",
            fix=" or ".join([*ways, "train with weights of more equal size"]),
        )


def range_of(
    name: str,
    task: Task,
    weights: Mapping[str, Array],
    observed: Observed | None,
    peak: int,
    network: Network,
) -> Iterator[Finding]:
    """Can the current wrap? The bound is over all inputs; data may stay far below it."""
    bound = _bound(name, task, weights, peak, network)
    seen = None
    if observed is not None:
        seen = float(np.abs(observed.arriving).max(initial=0)) * 2**STATE_SHIFT
        yield info(
            "LOIHI-FIT",
            f"{observed.mismatches:,} places differ from the model's {observed.spikes:,} spikes on "
            f"the calibration data; the largest input current is {seen:.3g} of {bound:.3g} "
            "possible",
            layer=name,
        )
    if bound <= STATE_LIMIT:
        return
    why = "the chip's current has 24 bits and wraps"
    if seen is not None and seen > STATE_LIMIT:
        yield error(
            "LOIHI-CURRENT-WRAPS",
            f"on the calibration data the current reaches {seen:.3g}, beyond 2^23",
            layer=name,
            why=why,
            fix="use fewer bits or a smaller gain in this layer (--scheme)",
        )
    else:
        yield warning(
            "LOIHI-CURRENT-MAY-WRAP",
            f"if every input fires at once the current reaches {bound:.3g}, beyond 2^23",
            layer=name,
            why=why + ("" if seen is None else f"; on the calibration data it reaches {seen:.3g}"),
            fix="calibrate on typical data to see what is reached, or use a smaller fan-in"
            if seen is None
            else "nothing, if that data is typical; otherwise use a smaller fan-in",
        )


def _bound(
    name: str, task: Task, weights: Mapping[str, Array], peak: int, network: Network
) -> float:
    drive = 0.0
    for link in task.group.links:
        if name not in link.targets:
            continue
        fan_in = float(np.abs(weights[link.name]).sum(axis=1).max(initial=0))
        if link.node is None:
            fan_in = float(np.abs(weights[link.name]).max(initial=0))
        elif exact(link.node, SumPool, AvgPool):
            fan_in *= float(np.prod(link.node.window))
        source = network[link.source]
        factor = 1 if type(source) is Population else peak
        if type(source) is Population and not source.spikes:
            sent = task.reaches.sent(link.source, task.reaches.peaks[link.source])
            factor = int(np.abs(sent).max())
        each = int(np.prod(source.window)) if exact(source, SumPool, AvgPool) else factor
        drive += fan_in * each
    return float(drive * 2**STATE_SHIFT) / float(task.forms[name].current_decay.min())
