"""The losses of a group of layers in integers, layer by layer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from nrf_deploy.compiler import checks
from nrf_deploy.compiler.quantize.scheme import PopulationScheme
from nrf_deploy.diagnostics.findings import Finding, error
from nrf_deploy.ir.network import Array, Network

from ..chip import PREFIX
from .exponents import LARGEST
from .ranges import Observed, coarse_weights, losses, range_of
from .task import Task, Weights, largest


def group_findings(
    task: Task,
    gain: Array,
    weights: Weights,
    bits: Mapping[str, int],
    populations: Mapping[str, PopulationScheme],
    observed: Mapping[str, Observed | None],
    peak: int,
    network: Network,
    data_help: bool,
) -> list[Finding]:
    """Return the findings of a group.

    `bits` are those of each connection's weights; `data_help` is True where there are no data to
    calibrate on, and the rules would use them.
    """
    findings: list[Finding] = []
    if np.any(gain > (cap := largest(task)[1]) * (1 + 1e-9)):
        findings.append(
            error(
                "LOIHI-GAIN-TOO-LARGE",
                f"the gain {gain.max():.6g} takes a threshold or a bias beyond its bits",
                layer=task.group.links[0].name,
                why=f"thresholds have 17 bits, biases 13 and an exponent: at most {cap.min():.6g}",
                fix="leave the gain out of the scheme, or set a smaller one",
            )
        )
    for link in task.group.links:
        floats, integers = task.floats[link.name], weights[link.name]
        findings += checks.weights_lost(
            PREFIX,
            link.name,
            floats,
            integers,
            why="it counts in the units of the larger weights that meet it in "
            f"{', '.join(link.targets)}, or of thresholds that need all bits",
            fix="make what meets there more alike in size: exponents make up "
            f"for 2^{LARGEST}, as far as thresholds and currents leave room",
        )
        off = checks.relative_error(floats, integers / task.a_row(gain, link.name)[:, None])
        clipped = _clipped(task, link.name, gain)
        findings.append(checks.weights(PREFIX, link.name, integers, off, clipped))
        if integers.any():
            findings += coarse_weights(
                link.name, off, bits[link.name], list(_open(task, bits[link.name], data_help))
            )
    for name in task.forms:
        findings += losses(name, task, gain, populations[name])
        findings += range_of(name, task, gain, weights, observed[name], peak, network)
    return findings


def _open(task: Task, bits: int, data_help: bool) -> Iterator[str]:
    """Yield the remaining ways to improve coarse weights without training again."""
    if bits < task.chip.weight_bits:
        yield f"give it up to {task.chip.weight_bits} weight_bits (--scheme)"
    if data_help:
        yield "compile with --calibrate REC, so that the spikes decide how it is rounded"


def _clipped(task: Task, name: str, gain: Array) -> int:
    """Count the weights that are larger than the grid."""
    grid, exact = task.grids[name], task.floats[name] * task.a_row(gain, name)[:, None]
    return int(((exact > grid.high + grid.step / 2) | (exact < grid.low - grid.step / 2)).sum())
