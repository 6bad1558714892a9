"""Folding of a sum pool into the window beside it, so that the pool costs nothing.

A SumPool is a depthwise convolution of ones, and a window after a window is one window
(composition.py has the algebra). If the stride of the pool is its side, this is

    conv(SumPool_k(x)) = conv'(x)    w' = kron(w, ones(k)), stride * k, padding * k

and a dilation d of the convolution spreads the taps by d*k with the ones between them.
Overlapping pools, pools with gaps, pools of pools and pools after a convolution are the
same algebra.

It is not exact where the pool drops rows (its windows do not divide the map, or it is
padded) and the convolution is padded so that its windows would read them: the pool layer
then stays, and the reason is reported.

Pool -> Flatten -> Linear becomes Flatten -> Linear with each weight repeated over its window,
so the Linear grows by the area of the pool; beyond `max_growth` the pool stays.

Timing: on a chip where each layer of synapses takes one step, a pool kept as a layer of its
own delays what follows by one step, and its sums must be sent as numbers. Folded it costs no
step, and the spikes stay binary; the cost is the larger kernel that the Finding reports.
"""

from __future__ import annotations

from dataclasses import dataclass

from nrf_deploy.ir.network import Connection, Conv, Flatten, Network, Node, SumPool, exact

from .base import Done, Left, LocalPass, Outcome, register
from .composition import as_conv, border, convs, weights
from .graph_edits import fuse
from .into_linear import into_linear


@register
@dataclass(frozen=True)
class FoldPool(LocalPass):
    """The fold of a SumPool into the Conv, SumPool or Linear after it, or the Conv before it."""

    name = "fold_pool"
    max_growth: int = 64
    """The largest factor by which the weights of a Linear may grow."""

    def at(self, network: Network, node: Node) -> Outcome:
        if not exact(node, SumPool, Conv):
            return None
        left: Outcome = None
        for second in (network[t] for t in network.targets(node.name)):
            outcome: Outcome = None
            if exact(second, SumPool) or (exact(node, SumPool) and exact(second, Conv)):
                outcome = _joined(network, node, second)
            elif exact(node, SumPool) and exact(second, Flatten):
                outcome = into_linear(network, node, second, self.max_growth)
            if isinstance(outcome, Done):
                return outcome
            left = left or outcome
        return left


def _joined(network: Network, first: SumPool | Conv, second: SumPool | Conv) -> Outcome:
    why = border(as_conv(first), as_conv(second))
    if why:
        return Left(why)
    keep_first = exact(first, Conv) and exact(second, SumPool)
    network, fused = fuse(network, first, second, window, keep_first)
    before = weights(first) + weights(second)
    return Done(network, f"joined with {second.name!r}: {before} weights became {weights(fused)}")


def window(first: Connection, second: Connection) -> Connection:
    """Return `second` after `first` as a SumPool if it is one, else as a Conv."""
    conv = convs(first, second)
    if exact(first, Conv) or exact(second, Conv) or not (conv.weight == 1).all():
        return conv
    if set(conv.dilation) != {1}:
        return conv
    return SumPool(
        name=conv.name,
        pool_input=conv.input_shape,
        window=conv.kernel,
        stride=conv.stride,
        padding=conv.padding,
    )
