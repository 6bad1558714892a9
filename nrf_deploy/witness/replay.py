"""The replay of witnesses in the float reference, layer by layer and whole.

Each layer is fed with what the witness holds of the layers before it. If that is equal
everywhere, the whole model is equal too; only where spikes within rounding of a threshold differ
does the whole model run as well, and the outputs that follow are counted.

The cost is bounded: of a large network fewer steps are replayed, and the report names them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from nrf_deploy.engines.reference import run
from nrf_deploy.engines.reference.arriving import arriving
from nrf_deploy.engines.reference.nodes import runner
from nrf_deploy.ir.network import (
    Array,
    Connection,
    Conv,
    Delay,
    Flatten,
    Input,
    Linear,
    Network,
    Population,
    SumPool,
    exact,
)
from nrf_deploy.ir.recording import Recording
from nrf_deploy.ir.trained import UNKNOWN, Trained
from nrf_deploy.ir.witness import Witness
from nrf_deploy.ir.witness_faults import exit_of, sends_spikes

from .stepper import Place, Stepper

WORK = 20_000_000_000
"""Multiplications of a replay: seconds. A network of 100 million weights gets 200 steps."""
NEURON = 64
"""The cost of a neuron and step, in multiplications."""
PLACES = 8
GRID = 4.0
LARGEST = 2.0**17
"""Sums of products of multiples of 1/4 below this are exact in float32."""


@dataclass(frozen=True)
class Layer:
    """The replay of one layer in isolation.

    Attributes:
        name: The layer.
        neurons: Its neurons.
        events: What the framework gave in the replayed steps: spikes, or values that are not 0.
        near: Spikes that differ within rounding of the threshold.
        first: The first place that differs; None where it is equal.
    """

    name: str
    neurons: int
    events: int
    near: int
    first: Place | None


@dataclass(frozen=True)
class Replay:
    """The result of a replay.

    Attributes:
        trained: The first link; unknown if a place differs, or if no layer gave anything.
        first: The first place that differs, by layer.
        sample: The recording that `first` is in.
        layers: Every observed layer, in the network's order.
    """

    trained: Trained
    first: Place | None = None
    sample: int = 0
    layers: tuple[Layer, ...] = ()


def replay(
    network: Network, witnesses: Sequence[Witness], sha256: str = "", work: int | None = None
) -> Replay:
    """Compare a network with the outputs that its framework gave.

    Args:
        network: the network as it was read
        witnesses: one recording or several, each from the first state
        sha256: the hash of the witnesses, for the result
        work: the most multiplications; None for `WORK`
    """
    left = (WORK if work is None else work) // cost(network)
    names = [n for n in network.order if any(n in w.outputs for w in witnesses)]
    layers = {n: Layer(n, math.prod(network[n].shape), 0, 0, None) for n in names}
    done = whole = sample = 0
    places: list[Place] = []
    for number, witness in enumerate(witnesses):
        steps = int(min(witness.input.steps, max(left, 1 if number == 0 else 0)))
        if not steps:
            break
        steppers = layer_by_layer(network, witness, steps)
        done, left = done + steps, left - steps
        places += [p for s in steppers.values() for p in s.near]
        for name, s in steppers.items():
            events = witness.outputs[name].until(steps).events
            layers[name] = _more(layers[name], events, s)
        if any(x.first for x in layers.values()):
            sample = number
            break
        if any(s.near_count for s in steppers.values()):
            whole += _whole(network, witness, steps)
    every = tuple(layers.values())
    first = next((x.first for x in every if x.first), None)
    neurons = [x for x in every if type(network[x.name]) is Population]
    if first is not None or not any(x.events for x in neurons):
        return Replay(UNKNOWN, first, sample, every)
    named = witnesses[0]
    silent = [*_silent(network, witnesses, every, done)]
    trained = Trained(
        state="exact",
        producer=named.producer,
        version=named.version,
        steps=done,
        offered=sum(w.input.steps for w in witnesses),
        samples=len(witnesses),
        layers=tuple(names),
        missing=tuple(_missing(network, names)),
        near=sum(x.near for x in layers.values()),
        places=tuple(p.words for p in places[:PLACES]),
        whole=whole,
        undecided=tuple(dict.fromkeys((*(u for w in witnesses for u in w.undecided), *silent))),
        sha256=sha256,
    )
    return Replay(trained, layers=every)


def _silent(
    network: Network, witnesses: Sequence[Witness], layers: Sequence[Layer], steps: int
) -> Iterator[str]:
    """Yield the layers in which neurons gave nothing: of these only that is known."""
    for layer in layers:
        if not layer.events:
            yield f"layer {layer.name!r}: no output in {steps:,} steps"
            continue
        if all(layer.name in w.potentials for w in witnesses):
            continue  # the potentials of all its neurons were compared
        observed = [w.outputs[layer.name] for w in witnesses if layer.name in w.outputs]
        gave = np.sum([r.counts().reshape(-1) != 0 for r in observed], axis=0) > 0
        if sends_spikes(network[layer.name]) and not gave.all():
            count = int(np.count_nonzero(~gave))
            yield f"layer {layer.name!r}: {count:,} of {layer.neurons:,} neurons gave no spike"


def _missing(network: Network, names: Sequence[str]) -> Iterator[str]:
    """Yield the populations of which neither the output nor the node behind it is observed."""
    for node in network.of(Population):
        if node.name not in names and exit_of(node.name, network) not in names:
            yield node.name


def _more(layer: Layer, events: int, stepper: Stepper) -> Layer:
    """Return a layer after another recording."""
    return replace(
        layer,
        events=layer.events + events,
        near=layer.near + stepper.near_count,
        first=stepper.first,
    )


def layer_by_layer(network: Network, witness: Witness, steps: int) -> dict[str, Stepper]:
    """Run each observed layer on what the witness holds of the layers before it."""
    exact_sums = sums_exact(network, witness)
    steppers = {
        name: Stepper(network[name], network.dt, name in exact_sums) for name in witness.outputs
    }
    others = {
        name: runner(network[name], network.dt, "euler", False)
        for name in witness.outputs
        if type(network[name]) is not Population
    }
    for begin, inputs in arriving(network, witness.input, witness.outputs, steps):
        for name, stepper in steppers.items():
            x = inputs[name]
            if name in others:
                x = others[name](x)
            span = slice(begin, begin + len(x))
            shown = witness.potentials.get(name)
            recorded = frames(witness.outputs[name], span)
            stepper(x, recorded, None if shown is None else shown[span])
    return steppers


def frames(recording: Recording, span: slice) -> Array:
    """Return some steps of a recording as dense frames."""
    part = slice(recording.start[span.start], recording.start[span.stop])
    out = np.zeros((span.stop - span.start, recording.size), np.float64)
    out[recording.step[part] - span.start, recording.index[part]] = recording.value[part]
    return out.reshape(-1, *recording.shape)


def _whole(network: Network, witness: Witness, steps: int) -> int:
    """Return the number of outputs that differ if the whole model runs."""
    names = [n for n in witness.outputs if sends_spikes(network[n])]
    trace = run(network, witness.input, record=names, steps=steps)
    return sum(
        int(np.count_nonzero(ours != theirs))
        for name in names
        for ours, theirs in _pairs(trace.outputs[name], witness.outputs[name], steps)
    )


def _pairs(ours: Recording, theirs: Recording, steps: int) -> Iterator[tuple[Array, Array]]:
    for t in range(steps):
        yield ours.frame(t), theirs.frame(t)


# --- where sums are exact, and what they cost --------------------------------


def sums_exact(network: Network, witness: Witness) -> set[str]:
    """Return the observed layers whose input has no rounding: all is multiples of 1/4."""
    return {name for name in witness.outputs if _gridded(network, witness, name)}


def _gridded(network: Network, witness: Witness, name: str) -> bool:
    """Return whether everything that reaches a layer is an exact sum."""
    seen: set[str] = set()
    ahead = list(network.sources(name))
    if type(network[name]) is not Population:
        ahead = [name]
    while ahead:
        here = ahead.pop()
        if here in seen:
            continue
        seen.add(here)
        node = network[here]
        if exact(node, Input):
            if not _grid(witness.input.value):
                return False
        elif type(node) is Population:
            if not node.spikes or here not in witness.outputs:
                return False
        elif exact(node, Linear, Conv, SumPool) or exact(node, Flatten, Delay):
            numbers = (getattr(node, "weight", None), getattr(node, "bias", None))
            if not all(_grid(x) for x in numbers if x is not None):
                return False
            ahead += network.sources(here)
        else:
            return False
    return True


def _grid(values: Array) -> bool:
    """Return whether values are multiples of 1/4, so small that their sums are exact."""
    scaled = np.asarray(values, np.float64) * GRID
    largest = float(np.abs(scaled).max(initial=0))
    return largest <= LARGEST and bool(np.all(scaled == np.rint(scaled)))


def cost(network: Network) -> int:
    """Return the multiplications of a step."""
    total = 1
    for node in network.nodes:
        total += NEURON * math.prod(node.shape)
        if exact(node, Conv):
            total += int(node.weight.size) * math.prod(node.shape[1:])
        elif isinstance(node, Connection) and (w := getattr(node, "weight", None)) is not None:
            total += int(w.size)
    return total
