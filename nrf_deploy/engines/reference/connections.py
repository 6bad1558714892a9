"""Connections of the float reference, as functions from frames to frames.

Sums are taken in float64 and rounded once to float32. A product of two float32 values
is exact in float64; so is a sum of weights over spikes as long as the weights of one
sum span less than 2^30 / fan-in, and then the result is the one correct rounding
in any order of the sum. Torch adds in float32 and may differ from this in the
last bits, unless the sums are exact there too.

Every frame is computed separately, so that the division of a run into chunks cannot
change the numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from nrf_deploy.ir.capabilities import Domain, demand, exactly
from nrf_deploy.ir.network import (
    Array,
    AvgPool,
    Connection,
    Conv,
    Flatten,
    Linear,
    Pads,
    Pool,
    Scale,
    Shape,
    SumPool,
    exact,
)

PATCHES = 1 << 21  # elements of the patch matrix that a convolution builds at once

Frame = Callable[[Array], Array]
Chunk = Callable[[Array], Array]
"""(steps, *input_shape) -> (steps, *shape), float32"""


CONNECTIONS = Domain(nodes=exactly(Linear, Conv, SumPool, AvgPool, Flatten, Scale))


def connection(node: Connection) -> Chunk:
    """Return a connection as a function of chunks; frames without an event cost almost nothing."""
    demand(node, CONNECTIONS, "the float reference")
    if exact(node, Flatten):
        return lambda x: x.reshape(len(x), *node.shape)
    frame = _frame(node)
    silent = frame(np.zeros(node.input_shape)).astype(np.float32)

    def chunk(x: Array) -> Array:
        out = np.empty((len(x), *node.shape), np.float32)
        active = x.reshape(len(x), -1).any(axis=1)
        out[~active] = silent
        for t in np.flatnonzero(active):
            out[t] = frame(x[t].astype(np.float64))
        return out

    return chunk


def _frame(node: Connection) -> Frame:
    """Return a connection as a function of one frame in float64."""
    if exact(node, Linear):
        return _linear(node)
    if exact(node, Conv):
        return _conv(node)
    if exact(node, SumPool, AvgPool):
        return _pool(node)
    assert exact(node, Scale)  # CONNECTIONS and the cases differ
    scale = node.scale.astype(np.float64)
    return lambda x: np.asarray(scale * x)


def _linear(node: Linear) -> Frame:
    weight = node.weight.astype(np.float64)
    bias = 0.0 if node.bias is None else node.bias.astype(np.float64)
    return lambda x: np.asarray(weight @ x + bias)


def _pool(node: Pool) -> Frame:
    axes = len(node.window)
    size = math.prod(node.window) if exact(node, AvgPool) else 1

    def frame(x: Array) -> Array:
        view = windows(x, node.window, node.stride, node.padding, (1,) * axes)
        return np.asarray(view.sum(axis=tuple(range(-axes, 0))) / size)

    return frame


def _conv(node: Conv) -> Frame:
    """Multiply patches and kernels, band by band of rows so that large kernels fit in memory."""
    groups, axes = node.groups, len(node.kernel)
    kernels = node.weight.astype(np.float64).reshape(groups, node.shape[0] // groups, -1)
    bias: Array | float = 0.0
    if node.bias is not None:
        bias = node.bias.astype(np.float64).reshape(
            *node.bias.shape, *(1,) * (1 + axes - node.bias.ndim)
        )
    row = math.prod(node.input_shape[:1] + node.kernel + node.shape[2:])
    band = max(1, PATCHES // row)
    whole = (slice(None),) * (1 + axes)

    def frame(x: Array) -> Array:
        view = windows(x, node.kernel, node.stride, node.padding, node.dilation)
        # (channel, *position, *kernel) -> (channel, *kernel, *position)
        view = np.moveaxis(view, range(1, 1 + axes), range(-axes, 0))
        out = np.empty(node.shape)
        for first in range(0, node.shape[1], band):
            rows = slice(first, first + band)
            total = kernels @ view[*whole, rows].reshape(groups, kernels.shape[2], -1)
            out[:, rows] = total.reshape(out[:, rows].shape)
        return np.asarray(out + bias)

    return frame


def window_taps(shape: Shape, window: Shape, stride: Shape, padding: Pads) -> Array:
    """Return (positions, size of a window): the flat elements of a frame that each window sees.

    A place in the padding is replaced by an element that the window sees.
    """
    index = np.arange(math.prod(shape)).reshape(shape)
    taps = windows(index, window, stride, padding, (1,) * len(window), -1)
    taps = taps.reshape(-1, math.prod(window))
    return np.where(taps < 0, taps.max(axis=1, keepdims=True), taps)


def windows(
    x: Array, window: Shape, stride: Shape, padding: Pads, dilation: Shape, fill: float = 0.0
) -> Array:
    """Return a view (channel, *position, *window) of the padded frame (channel, *space)."""
    axes = tuple(range(1, 1 + len(window)))
    span = tuple(d * (w - 1) + 1 for w, d in zip(window, dilation, strict=True))
    padded = np.pad(x, ((0, 0), *padding), constant_values=fill) if any(map(any, padding)) else x
    view = np.lib.stride_tricks.sliding_window_view(padded, span, axis=axes)
    steps = (slice(None, None, s) for s in (*stride, *dilation))
    return view[(slice(None), *steps)]
