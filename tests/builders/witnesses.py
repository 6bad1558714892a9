"""Makes witnesses for tests: what the float reference itself gives, as if a framework had."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from nrf_deploy.engines.reference import run
from nrf_deploy.ir.network import Array, Input, Linear, Network, Output, Population
from nrf_deploy.ir.recording import Recording
from nrf_deploy.ir.witness import Witness
from nrf_deploy.neurons import Leaky, Spikes, Value

STEPS = 32


def population(name: str, size: int, rule: Any = None, decay: float = 0.25) -> Population:
    """Return leaky neurons whose potential keeps 1 - `decay` of itself in a step."""
    full = np.ones(size, np.float32)
    return Population(
        name=name,
        membrane=Leaky(tau=full / decay, r=full / decay, v_leak=0 * full),
        rule=rule or Spikes(threshold=full),
    )


def two_layers(rule: Any = None, seed: int = 0, last: Any = None, grid: float = 0.25) -> Network:
    """Return Input, fc1, n1, fc2, n2, Output; weights are multiples of `grid`."""
    random = np.random.default_rng(seed)

    def weights(*shape: int) -> Array:
        return (grid * random.integers(-4, 7, shape)).astype(np.float32)

    nodes = (
        Input(name="in", port_shape=(5,)),
        Linear(name="fc1", weight=weights(8, 5)),
        population("n1", 8, rule),
        Linear(name="fc2", weight=weights(4, 8)),
        population("n2", 4, last or rule),
        Output(name="out", port_shape=(4,)),
    )
    names = [n.name for n in nodes]
    return Network(nodes, tuple(itertools.pairwise(names)), 1.0)


def stimulus(network: Network, seed: int = 1, steps: int = STEPS) -> Recording:
    """Return 0, 1 and 2 at random in the shape of the only Input."""
    (port,) = network.of(Input)
    random = np.random.default_rng(seed)
    return Recording.from_dense(random.choice([0, 1, 2], (steps, *port.shape), p=[0.6, 0.3, 0.1]))


def witness_of(network: Network, seed: int = 1, steps: int = STEPS, **more: Any) -> Witness:
    """Return what the float reference gives for every population of a network."""
    recording = stimulus(network, seed, steps)
    names = [n.name for n in network.of(Population)]
    trace = run(network, recording, record=names, states=names)
    potentials = {n: trace.states[n]["v"] for n in names}
    facts = {"producer": "snntorch", "version": "1.0.0", "potentials": potentials} | more
    return Witness(input=recording, outputs=dict(trace.outputs), **facts)


def values(size: int) -> Value:
    """Return the rule of neurons that give their potential."""
    return Value()
