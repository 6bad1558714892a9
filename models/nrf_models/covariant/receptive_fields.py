"""Affine Gaussian derivative kernels in space, and ladders of time constants.

A field is a Gaussian with the covariance

    s * R(angle) diag(ratio^2, 1/ratio^2) R(angle)^T

where s is a variance (sigma = sqrt(s), in pixels), differentiated `along` times in the
direction of its long axis and `across` times at 90 degrees to it. A derivative of order
m+n is multiplied by sigma^(m+n). With this factor the response to an image that is k
times larger, at k times the place and k^2 times the variance, is the same. The code that
was published with the paper multiplies by s^(m+n) instead, so that the response to the
larger image is k^(m+n) times as large: the convention "published" repeats it.

x grows to the right, y downwards, angles from x towards y.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.polynomial.hermite_e import hermeval
from numpy.polynomial.legendre import leggauss

from nrf_deploy.diagnostics.findings import Finding, warning
from nrf_deploy.ir.network import Array

REACH = 3.5  # standard deviations that a kernel must cover on each side
PIXEL_VARIANCE = 1 / 12  # of a box one pixel wide
Convention = Literal["sigma", "published"]
Velocity = tuple[float, float]  # x and y, in pixels a step


@dataclass(frozen=True)
class Field:
    scale: float  # the variance s
    angle: float = 0.0  # radians
    ratio: float = 1.0
    along: int = 0
    across: int = 0

    @property
    def sigma(self) -> float:
        return math.sqrt(self.scale)

    def factor(self, convention: Convention = "sigma") -> float:
        """Return the factor of derivatives of this order."""
        if convention not in get_args(Convention):
            raise ValueError(f"{convention!r} is none of {', '.join(get_args(Convention))}")
        base = self.sigma if convention == "sigma" else self.scale
        return float(base ** (self.along + self.across))

    @property
    def covariance(self) -> Array:
        """Return the covariance over (x, y)."""
        c, s = math.cos(self.angle), math.sin(self.angle)
        rotation = np.array([[c, -s], [s, c]])
        axes = np.diag([self.ratio**2, self.ratio**-2])
        return np.asarray(self.scale * rotation @ axes @ rotation.T)


def family(scales: Sequence[float], ratios: Sequence[float], directions: int) -> tuple[Field, ...]:
    """Return orders 0 and 1 along and across, at every scale and ratio.

    A ratio of 1 has one angle: its two first derivatives can be steered to any other.
    """
    return tuple(
        Field(scale, math.pi * k / directions, ratio, along, across)
        for scale in scales
        for ratio in ratios
        for k in range(1 if ratio == 1 else directions)
        for along in (0, 1)
        for across in (0, 1)
    )


PAPER = family((1.0, 2.0, 4.0, 8.0), (1.0, 1.22, 1.5), 4)
"""The paper's 144 fields."""


def kernel(
    field: Field,
    size: int,
    samples: int = 1,
    convention: Convention = "sigma",
    middle: tuple[float, float] = (0.0, 0.0),
) -> Array:
    """Sample a field on a grid of size x size pixels, indexed [y, x].

    The field's middle is at (x, y) from the grid's.

    It is the kernel of a convolution: a framework that correlates needs it turned by
    180 degrees. With samples = 1 the field is read at the middle of each pixel, which is
    accurate to exp(-2 pi^2 variance) of its narrow axis. More samples integrate it over
    the pixel with as many Gauss nodes along x and y; a pixel then adds its variance of 1/12,
    which is subtracted from the field's before, so that the sum is right.

    The error of truncation in the sum is removed: the Gaussian sums to 1, derivatives to 0.
    """
    if size % 2 == 0:
        raise ValueError(f"a kernel of {size} pixels has no middle: make it odd")
    factor = field.factor(convention)
    at, weight = leggauss(samples)
    at, weight = (np.zeros(1), np.ones(1)) if samples == 1 else (at / 2, weight / 2)
    pixels = np.arange(size) - size // 2
    fine = (pixels[:, None] + at).ravel()
    x, y = fine[None, :] - middle[0], fine[:, None] - middle[1]
    off = 0.0 if samples == 1 else PIXEL_VARIANCE

    def on_pixels(along: int, across: int) -> Array:
        values = _derivative(field, along, across, x, y, off)
        cells = values.reshape(size, samples, size, samples)
        return np.asarray(np.einsum("yaxb,a,b->yx", cells, weight, weight))

    gauss = on_pixels(0, 0)
    gauss /= gauss.sum()
    if field.along == field.across == 0:
        return gauss
    values = factor * on_pixels(field.along, field.across)
    return np.asarray(values - values.sum() * gauss)


