"""What reaches a population of a network, from recordings of what feeds it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .. import program as prog
from ..layers import Layers, Link
from ..network import (
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
)
from ..program import Program, Synapses
from ..quantise.neuron import neuron
from ..recording import Recording
from ..reference.connections import Chunk, connection
from .alone import element_range, later
from .pair import spread


@dataclass(frozen=True, eq=False)
class Feed:
    """One link into a population, with the model's weights and with the chip's."""

    recording: Recording
    shape: Shape  # of the frames that the connections take
    model: Chunk
    chip: Chunk

    def frames(self, first: int, last: int) -> Array:
        r = self.recording
        bounds = np.minimum([first, last], r.steps)
        here = slice(*r.start[bounds])
        out = np.zeros((last - first, r.size), np.float32)
        out[r.step[here] - first, r.index[here]] = r.value[here]
        return out.reshape(last - first, *self.shape)


def feeds(
    network: Network,
    view: Layers,
    program: Program,
    weights: Mapping[str, Mapping[str, Array]],
    name: str,
    outputs: Mapping[str, Recording],
) -> list[Feed] | None:
    """None where a link's weights cannot be told from the others of the program."""
    found = []
    for link in view.into(name):
        held = [
            s
            for s in program.into(name)
            if s.name == link.name or s.name.startswith(f"{link.name} (after ")
        ]
        if len(held) != 1 or held[0].name not in weights or link.source not in outputs:
            return None
        source = network[link.source]
        recording = outputs[link.source]
        analogue = not (isinstance(source, Input) or getattr(source, "spikes", True))
        payload = _payload(program, link.source, recording) if analogue else 1.0
        weight = weights[held[0].name]["weight"] * payload
        model = _bare(link, network)
        found.append(
            Feed(
                later(recording, link.back),
                model.input_shape,
                connection(model),
                connection(_holding(model, held[0], weight)),
            )
        )
    return found


def given(network: Network, recording: Recording) -> dict[str, Recording]:
    """What goes into each Input."""
    found, first = {}, 0
    for node in network.of(Input):
        found[node.name] = element_range(recording, first, node.shape)
        first += math.prod(node.shape)
    return found


def drive(network: Network, name: str) -> Array:
    node = network[name]
    assert isinstance(node, Population)
    return np.asarray(neuron(node, network.dt).drive)


def _payload(program: Program, source: str, recording: Recording) -> float:
    origin = next((o for o in program.origins if o.population == source), None)
    scale = {} if origin is None else origin.scale
    unit = np.asarray(scale.get("output", scale.get("v", 1.0)))
    return float(spread(unit, recording.shape).mean())


def _bare(link: Link, network: Network) -> Connection:
    """The link's node without its bias, which is one of the population's own numbers."""
    node = link.node
    if node is None:
        shape = network[link.source].shape
        return Scale(name=link.name, scale=np.ones(shape))
    return replace(node, bias=None) if isinstance(node, Conv | Linear) else node


def _holding(model: Connection, held: Synapses, weight: Array) -> Connection:
    """The same connection with these weights: what an event adds to the chip's potential."""
    new: Any
    match model:
        case Conv() | Linear():
            new = replace(model, weight=weight.reshape(model.weight.shape))
        case Pool():
            assert isinstance(held, prog.Conv)
            new = Conv(
                name=model.name,
                weight=weight.reshape(*weight.shape[:2], *model.window),
                input_size=model.pool_input[1:],
                stride=model.stride,
                padding=model.padding,
                dilation=(1,) * len(model.window),
                groups=model.pool_input[0],
            )
        case _:
            new = Scale(name=model.name, scale=weight.reshape(model.shape))
    return new  # type: ignore[no-any-return]
