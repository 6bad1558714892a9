"""What the integers of this family mean: two machines that hold the same numbers.

This is the normative text of both; form.py says what their programs look like.

"speck.steps" is sinabs' simulation in time steps. A step sums all that arrives:

    v = max(v + sum + bias, threshold_low)
    n = v // threshold_high spikes where v > 0, else 0     (several spikes in one step)
    v = v - n threshold_high                               or 0 where n > 0, see below

"speck.events" is the chip. It has no time steps: one event after another arrives, and of
each the neurons that its kernel reaches, one after another by rising address:

    v = v + weight                   it stays within 16 bits, at their ends (assumed)
    v = max(v, threshold_low)
    one spike where v >= threshold_high; what is left stays for the next event
    v = v - threshold_high           or 0, see below

A tick of the leak clock does the same to every neuron, with its bias for a weight; there is
one a time step, before the step's events. With `returns_to_zero` a spike empties a neuron.
A "merge" passes on what arrives. nrf_deploy/emulator/events_golden.py has the order of events;
chips.toml lists what of this is assumed, because no document says it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from nrf_deploy.emulator.golden import State
from nrf_deploy.findings import Finding, TargetError, error, refuse
from nrf_deploy.network import Array
from nrf_deploy.program import Population, Synapses

from .chip import LEAST, MOST
from .form import MERGE, NEURONS

NEEDS = ("threshold_high",)
DEFAULTS = {"threshold_low": LEAST, "bias": 0, "v0": 0, "returns_to_zero": 0}
RANGES = {
    "threshold_high": (1, MOST),
    "threshold_low": (LEAST, 0),
    "bias": (LEAST, MOST),
    "v0": (LEAST, MOST),
    "returns_to_zero": (0, 1),
}
SHARED = ("threshold_high", "threshold_low", "returns_to_zero")
"""One number a core."""
STATES: Mapping[str, tuple[str, ...]] = {NEURONS: ("v",), MERGE: ()}

Params = Mapping[str, Array]


def parameters(population: Population) -> dict[str, Array]:
    """Every parameter as int64; what is unknown or beyond its range is refused."""
    if population.model not in STATES:
        raise TargetError(
            error(
                "SPECK-MODEL-UNKNOWN",
                f"the neuron model {population.model!r} does not exist here",
                layer=population.name,
                fix=f"use one of: {', '.join(STATES)}",
            )
        )
    usual = DEFAULTS if population.model == NEURONS else {}
    values = {n: np.asarray(x, np.int64) for n, x in {**usual, **population.params}.items()}
    refuse(_faults(population, values), TargetError)
    return values


def _faults(population: Population, values: Params) -> Iterator[Finding]:
    neurons = population.model == NEURONS
    wrong = [f"{n!r} is missing" for n in NEEDS if neurons and n not in values]
    for name, value in values.items():
        if name not in RANGES or not neurons:
            wrong.append(f"{name!r} is not one of them")
            continue
        low, high = RANGES[name]
        if not np.all((low <= value) & (value <= high)):
            wrong.append(f"{name!r} is beyond {low}..{high}")
        if name in SHARED and value.ndim:
            wrong.append(f"{name!r} differs among neurons")
        if not _spreads(value, population.shape):
            wrong.append(f"{name!r} has the shape {value.shape} for neurons of {population.shape}")
    if wrong:
        yield error(
            "SPECK-MODEL-PARAMETERS",
            f"the parameters of {population.model!r}: {', '.join(wrong)}",
            layer=population.name,
            fix=f"it takes {', '.join(RANGES) if neurons else 'none'}",
        )


def _spreads(value: Array, shape: tuple[int, ...]) -> bool:
    try:
        return np.broadcast_shapes(value.shape, shape) == shape
    except ValueError:
        return False


def started(population: Population) -> State:
    if population.model == MERGE:
        return {}
    return {"v": np.broadcast_to(parameters(population)["v0"], population.shape).copy()}


class StepsArithmetic:
    name = "speck.steps"
    states = STATES

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
        if population.model == MERGE:
            return arriving, {}
        v = np.maximum(state["v"] + arriving + p["bias"], p["threshold_low"])
        spikes = np.maximum(v, 0) // p["threshold_high"]
        emptied = np.where(spikes > 0, 0, v)
        left = v - spikes * p["threshold_high"]
        return spikes, {"v": np.where(p["returns_to_zero"], emptied, left)}


class EventsRule:
    name = "speck.events"
    states = STATES

    def start(self, population: Population) -> State:
        return started(population)

    def passes(self, population: Population) -> bool:
        return population.model == MERGE

    def tick(self, population: Population) -> Array | None:
        """What a tick adds to every neuron; None where the leak is off."""
        bias = parameters(population).get("bias", np.int64(0))
        return np.broadcast_to(bias, population.shape).ravel() if np.any(bias) else None

    def arrive(
        self, population: Population, state: State, neurons: Array, weights: Array
    ) -> tuple[Array, State]:
        """One event reaches these (flat) neurons. (whether each fires, new state)"""
        p = parameters(population)
        v = state["v"].ravel().copy()
        reached = np.clip(v[neurons] + weights, LEAST, MOST)
        reached = np.maximum(reached, p["threshold_low"])
        fires = reached >= p["threshold_high"]
        after = np.where(p["returns_to_zero"], 0, reached - p["threshold_high"])
        v[neurons] = np.where(fires, after, reached)
        return fires, {"v": v.reshape(population.shape)}
