"""The likely cause of a difference: which other reading of a layer would be equal.

The layer that differs first is run again on its own input with another reset, firing rule, number
of spikes a step, floor, rest, order of operations, gain or decay: first one change, then two,
then three. Of the readings that are equal on every step, those with the fewest changes are named.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace

from nrf_deploy.engines.reference.arriving import arriving
from nrf_deploy.ir.network import Network, Node, Population
from nrf_deploy.ir.witness import Witness

from .cut import Chosen, changed_by, cuts
from .replay import frames, replay
from .stepper import Place, Stepper
from .variants import variants

CHANGES = 3
NAMED = 3
TRIALS = 2_000


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
    layer = cuts(network, witness, (node.name,), steps, first)[node.name]
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
