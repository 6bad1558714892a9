"""A delay between neurons and an output leaves the network.

    neurons -> Delay(d) -> Output   becomes   neurons -> Output

Every engine shows the outputs of populations, so the delay moves none of what is compared: the
output is the same train of spikes, d earlier. Spyx has such a delay behind its last layer.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from nrf_deploy.ir.network import Delay, Network, Node, Output, Population, exact

from .base import Done, LocalPass, Outcome, register


@register
@dataclass(frozen=True)
class DropLastDelay(LocalPass):
    """The rewrite neurons -> Delay -> Output to neurons -> Output."""

    name = "drop_last_delay"

    def at(self, network: Network, node: Node) -> Outcome:
        if not exact(node, Delay):
            return None
        sources, outputs = network.sources(node.name), network.targets(node.name)
        if len(sources) != 1 or type(network[sources[0]]) is not Population:
            return None
        (neurons,) = sources
        if not outputs or not all(type(network[name]) is Output for name in outputs):
            return None
        if set(outputs) & set(network.targets(neurons)):
            return None
        edges = tuple(
            (neurons, target) if source == node.name else (source, target)
            for source, target in network.edges
            if target != node.name
        )
        nodes = tuple(n for n in network.nodes if n is not node)
        low, high = node.delay.min() / network.dt, node.delay.max() / network.dt
        steps = f"{low:g}" if low == high else f"{low:g} to {high:g}"
        what = f"the output shows the spikes of {neurons!r} {steps} steps earlier"
        return Done(dataclasses.replace(network, nodes=nodes, edges=edges), what)
