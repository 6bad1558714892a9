"""Between the model's units and a chip's: what 1 of the model is there divides or multiplies."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..network import Array, Shape
from ..program import Program, spread
from ..recording import Recording


def an_event(unit: Array, shape: Shape, index: Array) -> Array:
    """One number for each event of a layer, given what 1 of the model is there."""
    return np.asarray(spread(unit, shape).ravel()[index])


def in_units(recording: Recording, unit: Array | None) -> Recording:
    """In the model's, from what one of them is in the chip's; spikes are the same in both."""
    if unit is None:
        return recording
    of = an_event(unit, recording.shape, recording.index)
    return replace(recording, value=recording.value / of)


def of_potential(program: Program, name: str, shape: Shape) -> Array:
    """What 1 of the model's v is in a population's, a neuron."""
    return np.asarray(spread(program.origin(name).scale["v"], shape), np.float64)
