"""Findings for a program that does not fit: the large layers and how to reduce them."""

from __future__ import annotations

import math
from collections.abc import Mapping

from nrf_deploy.compiler import checks
from nrf_deploy.compiler.place.grid import Grid
from nrf_deploy.compiler.place.split import tightest
from nrf_deploy.diagnostics.findings import Finding, error
from nrf_deploy.ir.program import Population, Program

from ..chip import PREFIX, Chip, tables
from .budgets import Budgets, Use

SHARE_TO_REPORT = 0.05  # of all boxes: smaller layers do not decide whether the program fits

_PLAIN = {
    "neurons": "neurons",
    "in_axons": "in-axons",
    "out_axons": "out-axons",
    "synaptic_words": "words of synaptic memory",
    "neuron_groups": "layers",
}
_SMALLER = {
    "neurons": "halve its channels ({half} cores) or its height and width ({quarter} cores)",
    "synaptic_words": "halve its inputs or its outputs (about {half} cores)",
    "in_axons": "halve its inputs, or use a smaller kernel",
    "out_axons": "halve its neurons, or reduce the cores of the layers that it feeds",
}


def too_large(
    program: Program, population: Population, count: Budgets, limits: Mapping[str, int]
) -> list[Finding]:
    """Report a population of which one neuron exceeds a core, however it is cut."""
    need = tightest(population.shape, count.worst)
    ways = {
        "in_axons": "give it at most {limit} inputs: a factor of {over} fewer",
        "synaptic_words": "reduce its inputs or its kernel by a factor of {over}",
        "out_axons": "reduce the layers that it feeds by a factor of {over}",
    }
    return [
        error(
            "LOIHI-NEURON-TOO-LARGE",
            f"one neuron needs {need[b]} {_PLAIN[b]}; a core has {limit}",
            layer=population.name,
            why="a layer can be distributed over cores, a single neuron cannot",
            fix=ways.get(b, "").format(limit=limit, over=math.ceil(need[b] / limit)),
        )
        for b, limit in limits.items()
        if need[b] > limit
    ]


def findings(
    program: Program,
    chip: Chip,
    grids: Mapping[str, Grid],
    used: Mapping[str, Use],
    needed: int,
) -> list[Finding]:
    """Report a program that needs too many cores, with its large layers and a board that fits."""
    cores = chip.cores * chip.chips
    total = sum(grid.count for grid in grids.values())
    shared = f", even with {chip.neuron_groups} layers on a core" if chip.neuron_groups > 1 else ""
    problems = [
        checks.cores(
            PREFIX,
            f"the program needs {needed} cores{shared}",
            chip.name,
            cores,
            why=f"its layers are cut into {total} pieces",
            fix=f"{_boards(chip, needed)}, or make the layers named here smaller",
        )
    ]
    for population in program.populations:
        count = grids[population.name].count
        if count >= SHARE_TO_REPORT * total:
            problems.append(_layer(population, count, used[population.name], chip))
    return problems


def _layer(population: Population, count: int, use: Use, chip: Chip) -> Finding:
    limits = chip.core_limits()
    lower = {b: int(use[b].sum()) / limits[b] for b in _SMALLER}
    tight = max(lower, key=lambda b: lower[b])
    half, quarter = math.ceil(count / 2), math.ceil(count / 4)
    return error(
        "LOIHI-CORES-LAYER",
        f"the layer takes {count} of the cores",
        layer=population.name,
        why=f"its boxes use {int(use[tight].sum())} {_PLAIN[tight]}; a core has {limits[tight]}",
        fix=_SMALLER[tight].format(half=half, quarter=quarter),
    )


def _boards(chip: Chip, needed: int) -> str:
    """Name the smallest board of this chip with enough cores."""
    kind = tables()[chip.name].get("board_of", chip.name)
    boards = [Chip.load(n) for n, table in tables().items() if table.get("board_of") == kind]
    enough = [b for b in boards if b.cores * b.chips >= needed]
    if not enough:
        return f"{math.ceil(needed / chip.cores)} chips would hold it"
    board = min(enough, key=lambda b: b.cores * b.chips)
    return f"{math.ceil(needed / chip.cores)} chips would hold it: choose {board.name}"
