"""Velocity-adapted fields, which are covariant under x' = x + w t.

A field that moves with the velocity u, and the temporal kernel h, make

    T(x, t) = g(x - u t) h(t)        L(x, t) = sum over d of h(d) (g_{ud} * f(., t - d))(x)

where g_{ud} is the spatial field with its middle at u d. Move the image, f'(x, t) =
f(x - w t, t). With the velocity u + w the field then answers at x + w t what it answered
with u at x: tap d compares x + w t with places that have moved by w (t - d) and expects
them (u + w) d away, and x + w t - w (t - d) - (u + w) d = x - u d. Each *tap* d is a
convolution of what came d steps ago: delays and shifted kernels, which a chip has. The
sum is cut after the last tap, and stays covariant, because every channel is cut alike.

For whole pixels a step each tap is the same kernel, moved: the relation is then exact
for every input, neurons behind it that look at one place and one step included, and
exact on integers too, since rounding sees the same numbers. Between pixels the kernel is
sampled where it stands, and the image moves by rounded places: that is nearly covariant.

The exponential h(d) ~ a^d has a second form, v(x, t) = a v(x - u, t - 1) + (g * f)(x, t):
a potential that travels. It needs graded loops, which chips with binary spikes do not have.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nrf_deploy.ir.network import Array

from .receptive_fields import Field, Velocity, kernel, size_needed


@dataclass(frozen=True)
class Moving:
    """A spatial field and the velocity to which it is adapted."""

    field: Field
    velocity: Velocity = (0.0, 0.0)

    def place(self, tap: int) -> tuple[tuple[int, int], Velocity]:
        """Return its middle after `tap` steps: whole pixels, and a rest of at most half."""
        at = [u * tap for u in self.velocity]
        whole = [math.floor(a + 0.5) for a in at]
        return (whole[0], whole[1]), (at[0] - whole[0], at[1] - whole[1])


def exponential(constant: float, taps: int) -> Array:
    """Return exp(-d / constant) for d = 0 ... taps - 1, with the sum 1."""
    if constant <= 0 or taps < 1:
        raise ValueError(f"no kernel of {taps} taps with the time constant {constant:g}")
    decay = np.exp(-np.arange(taps) / constant)
    return np.asarray(decay / decay.sum())


def reach(moving: Sequence[Moving], tap: int) -> int:
    """Return how far the kernels of a tap reach on each side of the middle."""
    return max(size_needed(m.field) // 2 + max(abs(p) for p in m.place(tap)[0]) for m in moving)


def taps(moving: Sequence[Moving], temporal: Array, samples: int = 1) -> list[Array]:
    """Return for each tap its kernels (fields, size, size), indexed [y, x], weighted by h(d)."""
    return [
        weight * np.stack([_placed(m, tap, reach(moving, tap), samples) for m in moving])
        for tap, weight in enumerate(temporal)
    ]


def _placed(moving: Moving, tap: int, far: int, samples: int) -> Array:
    """Return the kernel of a tap in zeros that reach `far`.

    Whole shifts move it without changing a bit, the rest is in the samples.
    """
    (x, y), left = moving.place(tap)
    part = kernel(moving.field, size_needed(moving.field), samples, middle=left)
    half = len(part) // 2
    whole = np.zeros((2 * far + 1, 2 * far + 1))
    whole[far + y - half : far + y + half + 1, far + x - half : far + x + half + 1] = part
    return whole
