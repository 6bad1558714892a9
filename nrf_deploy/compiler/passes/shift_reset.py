"""Conversion of a reset to a value to a reset to zero, by a shift of the potential's origin.

Write w = v - v_reset. Then, with c = v_reset,

    v' = v + k (v_leak - v + r x)   becomes   w' = w + k ((v_leak - c) - w + r x)
    v > v_threshold                 becomes   w > v_threshold - c
    v = c after a spike             becomes   w = 0

and an IF, which starts at v_reset, starts at 0. The same holds where the current has a
filter of its own (CubaLIF). It does not hold for a reset by subtraction, which subtracts
v_threshold itself.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from nrf_deploy.compiler.quantize.neuron import LINEAR
from nrf_deploy.ir.capabilities import Accepts, accepted
from nrf_deploy.ir.network import Network, Node, Population
from nrf_deploy.neurons import MEMBRANES, Spikes

from .base import Done, LocalPass, Outcome, register
from .graph_edits import replace


@register
@dataclass(frozen=True)
class ShiftReset(LocalPass):
    """A shift of the potential's origin in populations that reset to a value other than 0."""

    name = "shift_reset"

    def at(self, network: Network, node: Node) -> Outcome:
        if type(node) is not Population or accepted(node, SHIFTED) is None:
            return None
        rule = node.rule
        if type(rule) is not Spikes or not np.any(rule.reset_to):
            return None
        origin = np.asarray(rule.reset_to, np.float64)
        shifted = dataclasses.replace(
            node,
            membrane=node.membrane.by_unit("potential", lambda x: x - origin),
            rule=dataclasses.replace(
                rule.by_unit("potential", lambda x: x - origin),
                reset_to=np.zeros_like(rule.reset_to),
            ),
        )
        return Done(replace(network, shifted), "the potential is counted from v_reset")


SHIFTED = (
    Accepts(
        "shifted",
        frozenset(MEMBRANES),
        Spikes,
        frozenset(("reset_to", "fires=at", "floor", "refractory")) | LINEAR,
    ),
)
"""Rules that do not depend on the origin; a reset by subtraction does, and so does a count of
thresholds."""
