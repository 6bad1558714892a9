"""A shape that moves over a sensor of signed integrate-and-fire pixels, as events.

A pixel adds up the change of the light that falls on it. When the sum reaches the
threshold it gives an ON event, at minus the threshold an OFF event, and the threshold
is taken off the sum; at most one event a step, the rest waits for the next.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from nrf_deploy.network import Array
from nrf_deploy.recording import Recording

DT = 1e-3
Outline = Literal["disc", "square", "triangle"]
INSIDE: dict[Outline, Callable[[Array, Array], Array]] = {
    "disc": lambda x, y: x**2 + y**2 <= 1,
    "square": lambda x, y: np.maximum(abs(x), abs(y)) <= 1,
    "triangle": lambda x, y: (y <= 0.5) & (np.sqrt(3) * abs(x) <= y + 1),
}
"""Whether a point is inside, for a radius of 1; y downwards."""


@dataclass(frozen=True)
class Scene:
    """Lengths in pixels, velocity in pixels a step. The shape bounces off the border."""

    size: int = 32
    outline: Outline = "disc"
    radius: float = 5.0
    start: tuple[float, float] = (8.0, 12.0)  # x, y; the middle of the first pixel is 0, 0
    velocity: tuple[float, float] = (0.16, 0.07)
    threshold: float = 0.2  # of the contrast between shape and ground
    noise: float = 5e-4  # events a pixel, polarity and step
    upsampling: int = 4  # points of light a pixel, along each axis


def path(scene: Scene, steps: int) -> Array:
    """(steps + 1, 2): x and y of the middle before the first step and after each."""
    t = np.arange(steps + 1)[:, None]
    free = np.array(scene.start) + np.array(scene.velocity) * t
    span = scene.size - 1 - 2 * scene.radius
    if span < 0:
        raise ValueError(f"a radius of {scene.radius} does not fit on {scene.size} pixels")
    if span == 0:
        return np.full_like(free, scene.radius)
    folded = np.mod(free - scene.radius, 2 * span)
    return np.asarray(scene.radius + np.where(folded > span, 2 * span - folded, folded))


def light(scene: Scene, x: float, y: float) -> Array:
    """How much of each pixel the shape covers, [y, x]."""
    n = scene.upsampling
    points = (np.arange(scene.size * n) + 0.5) / n - 0.5
    inside = INSIDE[scene.outline](
        (points[None, :] - x) / scene.radius, (points[:, None] - y) / scene.radius
    )
    return np.asarray(inside.reshape(scene.size, n, scene.size, n).mean(axis=(1, 3)))


def record(scene: Scene, steps: int, seed: int = 0) -> tuple[Recording, Array]:
    """Events of shape (2, size, size), ON before OFF, and the true (steps, 2) x and y."""
    rng = np.random.default_rng(seed)
    places = path(scene, steps)
    frames = np.zeros((steps, 2, scene.size, scene.size), bool)
    before, charge = light(scene, *places[0]), np.zeros((scene.size, scene.size))
    for frame, place in zip(frames, places[1:], strict=True):
        now = light(scene, *place)
        charge += now - before
        frame[0], frame[1] = charge >= scene.threshold, charge <= -scene.threshold
        charge -= scene.threshold * (frame[0].astype(float) - frame[1])
        frame |= rng.random(frame.shape) < scene.noise
        before = now
    return Recording.from_dense(frames, DT), places[1:]
