"""Faults of a witness beside the network that it is of."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from .network import (
    Delay,
    Input,
    Network,
    Output,
    Population,
    Scale,
    Shape,
    Threshold,
    exact,
)
from .nodes import Node
from .recording import Recording
from .witness import Witness


def sends_spikes(node: Node) -> bool:
    """Return whether the output of a node is counts of spikes."""
    return node.rule.spikes if type(node) is Population else exact(node, Threshold)


def exit_of(name: str, network: Network) -> str:
    """Return the node that gives what a framework's layer of this name gives.

    The spikes of some layers leave through a Delay (Spyx) or a Scale (graded spikes of snnTorch),
    which bears the layer's name and more.
    """
    for target in network.targets(name):
        behind = exact(network[target], Delay, Scale) and target.startswith(f"{name}.")
        if behind and name not in network.targets(target):
            return target
    return name


def input_size(network: Network) -> int:
    """Return the number of elements of a step of the input."""
    return sum(math.prod(n.shape) for n in network.of(Input))


def faults(witness: Witness, network: Network) -> Iterator[str]:
    """Yield in words each part of a witness that is unsound or does not fit the network."""
    texts = (witness.producer, witness.version, *witness.undecided)
    if not all(text.isprintable() for text in texts) or not witness.producer:
        yield "its producer, version and remarks are not all printable text"
    steps, dt = witness.input.steps, witness.input.dt
    if steps < 1:
        yield "it has no step"
    if (
        dt is not None
        and dt > 0
        and network.dt > 0
        and not math.isclose(dt, network.dt, rel_tol=1e-6)
    ):
        yield f"its steps are of {dt:g}, and those of the network of {network.dt:g}"
    if not witness.outputs:
        yield "it has no output of a layer"
    yield from _input(witness.input, network)
    for name, output in witness.outputs.items():
        if name not in network or exact(network[name], Input, Output):
            yield f"it has a layer {name!r:.80}, which the network does not have"
            continue
        node = network[name]
        who = f"layer {name!r}"
        yield from _recording(output, who, node.shape, steps)
        if not sends_spikes(node):
            continue
        if output.value.dtype.kind not in "iu":
            yield f"{who} has values that are not counts of spikes"
        elif np.any(output.value < 0):
            yield f"{who} has a negative number of spikes"
    for name, potentials in witness.potentials.items():
        if name not in network or name not in witness.outputs:
            yield f"it has potentials of {name!r:.80}, which has no output in it"
        elif potentials.shape != (steps, *network[name].shape):
            yield (
                f"the potentials of {name!r} have the shape {potentials.shape}; expected "
                f"{(steps, *network[name].shape)}"
            )
        elif type(network[name]) is not Population:
            yield f"it has potentials of {name!r}, which has no neurons"
        elif potentials.dtype.kind != "f" or not np.isfinite(potentials).all():
            yield f"the potentials of {name!r} are not all finite numbers"


def _input(recording: Recording, network: Network) -> Iterator[str]:
    shapes = [n.shape for n in network.of(Input)]
    shape: Shape = shapes[0] if len(shapes) == 1 else (input_size(network),)
    yield from _recording(recording, "the input", shape, recording.steps)


def _recording(recording: Recording, who: str, shape: Shape, steps: int) -> Iterator[str]:
    if recording.shape != shape:
        yield f"{who} has the shape {recording.shape}; expected {shape}"
    elif recording.steps != steps:
        yield f"{who} has {recording.steps:,} steps; expected {steps:,}, those of the input"
    else:
        yield from (f"{who}: {fault}" for fault in recording.faults())
