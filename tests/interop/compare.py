"""Comparison of a network's float reference with what the framework itself gave.

Every spike of every layer must be equal. Through a connection, whose sums may round otherwise,
a spike may differ where the potential is within NEAR of its threshold: such a place is counted,
and what follows it in time is not judged. Everything else is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nrf_deploy.engines.reference import run
from nrf_deploy.ir.network import Delay, Network, Output, Population, Scale, Threshold
from nrf_deploy.ir.recording import Recording

Array = npt.NDArray[np.float32]
NEAR = 1e-5
VALUES = 1e-5
"""Largest relative difference of a value of a readout, whose sums round otherwise."""


@dataclass(frozen=True)
class Place:
    """The first place where a layer differs, and how far its potential is from the threshold."""

    layer: str
    step: int
    neuron: tuple[int, ...]
    framework: float
    ours: float
    distance: float

    def __str__(self) -> str:
        return (
            f"{self.layer} step {self.step} neuron {self.neuron}: {self.framework:g} there, "
            f"{self.ours:g} here, {self.distance:.1e} from the threshold"
        )


@dataclass(frozen=True)
class Record:
    """The output of a framework by layer, in the order in which they ran, (steps, *shape)."""

    input: Array
    spikes: Mapping[str, Array]
    values: Mapping[str, Array]


def recorded(arrays: Mapping[str, npt.NDArray[np.generic]]) -> Record:
    """Return the record in the arrays that a maker wrote."""

    def part(kind: str) -> dict[str, Array]:
        mark = f"{kind}/"
        return {
            k.removeprefix(mark): np.asarray(v, np.float32)
            for k, v in arrays.items()
            if k.startswith(mark)
        }

    return Record(np.asarray(arrays["input"], np.float32), part("spikes"), part("values"))


def taps(network: Network) -> list[str]:
    """Return the nodes that give the spikes of each layer, in the order of the network.

    The spikes of some layers leave through a node that bears their name: a Delay (Spyx) or a
    Scale (graded spikes of snnTorch). It gives what the framework's layer gives.
    """
    given = []
    for node in network.nodes:
        if not (isinstance(node, Threshold) or (type(node) is Population and node.spikes)):
            continue
        behind = [
            name
            for name in network.targets(node.name)
            if isinstance(network[name], Delay | Scale)
            and name.startswith(f"{node.name}.")
            and node.name not in network.targets(name)
        ]
        given.append(behind[0] if behind else node.name)
    return given


def compare(network: Network, record: Record) -> tuple[list[Place], list[str]]:
    """Return the first mismatch if it is near a threshold, and what is wrong in words."""
    layers = taps(network)
    if len(layers) != len(record.spikes):
        return [], [f"{len(record.spikes)} layers spike, here {len(layers)}: {', '.join(layers)}"]
    populations = [n.name for n in network.nodes if type(n) is Population]
    outputs = [n.name for n in network.nodes if isinstance(n, Output)]
    trace = run(
        network,
        Recording.from_dense(record.input),
        record=[*layers, *outputs],
        states=populations,
    )
    wrong: list[str] = []
    first: Place | None = None
    pairs = list(zip(layers, record.spikes.items(), strict=True))
    for name, (layer, theirs) in pairs:
        ours = trace.outputs[name].dense().astype(np.float32)
        if ours.shape != theirs.shape:
            return [], [f"{layer}: shape {theirs.shape}, here {ours.shape}"]
        differing = np.argwhere(ours != theirs)
        if not len(differing):
            continue
        place = tuple(int(i) for i in differing[0])
        distance = _distance(network, name, trace.states, place, theirs[place], ours[place])
        here = Place(layer, place[0], place[1:], theirs[place], ours[place], distance)
        if first is None or here.step < first.step:
            first = here
    if first is not None and first.distance > NEAR:
        wrong.append(str(first))
    if first is None and record.values:
        wrong += _values(list(record.values.values()), trace.outputs, outputs)
    near = [first] if first is not None and not wrong else []
    return near, wrong


def _distance(
    network: Network,
    name: str,
    states: Mapping[str, Mapping[str, Array]],
    place: tuple[int, ...],
    theirs: float,
    ours: float,
) -> float:
    """Return how far the potential before the reset was from a threshold, where it is known.

    Where our neuron did not fire, its potential after the step is the one that was tested; where
    it fired n times and subtracted, n thresholds are added again. After a reset to a value it is
    not known from outside: infinite, so that the place counts as wrong.
    """
    node = network[name]
    if isinstance(node, Scale):
        return np.inf
    if isinstance(node, Delay):
        node = network[network.sources(name)[0]]
        place = (place[0] - 1, *place[1:])
    if type(node) is not Population:
        return np.inf
    rule = node.rule
    full = np.broadcast_to(np.asarray(rule.threshold, np.float64), node.shape)
    threshold = float(full[place[1:]])
    v = float(states[node.name]["v"][place])
    if ours and rule.reset == "subtract":
        v += ours * threshold
    elif ours and rule.reset in ("value", "doubled"):
        return np.inf
    if rule.per_step != "many":
        return abs(v - threshold)
    return abs(v / threshold - max(theirs, ours)) * threshold


def _values(
    theirs: Sequence[Array], outputs: Mapping[str, Recording], names: Sequence[str]
) -> list[str]:
    """Return what is wrong with the values of the readouts."""
    if len(theirs) != len(names):
        return [f"{len(theirs)} readouts, here {len(names)}"]
    wrong = []
    for value, name in zip(theirs, names, strict=True):
        ours = outputs[name].dense().astype(np.float32)
        if ours.shape != value.shape:
            return [f"readout {name}: shape {value.shape}, here {ours.shape}"]
        off = np.abs(ours - value) / np.maximum(1, np.abs(value))
        if off.max(initial=0) > VALUES:
            wrong.append(f"readout {name}: values differ by up to {off.max():.2g}")
    return wrong
