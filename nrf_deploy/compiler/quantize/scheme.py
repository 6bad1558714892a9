"""A scheme: the numbers by which a float network becomes integers. It is data.

A quantiser writes one, following the rules that the user gave, and a bundle holds the one
that made it. Lowering a network by a scheme has no freedom left.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from nrf_deploy.ir.network import Array

from .rules import Rules


@dataclass(frozen=True, eq=False)
class ConnectionScheme:
    """weight * 2^exponent ~ gain * float weight, `weight` on the grid of `weight_bits` bits.

    `weight` holds the integers in the shape in which the chip takes them; `gain` is one
    number, or one an output channel.
    """

    gain: Array
    weight: Array
    weight_bits: int
    exponent: int = 0

    @property
    def held(self) -> Array:
        """What a weight counts."""
        return np.asarray(self.weight << self.exponent)


@dataclass(frozen=True, eq=False)
class PopulationScheme:
    """Integer parameters of a population by the chip's names, and how many integer units
    one float unit of each state is."""

    params: Mapping[str, Array | int]
    scale: Mapping[str, Array]


@dataclass(frozen=True, eq=False)
class Scheme:
    connections: Mapping[str, ConnectionScheme] = field(default_factory=dict)
    populations: Mapping[str, PopulationScheme] = field(default_factory=dict)
    rules: Rules = field(default_factory=Rules)
    largest_input: int = 0  # in the data that it was calibrated on; 0 without any


def single(x: Array) -> Array:
    """One value where all are equal."""
    flat = np.ravel(x)
    return flat[:1].reshape(()).copy() if flat.size and np.all(flat == flat[0]) else np.array(x)


def whole(x: Array | int) -> Array | int:
    """Integers, as one where all are equal."""
    one = single(np.asarray(x).astype(np.int64))
    return int(one) if one.ndim == 0 else one
