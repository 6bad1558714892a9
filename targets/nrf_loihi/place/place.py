"""Placement of a program on the cores of a chip, or of a board with several chips.

Each population is cut into the fewest boxes within the limits of a core, one box per core.
Layers share a core only if there are more boxes than cores. Ports need no core, since their
events come from the host. Cores are distributed over chips to keep messages between chips few.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nrf_deploy.compiler.place.assign import Edges, assign
from nrf_deploy.compiler.place.grid import Grid
from nrf_deploy.compiler.place.placement import Piece, Placement
from nrf_deploy.compiler.place.split import share, split
from nrf_deploy.compiler.place.traffic import Activity, edges
from nrf_deploy.diagnostics.findings import Finding, TargetError
from nrf_deploy.ir.network import Array
from nrf_deploy.ir.program import Program

from ..chip import Chip
from . import placement_advice
from .budgets import Budgets, Use


def place(program: Program, chip: Chip, activity: Activity | None = None) -> Placement:
    """Place a program; `activity` (the spikes of each neuron in a recording) weights traffic."""
    grids = cut(program, chip)
    used = {
        p.name: Budgets(program, chip, p, grids).used(grids[p.name]) for p in program.populations
    }
    limits, cores = chip.core_limits(), chip.cores * chip.chips
    group = np.arange(sum(grid.count for grid in grids.values()))
    if len(group) > cores:
        group = share(_columns(used, limits), limits)
    needed = int(group.max(initial=-1)) + 1
    if needed > cores:
        raise TargetError(placement_advice.findings(program, chip, grids, used, needed))
    flows = edges(program, grids, activity)
    core = _cores(program, grids, flows, group, chip.cores)
    pieces = _pieces(program, grids, used, core, limits)
    return Placement(chip.name, cores, limits, tuple(pieces), chip.chips)


def cut(program: Program, chip: Chip) -> dict[str, Grid]:
    """Cut each population into boxes within a core's limits.

    The out-axons of a neuron depend on the cuts of its targets, which may also be connected to
    each other. The cuts are therefore refined, targets first, until all boxes fit.
    """
    limits = chip.core_limits()
    grids = {p.name: Grid(p.shape, p.shape) for p in program.populations}
    findings: dict[str, list[Finding]] = {}
    changed = True
    while changed:
        changed = False
        for population in reversed(program.populations):
            name = population.name
            count = Budgets(program, chip, population, grids)
            full = count.worst(np.array([grids[name].tile]))
            if name in findings or all(full[b][0] <= limit for b, limit in limits.items()):
                continue
            finer = split(population.shape, limits, count.worst, grids[name].count + 1)
            if finer is None:
                findings[name] = placement_advice.too_large(program, population, count, limits)
            else:
                grids[name], changed = finer, True
    if findings:
        raise TargetError(f for p in program.populations for f in findings.get(p.name, ()))
    return grids


def _columns(used: Mapping[str, Use], limits: Mapping[str, int]) -> dict[str, Array]:
    return {b: np.concatenate([use[b] for use in used.values()]) for b in limits}


def _cores(
    program: Program, grids: Mapping[str, Grid], flows: Edges, group: Array, capacity: int
) -> Array:
    """Return the core of each box: chips by traffic, and cores of a chip in layer order."""
    count = int(group.max(initial=-1)) + 1
    orders = [_first(order, group) for order in _orders(program, grids)]
    chip = assign(orders, flows.grouped(group), capacity)
    core = np.empty(count, np.int64)
    for each in range(int(chip.max(initial=-1)) + 1):
        here = orders[0][chip[orders[0]] == each]
        core[here] = each * capacity + np.arange(len(here))
    return core[group]


def _first(order: Array, group: Array) -> Array:
    """Sort groups by the first box of each."""
    _, first = np.unique(group[order], return_index=True)
    return group[order][np.sort(first)]


def _orders(program: Program, grids: Mapping[str, Grid]) -> list[Array]:
    """Return three orders of the boxes: by layer, by height and by width."""
    layer, height, width = [], [], []
    for i, population in enumerate(program.populations):
        grid = grids[population.name]
        centres = grid.centres()
        layer += [i] * grid.count
        height += centres[:, -2 if len(grid.shape) > 1 else -1].tolist()
        width += centres[:, -1].tolist()
    return [np.arange(len(layer)), np.lexsort((layer, height)), np.lexsort((layer, width))]


def _pieces(
    program: Program,
    grids: Mapping[str, Grid],
    used: Mapping[str, Use],
    core: Array,
    limits: Mapping[str, int],
) -> list[Piece]:
    pieces: list[Piece] = []
    for population in program.populations:
        use = {b: used[population.name][b].tolist() for b in limits}
        for i, (start, stop) in enumerate(grids[population.name].boxes()):
            here = {b: int(column[i]) for b, column in use.items()}
            pieces.append(Piece(int(core[len(pieces)]), population.name, start, stop, here))
    return pieces
