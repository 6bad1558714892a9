"""A layered network as a program: what is the same on any chip."""

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
    """The whole program of a chip whose layers take no time, and whose neurons are all of one
    model; ports take values up to `peak`."""
    view = layers(network)
    held = [network[n] for n in view.stops if type(network[n]) is Population]
    taps = outputs(network, [n.name for n in held])
    made = []
    for k in view.links:
        ends = {"name": k.name, "source": k.source, "targets": k.targets, "delay": k.back}
        weight = scheme.connections[k.name].weight
        made.append(synapses(k, ends, weight, network[k.source].shape, {}))
    return program.Program(
        arithmetic=arithmetic,
        ports=tuple(program.Port(name=n.name, shape=n.shape, peak=peak) for n in network.of(Input)),
        synapses=tuple(made),
        populations=tuple(
            program.Population(
                name=n.name, shape=n.shape, model=model, params=scheme.populations[n.name].params
            )
            for n in held
        ),
        outputs=tuple(n.name for n in held if n.name in taps),
        origins=tuple(
            program.Origin(
                population=n.name, node=n.name, latency=0, scale=scheme.populations[n.name].scale
            )
            for n in held
        ),
    )


def unsaid(networks: Iterable[Network], made: program.Program) -> Iterator[Finding]:
    """Layers that give values in one of these networks (the model as it was read, and as it was
    rewritten), without a word of the target what 1 of the model is there."""
    every = tuple(networks)
    for origin in made.origins:
        nodes = [n[origin.node] for n in every if origin.node in n]
        if any(map(gives_values, nodes)) and program.OUTPUT not in origin.scale:
            yield program.unsaid(origin.node)


def outputs(network: Network, held: Collection[str]) -> tuple[str, ...]:
    """Those of `held`, the populations of a program, that feed an Output. What only passes on
    (a Flatten) is seen through, to all that lead to it."""
    found: dict[str, None] = {}
    ahead = [s for output in network.of(Output) for s in network.sources(output.name)]
    seen = set()
    while ahead:
        name = ahead.pop(0)
        if name in held:
            found[name] = None
        elif name not in seen:
            seen.add(name)
            ahead = [*network.sources(name), *ahead]
    return tuple(found)


def synapses(
    link: Link,
    ends: Mapping[str, Any],
    weight: Array,
    source_shape: Shape,
    params: Mapping[str, Any],
) -> program.Synapses:
    """`ends` are name, source, targets and delay; `weight` has the shape that groups.shaped
    gives it: the connection's own, a pool's window a channel, or one a neuron."""
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
    """A one-dimensional convolution is one over (1, length)."""
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
