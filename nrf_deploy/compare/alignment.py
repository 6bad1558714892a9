"""Comparison of two recordings without dense arrays.

An event at (step, index) has the key step * size + index. The keys of a recording rise, so two
recordings are compared like two sorted lists: millions of events need a few passes over them,
for any number of neurons.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nrf_deploy.ir.network import Array
from nrf_deploy.ir.recording import Recording


@dataclass(frozen=True, eq=False)
class Window:
    """Events of consecutive steps; keys count from the first of these steps."""

    size: int
    key: Array
    index: Array
    value: Array

    def __len__(self) -> int:
        return len(self.key)

    def at(self, key: int) -> int | float:
        """Return the value of a key; 0 if there is no event."""
        i = int(np.searchsorted(self.key, key))
        return self.value[i].item() if i < len(self) and self.key[i] == key else 0

    def activity(self) -> Array:
        """Return the sum of each neuron's values."""
        return np.bincount(self.index, self.value, minlength=self.size)


def window(recording: Recording, first: int, steps: int) -> Window:
    bounds = recording.start[first : first + steps + 1]
    part = slice(bounds[0], bounds[-1])
    step = np.repeat(np.arange(steps, dtype=np.int64), np.diff(bounds))
    index = recording.index[part]
    return Window(recording.size, step * recording.size + index, index, recording.value[part])


def fault(recording: Recording) -> str | None:
    """Return why the keys of this recording would be wrong, or None."""
    start, index = recording.start, recording.index
    if len(start) == 0 or start[0] != 0 or start[-1] != len(index) or np.any(np.diff(start) < 0):
        return "its row starts do not divide its events into steps"
    if len(index) != len(recording.value):
        return f"it has {len(index)} events and {len(recording.value)} values"
    if len(index) and (index.min() < 0 or index.max() >= recording.size):
        return f"it has events outside its {recording.size} neurons"
    key = window(recording, 0, recording.steps).key
    if np.any(key[1:] <= key[:-1]):
        return "its events are not in rising order within a step, or one occurs twice"
    return None


def unequal(left: Array, right: Array) -> Array:
    """Return where values differ; a NaN equals a NaN."""
    different = left != right
    if left.dtype.kind == right.dtype.kind == "f":
        different &= ~(np.isnan(left) & np.isnan(right))
    return np.asarray(different)


@dataclass(frozen=True, eq=False)
class Overlay:
    """Positions in two windows of their common keys, and of the keys that only one has."""

    shared_left: Array
    shared_right: Array
    alone_left: Array
    alone_right: Array


def overlay(left: Window, right: Window) -> Overlay:
    from .sweeps import meet  # starts numba

    return Overlay(*meet(left.key, right.key))


def same(left: Window, right: Window) -> bool:
    return np.array_equal(left.key, right.key) and not unequal(left.value, right.value).any()


def differing(left: Window, right: Window) -> Array:
    """Return the rising keys where only one window has an event or the values differ."""
    if np.array_equal(left.key, right.key):
        return left.key[unequal(left.value, right.value)]
    from .sweeps import unlike

    return np.asarray(unlike(left.key, left.value, right.key, right.value))


def value_error(left: Window, right: Window, norm: float) -> float:
    """Return the root of the summed squared differences, relative to `norm`."""
    o = overlay(left, right)
    shared = left.value[o.shared_left] - right.value[o.shared_right]
    parts = (shared, left.value[o.alone_left], right.value[o.alone_right])
    return float(np.sqrt(sum(float(np.square(p).sum()) for p in parts))) / norm


def cosine(left: Array, right: Array) -> float | None:
    """Return the cosine between two activities; None if one of them is 0."""
    norm = float(np.linalg.norm(left) * np.linalg.norm(right))
    return float(np.clip(left @ right / norm, -1.0, 1.0)) if norm else None
