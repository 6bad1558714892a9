"""Placement of a program: its pieces, and the budgets of the cores."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from nrf_deploy.ir.network import Shape


@dataclass(frozen=True)
class Piece:
    """A box of neurons on one core, start[i]..stop[i] along axis i, and what it uses there."""

    core: int
    population: str
    start: Shape
    stop: Shape
    used: Mapping[str, int]

    @property
    def size(self) -> int:
        return math.prod(b - a for a, b in zip(self.start, self.stop, strict=True))


@dataclass(frozen=True)
class Placement:
    """A placement: `limits` are the budgets of one core, `cores` the number of the board's cores.

    Cores are numbered chip after chip: each of the `chips` has cores / chips of them.
    `budgets` is the order in which they are shown; a bundle sorts the keys of `limits`.
    A budget without a limit is only counted.
    """

    chip: str
    cores: int
    limits: Mapping[str, int]
    pieces: tuple[Piece, ...] = field(default=())
    chips: int = 1
    budgets: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.budgets:
            object.__setattr__(self, "budgets", tuple(self.limits))

    @property
    def used_cores(self) -> int:
        return len({p.core for p in self.pieces})

    def chip_of(self, core: int) -> int:
        return core // (self.cores // self.chips)

    def used(self, core: int) -> dict[str, int]:
        """Return the budgets used on one core."""
        here = [p for p in self.pieces if p.core == core]
        return {budget: sum(p.used.get(budget, 0) for p in here) for budget in self.budgets}
