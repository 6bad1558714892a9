"""Kernels of a population from the input, computed from its weights in float and on the chip.

An event at one pixel, through everything that leads to the population (delays too), gives its
contribution to every element of the map: the kernel, read at every `stride`th pixel. Events at
all pixels of a stride give the rest.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product

import numpy as np

from nrf_deploy.diagnostics.progress import Progress, quiet
from nrf_deploy.ir.network import Array, Delay, Input
from nrf_deploy.ir.recording import Recording

from .fields import Seen
from .layer import Lowered

FAR = 8.0
"""Standard deviations of the widest field that are computed."""


@dataclass(frozen=True, eq=False)
class Kernels:
    """Kernels (channels, input channels, size, size), indexed [y, x] from the event, which is in
    the middle; summed over time."""

    model: Array
    chip: Array


def kernels(lowered: Lowered, seen: Seen, progress: Progress = quiet) -> Kernels | None:
    """Return the kernels; None if weights cannot be separated or the map is not on pixels."""
    shape, inputs = lowered.network[seen.layer].shape, list(lowered.network.of(Input))
    if len(inputs) != 1 or len(inputs[0].shape) != 3 or seen.offset != round(seen.offset):
        return None
    channels, height, width = inputs[0].shape
    widest = max((f.reach for _, f in seen.known()), default=0.0)
    reach = min(min(height, width) - 1 - 2 * seen.stride, math.ceil(FAR * widest))
    if reach < 1:
        return None
    size = 2 * reach + 1
    both = np.zeros((2, shape[0], channels, size, size))
    y, x = (np.round(seen.offset + seen.stride * np.arange(n)).astype(int) for n in shape[1:])
    corners = [_corners(n, seen.stride) for n in (height, width)]
    places = list(product(range(channels), *corners))
    for done, (c, at_y, at_x) in enumerate(places, 1):
        added = _impulse(lowered, seen.layer, inputs[0].shape, (c, at_y, at_x))
        if added is None:
            return None
        rows, columns = y - at_y + reach, x - at_x + reach
        down, right = _within(rows, size), _within(columns, size)
        for kernel, values in zip(both[:, :, c], added, strict=True):
            kernel[:, rows[down][:, None], columns[right]] = values[:, down][:, :, right]
        progress(done, len(places))
    return Kernels(both[0], both[1])


def _corners(size: int, stride: int) -> list[int]:
    """Return positions at both ends of an axis, so that all parts of the kernel are on the map."""
    return [*range(stride), *range(size - stride, size)]


def _impulse(
    lowered: Lowered, layer: str, shape: tuple[int, ...], at: tuple[int, ...]
) -> tuple[Array, Array] | None:
    """Return the sum over time that one event adds to every element, in units of the model's v."""
    steps = 1 + sum(
        int(np.rint(np.max(d.delay) / lowered.network.dt)) for d in lowered.network.of(Delay)
    )
    index = np.array([np.ravel_multi_index(at, shape)])
    one = np.ones(1, np.int64)
    event = Recording.from_events(0 * one, index, one, shape, steps)
    arrived = lowered.arriving(layer, lowered.outputs(event), steps)
    if arrived is None:
        return None
    model, chip = (x.sum(axis=0) for x in arrived)
    return model, chip / lowered.unit(layer)


def _within(places: Array, size: int) -> Array:
    return np.asarray((places >= 0) & (places < size))
