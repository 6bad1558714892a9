"""Approximate rewrite of an exponential leak to a linear leak.

A LIF neuron loses v dt/tau in a step, between 0 and its threshold theta on average

    theta dt / (2 tau)

Here each tick of the clock subtracts this amount, whatever v is; v stays at or above 0. Small
potentials decay too fast, large ones too slowly, and negative ones are lost at once. The
approximation is good if neurons spike often compared with tau: then v covers all of 0 .. theta.
It is bad if tau is a few steps and spikes are rare: compile/check.py warns of a short tau.

snnTorch's subtraction one step late, and its doubled threshold, become a subtraction at once.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from nrf_deploy import neurons
from nrf_deploy.compiler.passes import Done, register
from nrf_deploy.compiler.passes.approximate import Approximate
from nrf_deploy.compiler.passes.base import Left, Outcome
from nrf_deploy.compiler.passes.graph_edits import replace
from nrf_deploy.compiler.quantize.neuron import linear_features
from nrf_deploy.ir.capabilities import Accepts, accepted
from nrf_deploy.ir.network import Network, Node, Population
from nrf_deploy.neurons import Leaky, Spikes

from ..arithmetic.models import LEAKS

SHORT = 20
"""Steps of tau below which the two leaks differ strongly."""


@register
@dataclass(frozen=True)
class LinearLeak(Approximate):
    """Rewrite of a LIF to an IF with a leak of theta / (2 tau)."""

    name = "linear_leak"
    choice = "linear-leak"
    about = "a leak subtracts a constant amount in each step, down to 0, not a share"

    def at(self, network: Network, node: Node) -> Outcome:
        if type(node) is not Population or accepted(node, REWRITTEN) is None:
            return None
        membrane, rule = node.membrane, node.rule
        if type(membrane) is not Leaky or type(rule) is not Spikes:
            return None
        if np.any(membrane.v_leak) or np.any(rule.reset_to):
            return Left("its rest is not the value that it is reset to, or not 0")
        if rule.floor is not None and np.any(rule.floor > 0):
            return Left("its floor is above its rest")
        if membrane.v0 is not None and np.any(membrane.v0 < 0):
            return Left("its first potential is below its rest")
        tau = membrane.tau.astype(np.float64)
        leak = rule.threshold / (2 * tau)
        linear = neurons.LinearLeak(r=membrane.r / tau, leak=leak, v0=membrane.v0)
        at_once = rule.reset in ("late", "doubled")
        reset = "subtract" if at_once else rule.reset
        bounded = dataclasses.replace(rule, floor=np.zeros_like(tau), reset=reset)
        steps = float(tau.min()) / network.dt
        what = ", and subtracts theta at once" if at_once else ""
        return Done(
            replace(network, Population(name=node.name, membrane=linear, rule=bounded)),
            f"loses theta / (2 tau), tau = {steps:.4g} steps{what}",
        )


REWRITTEN = (
    Accepts(
        "leaks",
        frozenset((Leaky,)),
        Spikes,
        LEAKS | linear_features((Leaky,), Spikes),
    ),
)
"""Rules that a linear leak gives a floor of 0, and a subtraction at once where theirs is late."""


def shortest(node: Node, dt: float) -> float | None:
    """Return tau of the original LIF neurons, in steps.

    Return None for neurons without a linear leak, or with a threshold of 0 or below.
    """
    if type(node) is not Population or type(node.rule) is not Spikes:
        return None
    membrane, threshold = node.membrane, node.rule.threshold
    if type(membrane) is not neurons.LinearLeak or np.min(threshold) <= 0:
        return None
    return float((threshold / (2 * membrane.leak)).min()) / dt
