"""Nodes at work: each takes a chunk of frames and gives one, and remembers what it must.

A chunk is (steps, *input_shape) in float32. Handing a node the same frames in other
chunks, down to one frame at a time, gives the same values.
"""

from __future__ import annotations

import numpy as np

from nrf_deploy.diagnostics.findings import InputError, error
from nrf_deploy.ir.capabilities import Domain, demand, exactly
from nrf_deploy.ir.delays import delay_steps
from nrf_deploy.ir.network import Array, Connection, Delay, Node, Population, Threshold, exact

from .connections import CONNECTIONS, Chunk, connection
from .neurons import NEURONS, Decay, neuron

RUNS = Domain(NEURONS, CONNECTIONS.nodes | exactly(Delay, Threshold))
"""What the float reference runs, beside Input and Output."""


def at_work(node: Node, dt: float, decay: Decay, keep_states: bool) -> Chunk:
    """This node, ready for its first chunk."""
    if type(node) is Population:
        return Neurons(node, dt, decay, keep_states)
    if isinstance(node, Connection):
        return connection(node)
    if exact(node, Delay):
        return DelayLine(delay_steps(node, dt))
    if exact(node, Threshold):
        threshold = node.threshold.astype(np.float32)
        return lambda x: (x > threshold).astype(np.float32)
    demand(node, RUNS, "the float reference")
    return lambda x: x


class Neurons:
    """A population between two chunks: its state, and its past states where they are kept."""

    def __init__(self, node: Population, dt: float, decay: Decay, keep_states: bool):
        self.node = node
        self.state, self.step = neuron(node, dt, decay)
        self.steps = 0
        self.history: dict[str, list[Array]] = {v: [] for v in node.states if keep_states}

    def __call__(self, x: Array) -> Array:
        values = np.empty((len(x), *self.node.shape), np.float32)
        for t, frame in enumerate(x):
            values[t], self.state = self.step(self.state, frame)
            for name, past in self.history.items():
                past.append(self.state[name].astype(np.float32))
        self.steps += len(x)
        self._refuse_overflow()
        return values

    def _refuse_overflow(self) -> None:
        """Infinity and NaN stay in a state once they are there: the end of a chunk shows them."""
        for name, value in self.state.items():
            wrong = np.argwhere(~np.isfinite(value))
            if len(wrong):
                raise InputError(
                    error(
                        "REF-OVERFLOW",
                        f"after {self.steps} steps {name} is no longer a finite number",
                        why="the state grew beyond what a float holds, so nothing after it counts",
                        fix="check the weights, the time constants against dt, and the input",
                        layer=self.node.name,
                        neuron=tuple(int(i) for i in wrong[0]),
                    )
                )


class DelayLine:
    """y(t) = x(t - steps), element by element; zero before the first frame."""

    def __init__(self, steps: Array):
        self.steps = steps
        self.past = np.zeros((int(steps.max(initial=0)), *steps.shape), np.float32)

    def __call__(self, x: Array) -> Array:
        known = np.concatenate([self.past, x])
        self.past = known[len(x) :]
        when = np.arange(len(x)).reshape(-1, *(1,) * self.steps.ndim)
        return np.take_along_axis(known, when + len(known) - len(x) - self.steps, axis=0)
