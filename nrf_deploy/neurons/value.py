"""The rule of neurons whose value is their potential."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .base import Fire, Rule, State, choice


@dataclass(frozen=True, eq=False, kw_only=True)
class Value(Rule):
    """The value is v; if `rectified`, max(v, 0), and what is below 0 stays in the state.

    NIR has no ReLU: in a file a rectified one has the metadata rectify = "yes".
    """

    spikes = False
    runs = frozenset({"rectified"})

    rectified: bool = choice("a ReLU behind the potential", False)

    def fire(self, shape: tuple[int, ...], dt: float, dtype: Any) -> tuple[State, Fire]:
        if self.rectified:
            return {}, lambda before, s: (np.maximum(s["v"], 0), s)
        return {}, lambda before, s: (s["v"], s)
