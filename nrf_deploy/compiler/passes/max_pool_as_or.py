"""A max pool of spikes as a sum pool and a threshold.

For values that are 0 or 1

    max(x1, ..., xn) = 1 where x1 + ... + xn > 1/2, else 0

and padding changes neither side: it counts as nothing in the one, as 0 in the other. So the
rewrite is exact where every source of the pool gives at most one spike a step. Values and
several spikes a step have another largest value than 0 or 1: such a pool is left as it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nrf_deploy.ir.network import (
    Conv,
    Flatten,
    Linear,
    MaxPool,
    Network,
    Node,
    Population,
    Scale,
    SumPool,
    Threshold,
    exact,
)
from nrf_deploy.neurons import Spikes

from .base import Done, Left, LocalPass, Outcome, register
from .graph_edits import fresh, insert_after, replace


@register
@dataclass(frozen=True)
class MaxPoolAsOr(LocalPass):
    """The rewrite MaxPool -> SumPool, Threshold(1/2) behind neurons that spike."""

    name = "max_pool_as_or"

    def at(self, network: Network, node: Node) -> Outcome:
        if not exact(node, MaxPool):
            return None
        sources = network.sources(node.name)
        if any(exact(network[s], Conv, Linear, Scale) for s in sources):
            return None  # a pool of sums: the target's check has a word on it
        if len(sources) != 1 or not binary(network, sources[0]):
            return Left("its input is not one layer of spikes, at most one a step")
        pool = SumPool(
            name=node.name,
            pool_input=node.pool_input,
            window=node.window,
            stride=node.stride,
            padding=node.padding,
        )
        network = replace(network, pool)
        any_spike = Threshold(
            name=fresh(network, f"{node.name}.any"), threshold=np.full(node.shape, 0.5)
        )
        return Done(insert_after(network, node.name, any_spike), "the largest of spikes is an OR")


def binary(network: Network, name: str) -> bool:
    """Return True if a node gives only 0 and 1."""
    node = network[name]
    if exact(node, Flatten, MaxPool):
        sources = network.sources(name)
        return len(sources) == 1 and binary(network, sources[0])
    rule = node.rule if type(node) is Population else None
    if type(rule) is Spikes:
        return rule.per_step == "one" and rule.worth is None
    return exact(node, Threshold)
