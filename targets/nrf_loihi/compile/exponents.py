"""Weight exponents: connections of very different sizes that meet in one population.

All that meets in a population counts in the same units, so one gain holds for all of it; the
largest weights then leave few of the 8 bits to the small ones. An exponent e lets a connection
count in steps of 2^e: with it the gain may be larger, the small weights use their bits, and
the large ones lose nothing. How far that goes:

    e is at most 7 on the chip (0 is the least: where the finest connection counts in single
    units, a negative exponent would only take bits off its sum),
    thresholds have 17 bits and a current 24, of which 6 lie below a weight unit.

Lava's convolution ignores exponents, and does not clip: its weights hold 2^e already.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nrf_deploy.compiler.quantize.grid import Grid
from nrf_deploy.compiler.quantize.signal_bounds import MARGIN, over
from nrf_deploy.ir.layer_view import Link
from nrf_deploy.ir.network import Array, AvgPool, SumPool, exact

from ..arithmetic.integers import VTH_MAX
from .task import Task, largest

LARGEST = 7


def exponents(task: Task, fixed: Mapping[str, int], gain: float | None) -> dict[str, int]:
    """Return the exponent of each link; `fixed` and `gain` are those of the user's scheme."""
    free = [k.name for k in task.group.links if k.name not in fixed and task.floats[k.name].any()]
    chosen = {k.name: 0 for k in task.group.links} | dict(fixed)
    if len(task.group.links) < 2 or not free:
        return chosen
    fits = {n: _fits(task, n) / 2.0 ** fixed.get(n, 0) for n in task.floats}
    if gain is not None:
        least = {n: np.ceil(np.log2(gain / fits[n]).max() - 1e-9) for n in free}
        return chosen | {n: int(np.clip(e, 0, LARGEST)) for n, e in least.items()}
    every = np.array([f for n, f in fits.items() if task.floats[n].any()])
    finest = np.where(np.isfinite(every), every, 0).max(axis=0)
    limit = np.minimum(largest(task)[1], _room(task))
    for name in free:
        both = np.isfinite(fits[name]) & (finest > 0)
        wanted = np.median(np.log2(finest[both] / fits[name][both]))
        allowed = np.log2(limit[both] / fits[name][both]).min()
        chosen[name] = int(np.clip(np.floor(min(wanted, allowed) + 1e-9), 0, LARGEST))
    spare = 0 if fixed else min(chosen[n] for n in free)
    return {n: e - spare if n in free else e for n, e in chosen.items()}


def in_steps(grid: Grid, exponent: int) -> Grid:
    """Return the same grid in steps of 2^exponent."""
    return Grid(grid.step << exponent, grid.low << exponent, grid.high << exponent)


def _fits(task: Task, name: str) -> Array:
    gain = task.grids[name].largest_gain(task.floats[name])
    if not task.channels:
        return np.asarray(gain.min(keepdims=True))
    return np.broadcast_to(gain, (task.channels,))


def _room(task: Task) -> Array:
    """Return the gain, a channel, up to which no input can make a current wrap; with data,
    none that is MARGIN times as large as what was seen."""
    smallest = np.full(task.channels or 1, np.inf)
    for name, form in task.forms.items():
        total = np.zeros(task.channels or 1)
        for link in task.group.links:
            if name in link.targets:
                floats = task.floats[link.name]
                rows = np.abs(floats).sum(axis=1) * _most(task, link)
                total = total + (rows if task.channels else rows.max())
        const = task.constants[name].most.reshape(len(form.rest), -1).max(axis=1)
        total = total + (const if task.channels else const.max())
        if task.calibration is not None:
            total = np.minimum(total, MARGIN * _seen(task, name))
        smallest = np.minimum(smallest, over(VTH_MAX * form.current_decay.min(), total))
    return smallest


def _seen(task: Task, name: str) -> Array:
    """Return the largest sum on the data for a gain of 1, a channel."""
    gain = largest(task)[0]
    peaks = np.abs(task.arriving(name, gain, task.nearest(gain))).max(axis=0)
    seen = peaks.reshape(len(peaks), -1).max(axis=1)
    return np.asarray((seen if task.channels else seen.max(keepdims=True)) / gain)


def _most(task: Task, link: Link) -> float:
    """Return the largest value that a weight of this link is multiplied by."""
    sent = np.abs(task.reaches.sent(link.source, task.reaches.peaks[link.source])).max()
    window = np.prod(link.node.window) if exact(link.node, SumPool, AvgPool) else 1
    return float(sent * window)
