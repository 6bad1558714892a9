"""The placement of a chip that is one core."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..findings import TargetError, error
from ..program import Population, Program
from .placement import Piece, Placement


def on_one_core(
    program: Program,
    chip: str,
    limits: Mapping[str, int],
    used: Callable[[Population], Mapping[str, int]],
) -> Placement:
    """All of it, or a TargetError with every budget that is too small."""
    pieces = tuple(
        Piece(0, p.name, (0,) * len(p.shape), p.shape, used(p)) for p in program.populations
    )
    found = []
    for budget, limit in limits.items():
        need = sum(piece.used[budget] for piece in pieces)
        if need > limit:
            largest = max(pieces, key=lambda piece: piece.used[budget])
            found.append(
                error(
                    "PLACE-ONE-CORE",
                    f"the program needs {need:,} {budget.replace('_', ' ')}; {limit:,} are there",
                    layer=largest.population,
                    why=f"this layer alone needs {largest.used[budget]:,}",
                    fix="make it smaller",
                )
            )
    if found:
        raise TargetError(found)
    return Placement(chip, 1, dict(limits), pieces)
