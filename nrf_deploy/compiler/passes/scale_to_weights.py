"""Conversion of a factor that no neighbour can take to weights.

    Scale(s), one factor a channel    = a 1x1 Conv with one group a channel and weights s
    Scale(s) of flat signals          = a Linear with s on its diagonal

It is for scales that fold_scale has to leave: one before a population that takes other
signals too (a residual connection after a mean), or one of several targets of a connection.
The Conv or Linear then merges with its neighbours like any other. A scale that only an
Output reads stays a scale.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nrf_deploy.ir.network import Connection, Conv, Linear, Network, Node, Output, Scale, exact

from .base import Done, Left, LocalPass, Outcome, register
from .fold_scale import per_channel
from .graph_edits import replace


@register
@dataclass(frozen=True)
class ScaleToWeights(LocalPass):
    """The rewrite Scale -> 1x1 Conv or diagonal Linear of the same name."""

    name = "scale_to_weights"
    max_size: int = 1024
    """The longest flat signal for which a diagonal (size * size weights) is created."""

    def at(self, network: Network, node: Node) -> Outcome:
        if not exact(node, Scale):
            return None
        if all(exact(network[t], Output) for t in network.targets(node.name)):
            return None
        if len(node.shape) == 1:
            if node.shape[0] > self.max_size:
                return Left(f"a diagonal of {node.shape[0]} is beyond max_size={self.max_size}")
            diagonal = Linear(name=node.name, weight=np.diag(node.scale.astype(np.float64)))
            return _replaced(network, diagonal)
        factor = per_channel(node.scale)
        if factor is None:
            return None  # fold_scale reports why it stays
        ones = (1,) * (len(node.shape) - 1)
        conv = Conv(
            name=node.name,
            weight=factor.reshape(-1, 1, *ones),
            input_size=node.shape[1:],
            stride=ones,
            padding=((0, 0),) * len(ones),
            dilation=ones,
            groups=len(factor),
        )
        return _replaced(network, conv)


def _replaced(network: Network, node: Connection) -> Done:
    return Done(replace(network, node), f"became a {node.kind}, as no neighbour could take it")
