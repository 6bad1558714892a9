"""Potentials decay as exponentials do, instead of by Euler's step. This is not exact.

A graph says tau; a step of forward Euler keeps 1 - dt/tau of a potential, the solution of the
equation exp(-dt/tau). With k = dt/tau and K = 1 - exp(-k), the node with

    tau' = dt/K    r' = r k/K    v_leak' = v_leak

keeps exp(-k) in a step of Euler, and an event adds k r to it as before: v += K(v_leak - v)
+ k r x. So the response to an event is a sampled exponential, and a network whose time
constants are a ladder is covariant under a stretch of time but for rounding. A filtered
current does the same with tau_syn and w_in.

The model was trained with the other decay: its spikes change, most where tau is short.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from ..findings import Finding, info
from ..network import LI, LIF, Array, CubaLI, CubaLIF, Network, RectifiedLI, exact
from .base import register
from .choice import Approximate
from .graph import replace


@register
@dataclass(frozen=True)
class ExactDecay(Approximate):
    """Leaks and currents decay by exp(-dt/tau) a step instead of by 1 - dt/tau.

    Its result is of the same kind as what it rewrites, so it goes through the network once.
    """

    name = "exact_decay"
    choice = "exact-decay"
    about = "potentials decay by exp(-dt/tau) a step, not by 1 - dt/tau as in training"

    def apply(self, network: Network) -> tuple[Network, list[Finding]]:
        found: list[Finding] = []
        for node in network.nodes:
            if exact(node, LI, RectifiedLI, LIF) or exact(node, CubaLI, CubaLIF):
                network = replace(network, exactly(node, network.dt))
                found.append(info(self.code, "it decays by exp(-dt/tau)", layer=node.name))
        return network, found


def exactly(node: LI | CubaLI, dt: float) -> LI | CubaLI:
    """The node whose Euler step is the exact step of this one."""
    if isinstance(node, LI):
        tau, factor = _exact(node.tau, dt)
        return dataclasses.replace(node, tau=tau, r=node.r * factor)
    tau_mem, mem = _exact(node.tau_mem, dt)
    tau_syn, syn = _exact(node.tau_syn, dt)
    return dataclasses.replace(
        node, tau_mem=tau_mem, tau_syn=tau_syn, r=node.r * mem, w_in=node.w_in * syn
    )


def _exact(tau: Array, dt: float) -> tuple[Array, Array]:
    """(the time constant for Euler, by how much an event must count more)."""
    k = dt / tau.astype(np.float64)
    exact = -np.expm1(-k)
    return dt / exact, k / exact
