"""Summed input of a population of a network, from recordings of its sources."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nrf_deploy.compiler.quantize.neuron import neuron
from nrf_deploy.engines.reference.connections import Chunk, connection
from nrf_deploy.ir import program as prog
from nrf_deploy.ir.layer_view import Layers, Link
from nrf_deploy.ir.network import (
    Array,
    Connection,
    Conv,
    Input,
    Linear,
    Network,
    Pool,
    Population,
    Scale,
    Shape,
    gives_values,
)
from nrf_deploy.ir.program import Program, Synapses, spread
from nrf_deploy.ir.recording import Recording

from .isolated_layer import element_range, later


@dataclass(frozen=True, eq=False)
class Signal:
    """A recording as frames of the shape that a connection takes."""

    recording: Recording
    shape: Shape

    def frames(self, first: int, last: int) -> Array:
        r = self.recording
        bounds = np.minimum([first, last], r.steps)
        here = slice(*r.start[bounds])
        out = np.zeros((last - first, r.size), np.float32)
        out[r.step[here] - first, r.index[here]] = r.value[here]
        return out.reshape(last - first, *self.shape)


@dataclass(frozen=True, eq=False)
class Feed:
    """A link into a population, with the model's weights and with the chip's. If the chip pools
    before it, `pooled` is the pooled input with the connection after it."""

    signal: Signal
    model: Chunk
    chip: Chunk
    pooled: Feed | None = None

    def by_model(self, first: int, last: int) -> Array:
        """Return the summed input of some steps by the model's weights."""
        return self.model(self.signal.frames(first, last))

    def by_chip(self, first: int, last: int) -> Array:
        return self.chip(self.signal.frames(first, last))


Pooled = Callable[[str], Recording | None]
"""Function from a population between source and layer to its output, fed by the reference."""


def feeds(
    network: Network,
    view: Layers,
    program: Program,
    weights: Mapping[str, Mapping[str, Array]],
    name: str,
    outputs: Mapping[str, Recording],
    pooled: Pooled,
) -> list[Feed] | None:
    """Return the feeds of a population; None if a link's weights cannot be separated."""
    links, into = view.into(name), program.into(name)
    if len(links) > 1 and len(into) == 1:
        return _joined(network, links, into[0], weights, outputs, pooled)
    feeds_found = []
    for link in links:
        candidates = [
            s for s in into if s.name == link.name or s.name.startswith(f"{link.name} (after ")
        ]
        if len(candidates) != 1 or candidates[0].name not in weights or link.source not in outputs:
            return None
        weight = weights[candidates[0].name]["weight"] * _payload(network, program, link, outputs)
        model = _bare(link, network)
        feeds_found.append(
            Feed(
                Signal(later(outputs[link.source], link.back), model.input_shape),
                connection(model),
                connection(_holding(model, candidates[0], weight)),
                _after_pool(network, program, link, model, candidates[0], weight, pooled),
            )
        )
    return feeds_found


def _joined(
    network: Network,
    links: Sequence[Link],
    chip_synapses: Synapses,
    weights: Mapping[str, Mapping[str, Array]],
    outputs: Mapping[str, Recording],
    pooled: Pooled,
) -> list[Feed] | None:
    """Return the feeds if the chip stores all links as one convolution of joined inputs.

    Each link has the model's weights, and one more feed has all of them with the chip's.
    """
    together = pooled(chip_synapses.source)
    spikes = not any(gives_values(network[k.source]) for k in links)
    known = all(k.source in outputs and not k.back for k in links)
    sound = spikes and known and chip_synapses.name in weights
    if together is None or not sound or not isinstance(chip_synapses, prog.Conv):
        return None
    models = [_bare(link, network) for link in links]
    chip = Conv(
        name=chip_synapses.name,
        weight=weights[chip_synapses.name]["weight"],
        input_size=chip_synapses.input_size,
        stride=chip_synapses.stride,
        padding=chip_synapses.padding,
        dilation=chip_synapses.dilation,
        groups=chip_synapses.groups,
    )
    each = [
        Feed(Signal(outputs[k.source], m.input_shape), connection(m), _nothing(m.shape))
        for k, m in zip(links, models, strict=True)
    ]
    whole = Signal(together, chip_synapses.input_shape)
    return [*each, Feed(whole, _nothing(chip_synapses.shape), connection(chip))]


