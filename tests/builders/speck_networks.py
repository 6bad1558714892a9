"""Small float networks for Speck's tests, their weights small whole numbers of a unit."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from nrf_deploy.ir.network import (
    IF,
    LIF,
    Array,
    Conv,
    Input,
    Linear,
    Network,
    Node,
    Output,
    Population,
    Shape,
    SumPool,
)
from nrf_deploy.ir.recording import Recording


def neurons(name: str, shape: Shape, theta: float | Array = 1.0, **more: Any) -> Population:
    full = np.broadcast_to(np.asarray(theta, float), shape)
    values = {"r": np.ones(shape), "v_threshold": full, "v_reset": np.zeros(shape)}
    return IF(name=name, **{**values, **more})


def leaky(name: str, shape: Shape, tau: float, theta: float = 1.0, **more: Any) -> Population:
    ones = np.ones(shape)
    values = {"tau": tau * ones, "r": tau * ones, "v_leak": 0 * ones}
    return LIF(name=name, **{**values, "v_threshold": theta * ones, "v_reset": 0 * ones, **more})


def conv(name: str, weight: Array, size: Shape, stride: int = 1, pad: int = 0, **more: Any) -> Conv:
    values: dict[str, Any] = {"stride": (stride,) * 2, "padding": ((pad, pad),) * 2}
    return Conv(name=name, weight=weight, input_size=size, **{**values, "dilation": (1, 1), **more})


def pool(name: str, shape: Shape, window: int, **more: Any) -> SumPool:
    values: dict[str, Any] = {"window": (window,) * 2, "stride": (window,) * 2}
    return SumPool(name=name, pool_input=shape, **{**values, "padding": ((0, 0),) * 2, **more})


def chain(shape: Shape, *nodes: Node, dt: float = 1.0) -> Network:
    every = (Input(name="in", port_shape=shape), *nodes)
    every = (*every, Output(name="out", port_shape=every[-1].shape))
    edges = tuple((a.name, b.name) for a, b in pairwise(every))
    return Network(every, edges, dt=dt)


def one_event_a_step(shape: Shape, steps: int, seed: int) -> Recording:
    rng = np.random.default_rng(seed)
    frames = np.zeros((steps, int(np.prod(shape))), np.int64)
    frames[np.arange(steps), rng.integers(0, frames.shape[1], steps)] = 1
    return Recording.from_dense(frames.reshape(steps, *shape))


def some_events(shape: Shape, steps: int, seed: int, density: float = 0.1) -> Recording:
    rng = np.random.default_rng(seed)
    return Recording.from_dense((rng.random((steps, *shape)) < density).astype(np.int64))


def eighths(shape: Shape, seed: int, low: int = -8, high: int = 8) -> Array:
    """Draw weights up to a threshold of 1, in eighths, none of them 0."""
    drawn = np.random.default_rng(seed).integers(low, high, shape)
    return np.where(drawn >= 0, drawn + 1, drawn) / 8


def linear(name: str, weight: Array, bias: Array | None = None) -> Linear:
    return Linear(name=name, weight=weight, bias=bias)
