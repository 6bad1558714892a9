"""The integer arithmetic of this family: two machines with the same numbers.

These rules are normative for both; core_form.py describes the form of their programs.

"speck.steps" is sinabs' simulation in time steps. A step sums all of its input:

    v = max(v + sum + bias, threshold_low)
    n = v // threshold_high spikes where v > 0, else 0     (several spikes in one step)
    v = v - n threshold_high                               or 0 where n > 0, see below

The output of a step, n or the sum of a merge, has 32 bits.

"speck.events" is the chip. It has no time steps: events are processed in turn, and for each
event the neurons that its kernel reaches, in order of rising addresses:

    v = v + weight                   saturates at 16 bits (assumed)
    v = max(v, threshold_low)
    one spike where v >= threshold_high; the remainder is kept for the next event
    v = v - threshold_high           or 0, see below

A tick of the leak clock does the same to every neuron, with its bias as the weight; there is
one tick per time step, before the events of the step. With `returns_to_zero` a spike sets v to
0. A "merge" passes its input on. nrf_deploy/engines/emulator/events_golden.py defines the order
of events; chips.toml lists the assumptions, which no document confirms.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from nrf_deploy.diagnostics.findings import Finding, TargetError
from nrf_deploy.engines.emulator.golden import State
from nrf_deploy.engines.emulator.parameters import (
    Codes,
    Declared,
    Parameter,
    as_integers,
    named,
    ranged,
    synapse_faults,
    unknown_model,
    wrong_parameters,
)
from nrf_deploy.ir.network import Array
from nrf_deploy.ir.program import Population, Program, Sparse, Synapses

from ..chip import LEAST, MOST
from .models import MODELS, joins_wires

CODES = Codes.of("SPECK")
WIRE: Declared = {"pooling": Parameter(1, 8), "shift": Parameter(0, 2**16)}
STATES: Mapping[str, tuple[str, ...]] = {name: m.states for name, m in MODELS.items()}

Params = Mapping[str, Array]


def parameters(population: Population) -> dict[str, Array]:
    """Return every parameter as int64; refuse unknown ones and values outside their ranges."""
    model = MODELS.get(population.model)
    if model is None:
        raise TargetError(unknown_model(population, MODELS, CODES))
    declared = model.parameters
    params, shape = population.params, population.shape
    if wrong := [*named(params, declared), *ranged(params, declared, shape)]:
        raise TargetError(wrong_parameters(population, declared, CODES, wrong))
    return as_integers(population.params, declared)


def sound(program: Program) -> Iterator[Finding]:
    """Yield the faults of parameters; only wires into a merge may have parameters."""
    for p in program.populations:
        try:
            parameters(p)
        except TargetError as refusal:
            yield from refusal.findings
    merges = {p.name for p in program.populations if joins_wires(p)}
    for s in program.synapses:
        joins = isinstance(s, Sparse) and set(s.targets) <= merges
        yield from synapse_faults(s, WIRE if joins else {}, CODES)


def word(x: Array) -> Array:
    """Wrap to the 32 bits of a message."""
    return x.astype(np.int32).astype(np.int64)


def started(population: Population) -> State:
    if joins_wires(population):
        return {}
    return {"v": np.broadcast_to(parameters(population)["v0"], population.shape).copy()}


class StepsArithmetic:
    name = "speck.steps"
    states = STATES

    def faults(self, program: Program) -> Iterator[Finding]:
        return sound(program)

    def held(self, synapses: Synapses) -> Array:
        return synapses.weight.astype(np.int64)

    def message(self, synapses: Synapses, output: Array) -> Array:
        return output

    def deliver(self, synapses: Synapses, total: Array) -> Array:
        return total

    def start(self, population: Population) -> State:
        return started(population)

    def step(
        self, population: Population, state: State, arriving: Array, t: int
    ) -> tuple[Array, State]:
        p = parameters(population)
        if joins_wires(population):
            return word(arriving), {}
        v = np.maximum(state["v"] + arriving + p["bias"], p["threshold_low"])
        spikes = np.maximum(v, 0) // p["threshold_high"]
        to_zero = np.where(spikes > 0, 0, v)
        left = v - spikes * p["threshold_high"]
        return word(spikes), {"v": np.where(p["returns_to_zero"], to_zero, left)}


class EventsRule:
    name = "speck.events"
    states = STATES

    def faults(self, program: Program) -> Iterator[Finding]:
        return sound(program)

    def start(self, population: Population) -> State:
        return started(population)

    def passes(self, population: Population) -> bool:
        return joins_wires(population)

    def tick(self, population: Population) -> Array | None:
        """Return the amount that a tick adds to each neuron; None if the leak is off."""
        bias = parameters(population).get("bias", np.int64(0))
        return np.broadcast_to(bias, population.shape).ravel() if np.any(bias) else None

    def arrive(
        self, population: Population, state: State, neurons: Array, weights: Array
    ) -> tuple[Array, State]:
        """Apply one event to these (flat) neurons; return which spike, and the new state."""
        p = parameters(population)
        v = state["v"].ravel().copy()
        reached = np.clip(v[neurons] + weights, LEAST, MOST)
        reached = np.maximum(reached, p["threshold_low"])
        fires = reached >= p["threshold_high"]
        after = np.where(p["returns_to_zero"], 0, reached - p["threshold_high"])
        v[neurons] = np.where(fires, after, reached)
        return fires, {"v": v.reshape(population.shape)}
