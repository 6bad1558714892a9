"""A subtraction that comes one step late as one at once, in integrators.

Both keep v + (the sum of all input) - (thresholds of all spikes so far); the late one takes the
last threshold off after the input of the next step has come, the other one before it. Without a
leak between them the potential that is tested is the same in every step, and so are the spikes.
snnTorch subtracts late by default; with beta = 1 its Leaky is such an integrator.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from nrf_deploy.compiler.passes import Done, register
from nrf_deploy.compiler.passes.base import Left, LocalPass, Outcome
from nrf_deploy.compiler.passes.graph_edits import replace
from nrf_deploy.ir.capabilities import Accepts, accepted
from nrf_deploy.ir.network import Network, Node, Population
from nrf_deploy.neurons import Integrator, Spikes


@register
@dataclass(frozen=True)
class LateSubtraction(LocalPass):
    """The rewrite reset=late -> reset=subtract in integrators."""

    name = "late_subtraction"

    def at(self, network: Network, node: Node) -> Outcome:
        if type(node) is not Population or accepted(node, LATE) is None:
            return None
        rule = node.rule
        if type(rule) is not Spikes or rule.reset != "late":
            return None
        if np.any(node.membrane.first_state(rule)["v"] >= rule.threshold):
            return Left("its first potential is not below the threshold")
        at_once = dataclasses.replace(node, rule=dataclasses.replace(rule, reset="subtract"))
        what = "without a leak the threshold can be subtracted at once"
        return Done(replace(network, at_once), what)


LATE = (
    Accepts(
        "late",
        frozenset((Integrator,)),
        Spikes,
        frozenset(("reset=late", "fires=at", "Integrator.v0")),
    ),
)
"""Rules whose late subtraction can come at once. A floor would hold the potential in between."""
