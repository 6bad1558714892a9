"""Causes of an error in time: the layer in isolation, with one kind of numbers at a time.

The faster channel is fed by float layers with exponential decay, the slower one with the same
input, stuffed. In real arithmetic the two layers are then equal, so a difference is this layer's.
It is divided on the chip with exponential decay, if the chip supports it: there nothing is hidden
by Euler's step, whose share is measured in float.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from nrf_deploy.diagnostics.progress import Progress, part, quiet
from nrf_deploy.ir.recording import Recording

from .deviation import in_time
from .layer import Lowered, shares
from .stretch import stuffed
from .types import Row


def caused(
    rows: Iterable[Row],
    stretches: Iterable[int],
    lowered: Lowered,
    recording: Recording,
    progress: Progress = quiet,
) -> tuple[Row, ...]:
    """Return the rows of a Z-test with the error of each cause in isolation."""
    part(progress, "covariance in time, causes: the model")
    outputs = lowered.outputs(recording, progress)
    return tuple(
        replace(row, causes=_causes(row, stretch, lowered, recording, outputs, progress))
        for row, stretch in zip(rows, stretches, strict=True)
    )


def _causes(
    row: Row,
    stretch: int,
    lowered: Lowered,
    recording: Recording,
    outputs: Mapping[str, Recording],
    progress: Progress,
) -> dict[str, float]:
    first, second, steps = row.first, row.second, recording.steps
    if not lowered.simulated(first) or not lowered.simulated(second):
        return {}
    part(progress, f"covariance in time, causes: {first} and {second}")
    pairs = zip(lowered.sources(first), lowered.sources(second), strict=True)
    same = {theirs: outputs[ours] for ours, theirs in pairs}
    short = lowered.arriving(first, outputs, steps)
    long = lowered.arriving(second, same, steps)
    if short is None or long is None:
        return {}
    a = lowered.answers(first, short, progress=progress)
    b = lowered.answers(second, long, stretch, progress)

    def off(ours: Recording, theirs: Recording) -> float:
        pair = (first, second)
        return in_time(lowered.network, pair, (ours, theirs), stretch, within=False).error

    errors = {cause: off(a[cause], b[cause]) for cause in a}
    slow = {name: stuffed(r, stretch) for name, r in same.items()}
    ours = lowered.chip(first, recording, outputs, progress)
    theirs = lowered.chip(second, stuffed(recording, stretch), slow, progress)
    return shares(errors, None if ours is None or theirs is None else off(ours, theirs))
