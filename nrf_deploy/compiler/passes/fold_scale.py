"""Folding of a factor into the node before or behind it.

Behind a Linear or Conv, with s one factor an output (a channel, for a Conv):

    s * (W x + b) = (s W) x + s b

Before one, with s one factor an input (a channel, for a Conv; zero padding stays zero):

    W (s * x) + b = (W s) x + b

Before a population, whose input enters as a product: r * (s x) = (r s) x for I, IF, LI and
LIF, w_in likewise for CubaLI and CubaLIF; so states and spikes stay the same. Before a
Threshold: s x > t is x > t/s for s > 0. Two scales are one.

A factor moves behind a pool, a Flatten or a Delay, so that it reaches a node that takes it:
P(s * x) = s' * P(x), where s is one factor a channel for a pool, s' is s flattened for a
Flatten, and s' = s for a Delay.

Products of two float32 numbers are exact in float64, the type of the result.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np

from nrf_deploy.ir.network import (
    Array,
    AvgPool,
    Connection,
    Conv,
    Delay,
    Flatten,
    Linear,
    Network,
    Node,
    Output,
    Pool,
    Population,
    Scale,
    SumPool,
    Threshold,
    exact,
)
from nrf_deploy.neurons import MEMBRANES, Membrane

from .base import Done, Left, LocalPass, Outcome, register
from .graph_edits import bypass, fresh, insert_after, own, replace, splice_out


@register
@dataclass(frozen=True)
class FoldScale(LocalPass):
    """The fold of a Scale into the Linear, Conv, Scale, Threshold or population beside it."""

    name = "fold_scale"

    def at(self, network: Network, node: Node) -> Outcome:
        if not exact(node, Scale):
            return None
        behind = _behind(network, node)
        if behind:
            return behind
        outcomes = [_before(network, node, network[t]) for t in network.targets(node.name)]
        done = next((o for o in outcomes if isinstance(o, Done)), None)
        reasons = [o.why for o in outcomes if isinstance(o, Left)]
        return done or (Left("; ".join(reasons)) if reasons else None)


def per_channel(scale: Array) -> Array | None:
    """Return one factor a channel; None if the positions of a channel differ."""
    flat = scale.reshape(scale.shape[0], -1).astype(np.float64)
    return flat[:, 0] if (flat == flat[:, :1]).all() else None


def _behind(network: Network, node: Scale) -> Outcome:
    """Fold a scale into its source, if it is the only source and feeds nothing else."""
    sources = network.sources(node.name)
    source = network[sources[0]] if len(sources) == 1 else None
    if source is None or network.targets(source.name) != (node.name,):
        return None
    factor = per_channel(node.scale)
    if factor is None or not exact(source, Linear, Conv):
        return None
    folded = dataclasses.replace(
        source,
        weight=source.weight * _along(factor, 0, source.weight.ndim),
        bias=None if source.bias is None else source.bias * _along(factor, 0, source.bias.ndim),
    )
    return Done(
        splice_out(replace(network, folded), node.name),
        f"folded into the weights of {source.name!r}" + _sharers(network, source),
    )


def _before(network: Network, node: Scale, target: Node) -> Outcome:
    if exact(target, Output):
        return None
    if isinstance(target, Connection):
        return _before_connection(network, node, target)
    if network.sources(target.name) != (node.name,):
        return Left(f"{target.name!r} takes other signals too, which must not be scaled")
    if exact(target, Delay):
        return _past(network, node, target)
    if exact(target, Threshold):
        if (node.scale <= 0).any():
            return Left(f"a factor that is not positive turns the comparison in {target.name!r}")
        into: Node = dataclasses.replace(target, threshold=_wide(target.threshold) / node.scale)
    elif type(target) is Population and _scales(target.membrane):
        scaled = target.membrane.by_unit("input", lambda x: _wide(x) * node.scale)
        into = dataclasses.replace(target, membrane=scaled)
    else:
        return Left(f"a {target.kind} has no factor of its input")
    return Done(
        bypass(replace(network, into), node.name, target.name),
        f"folded into the input factor of {target.name!r}",
    )


def _scales(membrane: Membrane) -> bool:
    """Return True for a known membrane that multiplies its input by a number of its own."""
    return type(membrane) in MEMBRANES and any(u == "input" for _, u, _ in membrane.numbers())


def _before_connection(network: Network, node: Scale, target: Connection) -> Outcome:
    factor = per_channel(node.scale)
    if factor is None and exact(target, Conv, SumPool, AvgPool):
        return Left(
            f"it depends on the position, and {target.name!r} uses the same weights everywhere"
        )
    if exact(target, SumPool, AvgPool, Flatten):
        network, passed = own(network, node, target)
        return _past(network, node, passed)
    if not exact(target, Scale, Linear, Conv):
        return Left(f"a {target.kind} has no weights")
    network, mine = own(network, node, target)
    if exact(mine, Scale):
        into: Connection = dataclasses.replace(mine, scale=_wide(mine.scale) * node.scale)
    elif exact(mine, Linear):
        into = dataclasses.replace(mine, weight=_wide(mine.weight) * node.scale)
    else:
        assert exact(mine, Conv)
        by_input = _by_input(mine, np.asarray(factor))
        into = dataclasses.replace(mine, weight=_wide(mine.weight) * by_input)
    return Done(
        bypass(replace(network, into), node.name, mine.name),
        f"folded into the weights of {target.name!r}" + _sharers(network, target),
    )


def _past(network: Network, node: Scale, target: Pool | Flatten | Delay) -> Outcome:
    """Move a factor from before the target to behind it."""
    if exact(target, SumPool, AvgPool):
        channels = np.asarray(per_channel(node.scale))
        scale = np.broadcast_to(_along(channels, 0, len(target.shape)), target.shape)
    else:
        scale = node.scale.reshape(target.shape)
    network = bypass(network, node.name, target.name)
    name = node.name if node.name not in network else fresh(network, f"{node.name}.{target.name}")
    return Done(
        insert_after(network, target.name, Scale(name=name, scale=scale)),
        f"moved behind {target.name!r}",
    )


def _by_input(conv: Conv, factor: Array) -> Array:
    """Reshape one factor an input channel like a weight (out, in/groups, 1...)."""
    by_group = factor.reshape(conv.groups, conv.weight.shape[1])
    rows = np.repeat(by_group, conv.weight.shape[0] // conv.groups, axis=0)
    return rows.reshape(*rows.shape, *(1,) * len(conv.kernel))


def _along(factor: Array, axis: int, ndim: int) -> Array:
    shape = [1] * ndim
    shape[axis] = math.prod(factor.shape)
    return factor.reshape(shape)


def _wide(values: Array) -> Array:
    return values.astype(np.float64)


def _sharers(network: Network, node: Scale | Linear | Conv) -> str:
    """Return the part of a text that names the nodes which no longer share its array."""
    others = [
        repr(n.name) for n in network.of(Linear, Conv)
        if n is not node and exact(node, Linear, Conv) and n.weight is node.weight
    ]  # fmt: skip
    return f", which it no longer shares with {', '.join(others)}" if others else ""
