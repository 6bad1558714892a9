"""Findings on configurations that samna accepts and a board does not run as the model."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nrf_deploy.diagnostics.findings import Finding, error, warning

from .check import INT16, crashes, fault, vendor_faults
from .configuration import Configuration, Core


def faults(configuration: Configuration) -> list[Finding]:
    """Return the findings on a configuration; only the crashes, if samna would crash."""
    fatal = list(crashes(configuration))
    return fatal or [*vendor_faults(configuration), *board_faults(configuration)]


def board_faults(configuration: Configuration) -> Iterator[Finding]:
    """Yield the findings on settings that samna accepts, each with its effect on the model."""
    yield from _cycles(configuration)
    for core in configuration.cores:
        yield from _neurons(core)
        yield from _reach(core)
        yield from _wires(core)
    sensor = configuration.sensor
    if any(cut < origin for cut, origin in zip(sensor.cut, sensor.origin, strict=True)):
        what = f"the sensor's cut {sensor.cut} lies before its origin {sensor.origin} (y, x)"
        yield error("SPECK-SENSOR-CUT", what, why="no pixel remains")
    if sensor.diagonal and sensor.destinations and sensor.size[0] != sensor.size[1]:
        yield error(
            "SPECK-SENSOR-DIAGONAL",
            f"the sensor swaps x and y of {sensor.size} (y, x) pixels",
            why="the core gets the other shape; samna does not check the swap",
            fix="crop to a square",
        )


def _cycles(configuration: Configuration) -> Iterator[Finding]:
    after = {c.index: {d.core for d in c.destinations} for c in configuration.cores}
    for core in configuration.cores:
        reached: set[int] = set()
        ahead = set(after[core.index])
        while ahead:
            reached |= ahead
            ahead = {i for j in ahead for i in after.get(j, ())} - reached
        if core.index in reached:
            yield fault(
                "CYCLE",
                core,
                "feeds itself"
                if core.index in after[core.index]
                else "feeds itself through "
                f"cores {', '.join(str(i) for i in sorted(reached - {core.index}))}",
                why="events have no time step here: a cycle can fill the chip with spikes",
                fix="remove the feedback",
            )


def _neurons(core: Core) -> Iterator[Finding]:
    theta, low = core.threshold_high, core.threshold_low
    if theta == 0:
        yield fault(
            "THRESHOLD-ZERO", core, "has the threshold 0", why="every event would make it spike"
        )
    if low == 0:
        yield fault(
            "THRESHOLD-LOW-ZERO",
            core,
            "has 0 as the lower bound of its membrane",
            why="the chips of this generation fail there (Speck dev kit data sheet, 3.2.4.6.3)",
            fix="set it to -1",
        )
    if core.biases.size and core.biases.any() and not core.leaks:
        worst = int(np.abs(core.biases).max())
        yield fault(
            "BIAS-UNUSED",
            core,
            f"has biases up to {worst} and its leak off",
            why="only the leak clock adds biases",
            fix="switch the leak on, or set them to 0",
        )
    if core.initial.size and int(core.initial.max()) >= theta > 0:
        yield fault(
            "STATE",
            core,
            f"has an initial membrane of {int(core.initial.max())}; its threshold is {theta}",
            why="it spikes at the first event, whatever its weight",
        )
    if core.initial.size and int(core.initial.min()) < low:
        what = f"has an initial membrane of {int(core.initial.min())}; its lower bound is {low}"
        yield fault("STATE", core, what)


def _reach(core: Core) -> Iterator[Finding]:
    """Warn of weights beyond two thresholds and of membranes that can exceed 16 bits."""
    theta = core.threshold_high
    if not core.weights.size or theta <= 0:
        return
    largest = int(core.weights.max())
    if largest > 2 * theta:
        yield warning(
            "SPECK-WEIGHT-LARGE",
            f"has a weight of {largest}; its threshold is {theta}",
            why="an event causes at most one spike; the remainder waits for the next event",
            fix="scale the layer so that a weight is at most twice the threshold",
            layer=core.layer,
        )
    left = np.maximum(core.weights.astype(np.int64) - theta, 0)
    more = 0 if core.returns_to_zero else int(left.reshape(len(left), -1).sum(axis=1).max())
    highest = theta - 1 + max(largest, more, 0)
    if highest > INT16[1]:
        yield warning(
            "SPECK-OVERFLOW",
            f"can raise a membrane to {highest}; the limit is {INT16[1]}",
            why="the documentation does not say whether the chip saturates or wraps",
            fix="scale the layer down",
            layer=core.layer,
        )


def _wires(core: Core) -> Iterator[Finding]:
    for d in core.destinations:
        if d.pooling == 8:
            yield warning(
                "SPECK-POOLING-8",
                f"pools by 8 on its way to core {d.core}",
                why="samna accepts it; the data sheet has 1, 2 and 4",
                layer=core.layer,
            )
        size = core.output_shape[1:]
        if d.pooling > 0 and any(n % d.pooling for n in size):
            yield fault(
                "POOL-BORDER",
                core,
                f"gives {size} (y, x), which pooling by {d.pooling} does not divide",
                why="the model drops the border, the chip does not: its addresses exceed the next "
                "core's input",
                fix="pad or crop the layer to an even size",
            )
    if not core.destinations and not core.monitored:
        what = "sends its spikes to no core and no monitor"
        yield warning("SPECK-UNHEARD", what, layer=core.layer)
