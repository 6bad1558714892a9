"""Exponential decay of potentials in place of Euler's step. This is not exact.

A graph holds tau; a step of forward Euler keeps 1 - dt/tau of a potential, the solution of the
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

from nrf_deploy.diagnostics.findings import Finding, info
from nrf_deploy.ir.network import Network, Population

from .approximate import Approximate
from .base import register
from .graph_edits import replace


@register
@dataclass(frozen=True)
class ExactDecay(Approximate):
    """A decay of leaks and currents by exp(-dt/tau) a step in place of 1 - dt/tau.

    The result is of the same kind as the rewritten node, so it visits every node once.
    """

    name = "exact_decay"
    choice = "exact-decay"
    about = "potentials decay by exp(-dt/tau) a step, not by 1 - dt/tau as in training"

    def apply(self, network: Network) -> tuple[Network, list[Finding]]:
        findings: list[Finding] = []
        for node in network.nodes:
            if type(node) is Population and (exact := exactly(node, network.dt)) is not node:
                network = replace(network, exact)
                findings.append(info(self.code, "it decays by exp(-dt/tau)", layer=node.name))
        return network, findings


def exactly(node: Population, dt: float) -> Population:
    """Return the neurons whose Euler step is the exact step of these."""
    membrane = node.membrane.exactly(dt)
    return node if membrane is node.membrane else dataclasses.replace(node, membrane=membrane)
