"""Messages between boxes of neurons: in a step in which every neuron fires, or by counts of
spikes in a recording."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nrf_deploy.ir.network import Array
from nrf_deploy.ir.program import Program

from .assign import Edges
from .fan_in import pairs
from .grid import Grid
from .placement import Piece, Placement

Activity = Mapping[str, Array]
"""Spike count of each neuron, by population."""


def edges(program: Program, grids: Mapping[str, Grid], activity: Activity | None = None) -> Edges:
    """Return the messages between the boxes of all populations, numbered grid by grid.

    With activity, a box sends as often as its neurons fired on average.
    """
    first, total = {}, 0
    for population in program.populations:
        first[population.name] = total
        total += grids[population.name].count
    parts = [(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))]
    for synapses in program.synapses:
        if synapses.source not in grids:
            continue
        source = grids[synapses.source]
        rate = _rate(source, activity, synapses.source)
        for target in synapses.targets:
            frm, to, neurons = pairs(synapses, source, grids[target])
            parts.append((frm + first[synapses.source], to + first[target], neurons * rate[frm]))
    return Edges(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _rate(grid: Grid, activity: Activity | None, name: str) -> Array:
    if activity is None or name not in activity:
        return np.ones(grid.count)
    fired = np.asarray(activity[name], float).ravel()
    box = grid.box_of(np.arange(len(fired)))
    rate: Array = np.bincount(box, weights=fired, minlength=grid.count) / grid.sizes()
    return rate


def traffic(
    program: Program, placement: Placement, activity: Activity | None = None
) -> tuple[float, float]:
    """Return the number of messages between boxes, and of those that leave their chip."""
    grids, chip = {}, []
    for population in program.populations:
        here = [p for p in placement.pieces if p.population == population.name]
        grids[population.name] = Grid(population.shape, _tile(here))
        chip += [placement.chip_of(p.core) for p in here]
    flows = edges(program, grids, activity)
    return float(flows.weight.sum()), flows.between(np.array(chip))


def _tile(pieces: list[Piece]) -> tuple[int, ...]:
    """Return the tile of a grid: its first box, which is never cut."""
    return tuple(b - a for a, b in zip(pieces[0].start, pieces[0].stop, strict=True))
