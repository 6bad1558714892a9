"""Conversion of a threshold without memory to a LIF that decays fully in each step.

With tau = dt, r = 1, v_leak = 0 and a reset to 0

    v' = v + 1 (0 - v + x) = x,    a spike where x > v_threshold

whatever v was before: so y = 1 where x > threshold, else 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nrf_deploy.ir.network import Network, Node, Population, Threshold, exact
from nrf_deploy.neurons import Leaky, Spikes

from .base import Done, LocalPass, Outcome, register
from .graph_edits import replace


@register
@dataclass(frozen=True)
class ThresholdAsLif(LocalPass):
    """The rewrite Threshold -> LIF, for machines whose decay can be a whole step."""

    name = "threshold_as_lif"

    def at(self, network: Network, node: Node) -> Outcome:
        if not exact(node, Threshold):
            return None
        zero = np.zeros(node.shape)
        neurons = Population(
            name=node.name,
            membrane=Leaky(tau=zero + network.dt, r=zero + 1, v_leak=zero),
            rule=Spikes(threshold=node.threshold.astype(np.float64), reset_to=zero),
        )
        return Done(replace(network, neurons), "a LIF that decays fully in a step")