def _derivative(field: Field, along: int, across: int, x: Array, y: Array, off: float) -> Array:
    """Return the Gaussian's derivative at all (y, x), by Hermite polynomials.

    d^m/du^m exp(-u^2/2) = (-1)^m He_m(u) exp(-u^2/2), along each axis of the ellipse.
    """
    c, s = math.cos(field.angle), math.sin(field.angle)
    product: Array = np.ones(())
    for place, variance, order in (
        (c * x + s * y, field.scale * field.ratio**2, along),
        (c * y - s * x, field.scale / field.ratio**2, across),
    ):
        if variance <= off:
            raise ValueError(f"a field with the variance {variance:.3g} is narrower than a pixel")
        sigma = math.sqrt(variance - off)
        u = place / sigma
        hermite = hermeval(u, [0] * order + [1]) * (-1 / sigma) ** order
        product = product * hermite * np.exp(-(u**2) / 2) / (sigma * math.sqrt(2 * math.pi))
    return product


def bank(
    fields: Sequence[Field], size: int, samples: int = 1, convention: Convention = "sigma"
) -> Array:
    """Return kernels (fields, size, size); small fields are in the middle of zeros."""
    return np.stack([kernel(f, size, samples, convention) for f in fields])


def size_needed(field: Field) -> int:
    """Return the smallest odd width that covers 3.5 standard deviations of the long axis."""
    return 2 * math.ceil(REACH * field.sigma * max(field.ratio, 1 / field.ratio)) + 1


def described(
    fields: Sequence[Field], stride: int = 1, velocities: Sequence[Velocity] | None = None
) -> dict[str, Any]:
    """Describe a population that sees its input through these fields, channel by channel.

    The form is that of a network's `receptive_fields` (docs/receptive-fields.md).
    """
    moving = velocities or [(0.0, 0.0)] * len(fields)
    channels = [
        asdict(field) | {"velocity": [float(u) for u in velocity]}
        for field, velocity in zip(fields, moving, strict=True)
    ]
    return {"stride": stride, "offset": 0.0, "channels": channels}


def truncated(fields: Sequence[Field], size: int) -> list[Finding]:
    """Return a warning if a kernel of this size truncates fields and so spoils covariance."""
    cut = [field for field in fields if size < size_needed(field)]
    if not cut:
        return []
    worst = max(cut, key=size_needed)
    return [
        warning(
            "COVARIANT-TRUNCATED",
            f"a kernel of {size} pixels cuts off {len(cut)} of {len(fields)} fields; the largest, "
            f"s = {worst.scale:g} with the ratio {worst.ratio:g}, needs {size_needed(worst)}",
            why="truncation is by far the largest error of spatial covariance",
            fix=f"use a kernel of {size_needed(worst)} pixels, or smaller scales",
        )
    ]


def time_constants(slowest: float, ratio: float, count: int) -> tuple[float, ...]:
    """Return a geometric ladder, fastest first: a change of speed by `ratio` is one rung."""
    if ratio <= 1 or count < 1 or slowest <= 0:
        raise ValueError(f"no ladder of {count} rungs, ratio {ratio}, up to {slowest}")
    return tuple(slowest / ratio ** (count - 1 - k) for k in range(count))
