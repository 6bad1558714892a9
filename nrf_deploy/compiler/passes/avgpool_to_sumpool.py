"""Average pooling as sum pooling and a scale.

    AvgPool(x) = SumPool(x) / area        area = product of the window's sides

Padding counts as zeros in the mean, so the area is the same at the border. The scale then
folds into the next node (fold_scale); the sum itself needs no multiplication, so spikes
stay integers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from nrf_deploy.ir.network import AvgPool, Network, Node, Scale, SumPool, exact

from .base import Done, LocalPass, Outcome, register
from .graph_edits import fresh, insert_after, replace


@register
@dataclass(frozen=True)
class AvgPoolToSumPool(LocalPass):
    """The rewrite AvgPool -> SumPool, Scale(1/area). The pool keeps its name."""

    name = "avgpool_to_sumpool"

    def at(self, network: Network, node: Node) -> Outcome:
        if not exact(node, AvgPool):
            return None
        area = math.prod(node.window)
        pool = SumPool(
            name=node.name,
            pool_input=node.pool_input,
            window=node.window,
            stride=node.stride,
            padding=node.padding,
        )
        network = replace(network, pool)
        if area > 1:
            mean = Scale(
                name=fresh(network, f"{node.name}.mean"), scale=np.full(node.shape, 1 / area)
            )
            network = insert_after(network, node.name, mean)
        return Done(network, f"a mean over {area} is a sum and a scale of 1/{area}")
