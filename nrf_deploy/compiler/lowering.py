"""Lowering of a layered network to a program: the part that is the same on any chip."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from nrf_deploy.diagnostics.findings import Finding
from nrf_deploy.ir import program
from nrf_deploy.ir.capabilities import demand
from nrf_deploy.ir.layer_view import Link, layers
from nrf_deploy.ir.network import (
    Array,
    Conv,
    Input,
    Linear,
    Network,
    Output,
    Pool,
    Population,
    Scale,
    Shape,
    gives_values,
)

from .quantize.groups import WEIGHTED
from .quantize.scheme import Scheme


def lowered(
    network: Network, scheme: Scheme, *, arithmetic: str, model: str, peak: int
) -> program.Program:
    """Return the program of a network for a chip whose layers take no time.

    All neurons are of one model; ports take values up to `peak`.
    """
    view = layers(network)
    neurons = [network[n] for n in view.stops if type(network[n]) is Population]
    taps = outputs(network, [n.name for n in neurons])
    all_synapses = []
    for k in view.links:
        ends = {"name": k.name, "source": k.source, "targets": k.targets, "delay": k.back}
        weight = scheme.connections[k.name].weight
        all_synapses.append(synapses(k, ends, weight, network[k.source].shape, {}))
    return program.Program(
        arithmetic=arithmetic,
        ports=tuple(program.Port(name=n.name, shape=n.shape, peak=peak) for n in network.of(Input)),
        synapses=tuple(all_synapses),
        populations=tuple(
            program.Population(
                name=n.name, shape=n.shape, model=model, params=scheme.populations[n.name].params
            )
            for n in neurons
        ),
        outputs=tuple(n.name for n in neurons if n.name in taps),
        origins=tuple(
            program.Origin(
                population=n.name, node=n.name, latency=0, scale=scheme.populations[n.name].scale
            )
            for n in neurons
        ),
    )


def missing_scales(networks: Iterable[Network], lowered: program.Program) -> Iterator[Finding]:
    """Yield an error for each layer that gives values and has no scale of its output.

    A layer counts if it gives values in one of `networks`: the model that was read, or the
    network after the rewrites. The target has to say what 1 of the model is there.
    """
    every = tuple(networks)
    for origin in lowered.origins:
        nodes = [n[origin.node] for n in every if origin.node in n]
        if any(map(gives_values, nodes)) and program.OUTPUT not in origin.scale:
            yield program.missing_scale(origin.node)


def outputs(network: Network, populations: Collection[str]) -> tuple[str, ...]:
    """Return the names in `populations` (those of a program) that feed an Output.

    A node that only passes values on (a Flatten) is replaced by all of its sources.
    """
    feeding: dict[str, None] = {}
    ahead = [s for output in network.of(Output) for s in network.sources(output.name)]
    seen = set()
    while ahead:
        name = ahead.pop(0)
        if name in populations:
            feeding[name] = None
        elif name not in seen:
            seen.add(name)
            ahead = [*network.sources(name), *ahead]
    return tuple(feeding)


def synapses(
    link: Link,
    ends: Mapping[str, Any],
    weight: Array,
    source_shape: Shape,
    params: Mapping[str, Any],
) -> program.Synapses:
    """Return the synapses of a link.

    `ends` are name, source, targets and delay. `weight` has the shape that groups.shaped
    gives it: that of the connection, a window a channel for a pool, or one weight a neuron.
    """
    node = link.node
    if node is not None:
        demand(node, WEIGHTED, "lowering")
    match node:
        case Linear():
            shapes: dict[str, Any] = {"source_shape": source_shape, "target_shape": node.shape}
            return program.Dense(weight=weight, params=params, **shapes, **ends)
        case Conv():
            return _convolution(node, ends, weight, params)
        case Pool():
            as_conv = Conv(
                name=node.name,
                weight=weight,
                input_size=node.input_shape[1:],
                stride=node.stride,
                padding=node.padding,
                dilation=(1,) * len(node.window),
                groups=node.shape[0],
            )
            return _convolution(as_conv, ends, weight, params)
        case Scale() | None:
            size = int(np.prod(source_shape))
            return program.Sparse(
                weight=np.broadcast_to(weight, size).astype(np.int64),
                params=params,
                source_shape=source_shape,
                target_shape=source_shape,
                row=np.arange(size),
                column=np.arange(size),
                **ends,
            )
    raise TypeError(f"{link.name}: {node.kind} cannot be lowered")


def _convolution(
    node: Conv, ends: Mapping[str, Any], weight: Array, params: Mapping[str, Any]
) -> program.Conv:
    """Return the convolution; a one-dimensional one becomes one over (1, length)."""
    flat = (1,) * (2 - len(node.kernel))
    return program.Conv(
        weight=np.ascontiguousarray(weight.reshape(*weight.shape[:2], *flat, *node.kernel)),
        params=params,
        input_size=(*flat, *node.input_size),
        stride=(*flat, *node.stride),
        padding=(*((0, 0) for _ in flat), *node.padding),
        dilation=(*flat, *node.dilation),
        groups=node.groups,
        **ends,
    )
