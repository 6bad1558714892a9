"""Receptive fields whose scale, angle, ratio, velocity and times can be learned, in torch.

The numbers are those of receptive_fields.py, velocity.py and limit_kernel.py, with gradients.
Positive parameters are stored as logarithms. A ladder stores its slowest constant and its
ratio, not its rungs: so it stays a ladder when it is learned, and its channels covariant.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.polynomial.legendre import leggauss
from torch import Tensor, nn
from torch.nn.functional import pad

from .receptive_fields import PIXEL_VARIANCE, Convention, Field, size_needed, time_constants
from .velocity import Moving


class Fields(nn.Module):
    """A bank of affine Gaussian derivatives; the orders are fixed, the rest is learned."""

    def __init__(self, fields: Sequence[Field], dtype: torch.dtype = torch.float32):
        super().__init__()
        self.orders = [(f.along, f.across) for f in fields]
        self.log_scale = _parameter([math.log(f.scale) for f in fields], dtype)
        self.angle = _parameter([f.angle for f in fields], dtype)
        self.log_ratio = _parameter([math.log(f.ratio) for f in fields], dtype)

    def fields(self) -> list[Field]:
        """Return the present fields, as numpy numbers."""
        learned = (self.log_scale.exp(), self.angle, self.log_ratio.exp())
        values = zip(*(p.tolist() for p in learned), self.orders, strict=True)
        return [Field(s, angle, ratio, *order) for s, angle, ratio, order in values]

    def forward(self, size: int, samples: int = 1, convention: Convention = "sigma") -> Tensor:
        """Return kernels (fields, size, size), as receptive_fields.bank does."""
        return self.kernels(size, samples, convention, torch.zeros(len(self.orders), 2), None)

    def kernels(
        self, size: int, samples: int, convention: Convention, middle: Tensor, seen: Tensor | None
    ) -> Tensor:
        """Return kernels with middles (fields, 2) at (x, y), and only the `seen` pixels of each."""
        gauss = self._on_pixels([(0, 0)] * len(self.orders), size, samples, middle)
        values = self._on_pixels(self.orders, size, samples, middle)
        if seen is not None:
            gauss, values = gauss * seen, values * seen
        gauss = gauss / gauss.sum((1, 2), keepdim=True)
        values = values - values.sum((1, 2), keepdim=True) * gauss
        # exp(1)^power: the dependence of each order's factor on the scale
        powers = [math.log(Field(math.e, 0, 1, *o).factor(convention)) for o in self.orders]
        factor = torch.exp(self.log_scale * torch.tensor(powers).to(self.log_scale))
        smooth = torch.tensor([o == (0, 0) for o in self.orders], device=values.device)
        return torch.where(smooth[:, None, None], gauss, factor[:, None, None] * values)

    def _on_pixels(
        self, orders: Sequence[tuple[int, int]], size: int, samples: int, middle: Tensor
    ) -> Tensor:
        at, weight = leggauss(samples)
        at, weight = (np.zeros(1), np.ones(1)) if samples == 1 else (at / 2, weight / 2)
        pixels = np.arange(size) - size // 2
        fine = torch.from_numpy((pixels[:, None] + at).ravel()).to(self.angle)
        x, y = (m[:, None, None].to(self.angle) for m in middle.unbind(1))
        x, y = fine[None, None, :] - x, fine[None, :, None] - y
        c, s = (f(self.angle)[:, None, None] for f in (torch.cos, torch.sin))
        off = 0.0 if samples == 1 else PIXEL_VARIANCE
        scale, squared = self.log_scale.exp(), (2 * self.log_ratio).exp()
        values = _derivative(c * x + s * y, scale * squared - off, [o[0] for o in orders])
        values = values * _derivative(c * y - s * x, scale / squared - off, [o[1] for o in orders])
        cells = values.reshape(-1, size, samples, size, samples)
        w = torch.from_numpy(weight).to(values)
        return torch.einsum("fyaxb,a,b->fyx", cells, w, w)


class MovingFields(Fields):
    """Fields with a velocity each, which is learned too."""

    def __init__(self, moving: Sequence[Moving], dtype: torch.dtype = torch.float32):
        super().__init__([m.field for m in moving], dtype)
        self.velocity = _parameter([m.velocity for m in moving], dtype)

    def taps(self, temporal: Sequence[float] | Tensor, samples: int = 1) -> list[Tensor]:
        """Return for each tap its weighted kernels (fields, size, size), as velocity.taps does."""
        sizes = [size_needed(f) for f in self.fields()]
        return [h * self._tap(tap, sizes, samples) for tap, h in enumerate(temporal)]

    def _tap(self, tap: int, sizes: Sequence[int], samples: int) -> Tensor:
        """Return the kernels of a tap: shifted by whole pixels, and sampled at the rest."""
        at = self.velocity * tap
        whole = torch.floor(at.detach() + 0.5)
        size = max(sizes)
        away = (torch.arange(size) - size // 2).abs()
        inside = torch.stack([away <= s // 2 for s in sizes]).to(at)
        seen = inside[:, :, None] * inside[:, None, :]
        parts = self.kernels(size, samples, "sigma", at - whole, seen)
        shifts = whole.long().tolist()
        reach = [s // 2 + max(abs(x), abs(y)) for s, (x, y) in zip(sizes, shifts, strict=True)]
        edge = max(reach) - size // 2
        moved = [
            pad(part, (edge + x, edge - x, edge + y, edge - y))
            for part, (x, y) in zip(parts, shifts, strict=True)
        ]
        return torch.stack(moved)


class Ladder(nn.Module):
    """Time constants in a geometric ladder, fastest first, in steps."""

    def __init__(
        self, slowest: float, ratio: float, count: int, dtype: torch.dtype = torch.float32
    ):
        super().__init__()
        time_constants(slowest, ratio, count)  # refuses what is not a ladder
        self.count = count
        self.log_slowest = _parameter(math.log(slowest), dtype)
        self.log_log_ratio = _parameter(math.log(math.log(ratio)), dtype)

    def forward(self) -> Tensor:
        """Return the time constants, as receptive_fields.time_constants does."""
        return torch.exp(self.log_slowest + self._rungs())

    def decays(self) -> Tensor:
        """Return the share of a potential that is left after a step, exp(-1/mu)."""
        return torch.exp(-1 / self())

    def _rungs(self) -> Tensor:
        rung = torch.arange(1 - self.count, 1).to(self.log_slowest)
        return rung * self.log_log_ratio.exp()


class Limit(Ladder):
    """The cascade of the time-causal limit kernel; its slowest scale is a variance."""

    def forward(self) -> Tensor:
        """Return the integrators' means in steps, as limit.means does."""
        levels = torch.exp(self.log_slowest + 2 * self._rungs())
        added = torch.diff(levels, prepend=levels.new_zeros(1))
        return (torch.sqrt(1 + 4 * added) - 1) / 2

    def cascade(self, x: Tensor) -> Tensor:
        """Return (stages, steps, ...) from (steps, ...), as limit.cascade does."""
        stages = []
        for m in self():
            y, out = torch.zeros_like(x[0]), []
            for now in x:
                y = y + (now - y) / (1 + m)
                out.append(y)
            x = torch.stack(out)
            stages.append(x)
        return torch.stack(stages)


def _parameter(values: object, dtype: torch.dtype) -> nn.Parameter:
    return nn.Parameter(torch.tensor(values, dtype=dtype))


def _derivative(place: Tensor, variance: Tensor, orders: Sequence[int]) -> Tensor:
    """Return derivatives of a Gaussian in one direction, by Hermite polynomials: (fields, y, x)."""
    if not bool((variance > 0).all()):
        raise ValueError(f"a field with the variance {variance.min():.3g} is narrower than a pixel")
    sigma = variance.sqrt()[:, None, None]
    u = place / sigma
    polynomials = [torch.ones_like(u), u]
    for n in range(1, max(orders)):
        polynomials.append(u * polynomials[n] - n * polynomials[n - 1])
    hermite = torch.stack([polynomials[order][k] for k, order in enumerate(orders)])
    sign = torch.tensor(orders).to(sigma)[:, None, None]
    return (
        hermite * (-1 / sigma) ** sign * torch.exp(-(u**2) / 2) / (sigma * math.sqrt(2 * math.pi))
    )
