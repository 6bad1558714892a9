"""The likely cause of a difference: which other reading of a layer would be equal.

The layer that differs first is run again on its own input with another reset, firing rule, number
of spikes a step, floor, rest, order of operations, gain or decay: first one change, then two,
then three. Of the readings that are equal on every step, those with the fewest changes are named.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nrf_deploy.diagnostics.findings import NrfError
from nrf_deploy.engines.reference.arriving import arriving
from nrf_deploy.ir.network import Array, Network, Node, Population
from nrf_deploy.ir.witness import Witness

from .replay import frames, replay, sums_exact
from .stepper import Place, Stepper
from .variants import Variant, variants

NEURONS = 1_024
"""Neurons of the layer that are run: those that differ, and others."""
CHANGES = 3
NAMED = 3
TRIALS = 2_000

Chosen = tuple[Variant, ...]


@dataclass(frozen=True)
class Cause:
    """Readings of a layer that would be equal.

    Attributes:
        layer: The layer.
        steps: The steps on which they are equal.
        readings: Each in words: "the reset subtracts the threshold one step late".
        options: The options of each, such as "--reset late"; empty where no option says it.
        everywhere: The whole model is equal if the first reading is that of every layer.
    """

    layer: str
    steps: int
    readings: tuple[str, ...]
    options: tuple[str, ...]
    everywhere: bool = False

    @property
    def words(self) -> str:
        if not self.readings:
            return "no other reset, firing rule, floor, gain or order of operations makes it equal"
        return f"equal on {self.steps:,} steps if {', or if '.join(self.readings)}"

    @property
    def fix(self) -> str:
        """The options that make it equal, for every layer or for this one."""
        option = next((o for o in self.options if o), "")
        again = "export the model again from its framework"
        if not option:
            return again
        if not self.everywhere:
            parts = (word.partition(" ") for word in option.split(" --"))
            option = " --".join(f"{name} {self.layer}={value}" for name, _, value in parts)
        return f"read it with {option} where the file does not state it, or {again}"


def cause(network: Network, witness: Witness, first: Place, steps: int) -> Cause:
    """Return the readings of the layer of `first` that equal the witness."""
    node = network[first.layer]
    if type(node) is not Population:
        return Cause(first.layer, steps, (), ())
    if loop := _loops(network, witness, first, steps):
        return Cause(first.layer, steps, (loop,), ("",))
    readings = list(_readings(network, witness, node, first, steps))[:NAMED]
    return Cause(
        first.layer,
        steps,
        tuple(" and ".join(v.text for v in chosen) for chosen in readings),
        tuple(map(_options, readings)),
        bool(readings) and _everywhere(network, witness, readings[0]),
    )


UNDECIDED = {"reset", "per_step", "rest"}
"""Axes that are named if a recording does not decide them; `fires` needs a tie, which is rare."""


def undecided(network: Network, witness: Witness, name: str, steps: int) -> str:
    """Return in words the readings of a layer that would be equal too; empty without any."""
    node = network[name]
    if type(node) is not Population:
        return ""
    few = _neurons(node, frames(witness.outputs[name], slice(0, steps)), None)
    layer = _Cut(network, witness, node, few, steps)
    chosen = (v for v in variants(layer.node, network.dt) if v.axis in UNDECIDED)
    texts = [v.text for v in chosen if "doubled" not in v.option and layer.equal((v,))]
    return f"layer {name!r} would be equal too if {', or if '.join(texts)}" if texts else ""


class _Cut:
    """Some neurons of a layer, with what reached them and what their framework gave."""

    def __init__(
        self, network: Network, witness: Witness, node: Population, few: Array, steps: int
    ) -> None:
        x, theirs, shown = _observed(network, witness, node.name, steps)
        self.node = _cut(node, few)
        self.x, self.theirs = (a.reshape(len(a), -1)[:, few] for a in (x, theirs))
        self.shown = None if shown is None else shown.reshape(len(shown), -1)[:, few]
        self.exact = node.name in sums_exact(network, witness)
        self.dt = network.dt

    def equal(self, chosen: Chosen) -> bool:
        """Return whether the neurons are equal with these changes."""
        changed = changed_by(self.node, chosen)
        if changed is None:
            return False
        stepper = Stepper(changed, self.dt, self.exact)
        stepper(self.x, self.theirs, self.shown)
        return stepper.first is None


def _everywhere(network: Network, witness: Witness, chosen: Chosen) -> bool:
    """Return whether the whole model is equal if this is the reading of every layer."""
    texts = {v.text for v in chosen}
    nodes: list[Node] = []
    for node in network.nodes:
        if type(node) is Population:
            own = tuple(v for v in variants(node, network.dt) if v.text in texts)
            changed = changed_by(node, own)
            if changed is None:
                return False
            node = changed
        nodes.append(node)
    result = replay(replace(network, nodes=tuple(nodes)), [witness])
    return result.first is None


def _loops(network: Network, witness: Witness, first: Place, steps: int) -> str:
    """Return the other start of loops in words, if the layer is equal with it."""
    if not network.biased_loops:
        return ""
    other = "zero" if network.loop_start == "bias" else "bias"
    changed = replace(network, loop_start=other)  # type: ignore[arg-type]
    stepper = Stepper(network[first.layer], network.dt, False)
    for begin, inputs in arriving(changed, witness.input, witness.outputs, steps):
        x = inputs[first.layer]
        stepper(x, frames(witness.outputs[first.layer], slice(begin, begin + len(x))))
    if stepper.first is not None:
        return ""
    when = "is absent in" if other == "zero" else "acts from"
    return f"the bias of the recurrent connection {when} the first step"


def _readings(
    network: Network, witness: Witness, node: Population, first: Place, steps: int
) -> Iterator[Chosen]:
    """Yield the fewest changes of a layer with which it is equal."""
    few = _neurons(node, frames(witness.outputs[node.name], slice(0, steps)), first)
    layer = _Cut(network, witness, node, few, steps)
    trials = 0
    for count in range(1, CHANGES + 1):
        equal = False
        for chosen in itertools.combinations(list(variants(layer.node, network.dt)), count):
            if len({v.axis for v in chosen}) < count:
                continue
            if (trials := trials + 1) > TRIALS:
                return
            if layer.equal(chosen):
                equal = True
                yield chosen
        if equal:
            return


def _options(chosen: Chosen) -> str:
    return " ".join(v.option for v in chosen) if all(v.option for v in chosen) else ""


def changed_by(node: Population, chosen: Chosen) -> Population | None:
    """Return the changed layer; None if no such neurons exist."""
    try:
        for variant in chosen:
            node = variant.change(node)
    except (NrfError, ValueError, TypeError):
        return None
    faulty = any(True for part in node.every_part() for _ in part.faults())
    return None if faulty else node


def _observed(
    network: Network, witness: Witness, name: str, steps: int
) -> tuple[Array, Array, Array | None]:
    """Return the input of a layer, its recorded output, and its potentials."""
    parts = [inputs[name] for _, inputs in arriving(network, witness.input, witness.outputs, steps)]
    shown = witness.potentials.get(name)
    theirs = frames(witness.outputs[name], slice(0, steps))
    return np.concatenate(parts), theirs, None if shown is None else shown[:steps]


def _neurons(node: Population, theirs: Array, first: Place | None) -> Array:
    """Return the neurons to run: the one that differs, the most active ones, and others."""
    size = math.prod(node.shape)
    if size <= NEURONS:
        return np.arange(size)
    at = 0 if first is None else int(np.ravel_multi_index(first.neuron, node.shape))
    active = np.argsort(-np.count_nonzero(theirs.reshape(len(theirs), -1), axis=0), kind="stable")
    spread = np.linspace(0, size - 1, NEURONS // 2).astype(int)
    return np.unique(np.concatenate([[at], active[: NEURONS // 2], spread]))


def _cut(node: Population, few: Array) -> Population:
    """Return some neurons of a population, as a flat one."""

    def part(p: Any) -> Any:
        numbers = {n: _flat(v, node.shape)[few] for n, _, v in p.numbers()}
        return replace(p, **numbers, **{name: part(inner) for name, inner in p.parts()})

    return replace(node, membrane=part(node.membrane), rule=part(node.rule))


def _flat(values: Any, shape: tuple[int, ...]) -> Array:
    return np.broadcast_to(values, shape).reshape(-1)
