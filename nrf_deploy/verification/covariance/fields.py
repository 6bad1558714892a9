"""Receptive fields that a network describes: affine Gaussian derivatives, possibly moving.

`Network.receptive_fields` has, by the name of a population, the stride and offset of its map
on the input and a field a channel (docs/receptive-fields.md). A field is a Gaussian of the
covariance scale * R(angle) diag(ratio^2, 1/ratio^2) R(angle)^T, differentiated `along` times
on its long axis and `across` times at 90 degrees to it, times sigma^(along + across). x grows
to the right, y downwards, angles from x towards y; all lengths are in pixels of the input.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.polynomial.hermite_e import hermeval

from nrf_deploy.diagnostics.findings import Finding, warning
from nrf_deploy.ir.network import Array, Network, Population

NUMBERS = {"scale": None, "angle": 0.0, "ratio": 1.0, "along": 0, "across": 0}
"""Default values by name; a scale is required."""


@dataclass(frozen=True)
class Field:
    scale: float
    angle: float = 0.0
    ratio: float = 1.0
    along: int = 0
    across: int = 0
    velocity: tuple[float, float] = (0.0, 0.0)  # x and y, pixels a step

    @property
    def sigma(self) -> float:
        return math.sqrt(self.scale)

    @property
    def axes(self) -> Array:
        """The unit vectors as columns: the long axis, and the one at 90 degrees to it."""
        c, s = math.cos(self.angle), math.sin(self.angle)
        return np.array([[c, -s], [s, c]])

    @property
    def root(self) -> Array:
        """The matrix from the unit circle to the ellipse."""
        return np.asarray(self.sigma * self.axes @ np.diag([self.ratio, 1 / self.ratio]))

    @property
    def covariance(self) -> Array:
        return np.asarray(self.root @ self.root.T)

    @property
    def directions(self) -> Array:
        """The unit vectors (orders, 2), one for each derivative."""
        orders = [0] * self.along + [1] * self.across
        return np.asarray(self.axes.T[orders].reshape(-1, 2))

    @property
    def reach(self) -> float:
        """One standard deviation of the long axis."""
        return self.sigma * max(self.ratio, 1 / self.ratio)

    def at(self, places: Array, along: int | None = None, across: int | None = None) -> Array:
        """Return the field's value at (..., 2) points x, y from its middle."""
        along = self.along if along is None else along
        across = self.across if across is None else across
        on_axes = places @ self.axes
        value: Array = np.asarray(self.sigma ** (along + across))
        for k, (ratio, order) in enumerate(((self.ratio, along), (1 / self.ratio, across))):
            sigma = self.sigma * ratio
            u = on_axes[..., k] / sigma
            hermite = hermeval(u, [0] * order + [1]) * (-1 / sigma) ** order
            value = value * hermite * np.exp(-(u**2) / 2) / (sigma * math.sqrt(2 * math.pi))
        return value


@dataclass(frozen=True)
class Seen:
    """Described fields. Element (y, x) of the population's map sees offset + stride * (x, y)."""

    layer: str
    stride: int
    offset: float
    fields: tuple[Field | None, ...]

    def known(self) -> Iterator[tuple[int, Field]]:
        return ((k, f) for k, f in enumerate(self.fields) if f is not None)


def seen(network: Network) -> tuple[list[Seen], list[Finding]]:
    """Return the usable descriptions of a network, and warnings about the others."""
    usable, wrong = [], []
    for layer, description in network.receptive_fields.items():
        result, fault = None, _fault(network, layer, description)
        if fault is None:
            try:
                result = _seen(layer, description)
            except (KeyError, TypeError, ValueError, AttributeError) as problem:
                fault = f"it does not describe fields ({type(problem).__name__}: {problem})"
        if result is not None:
            usable.append(result)
        else:
            fix = "write it as in docs/receptive-fields.md"
            wrong.append(warning("COVARIANCE-FIELDS", str(fault), fix=fix, layer=layer))
    return usable, wrong


def _fault(network: Network, layer: str, description: Any) -> str | None:
    if layer not in network or type(network[layer]) is not Population:
        return "the model's receptive fields name it, and it is not a population of the model"
    shape = network[layer].shape
    if len(shape) != 3:
        return f"the model's receptive fields name it, and its shape {shape} is not a map"
    if not isinstance(description, Mapping) or not isinstance(description.get("channels"), list):
        return "its receptive fields have no list of channels"
    if len(description["channels"]) != shape[0]:
        return f"it has {shape[0]} channels, and fields for {len(description['channels'])}"
    return None


def _seen(layer: str, description: Mapping[str, Any]) -> Seen:
    stride, offset = description.get("stride", 1), float(description.get("offset", 0.0))
    if not isinstance(stride, int) or stride < 1 or not math.isfinite(offset):
        raise ValueError(f"the stride is {stride!r}, the offset {offset!r}")
    return Seen(layer, stride, offset, tuple(map(_field, description["channels"])))


def _field(description: Mapping[str, Any] | None) -> Field | None:
    if description is None:
        return None
    values = {key: description.get(key, usual) for key, usual in NUMBERS.items()}
    for key, value in values.items():
        whole = key in ("along", "across")
        if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
            raise ValueError(f"{key} is {value!r}")
    velocity = [float(u) for u in description.get("velocity", (0.0, 0.0))]
    numbers = [values["scale"], values["angle"], values["ratio"], *velocity]
    if len(velocity) != 2 or not np.isfinite(numbers).all():
        raise ValueError(f"a number of {dict(description)} is missing or not finite")
    if min(values["scale"], values["ratio"]) <= 0 or min(values["along"], values["across"]) < 0:
        raise ValueError(f"scale and ratio are above 0, orders not below: {dict(description)}")
    return Field(**values, velocity=(velocity[0], velocity[1]))
