"""Merging of two affine connections without neurons between them.

    Linear, Linear    W2 (W1 x + b1) + b2 = (W2 W1) x + (W2 b1 + b2)
    Conv, Conv        one convolution (composition.py), where neither border forbids it: always
                      when the second is unpadded, or when the first, continued beyond its
                      border, reads nothing
    Conv, Flatten, Linear    a Linear of the flattened input of the Conv; it has a weight
                      for each pair of elements, so it stays if `max_growth` is exceeded

Products are taken in float64.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nrf_deploy.ir.network import Connection, Conv, Flatten, Linear, Network, Node, exact

from .base import Done, Left, LocalPass, Outcome, register
from .composition import border, convs, weights
from .graph_edits import fuse
from .into_linear import into_linear


@register
@dataclass(frozen=True)
class MergeLinear(LocalPass):
    """The merge of a Linear or Conv into the Linear or Conv after it, which keeps its name."""

    name = "merge_linear"
    max_growth: int = 64
    """The largest factor by which the weights may grow when a Conv merges into a Linear."""

    def at(self, network: Network, node: Node) -> Outcome:
        if not exact(node, Linear, Conv):
            return None
        left: Outcome = None
        for second in (network[t] for t in network.targets(node.name) if t != node.name):
            outcome: Outcome = None
            if exact(node, Linear) and exact(second, Linear):
                outcome = _merged(network, node, second, linears)
            elif exact(node, Conv) and exact(second, Conv):
                why = border(node, second)
                outcome = Left(why) if why else _merged(network, node, second, convs)
            elif exact(node, Conv) and exact(second, Flatten):
                outcome = into_linear(network, node, second, self.max_growth)
            if isinstance(outcome, Done):
                return outcome
            left = left or outcome
        return left


def _merged(
    network: Network,
    first: Linear | Conv,
    second: Linear | Conv,
    together: Callable[[Connection, Connection], Linear | Conv],
) -> Done:
    network, fused = fuse(network, first, second, together)
    before = weights(first) + weights(second)
    return Done(network, f"merged into {second.name!r}: {before} weights became {weights(fused)}")


def linears(first: Connection, second: Connection) -> Linear:
    assert exact(first, Linear)
    assert exact(second, Linear)
    outer = second.weight.astype(np.float64)
    bias = second.bias
    if first.bias is not None:
        shift = outer @ first.bias
        bias = shift if bias is None else shift + bias
    return Linear(name=second.name, weight=outer @ first.weight, bias=bias)
