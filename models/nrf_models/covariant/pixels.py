"""Compiled loops of the sensor's pixels: light from covered points, and its events."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from nrf_deploy.ir.network import Array


@njit(cache=True, nogil=True)
def inside(kind: int, x: float, y: float) -> bool:
    """Return whether a point is inside an outline of radius 1 (events.OUTLINES), y downwards."""
    if kind == 0:
        return x * x + y * y <= 1
    if kind == 1:
        return max(abs(x), abs(y)) <= 1
    return y <= 0.5 and math.sqrt(3) * abs(x) <= y + 1


@njit(cache=True, nogil=True)
def cover(
    kinds: Array, middles: Array, inverses: Array, reaches: Array, samples: int, covered: Array
) -> None:
    """Set `covered` [y, x] to the part of each pixel that is in at least one shape."""
    size = covered.shape[0]
    covered[:] = 0
    for k in range(len(kinds)):
        low_x = max(0, math.floor(middles[k, 0] - reaches[k]))
        low_y = max(0, math.floor(middles[k, 1] - reaches[k]))
        high_x = min(size, math.ceil(middles[k, 0] + reaches[k]) + 1)
        high_y = min(size, math.ceil(middles[k, 1] + reaches[k]) + 1)
        for y in range(low_y, high_y):
            for x in range(low_x, high_x):
                count = 0
                for i in range(samples):
                    for j in range(samples):
                        px = x + (i + 0.5) / samples - 0.5
                        py = y + (j + 0.5) / samples - 0.5
                        for s in range(len(kinds)):
                            dx, dy = px - middles[s, 0], py - middles[s, 1]
                            u = inverses[s, 0, 0] * dx + inverses[s, 0, 1] * dy
                            v = inverses[s, 1, 0] * dx + inverses[s, 1, 1] * dy
                            if inside(kinds[s], u, v):
                                count += 1
                                break
                covered[y, x] = count / (samples * samples)


@njit(cache=True, nogil=True)
def fire(
    kinds: Array,
    middles: Array,
    inverses: Array,
    reaches: Array,
    samples: int,
    threshold: float,
    frames: Array,
) -> None:
    """Set ON and OFF events in frames (steps, 2, size, size)."""
    steps, _, size, _ = frames.shape
    before, now = np.zeros((size, size)), np.zeros((size, size))
    charge = np.zeros((size, size))
    cover(kinds, middles[:, 0], inverses[:, 0], reaches, samples, before)
    for t in range(steps):
        cover(kinds, middles[:, t + 1], inverses[:, t + 1], reaches, samples, now)
        for y in range(size):
            for x in range(size):
                c = charge[y, x] + (now[y, x] - before[y, x])
                if c >= threshold:
                    frames[t, 0, y, x] = True
                    c -= threshold
                elif c <= -threshold:
                    frames[t, 1, y, x] = True
                    c += threshold
                charge[y, x] = c
        before, now = now, before
