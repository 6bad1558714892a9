"""Folding of a window before Flatten and Linear into a larger Linear.

The rewrites fold_pool and merge_linear use it.
"""

from __future__ import annotations

import math

from nrf_deploy.ir.network import Conv, Flatten, Linear, Network, SumPool, exact

from .base import Done, Left, Outcome
from .composition import as_conv, through, weights
from .graph_edits import bypass, own, replace


def into_linear(network: Network, node: SumPool | Conv, flat: Flatten, max_growth: int) -> Outcome:
    """Fold `node` through `flat` into the Linears behind it, if `flat` feeds only Linears.

    W conv(x) needs out * in weights; `max_growth` limits their number relative to that of
    the two nodes before.
    """
    after = [network[t] for t in network.targets(flat.name)]
    linears = [n for n in after if exact(n, Linear)]
    if not linears:
        return None
    if len(linears) < len(after):
        return Left(f"{flat.name!r} feeds more than Linears")
    before = sum(map(weights, linears)) + weights(node)
    size = sum(len(n.weight) for n in linears) * math.prod(node.input_shape)
    if size > max_growth * before:
        return Left(
            f"folding it through {flat.name!r} would make {size} weights of {before}, "
            f"more than max_growth={max_growth} times as many"
        )
    conv = as_conv(node)
    network, twin = own(network, node, flat)
    wide = Flatten(
        name=twin.name, flat_input=node.input_shape, start=0, end=len(node.input_shape) - 1
    )
    for linear in linears:
        network, mine = own(network, twin, linear)
        assert exact(mine, Linear)
        network = replace(network, through(conv, mine))
    network = bypass(replace(network, wide), node.name, wide.name)
    names = ", ".join(repr(n.name) for n in linears)
    return Done(
        network, f"folded through {flat.name!r} into {names}: {before} weights became {size}"
    )
