"""A threshold that rises with each spike and falls back: adaptation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from .base import Array, Part, choice, number


@dataclass(frozen=True, eq=False, kw_only=True)
class Rising(Part):
    """The threshold is higher by b.

        b -= dt/tau*b before the test;  b += jump after a spike

    A reset that subtracts takes the threshold without b ("base") or with it ("adapted").
    """

    tau: Array = number("time")
    jump: Array = number("amount")
    takes: Literal["base", "adapted"] = choice("a reset that subtracts b too", "base")

    def decay(self, shape: tuple[int, ...], dt: float, dtype: Any) -> Array:
        """Return the part of b that is lost in a step: dt times the rounded 1/tau."""
        rate = np.broadcast_to(1.0 / self.tau.astype(np.float64), shape).astype(dtype)
        return np.asarray(dtype(dt) * rate)
