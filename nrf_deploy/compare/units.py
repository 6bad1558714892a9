"""Conversion between the model's units and a chip's, by the value of 1 of the model there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nrf_deploy.ir.network import Array, Shape
from nrf_deploy.ir.program import Program, spread
from nrf_deploy.ir.recording import Recording


def an_event(unit: Array, shape: Shape, index: Array) -> Array:
    """Return the unit of each event of a layer, from a unit by layer, channel or neuron."""
    return np.asarray(spread(unit, shape).ravel()[index])


def in_units(recording: Recording, unit: Array | None) -> Recording:
    """Convert values to the model's units; spikes are the same in both."""
    if unit is None:
        return recording
    of = an_event(unit, recording.shape, recording.index)
    return replace(recording, value=recording.value / of)


def of_potential(program: Program, name: str, shape: Shape) -> Array:
    """Return the value of 1 of the model's v in a population, for each neuron."""
    return np.asarray(spread(program.origin(name).scale["v"], shape), np.float64)
