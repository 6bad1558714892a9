"""Convolutions of mostly empty frames, for trials on calibration data.

A fit needs the sums of the same layer dozens of times, with other weights each time. Events
are few, so each adds its rows of weights to the sums that it reaches, and no other sum is
visited. Sums are float64, and so exact as long as they stay below 2^53.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from nrf_deploy.ir.network import Array, Conv


def convolved(node: Conv, weight: Array, frames: Array) -> Array:
    """Convolve frames (steps, *node.input_shape) with these weights to (steps, *node.shape)."""
    flat = (1,) * (2 - len(node.kernel))
    groups, steps = node.groups, len(frames)
    out, height, width = (node.shape[0], *flat, *node.shape[1:])
    kernels = weight.astype(np.float64).reshape(out, -1, *flat, *node.kernel)
    rows = np.ascontiguousarray(kernels.transpose(1, 2, 3, 0))  # (input, ky, kx, output)
    space = frames.reshape(steps, node.input_shape[0], *flat, *node.input_shape[1:])
    total = np.zeros((steps, height, width, out))
    t, c, y, x = np.nonzero(space)
    low = [p[0] for p in node.padding]
    geometry = np.array(
        [(*flat, *node.stride), (*(0 for _ in flat), *low), (*flat, *node.dilation)]
    )
    value = space[t, c, y, x].astype(np.float64)
    _scatter(np.stack([t, c, y, x], 1), value, rows, geometry, out // groups, total)
    return np.ascontiguousarray(total.transpose(0, 3, 1, 2)).reshape(steps, *node.shape)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _scatter(
    events: Array, value: Array, rows: Array, geometry: Array, each: int, total: Array
) -> None:
    """Add the rows of weights of each event to `total`.

    `geometry` holds stride, padding before and dilation, each along y and x; `each` is the
    number of outputs of a group of channels.
    """
    inputs, tall, wide, _ = rows.shape
    _, height, width, _ = total.shape
    for k in range(len(events)):
        t, c, y, x = events[k, 0], events[k, 1], events[k, 2], events[k, 3]
        first = (c // inputs) * each
        for ky in range(tall):
            down = y + geometry[1, 0] - ky * geometry[2, 0]
            if down < 0 or down % geometry[0, 0] or down // geometry[0, 0] >= height:
                continue
            for kx in range(wide):
                right = x + geometry[1, 1] - kx * geometry[2, 1]
                if right < 0 or right % geometry[0, 1] or right // geometry[0, 1] >= width:
                    continue
                row = rows[c % inputs, ky, kx]
                here = total[t, down // geometry[0, 0], right // geometry[0, 1]]
                for f in range(first, first + each):
                    here[f] += value[k] * row[f]
