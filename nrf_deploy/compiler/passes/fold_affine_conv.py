"""Folding of a 1x1 convolution into the convolution beside it: "fold BatchNorm".

A BatchNorm arrives as a 1x1 Conv, one group a channel, y = a x + s. Behind a convolution

    a (W * x + b) + s = (a W) * x + (a b + s)

Before one, the zero padding of the second applies after the shift: at the border some taps
read 0 and not s. So the shift becomes a bias that depends on the position,

    W * pad(a x + s) + b = (W a) * pad(x) + (W * pad(s) + b)

where W * pad(s) is a full map, equal to sum(W) s wherever no tap reads the border. If no tap
anywhere does, one bias a channel remains. Both hold for any groups and any 1x1 weights, and
for any size: a 1x1 window beyond the border reads nothing but padding.
"""

from __future__ import annotations

from dataclasses import dataclass

from nrf_deploy.ir.network import Conv, Network, Node, exact

from .base import Done, LocalPass, Outcome, register
from .composition import convs, pointwise, weights
from .graph_edits import fuse


@register
@dataclass(frozen=True)
class FoldAffineConv(LocalPass):
    """The fold of a 1x1 Conv into the Conv beside it; the other one keeps its name."""

    name = "fold_affine_conv"

    def at(self, network: Network, node: Node) -> Outcome:
        if not exact(node, Conv):
            return None
        after = [t for t in network.targets(node.name) if exact(network[t], Conv)]
        for second in (network[t] for t in after if t != node.name):
            assert exact(second, Conv)
            if pointwise(node) or pointwise(second):
                return _joined(network, node, second, _rank(second) < _rank(node))
        return None


def _rank(conv: Conv) -> int:
    """Return the rank of a Conv: 0 for a norm, 1 for a 1x1; the higher of two keeps its name."""
    norm = conv.groups == conv.weight.shape[0] and conv.weight.shape[1] == 1
    return 2 if not pointwise(conv) else 1 if not norm else 0


def _joined(network: Network, first: Conv, second: Conv, keep_first: bool) -> Done:
    network, fused = fuse(network, first, second, convs, keep_first)
    assert exact(fused, Conv)
    mapped = fused.bias is not None and fused.bias.ndim > 1
    return Done(
        network,
        f"joined with {second.name!r}: {weights(first) + weights(second)} weights "
        f"became {weights(fused)}" + (", the bias is a map" if mapped else ""),
    )
