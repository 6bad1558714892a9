"""Removal of every Flatten but one directly before a Linear.

A Flatten only renumbers elements (row-major), so

    Flatten of a shape that it does not change         = nothing
    Flatten after Flatten                              = the one Flatten between the two shapes

Scales move behind it (fold_scale), and pools and convolutions before it fold into the Linear
after it (fold_pool, merge_linear). What remains before a Linear is one Flatten behind a
population or an input. It costs nothing there: the dense synapses of a program read the
flat source, in the same order.
"""

from __future__ import annotations

import dataclasses
import itertools
from dataclasses import dataclass

from nrf_deploy.ir.network import Flatten, Network, Node, Shape, exact

from .base import Done, Left, LocalPass, Outcome, register
from .graph_edits import bypass, own, replace


@register
@dataclass(frozen=True)
class FlattenIntoLinear(LocalPass):
    """The removal of a Flatten without effect, and the merge of two into one."""

    name = "flatten_into_linear"

    def at(self, network: Network, node: Node) -> Outcome:
        if not exact(node, Flatten):
            return None
        if node.shape == node.flat_input:
            return _removed(network, node)
        after = [network[t] for t in network.targets(node.name)]
        for second in after:
            if exact(second, Flatten):
                return _merged(network, node, second)
        return None


def _removed(network: Network, node: Flatten) -> Outcome:
    if not network.sources(node.name):
        return Left("nothing feeds it")
    targets = network.targets(node.name)
    for target in targets:
        network = bypass(network, node.name, target)
    return Done(network, "removed: it changes no shape") if targets else None


def _merged(network: Network, first: Flatten, second: Flatten) -> Outcome:
    axes = axes_between(first.flat_input, second.shape)
    if axes is None:
        return Left(f"with {second.name!r} it merges two separate groups of axes")
    network, twin = own(network, first, second)
    one = dataclasses.replace(twin, flat_input=first.flat_input, start=axes[0], end=axes[1])
    return Done(bypass(replace(network, one), first.name, one.name), f"merged into {second.name!r}")


def axes_between(shape: Shape, flat: Shape) -> tuple[int, int] | None:
    """Return (start, end) of the Flatten from `shape` to `flat`; None if none exists."""
    for start, end in itertools.combinations_with_replacement(range(len(shape)), 2):
        if Flatten(name="", flat_input=shape, start=start, end=end).shape == flat:
            return start, end
    return None
