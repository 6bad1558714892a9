"""Conversion of axes from our order (C, Y, X) to the order of Lava's users (X, Y, C).

In an emitted program every shape is ours reversed, and so is every array with one value per
neuron. If shapes differ only by axes of length 1, the flat order is the same in both.
Otherwise a port is transposed to our order, reshaped, and transposed back.
"""

from __future__ import annotations

import math

import numpy as np

from nrf_deploy.ir.network import Array, Shape


def reverse(shape: Shape) -> Shape:
    return tuple(int(n) for n in shape[::-1])


def flat_order(shape: Shape) -> Array:
    """Return, for each neuron in Lava's flat order, its index in ours."""
    return np.arange(math.prod(shape)).reshape(shape).T.ravel()


def turned(value: Array, shape: Shape) -> Array:
    """Broadcast to one value per neuron, in Lava's order."""
    return np.ascontiguousarray(np.broadcast_to(value, shape).T)


def kernel(weight: Array) -> Array:
    """Convert (out, in, ky, kx) of a cross-correlation to (out, kx, ky, in) of a convolution."""
    return np.ascontiguousarray(weight[:, :, ::-1, ::-1].transpose(0, 3, 2, 1))


def route(here: Shape, source: Shape, there: Shape, target: Shape) -> list[str]:
    """Return the calls, as text, that convert data of Lava's shape `here` to Lava's shape `there`.

    `source` and `target` are our shapes of the sent and of the received data.
    """
    if _long(source) == _long(target):
        return [] if here == there else [f".reshape({there})"]
    turns = []
    for turn, shape in (
        ("reshape", reverse(source)),
        ("transpose", source),
        ("reshape", target),
        ("transpose", reverse(target)),
        ("reshape", there),
    ):
        if turn == "transpose" and len(_long(shape)) > 1:
            turns.append(f".transpose({tuple(range(len(shape)))[::-1]})")
        elif here != shape:
            turns.append(f".reshape({shape})")
        here = shape
    return turns


def _long(shape: Shape) -> Shape:
    """Return the shape without axes of length 1, which do not affect the flat order."""
    return tuple(n for n in shape if n > 1)
