"""Values that the edges which close a cycle carry in the first step."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nrf_deploy.ir.network import Array, Connection, Network

from .connections import Chunk


def before_first(network: Network, work: Mapping[str, Chunk]) -> dict[str, Array]:
    """Return, for the source of each back edge, its value in the step before the first.

    No neuron has spiked by then, so a connection gives what its biases make of zero, unless
    the network starts its loops at zero. All other nodes give zero.

    Args:
        network: the network
        work: each node at work; connections are asked for one frame, and keep no state
    """
    sources = [source for source, _ in network.back_edges]
    if network.loop_start == "zero":
        return {name: _zero(network, name) for name in sources}
    found: dict[str, Array] = {}
    waiting, entered = list(sources), set[str]()
    while waiting:
        name = waiting[-1]
        connected = isinstance(network[name], Connection)
        if connected and name not in entered:
            entered.add(name)
            waiting += [s for s in network.sources(name) if s not in entered]
            continue
        waiting.pop()
        if name not in found:
            found[name] = _silent(network, name, found, work) if connected else _zero(network, name)
    return {name: found[name] for name in sources}


def _zero(network: Network, name: str) -> Array:
    return np.zeros(network[name].shape, np.float32)


def _silent(
    network: Network, name: str, found: Mapping[str, Array], work: Mapping[str, Chunk]
) -> Array:
    """Return what a connection gives when its sources give what was found of them."""
    total = np.zeros(network[name].input_shape, np.float32)
    for source in network.sources(name):
        total = total + found.get(source, np.float32(0))
    value: Array = work[name](total[None])[0]
    return value
