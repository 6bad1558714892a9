"""Running nodes: functions from a chunk of frames to a chunk, with the state of the node.

A chunk is (steps, *input_shape) in float32. The values do not depend on the division of the
frames into chunks, down to one frame at a time.
"""

from __future__ import annotations

import numpy as np

from nrf_deploy.diagnostics.findings import InputError, error
from nrf_deploy.ir.capabilities import Domain, demand, exactly
from nrf_deploy.ir.delays import delay_steps
from nrf_deploy.ir.network import (
    Array,
    Connection,
    Delay,
    MaxPool,
    Node,
    Population,
    Threshold,
    exact,
)

from .connections import CONNECTIONS, Chunk, connection, windows
from .neurons import NEURONS, Decay, neuron

RUNS = Domain(NEURONS, CONNECTIONS.nodes | exactly(Delay, MaxPool, Threshold))
"""The nodes that the float reference runs, beside Input and Output."""


def runner(node: Node, dt: float, decay: Decay, keep_states: bool) -> Chunk:
    """Return a node as a function of chunks, in its state before the first chunk."""
    if type(node) is Population:
        return Neurons(node, dt, decay, keep_states)
    if isinstance(node, Connection):
        return connection(node)
    if exact(node, Delay):
        return DelayLine(delay_steps(node, dt))
    if exact(node, Threshold):
        threshold = node.threshold.astype(np.float32)
        return lambda x: (x > threshold).astype(np.float32)
    if exact(node, MaxPool):
        return max_pool(node)
    demand(node, RUNS, "the float reference")
    return lambda x: x


def max_pool(node: MaxPool) -> Chunk:
    axes, ones = tuple(range(-len(node.window), 0)), (1,) * len(node.window)

    def chunk(x: Array) -> Array:
        out = np.empty((len(x), *node.shape), np.float32)
        for t, frame in enumerate(x):
            view = windows(frame, node.window, node.stride, node.padding, ones, -np.inf)
            out[t] = view.max(axis=axes)
        return out

    return chunk


class Neurons:
    """A population between two chunks: its state, and its past states if they are recorded."""

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
        """Refuse a state that is not finite; such a value stays until the end of the chunk."""
        for name, value in self.state.items():
            wrong = np.argwhere(~np.isfinite(value))
            if len(wrong):
                raise InputError(
                    error(
                        "REF-OVERFLOW",
                        f"after {self.steps} steps {name} is no longer a finite number",
                        why="the state exceeded the range of a float, so later values are invalid",
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
