"""A reset to a value is a reset to zero of a potential with another origin.

Write w = v - v_reset. Then, with c = v_reset,

    v' = v + k (v_leak - v + r x)   becomes   w' = w + k ((v_leak - c) - w + r x)
    v > v_threshold                 becomes   w > v_threshold - c
    v = c after a spike             becomes   w = 0

and an IF, which starts at v_reset, starts at 0. The same holds where the current has a
filter of its own (CubaLIF). It does not hold for a reset by subtraction, which takes away
v_threshold itself.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from ..network import IF, LIF, CubaLIF, Network, Node, exact
from .base import Done, LocalPass, Outcome, register
from .graph import replace


@register
@dataclass(frozen=True)
class ShiftReset(LocalPass):
    """Populations that reset to a value other than 0 count their potential from there."""

    name = "shift_reset"

    def at(self, network: Network, node: Node) -> Outcome:
        if not exact(node, IF, LIF, CubaLIF) or not np.any(node.v_reset):
            return None
        if node.reset != "value":
            return None
        origin = node.v_reset.astype(np.float64)
        shifted = dataclasses.replace(
            node, v_threshold=node.v_threshold - origin, v_reset=np.zeros_like(node.v_reset)
        )
        if exact(shifted, LIF, CubaLIF):
            shifted = dataclasses.replace(shifted, v_leak=shifted.v_leak - origin)
        return Done(replace(network, shifted), "the potential is counted from v_reset")
