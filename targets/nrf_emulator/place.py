"""Placement of the whole program on one core, with the limits of the settings."""

from __future__ import annotations

import math

from nrf_deploy.compiler.place.placement import Piece, Placement
from nrf_deploy.diagnostics.findings import TargetError, error
from nrf_deploy.ir.program import Population, Program

from .arithmetic.models import MODELS
from .settings import Settings

CORE_BUDGETS = ("neurons", "weights", "memory_bytes")


def need(program: Program, s: Settings) -> dict[str, int]:
    each = [used(program, p, s) for p in program.populations]
    return {b: sum(u[b] for u in each) for b in CORE_BUDGETS}


def used(program: Program, population: Population, s: Settings) -> dict[str, int]:
    """Count a population's neurons, its incoming weights and the bytes of weights and states.

    Shared weights count at their first target.
    """
    into = [k for k in program.synapses if k.targets[0] == population.name]
    weights = sum(k.weight.size for k in into)
    bits = weights * s.weight_bits
    bits += population.size * len(MODELS[population.model].states) * s.state_bits
    return {"neurons": population.size, "weights": weights, "memory_bytes": math.ceil(bits / 8)}


def place(program: Program, name: str, s: Settings) -> Placement:
    limits = {b: limit for b in CORE_BUDGETS if (limit := getattr(s, b)) is not None}
    total = need(program, s)
    over = [b for b in limits if total[b] > limits[b]]
    if over:
        largest = {b: max(program.populations, key=lambda p: used(program, p, s)[b]) for b in over}
        raise TargetError(
            error(
                "EMULATOR-BUDGET",
                f"the program needs {total[b]:,} {b.replace('_', ' ')}; the limit is {limits[b]:,}",
                layer=largest[b].name,
                why=f"this layer alone needs {used(program, largest[b], s)[b]:,}",
                fix=f"make it smaller, or set {b} to at least {total[b]}",
            )
            for b in over
        )
    pieces = tuple(
        Piece(0, p.name, (0,) * len(p.shape), p.shape, used(program, p, s))
        for p in program.populations
    )
    return Placement(name, 1, limits, pieces, budgets=CORE_BUDGETS)
