"""Losses to rounding, and the range of sums: the bound, and the maximum on data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nrf_deploy.compiler import checks
from nrf_deploy.compiler.quantize.scheme import PopulationScheme
from nrf_deploy.diagnostics.findings import Finding, error, warning
from nrf_deploy.ir.network import Array, AvgPool, Network, Population, SumPool, exact

from ..chip import PREFIX, STATE_LIMIT, STATE_SHIFT
from .firing import least_to_fire, nearest
from .subtracting import exactly_taken, mirrored_as
from .task import Task

COARSE_WEIGHTS, COARSE_THRESHOLD = 0.1, 0.01  # relative errors, above which a warning is due


@dataclass(frozen=True, eq=False)
class Observed:
    """On the calibration data: differing spikes, the model's spikes, and the sums."""

    mismatches: int
    spikes: int
    arriving: Array


def losses(name: str, task: Task, gain: Array, scheme: PopulationScheme) -> Iterator[Finding]:
    """Report thresholds and biases of a population that the chip holds as 0, or coarsely."""
    form, scale = task.forms[name], np.asarray(scheme.scale["v"])
    params = {**task.integers(name, gain), **scheme.params}
    if form.threshold is not None:
        yield from checks.threshold_lost(
            PREFIX,
            name,
            form.threshold,
            least_to_fire(task.group[name], params),
            float(scale.min()) / 2**STATE_SHIFT,
            fix="make weights and thresholds of this layer more alike in size",
        )
    if form.threshold is not None:
        units = scale / 2**STATE_SHIFT
        exact = np.broadcast_to(form.threshold * units, form.threshold.shape)
        yield from _coarse(name, "a threshold of", exact, exact)
        amount = exactly_taken(task.group[name], task.params[name], units)
        yield from _coarse(name, "a reset that subtracts", amount, exact)
    yield from checks.biases_lost(
        PREFIX,
        name,
        task.constants[name].register * scale,
        np.asarray(params["bias_mant"]),
        fix="smaller weights in this layer leave more room for its biases",
    )
    yield from checks.biases_lost(
        PREFIX,
        name,
        task.constants[name].arrives * task.neurons(gain, name),
        task.constant(name, gain)[0] + task.rest_of_constant(name, gain),
        fix="smaller weights in this layer leave more room for its biases",
    )


def _coarse(name: str, noun: str, exact: Array, threshold: Array) -> Iterator[Finding]:
    """Warn of thresholds, or of what resets subtract, that are off by much of a threshold."""
    counts = threshold >= 0.5  # what rounds to 0 is another finding
    if not counts.any():
        return
    off = np.abs(nearest(exact) - exact)[counts] / threshold[counts]
    if (worst := float(off.max())) > COARSE_THRESHOLD:
        at = exact[counts][off.argmax()]
        yield warning(
            "LOIHI-THRESHOLD-COARSE",
            f"{noun} {at:.4g} integer units becomes {nearest(at)}: {worst:.1%} off",
            layer=name,
            why="it is a whole multiple of a weight unit",
            fix="let weights be smaller against the threshold, or give the layer more bits or a "
            "larger gain (--scheme)",
        )


def coarse_weights(name: str, off: float, bits: int, ways: Sequence[str]) -> Iterator[Finding]:
    """Warn of coarse weights; `ways` are the ways out that are still open."""
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
    gain: Array,
    weights: Mapping[str, Array],
    observed: Observed | None,
    peak: int,
    network: Network,
) -> Iterator[Finding]:
    """Report whether the current can wrap, by the bound over all inputs and the data."""
    if name in task.reaches.mirrored:
        scale = task.neurons(gain, name) / task.forms[name].drive * 2**STATE_SHIFT
        reach = task.reaches.mirrored[name]
        yield mirrored_as(task.group[name], task.params[name], scale, reach)
        if observed is not None:
            what = f"{observed.mismatches:,} mismatches"
            yield checks.fit(PREFIX, name, what, observed.spikes)
        return
    bound = _bound(name, task, gain, weights, peak, network)
    seen = None
    if observed is not None:
        seen = float(np.abs(observed.arriving).max(initial=0)) * 2**STATE_SHIFT
        yield checks.fit(
            PREFIX,
            name,
            f"{observed.mismatches:,} mismatches",
            observed.spikes,
            f"; the largest input current is {seen:.3g} of {bound:.3g} possible",
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
    name: str,
    task: Task,
    gain: Array,
    weights: Mapping[str, Array],
    peak: int,
    network: Network,
) -> float:
    drive = float(np.abs(task.constant(name, gain)[0]).max(initial=0))
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
