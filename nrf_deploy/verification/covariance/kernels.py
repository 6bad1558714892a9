"""A population's kernels from the input, as its weights make them: in float, and on the chip.

An event at one place, through all that leads to the population (delays too), gives what it
adds to every place of the map: the kernel, read at every `stride`th pixel. Events at all
places of a stride give the rest.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product

import numpy as np

from ...network import Array, Delay, Input
from ...progress import Progress, quiet
from ...recording import Recording
from .fields import Seen
from .layer import Lowered

FAR = 8.0
"""Standard deviations of the widest field that are looked at."""


@dataclass(frozen=True, eq=False)
class Kernels:
    """(channels, input channels, size, size), indexed [y, x] by where a place lies from
    the event, which is in the middle; summed over time."""

    model: Array
    chip: Array


def kernels(lowered: Lowered, seen: Seen, progress: Progress = quiet) -> Kernels | None:
    """None where the chip's weights cannot be told apart, or the map does not lie on pixels."""
    shape, inputs = lowered.network[seen.layer].shape, list(lowered.network.of(Input))
    if len(inputs) != 1 or len(inputs[0].shape) != 3 or seen.offset != round(seen.offset):
        return None
    channels, height, width = inputs[0].shape
    widest = max((f.reach for _, f in seen.known()), default=0.0)
    reach = min(min(height, width) - 1 - 2 * seen.stride, math.ceil(FAR * widest))
    if reach < 1:
        return None
    size = 2 * reach + 1
    found = np.zeros((2, shape[0], channels, size, size))
    y, x = (np.round(seen.offset + seen.stride * np.arange(n)).astype(int) for n in shape[1:])
    corners = [_corners(n, seen.stride) for n in (height, width)]
    places = list(product(range(channels), *corners))
    for done, (c, at_y, at_x) in enumerate(places, 1):
        added = _impulse(lowered, seen.layer, inputs[0].shape, (c, at_y, at_x))
        if added is None:
            return None
        rows, columns = y - at_y + reach, x - at_x + reach
        down, right = _within(rows, size), _within(columns, size)
        for kernel, values in zip(found[:, :, c], added, strict=True):
            kernel[:, rows[down][:, None], columns[right]] = values[:, down][:, :, right]
        progress(done, len(places))
    return Kernels(found[0], found[1])


def _corners(size: int, stride: int) -> list[int]:
    """From both ends of an axis, so that the whole kernel falls on the map in parts."""
    return [*range(stride), *range(size - stride, size)]


def _impulse(
    lowered: Lowered, layer: str, shape: tuple[int, ...], at: tuple[int, ...]
) -> tuple[Array, Array] | None:
    """What one event adds to every place, over all its time, in the units of the model's v."""
    steps = 1 + sum(
        int(np.rint(np.max(d.delay) / lowered.network.dt)) for d in lowered.network.of(Delay)
    )
    index = np.array([np.ravel_multi_index(at, shape)])
    one = np.ones(1, np.int64)
    event = Recording.from_events(0 * one, index, one, shape, steps)
    made = lowered.arriving(layer, lowered.outputs(event), steps)
    if made is None:
        return None
    model, chip = (x.sum(axis=0) for x in made)
    return model, chip / lowered.unit(layer)


def _within(places: Array, size: int) -> Array:
    return np.asarray((places >= 0) & (places < size))
