"""Schemes: the numbers that convert a float network to integers. A scheme is data.

A quantiser writes one by the rules of the user, and a bundle stores the one that it was
built with. Lowering a network by a scheme involves no further choice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from nrf_deploy.ir.network import Array

from .rules import Rules


@dataclass(frozen=True, eq=False)
class ConnectionScheme:
    """Weights of a connection: weight * 2^exponent ~ gain * float weight.

    `weight` holds integers on the grid of `weight_bits` bits, in the shape that the chip
    takes; `gain` is one number, or one an output channel.
    """

    gain: Array
    weight: Array
    weight_bits: int
    exponent: int = 0

    @property
    def held(self) -> Array:
        """The weights with their exponent: the integers that are added to the sums."""
        return np.asarray(self.weight << self.exponent)


@dataclass(frozen=True, eq=False)
class PopulationScheme:
    """Parameters and units of a population.

    `params` holds its integer parameters by the chip's names, `scale` the number of integer
    units in one float unit of each state.
    """

    params: Mapping[str, Array | int]
    scale: Mapping[str, Array]


@dataclass(frozen=True, eq=False)
class Scheme:
    """Integers of a network by connection and population, and the rules that led to them."""

    connections: Mapping[str, ConnectionScheme] = field(default_factory=dict)
    populations: Mapping[str, PopulationScheme] = field(default_factory=dict)
    rules: Rules = field(default_factory=Rules)
    largest_input: int = 0  # in the data that it was calibrated on; 0 without any


def single(x: Array) -> Array:
    """Return a single value if all values are equal, else the array."""
    flat = np.ravel(x)
    return flat[:1].reshape(()).copy() if flat.size and np.all(flat == flat[0]) else np.array(x)


def whole(x: Array | int) -> Array | int:
    """Return integers: a single one if all are equal, else the array."""
    one = single(np.asarray(x).astype(np.int64))
    return int(one) if one.ndim == 0 else one
