"""Recordings after a map of the image, and the correspondence of responses.

Events are deltas: moved to A x, they are |det A| times too sparse for the kernel, which is
spread over |det A| times the area, so each counts |det A| times.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nrf_deploy.ir.network import Array, Shape
from nrf_deploy.ir.recording import Recording

from .deviation import Deviation, of_spikes, of_values
from .fields import Seen
from .relations import Match


@dataclass(frozen=True, eq=False)
class Move:
    """A map from x to A (x - middle) + middle + shift, on pixels (x, y)."""

    matrix: Array
    middle: Array
    shift: Array

    def of(self, places: Array) -> Array:
        return np.asarray((places - self.middle) @ self.matrix.T + self.middle + self.shift)

    @property
    def det(self) -> int:
        return abs(round(float(np.linalg.det(self.matrix))))


def around_the_middle(seen: Seen, shape: Shape, matrix: Array) -> Move:
    """Return a move about an element near the middle, so that elements move to elements."""
    at = [seen.offset + seen.stride * (n // 2) for n in (shape[2], shape[1])]
    return Move(np.asarray(matrix), np.array(at), np.zeros(2))


def on_pixels(move: Move) -> bool:
    """Return whether every pixel moves to a pixel."""
    offset = move.of(np.zeros((1, 2)))
    whole = np.all(move.matrix == np.rint(move.matrix))
    return bool(whole and np.all(offset == np.rint(offset)))


def moved(recording: Recording, move: Move) -> tuple[Recording, Recording]:
    """Return the events that stay within the frame, unmoved and moved.

    Both runs see the same events, so nothing is lost at the borders.
    """
    _, height, width = recording.shape
    c, y, x = np.unravel_index(recording.index, recording.shape)
    to = np.rint(move.of(np.stack([x, y], axis=-1))).astype(np.int64)
    inside = (to >= 0).all(axis=1) & (to[:, 0] < width) & (to[:, 1] < height)
    step, value = recording.step[inside], recording.value[inside]
    index = (c[inside] * height + to[inside, 1]) * width + to[inside, 0]
    both = [
        Recording.from_events(step, i, v, recording.shape, recording.steps, recording.dt)
        for i, v in ((recording.index[inside], value), (index, value * move.det))
    ]
    return both[0], both[1]


def targets(seen: Seen, shape: Shape, move: Move) -> Array:
    """Return the target of each element (y, x) of the map, flat; -1 outside the map."""
    _, height, width = shape
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    pixels = seen.offset + seen.stride * np.stack([x, y], axis=-1)
    at = (move.of(pixels) - seen.offset) / seen.stride
    whole = np.rint(at).astype(np.int64)
    there = (np.abs(at - whole) < 1e-9).all(axis=-1) & (whole >= 0).all(axis=-1)
    there &= (whole[..., 0] < width) & (whole[..., 1] < height)
    return np.where(there, whole[..., 1] * width + whole[..., 0], -1).ravel()


@dataclass(frozen=True, eq=False)
class Answers:
    """Responses of two channels, as keys (step and element of the second) and values."""

    first: Array
    second: Array
    first_value: Array
    second_value: Array

    def deviation(self, *, spikes: bool) -> Deviation:
        if spikes:
            return of_spikes(self.first, self.second)
        every = np.union1d(self.first, self.second)
        dense = np.zeros((2, len(every)))
        for row, key, value in zip(
            dense, (self.first, self.second), (self.first_value, self.second_value), strict=True
        ):
            row[np.searchsorted(every, key)] = value
        return of_values(dense[0], dense[1])


def answers(
    first: Recording, second: Recording, match: Match, to: Array, steps: Array | None = None
) -> Answers:
    """Return the responses of a match; `to` are targets of elements, `steps` the valid steps."""
    size = len(to)
    a, ours = _channel(first, match.first, size, steps)
    b, theirs = _channel(second, match.second, size, steps)
    reached = np.zeros(size, bool)
    reached[to[to >= 0]] = True
    place = to[a % size]
    kept, there = place >= 0, reached[b % size]
    return Answers(
        first=(a // size * size + place)[kept],
        second=b[there],
        first_value=ours[kept] * match.gain,
        second_value=theirs[there],
    )


def _channel(
    recording: Recording, channel: int, size: int, steps: Array | None
) -> tuple[Array, Array]:
    """Return (step * size + element, value) of one channel's events."""
    inside = recording.index // size == channel
    if steps is not None:
        inside &= np.isin(recording.step, steps)
    return recording.step[inside] * size + recording.index[inside] % size, recording.value[inside]


def together(parts: list[Answers]) -> Answers:
    """Join several channels or windows, with separate keys."""
    every = 1 + max(
        (int(keys.max(initial=0)) for p in parts for keys in (p.first, p.second)), default=0
    )
    first, second = (
        [getattr(p, side) + k * every for k, p in enumerate(parts)] for side in ("first", "second")
    )
    values = ([getattr(p, f"{side}_value") for p in parts] for side in ("first", "second"))
    return Answers(*(np.concatenate(x) for x in (first, second, *values)))
