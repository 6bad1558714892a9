"""A last Linear as neurons with a value, which chips can hold.

A chip turns a sum of weights into something that it can show only in neurons. So between the last
connections of a network and its Output stands a leaky integrator that forgets everything in each
step,

    tau = dt, r = 1:    v' = 0 v + 1 x + 0 = x

whose value is the sum itself, in every bit. What a host does with the sums (add them up, take the
largest) is as before. Neurons whose output only changes its shape on the way to the Output, and
networks without neurons, are left as they are.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from nrf_deploy.diagnostics.findings import Finding, info
from nrf_deploy.ir.network import (
    AvgPool,
    Conv,
    Edge,
    Flatten,
    Linear,
    Network,
    Node,
    Output,
    Population,
    Scale,
    SumPool,
    exact,
)
from nrf_deploy.neurons import Leaky, Value


def with_readouts(network: Network, findings: list[Finding]) -> Network:
    """Return the network with neurons between its last connections and each Output."""
    if math.isnan(network.dt) or not any(type(n) is Population for n in network.nodes):
        return network
    nodes: list[Node] = []
    edges = list(network.edges)
    for node in network.nodes:
        sources = network.sources(node.name) if exact(node, Output) else ()
        if sources and all(_sums(network, name) for name in sources):
            readout = _readout(network, sources[0])
            nodes.append(readout)
            edges = [_moved(edge, node.name, readout.name) for edge in edges]
            edges.append((readout.name, node.name))
            findings.append(_told(readout.name, sources))
        nodes.append(node)
    if len(nodes) == len(network.nodes):
        return network
    return replace(network, nodes=tuple(nodes), edges=tuple(edges))


def _sums(network: Network, name: str) -> bool:
    """Return whether weights stand between this node and the neurons before it."""
    node = network[name]
    if exact(node, Linear, Conv, Scale) or exact(node, SumPool, AvgPool):
        return True
    sources = network.sources(name) if exact(node, Flatten) else ()
    return bool(sources) and all(_sums(network, source) for source in sources)


def _readout(network: Network, source: str) -> Population:
    name, count = f"{source}.value", 1
    while name in network:
        count += 1
        name = f"{source}.value{count}"
    shape = network[source].shape
    membrane = Leaky(
        tau=np.full(shape, network.dt, np.float64),
        r=np.ones(shape, np.float32),
        v_leak=np.zeros(shape, np.float32),
        order="scaled",
    )
    return Population(name=name, membrane=membrane, rule=Value())


def _moved(edge: Edge, output: str, readout: str) -> Edge:
    return (edge[0], readout) if edge[1] == output else edge


def _told(name: str, sources: tuple[str, ...]) -> Finding:
    before = " and ".join(map(repr, sources))
    return info(
        "NIR-READOUT",
        f"the value of {before} is read out by {name!r}, an LI that forgets everything in a step",
        why="a chip shows a sum of weights in neurons; v = 0 v + x is the sum itself, exactly",
        layer=name,
    )
