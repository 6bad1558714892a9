"""Some neurons of a layer, which are run with other readings on the input that reached them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nrf_deploy.diagnostics.findings import NrfError
from nrf_deploy.engines.reference.arriving import arriving
from nrf_deploy.ir.network import Array, Network, Population
from nrf_deploy.ir.trained import Trained
from nrf_deploy.ir.witness import Witness

from .replay import WORK, cost, frames, sums_exact
from .stepper import Place, Stepper
from .variants import Variant, variants

NEURONS = 1_024
"""Neurons of a layer that are run: the one that differs, the most active ones, and others."""
UNDECIDED = {"reset", "per_step", "rest", "fires", "floor"}
"""Axes that are named if a recording does not decide them."""
MOST_UNDECIDED = 256
"""Steps on which other readings are tried of a layer that is equal."""
Chosen = tuple[Variant, ...]


@dataclass(frozen=True)
class Cut:
    """Some neurons of a layer, flat: their input, and what their framework gave."""

    node: Population
    dt: float
    x: Array
    theirs: Array
    shown: Array | None
    exact: bool

    def equal(self, chosen: Chosen) -> bool:
        """Return whether the neurons are equal with these changes."""
        changed = changed_by(self.node, chosen)
        if changed is None:
            return False
        stepper = Stepper(changed, self.dt, self.exact)
        stepper(self.x, self.theirs, self.shown)
        return stepper.first is None


def within(network: Network, witness: Witness, steps: int) -> int:
    """Return how many of these steps a recording has and the cost allows."""
    return max(1, min(steps, witness.input.steps, WORK // cost(network)))


def cuts(
    network: Network,
    witness: Witness,
    names: Iterable[str],
    steps: int,
    first: Place | None = None,
) -> dict[str, Cut]:
    """Return some neurons of each of these populations, on the first steps of a recording."""
    nodes = {name: network[name] for name in names}
    few = {name: _neurons(witness, name, node.shape, steps, first) for name, node in nodes.items()}
    inputs: dict[str, list[Array]] = {name: [] for name in nodes}
    outputs: dict[str, list[Array]] = {name: [] for name in nodes}
    for begin, reached in arriving(network, witness.input, witness.outputs, steps):
        for name in nodes:
            x = reached[name]
            theirs = frames(witness.outputs[name], slice(begin, begin + len(x)))
            inputs[name].append(x.reshape(len(x), -1)[:, few[name]])
            outputs[name].append(theirs.reshape(len(x), -1)[:, few[name]])
    grid = sums_exact(network, witness)
    layers = {}
    for name, node in nodes.items():
        assert type(node) is Population
        shown = witness.potentials.get(name)
        if shown is not None:
            shown = shown[:steps].reshape(steps, -1)[:, few[name]]
        layers[name] = Cut(
            cut(node, few[name]),
            network.dt,
            np.concatenate(inputs[name]),
            np.concatenate(outputs[name]),
            shown,
            name in grid,
        )
    return layers


def undecided(network: Network, witness: Witness, names: Iterable[str], steps: int) -> list[str]:
    """Return in words the other readings of each layer that would be equal too."""
    populations = [name for name in names if type(network[name]) is Population]
    texts = []
    for name, layer in cuts(network, witness, populations, steps).items():
        tried = (v for v in variants(layer.node, network.dt) if _asked(v))
        equal = [v.text for v in tried if layer.equal((v,))]
        if equal:
            texts.append(f"layer {name!r} would be equal too if {', or if '.join(equal)}")
    return texts


def _asked(variant: Variant) -> bool:
    """Return whether a user may have meant this reading: a floor only where one is stated."""
    if variant.axis == "floor":
        return variant.option == "--floor none"
    return variant.axis in UNDECIDED and "doubled" not in variant.option


def with_undecided(network: Network, witnesses: Sequence[Witness], trained: Trained) -> Trained:
    """Return the first link with the readings that the first sample does not tell apart."""
    if trained.state != "exact" or not witnesses:
        return trained
    steps = within(network, witnesses[0], min(trained.steps, MOST_UNDECIDED))
    more = undecided(network, witnesses[0], trained.layers, steps)
    return replace(trained, undecided=tuple(dict.fromkeys((*trained.undecided, *more))))


def changed_by(node: Population, chosen: Chosen) -> Population | None:
    """Return the changed layer; None if no such neurons exist."""
    try:
        for variant in chosen:
            node = variant.change(node)
    except (NrfError, ValueError, TypeError):
        return None
    faulty = any(True for part in node.every_part() for _ in part.faults())
    return None if faulty else node


def _neurons(
    witness: Witness, name: str, shape: tuple[int, ...], steps: int, first: Place | None
) -> Array:
    size = math.prod(shape)
    if size <= NEURONS:
        return np.arange(size)
    differs = first is not None and first.layer == name
    at = int(np.ravel_multi_index(first.neuron, shape)) if first is not None and differs else 0
    counts = witness.outputs[name].until(steps).counts().reshape(-1)
    active = np.argsort(-counts, kind="stable")[: NEURONS // 2]
    spread = np.linspace(0, size - 1, NEURONS // 2).astype(int)
    return np.unique(np.concatenate([[at], active, spread]))


def cut(node: Population, few: Array) -> Population:
    """Return some neurons of a population, as a flat one."""

    def part(p: Any) -> Any:
        numbers = {n: _flat(v, node.shape)[few] for n, _, v in p.numbers()}
        return replace(p, **numbers, **{name: part(inner) for name, inner in p.parts()})

    return replace(node, membrane=part(node.membrane), rule=part(node.rule))


def _flat(values: Any, shape: tuple[int, ...]) -> Array:
    return np.broadcast_to(values, shape).reshape(-1)