def _nothing(shape: Shape) -> Chunk:
    return lambda frames: np.zeros((len(frames), *shape), np.float32)


def _after_pool(
    network: Network,
    program: Program,
    link: Link,
    model: Connection,
    chip_synapses: Synapses,
    weight: Array,
    pooled: Pooled,
) -> Feed | None:
    """Return the feed of a population of the program that pools, if there is one."""
    pools = isinstance(link.node, Pool) or isinstance(network[link.source], Pool)
    known = {p.name for p in program.ports} | {o.population for o in program.origins}
    if not pools or link.back or chip_synapses.source in known:
        return None
    pooled_input = pooled(chip_synapses.source)
    if pooled_input is None:
        return None
    behind = model
    if isinstance(model, Pool):
        if chip_synapses.input_shape != model.shape:
            return None
        behind = Scale(name=model.name, scale=np.ones(model.shape))
    return Feed(
        Signal(pooled_input, behind.input_shape),
        connection(behind),
        connection(_holding(behind, chip_synapses, weight)),
    )


def inputs_of(network: Network, recording: Recording) -> dict[str, Recording]:
    """Return the recording of each Input."""
    recordings, first = {}, 0
    for node in network.of(Input):
        recordings[node.name] = element_range(recording, first, node.shape)
        first += math.prod(node.shape)
    return recordings


def drive(network: Network, name: str) -> Array:
    node = network[name]
    assert type(node) is Population
    return np.asarray(neuron(node, network.dt).drive)


def _payload(
    network: Network, program: Program, link: Link, outputs: Mapping[str, Recording]
) -> float:
    """Return the value of 1 of the model in the values of this link."""
    if not gives_values(network[link.source]):
        return 1.0
    unit = program.origin(link.source).unit
    return float(spread(unit, outputs[link.source].shape).mean())


def _bare(link: Link, network: Network) -> Connection:
    """Return the link's node without its bias, which is one of the population's numbers."""
    node = link.node
    if node is None:
        shape = network[link.source].shape
        return Scale(name=link.name, scale=np.ones(shape))
    return replace(node, bias=None) if isinstance(node, Conv | Linear) else node


def _holding(model: Connection, chip_synapses: Synapses, weight: Array) -> Connection:
    """Return the connection with these weights, which an event adds to the chip's potential."""
    new: Any
    match model:
        case Conv() | Linear():
            new = replace(model, weight=weight.reshape(model.weight.shape))
        case Pool():
            assert isinstance(chip_synapses, prog.Conv)
            channels, window = model.pool_input[0], model.window
            before = chip_synapses.input_shape == model.shape  # the chip pools before these
            new = Conv(
                name=model.name,
                weight=_diagonal(weight, (channels, 1, *window))
                if before
                else weight.reshape(channels, 1, *window),
                input_size=model.pool_input[1:],
                stride=model.stride,
                padding=model.padding,
                dilation=(1,) * len(window),
                groups=channels,
            )
        case _:
            shape = model.shape
            one = isinstance(chip_synapses, prog.Conv)
            new = Scale(
                name=model.name,
                scale=_diagonal(weight, shape) if one else weight.reshape(shape),
            )
    return new  # type: ignore[no-any-return]


def _diagonal(weight: Array, shape: Shape) -> Array:
    """Return a number for each channel, from a diagonal convolution of 1 x 1."""
    each = np.diagonal(weight.reshape(shape[0], shape[0]))
    return np.broadcast_to(each.reshape(-1, *[1] * (len(shape) - 1)), shape)
