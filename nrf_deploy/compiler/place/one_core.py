"""Placement on a chip with one core."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from nrf_deploy.diagnostics.findings import TargetError, error
from nrf_deploy.ir.program import Population, Program

from .placement import Piece, Placement


def on_one_core(
    program: Program,
    chip: str,
    limits: Mapping[str, int],
    used: Callable[[Population], Mapping[str, int]],
) -> Placement:
    """Place a whole program, or raise a TargetError with every budget that is too small."""
    pieces = tuple(
        Piece(0, p.name, (0,) * len(p.shape), p.shape, used(p)) for p in program.populations
    )
    findings = []
    for budget, limit in limits.items():
        need = sum(piece.used[budget] for piece in pieces)
        if need > limit:
            largest = max(pieces, key=lambda piece: piece.used[budget])
            findings.append(
                error(
                    "PLACE-ONE-CORE",
                    f"the chip has {limit:,} {budget.replace('_', ' ')}; {need:,} are needed",
                    layer=largest.population,
                    why=f"this layer alone needs {largest.used[budget]:,}",
                    fix="make it smaller",
                )
            )
    if findings:
        raise TargetError(findings)
    return Placement(chip, 1, dict(limits), pieces)
