"""Parts of small models: neurons whose input of 1 adds 1, weights in eighths, few events."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from nrf_deploy.ir.network import (
    Array,
    Conv,
    Input,
    Linear,
    Network,
    Node,
    Output,
    Population,
    Shape,
)
from nrf_deploy.neurons import Integrator, Leaky, Spikes


def chain(*nodes: Node, more: tuple[tuple[str, str], ...] = ()) -> Network:
    """Connect an input, these nodes in order and an output, with `more` edges."""
    ends = (
        Input(name="in", port_shape=nodes[0].input_shape),
        *nodes,
        Output(name="out", port_shape=nodes[-1].shape),
    )
    edges = [(a.name, b.name) for a, b in itertools.pairwise(ends)]
    return Network(ends, (*edges, *more), dt=1.0)


def full(x: Any, shape: Shape) -> Array:
    return np.broadcast_to(np.asarray(x, np.float32), shape).copy()


def cell(name: str, shape: Shape, threshold: Any = 15 / 16, **more: Any) -> Population:
    """Return neurons without a leak: an input of 1 adds 1; `more` are fields of the rule."""
    rule = Spikes(threshold=full(threshold, shape), reset_to=full(0, shape), **more)
    return Population(name=name, membrane=Integrator(r=full(1, shape)), rule=rule)


def leaky(
    name: str,
    shape: Shape,
    threshold: Any = 15 / 16,
    tau: Any = 4.0,
    rest: Any = 0.0,
    reset: Any = 0.0,
) -> Population:
    """Return neurons with a leak: an input of 1 adds 1."""
    leak = Leaky(tau=full(tau, shape), r=full(tau, shape), v_leak=full(rest, shape))
    rule = Spikes(threshold=full(threshold, shape), reset_to=full(reset, shape))
    return Population(name=name, membrane=leak, rule=rule)


def dense(name: str, eighths: Any, bias: Any = None) -> Linear:
    weight = np.array(eighths, np.float32) / 8
    return Linear(
        name=name, weight=weight, bias=None if bias is None else full(bias, weight.shape[:1])
    )


def kernels(name: str, shape: Shape, size: Shape, seed: int, **more: Any) -> Conv:
    """Return a convolution with different taps, as far as there are numbers."""
    taps = np.random.default_rng(seed).permutation(np.arange(-3, 8))
    weight = np.resize(taps, shape).astype(np.float32) / 8
    usual: dict[str, Any] = {"stride": (1, 1), "padding": ((0, 0), (0, 0)), "dilation": (1, 1)}
    return Conv(name=name, weight=weight, input_size=size, **{**usual, **more})


def pulses(steps: int, shape: Shape, *at: int) -> Array:
    """Return frames with events of all elements in these steps."""
    frames = np.zeros((steps, *shape), np.int64)
    frames[list(at)] = 1
    return frames


def one_by_one(shape: Shape, gap: int = 1) -> Array:
    """Return frames with one event at a time: each element in order, then in reverse order."""
    size = int(np.prod(shape))
    order = [*range(size), *range(size)[::-1]]
    frames = np.zeros((gap * len(order) + 4, size), np.int64)
    frames[np.arange(len(order)) * gap, order] = 1
    return frames.reshape(-1, *shape)


def some(steps: int, shape: Shape, seed: int, part: float = 0.5) -> Array:
    return (np.random.default_rng(seed).random((steps, *shape)) < part).astype(np.int64)


def single(steps: int, shape: Shape, seed: int) -> Array:
    """Draw at most one event per step, for which chips with and without time steps agree."""
    rng = np.random.default_rng(seed)
    frames = np.zeros((steps, int(np.prod(shape))), np.int64)
    frames[np.arange(steps), rng.integers(0, frames.shape[1], steps)] = rng.random(steps) < 0.8
    return frames.reshape(steps, *shape)


def unit(name: str, size: Shape) -> Conv:
    """Connect each element to one neuron by a kernel of one tap."""
    return Conv(
        name=name,
        weight=np.ones((1, 1, 1, 1), np.float32),
        input_size=size,
        stride=(1, 1),
        padding=((0, 0), (0, 0)),
        dilation=(1, 1),
    )
