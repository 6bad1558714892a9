"""A potential that is read becomes spikes that are counted. This is not exact.

An LI neuron follows its input: v is r x, seen through a filter of length tau. An IF neuron
with v += dt/tau r x that subtracts its threshold theta fires so often that each spike stands
for theta of it, so over any stretch of time

    sum of v dt/tau  ~  theta times the number of spikes

Values below 0 have no spikes, the filter is gone, and what is below theta waits. theta is
chosen as the largest weight that leads to the neurons, so an event makes at most one spike.
What the layer fed with its value is fed with spikes of the value theta tau/dt.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeGuard

import numpy as np

from nrf_deploy.legalise import Done, register
from nrf_deploy.legalise.base import Outcome
from nrf_deploy.legalise.choice import Approximate
from nrf_deploy.legalise.graph import fresh, insert_after, replace
from nrf_deploy.network import IF, LI, Array, Conv, Flatten, Linear, Network, Node, Output, Scale


@register
@dataclass(frozen=True)
class SpikeCount(Approximate):
    """An LI whose value leaves the model becomes an IF whose spikes the host counts."""

    name = "spike_count"
    choice = "spike-count"
    about = "the host counts spikes of the last layer instead of reading its potential"

    def at(self, network: Network, node: Node) -> Outcome:
        if not _potential(node) or _feeds_on(network, node.name):
            return None
        neurons, worth = _counted(network, node)
        what = f"each spike stands for {worth:.4g} of the value, summed over the steps"
        return Done(replace(network, neurons), what)


@register
@dataclass(frozen=True)
class RateCode(Approximate):
    """An LI that feeds other layers becomes an IF, whose spikes carry its value."""

    name = "rate_code"
    choice = "rate-code"
    about = "spikes carry a value from layer to layer, as many as it is large"

    def at(self, network: Network, node: Node) -> Outcome:
        if not _potential(node) or not _feeds_on(network, node.name):
            return None
        neurons, worth = _counted(network, node)
        network = replace(network, neurons)
        scale = Scale(name=fresh(network, f"{node.name}.worth"), scale=np.full(node.shape, worth))
        network = insert_after(network, node.name, scale)
        return Done(network, f"each spike carries {worth:.4g}")


def _potential(node: Node) -> TypeGuard[LI]:
    return isinstance(node, LI) and not node.spikes


def _counted(network: Network, node: LI) -> tuple[IF, float]:
    """(the neurons that count, what one spike of them is worth)."""
    tau = node.tau.astype(np.float64)
    share = network.dt / tau
    theta = float((share * node.r).max()) * _largest(network, node.name)
    neurons = IF(
        name=node.name,
        r=node.r / tau,
        v_threshold=np.full(node.shape, theta),
        v_reset=np.zeros(node.shape),
        reset="subtract",
        fires="at",
    )
    return neurons, theta / float(share.mean())


def _largest(network: Network, name: str) -> float:
    """The largest weight that leads here; a direct connection weighs 1."""
    weights: list[Array] = [
        np.asarray(n.weight)
        for n in (network[s] for s in network.sources(name))
        if isinstance(n, Conv | Linear)
    ]
    found = max((float(w.max(initial=0)) for w in weights), default=1.0)
    return found or 1.0


def _feeds_on(network: Network, name: str) -> bool:
    """Does anything but an Output hear it?"""
    return any(
        _feeds_on(network, t) if isinstance(network[t], Flatten) else True
        for t in network.targets(name)
        if not isinstance(network[t], Output)
    )
