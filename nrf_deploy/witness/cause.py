"""The likely cause of a difference: which other reading of a layer would be equal.

The layer that differs first is run again on its own input with another reset, firing rule, number
of spikes a step, floor, rest, order of operations, gain or decay: first one change, then two,
then three. Of the readings that are equal on every step, those with the fewest changes are named.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nrf_deploy.diagnostics.findings import NrfError
from nrf_deploy.engines.reference.arriving import arriving
from nrf_deploy.io.nir.beyond import words
from nrf_deploy.ir.network import Array, Network, Population
from nrf_deploy.ir.witness import Witness
from nrf_deploy.neurons import CurrentLeaky, Leaky, Membrane, Spikes

from .replay import frames, sums_exact
from .stepper import Place, Stepper

NEURONS = 1_024
"""Neurons of the layer that are run: those that differ, and others."""
CHANGES = 3
NAMED = 3
TRIALS = 2_000

Change = Callable[[Population], Population]


@dataclass(frozen=True)
class Cause:
    """Readings of a layer that would be equal.

    Attributes:
        layer: The layer.
        steps: The steps on which they are equal.
        readings: Each in words: "the reset subtracts the threshold one step late".
        options: The options of each, such as "--reset late"; empty where no option says it.
    """

    layer: str
    steps: int
    readings: tuple[str, ...]
    options: tuple[str, ...]

    @property
    def words(self) -> str:
        if not self.readings:
            return "no other reset, firing rule, floor, gain or order of operations makes it equal"
        return f"equal on {self.steps:,} steps if {', or if '.join(self.readings)}"

    @property
    def fix(self) -> str:
        option = next((o for o in self.options if o), "")
        other = "export the model again from its framework"
        return (
            f"read it with {option} where the file does not state it, or {other}"
            if option
            else other
        )


@dataclass(frozen=True)
class Variant:
    """One change to a layer, in words; two of one axis exclude each other."""

    axis: str
    text: str
    option: str
    change: Change


def cause(network: Network, witness: Witness, first: Place, steps: int) -> Cause:
    """Return the readings of the layer of `first` that equal the witness."""
    node = network[first.layer]
    if type(node) is not Population:
        return Cause(first.layer, steps, (), ())
    readings = list(_loops(network, witness, first, steps))
    if not readings:
        readings = list(_readings(network, witness, node, first, steps))
    named = readings[:NAMED]
    return Cause(first.layer, steps, tuple(t for t, _ in named), tuple(o for _, o in named))


def _loops(
    network: Network, witness: Witness, first: Place, steps: int
) -> Iterator[tuple[str, str]]:
    """Yield the other start of loops, if the layer is equal with it."""
    if not network.biased_loops:
        return
    other = "zero" if network.loop_start == "bias" else "bias"
    changed = replace(network, loop_start=other)  # type: ignore[arg-type]
    stepper = Stepper(network[first.layer], network.dt, False)
    for begin, inputs in arriving(changed, witness.input, witness.outputs, steps):
        x = inputs[first.layer]
        stepper(x, frames(witness.outputs[first.layer], slice(begin, begin + len(x))))
    if stepper.first is None:
        when = "is absent in" if other == "zero" else "acts from"
        yield f"the bias of the recurrent connection {when} the first step", ""


def _readings(
    network: Network, witness: Witness, node: Population, first: Place, steps: int
) -> Iterator[tuple[str, str]]:
    x, theirs, shown = _observed(network, witness, node.name, steps)
    few = _neurons(node, theirs, first)
    small = _cut(node, few)
    x, theirs = (a.reshape(len(a), -1)[:, few] for a in (x, theirs))
    shown = None if shown is None else shown.reshape(len(shown), -1)[:, few]
    exact = node.name in sums_exact(network, witness)
    trials = 0
    for count in range(1, CHANGES + 1):
        equal = False
        for chosen in itertools.combinations(list(variants(small, network.dt)), count):
            if len({v.axis for v in chosen}) < count:
                continue
            if (trials := trials + 1) > TRIALS:
                return
            changed = _changed(small, chosen)
            if changed is None:
                continue
            stepper = Stepper(changed, network.dt, exact)
            stepper(x, theirs, shown)
            if stepper.first is None:
                equal = True
                yield " and ".join(v.text for v in chosen), _options(chosen)
        if equal:
            return


def _options(chosen: tuple[Variant, ...]) -> str:
    return " ".join(v.option for v in chosen) if all(v.option for v in chosen) else ""


def _changed(node: Population, chosen: tuple[Variant, ...]) -> Population | None:
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


def _neurons(node: Population, theirs: Array, first: Place) -> Array:
    """Return the neurons to run: the one that differs, the most active ones, and others."""
    size = math.prod(node.shape)
    if size <= NEURONS:
        return np.arange(size)
    at = int(np.ravel_multi_index(first.neuron, node.shape))
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


# --- the changes ---------------------------------------------------------------


def variants(node: Population, dt: float) -> Iterator[Variant]:
    """Yield every change of one axis."""
    if isinstance(node.rule, Spikes):
        yield from _of_rule(node.rule)
    yield from _of_membrane(node.membrane, dt)


RESETS = {
    "subtract": "the reset subtracts the threshold at once",
    "late": "the reset subtracts the threshold one step late (threshold/beta at once)",
    "none": "there is no reset",
    "doubled": "the reset is that of snnTorch with reset_delay=False",
}
FIRES = {"above": "a spike needs v > threshold", "at": "a spike leaves at v >= threshold too"}
PER_STEP = {"one": "one spike leaves a step", "many": "several spikes leave in a step"}


def _of_rule(rule: Spikes) -> Iterator[Variant]:
    known = words(Spikes, "reset")
    for word in known:
        if word in RESETS and word != rule.reset:
            yield _rule("reset", RESETS[word], f"--reset {word}", reset=word)
    if rule.reset != "value":
        yield _rule("reset", "the reset is to a value", "--reset value", reset="value")
    if rule.reset != "value" or np.any(np.asarray(rule.reset_to) != 0):
        yield _rule("reset", "the reset is to 0", "", reset="value", reset_to=0.0)
    for word, text in FIRES.items():
        if word != rule.fires:
            yield _rule("fires", text, f"--fires {word}", fires=word)
    for word, text in PER_STEP.items():
        if word != rule.per_step:
            yield _rule("per_step", text, f"--per-step {word}", per_step=word)
    if rule.floor is not None:
        yield _rule("floor", "the potential has no floor", "--floor none", floor=None)
    full = np.asarray(rule.threshold, np.float32)
    lows = {"-threshold": -full, "-1": 0 * full - 1, "0": 0 * full}
    for name, array in lows.items():
        if rule.floor is None or not np.array_equal(rule.floor, array):
            option = "" if name == "-threshold" else f"--floor {name}"
            yield _rule("floor", f"the potential has a floor of {name}", option, floor=array)
    rests = {None: "no step of rest follows a spike", 1: "a step of rest follows each spike"}
    for rest, text in rests.items():
        if (rule.refractory is None) != (rest is None):
            yield _rule("rest", text, "", refractory=None if rest is None else 0 * full + rest)


def _rule(axis: str, text: str, option: str, **fields: Any) -> Variant:
    def change(node: Population) -> Population:
        assert isinstance(node.rule, Spikes)
        own = dict(fields)
        if (
            own.get("reset") in ("value", "none")
            and getattr(node.rule, "subtracts", None) is not None
        ):
            own["subtracts"] = None
        if own.get("per_step") == "one" and getattr(node.rule, "most", None) is not None:
            own["most"] = None
        return replace(node, rule=replace(node.rule, **own))

    return Variant(axis, text, option, change)


def _of_membrane(membrane: Membrane, dt: float) -> Iterator[Variant]:
    for f in dataclasses.fields(membrane):
        for word in words(type(membrane), f.name) if f.name == "order" else ():
            if word != getattr(membrane, "order", word):
                text = f"its float32 operations are in the order '{word}'"
                yield _membrane("order", text, order=word)
    if isinstance(membrane, Leaky):
        k = dt / membrane.tau.astype(np.float64)
        yield _membrane("gain", "the input is not scaled by dt/tau", r=membrane.r / k)
        yield _membrane("gain", "the input is scaled by dt/tau", r=membrane.r * k)
        yield from _exact(membrane, dt)
    if isinstance(membrane, CurrentLeaky):
        k = dt / membrane.tau_mem.astype(np.float64)
        k_syn = dt / membrane.tau_syn.astype(np.float64)
        yield _membrane("gain", "the current is not scaled by dt/tau_mem", r=membrane.r / k)
        yield _membrane("gain", "the current is scaled by dt/tau_mem", r=membrane.r * k)
        w = membrane.w_in
        yield _membrane("filter", "the input is not scaled by dt/tau_syn", w_in=w / k_syn)
        yield _membrane("filter", "the input is scaled by dt/tau_syn", w_in=w * k_syn)
        keep = 1 - k_syn
        if np.all(keep > 0):
            yield _membrane("filter", "the current decays after the input", w_in=w * keep)
            yield _membrane("filter", "the current decays before the input", w_in=w / keep)


def _exact(membrane: Leaky, dt: float) -> Iterator[Variant]:
    """Yield the decay exp(-dt/tau), with the gain 1, that of the file, and that of the solution."""
    whole = membrane.exactly(dt)
    k = dt / whole.tau.astype(np.float64)
    text = "the potential decays by exp(-dt/tau)"
    yield _membrane("decay", text, tau=whole.tau, r=membrane.r)
    yield _membrane("decay", f"{text} and the input is not scaled", tau=whole.tau, r=membrane.r / k)
    yield _membrane("decay", f"{text} with the file's gain", tau=whole.tau, r=whole.r)


def _membrane(axis: str, text: str, **fields: Any) -> Variant:
    def change(node: Population) -> Population:
        own: dict[str, Any] = {
            k: v if isinstance(v, str) else np.asarray(v, _wide(v)) for k, v in fields.items()
        }
        return replace(node, membrane=replace(node.membrane, **own))

    return Variant(axis, text, "", change)


def _wide(values: Any) -> Any:
    """Return the type of a number: time constants stay in float64, from which d comes back."""
    return np.asarray(values).dtype
