"""The exact rewrites for this family: those of every target, except for pools on wires.

A wire between two cores merges addresses: (y, x) arrives at (y // n, x // n), which sums over
n x n neurons without a cost. A sum pool after neurons (or after the input) that equals such a
wire is therefore kept; every other pool is folded into its neighbour, as for other targets.
"""

from __future__ import annotations

from dataclasses import dataclass

from nrf_deploy.compiler.passes import EXACT, FoldPool, Pass, ShiftReset, register
from nrf_deploy.compiler.passes.approximate import Approximate
from nrf_deploy.compiler.passes.base import LocalPass, Outcome
from nrf_deploy.ir.network import Connection, Flatten, Network, Node, Pool, SumPool, exact

from .counted_spikes import RateCode, SpikeCount
from .late_subtraction import LateSubtraction
from .linear_leak import LinearLeak

POOLINGS = (1, 2, 4, 8)


def on_a_wire(node: Pool) -> int | None:
    """Return the pooling of the wire that equals this pool; None if there is none."""
    if exact(node, SumPool) and len(node.window) == 2:
        n = node.window[0]
        whole = all(size % n == 0 for size in node.pool_input[1:])
        if node.window == node.stride == (n, n) and not any(map(any, node.padding)):
            return n if n in POOLINGS and whole else None
    return None


@register
@dataclass(frozen=True)
class FoldOtherPools(LocalPass):
    """fold_pool for pools that no wire can do."""

    name = "fold_other_pools"

    def at(self, network: Network, node: Node) -> Outcome:
        if exact(node, SumPool) and on_a_wire(node) and _behind_neurons(network, node):
            after = [network[t] for t in network.targets(node.name)]
            if not any(exact(n, SumPool) for n in after):
                return None
        return FoldPool().at(network, node)


def _behind_neurons(network: Network, node: Node) -> bool:
    sources = [network[s] for s in network.sources(node.name)]
    return all(exact(s, Flatten) or not isinstance(s, Connection) for s in sources)


PASSES: tuple[Pass, ...] = (
    *(FoldOtherPools() if isinstance(p, FoldPool) else p for p in EXACT),
    ShiftReset(),
    LateSubtraction(),
)


CHOICES: tuple[Approximate, ...] = (LinearLeak(), RateCode(), SpikeCount())
LEAK, READ, INSIDE = LinearLeak.choice, SpikeCount.choice, RateCode.choice
