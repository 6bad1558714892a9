"""A leak that takes a share becomes one that takes the same each time. This is not exact.

A LIF neuron loses v dt/tau in a step, so between 0 and its threshold theta on average

    theta dt / (2 tau)

and that is what a clock's tick takes here, whatever v is; v stays at or above 0. Small
potentials fade too fast, large ones too slowly, and what was below 0 is forgotten at once. It
is near where neurons fire often against tau: then v passes through all of 0 .. theta. It fails
where tau is a few steps and spikes are rare: check.py warns of a short tau.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nrf_deploy.legalise import Done, register
from nrf_deploy.legalise.base import Left, Outcome
from nrf_deploy.legalise.choice import Approximate
from nrf_deploy.legalise.graph import replace
from nrf_deploy.network import LIF, LinearLeakIF, Network, Node, exact

SHORT = 20
"""Steps of tau, below which the two leaks have little in common."""


@register
@dataclass(frozen=True)
class LinearLeak(Approximate):
    """LIF becomes IF with a leak of theta / (2 tau)."""

    name = "linear_leak"
    choice = "linear-leak"
    about = "a leak takes the same off each potential each step, not a share of it, down to 0"

    def at(self, network: Network, node: Node) -> Outcome:
        if not exact(node, LIF):
            return None
        if np.any(node.v_leak) or np.any(node.v_reset):
            return Left("its rest is not the value that it is reset to, or not 0")
        tau = node.tau.astype(np.float64)
        neurons = LinearLeakIF(
            name=node.name,
            r=node.r / tau,
            v_threshold=node.v_threshold,
            v_reset=node.v_reset,
            reset=node.reset,
            fires=node.fires,
            leak=node.v_threshold / (2 * tau),
            v_floor=np.zeros_like(tau),
        )
        steps = float(tau.min()) / network.dt
        return Done(replace(network, neurons), f"loses theta / (2 tau), tau = {steps:.4g} steps")


def shortest(node: LinearLeakIF, dt: float) -> float:
    """tau of the LIF that it was, in steps; its thresholds are above 0."""
    return float((node.v_threshold / (2 * node.leak)).min()) / dt
