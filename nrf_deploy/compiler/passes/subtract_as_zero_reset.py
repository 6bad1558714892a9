"""Conversion of a reset by subtraction to a reset to zero. This is not exact.

After a spike v = v - v_threshold keeps the part above the threshold, v = 0 discards it.
It is lost where the potential itself is reset: a connection back to the neuron adds v_threshold,
or anything else, one step later, when the reset has already discarded the remainder. (A chip whose
current can integrate in place of the potential keeps it, and needs no such rewrite.) The two are
the same if the remainder is always 0, that is, if v reaches its threshold exactly. A
subtraction that comes one step late becomes a reset at once.

The rewritten neuron fires at most as often from non-negative input, and loses up to one
step's input a spike. The loss is large if the input a step is large beside the threshold.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from nrf_deploy.compiler.quantize.neuron import LINEAR
from nrf_deploy.ir.capabilities import Accepts, accepted
from nrf_deploy.ir.network import Network, Node, Population
from nrf_deploy.neurons import MEMBRANES, Spikes

from .approximate import Approximate
from .base import Done, Outcome, register
from .graph_edits import replace


@register
@dataclass(frozen=True)
class SubtractAsZeroReset(Approximate):
    """A reset to 0 in populations that subtract their threshold when they spike."""

    name = "subtract_as_zero_reset"
    choice = "subtract-as-zero-reset"
    about = "a spike resets the potential to 0; the part above the threshold is lost"

    def at(self, network: Network, node: Node) -> Outcome:
        if type(node) is not Population or accepted(node, SUBTRACTS) is None:
            return None
        rule = node.rule
        if type(rule) is not Spikes or rule.reset not in ("subtract", "late"):
            return None
        zero = np.zeros_like(np.broadcast_to(rule.reset_to, node.shape))
        reset = dataclasses.replace(rule, reset="value", reset_to=zero, subtracts=None)
        return Done(
            replace(network, dataclasses.replace(node, rule=reset)),
            "the potential is reset to 0 instead of by subtraction",
        )


SUBTRACTS = (
    Accepts(
        "subtracts",
        frozenset(MEMBRANES),
        Spikes,
        frozenset(
            ("reset=subtract", "reset=late", "subtracts", "reset_to", "fires=at", "refractory")
        )
        | LINEAR,
    ),
)
"""Rules whose reset can be exchanged; with several spikes in a step each subtracts its part."""
