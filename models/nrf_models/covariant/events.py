"""Shapes that move over a sensor of signed integrate-and-fire pixels, as events.

A pixel integrates the change of the light on it. When the sum reaches the threshold it gives an
ON event, at minus the threshold an OFF event, and the threshold is subtracted from the sum; at
most one event a step, the rest waits for the next. Background noise is independent: each pixel
and polarity has the same probability of an event at each step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from nrf_deploy.ir.network import Array
from nrf_deploy.ir.recording import Recording

DT = 1e-3
Outline = Literal["disc", "square", "triangle"]
OUTLINES: tuple[Outline, ...] = get_args(Outline)
CORNER: dict[Outline, float] = {"disc": 1.0, "square": 2**0.5, "triangle": 1.0}
"""Largest distance of an outline of radius 1 from its middle, at any angle."""


@dataclass(frozen=True)
class Shape:
    """A moving shape, with lengths in pixels and rates per step.

    At step t a point of the outline is at

        middle(t) + growth^t * R(angle + spin t) * [[1, shear(t)], [0, 1]] * point

    with x to the right and y downwards; the middle of the first pixel is 0, 0. The middle
    moves straight and bounces off the border; the size bounces between 1 and `most` (of
    the radius), the shear swings between plus and minus `shear`.
    """

    outline: Outline = "disc"
    radius: float = 5.0
    start: tuple[float, float] = (8.0, 12.0)
    velocity: tuple[float, float] = (0.16, 0.07)
    angle: float = 0.0
    spin: float = 0.0
    growth: float = 1.0
    most: float = 1.5
    shear: float = 0.0
    shear_rate: float = 0.0  # of the swing, in radians a step

    def matrices(self, steps: int) -> Array:
        """Return matrices (steps + 1, 2, 2) from the unit outline to pixels."""
        t = np.arange(steps + 1)
        span = np.log(self.most) if self.growth != 1 else 1.0
        size = np.exp(_folded(np.log(self.growth) * t, span)) if self.growth != 1 else np.ones(1)
        angle = self.angle + self.spin * t
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        slant = np.zeros((2, 2, steps + 1))
        slant[0, 0] = slant[1, 1] = 1
        slant[0, 1] = self.shear * np.sin(self.shear_rate * t)
        return np.asarray(
            self.radius * np.einsum("ijt,jkt->tik", turn, slant) * size[:, None, None]
        )

    @property
    def reach(self) -> float:
        """The largest distance of a point from the middle, at any step."""
        size = self.most if self.growth != 1 else 1.0
        slant = np.linalg.norm(np.array([[1, abs(self.shear)], [0, 1]]), 2) if self.shear else 1.0
        corner = CORNER[self.outline] if self.angle or self.spin or self.shear else 1.0
        return float(self.radius * size * slant * corner)

    def path(self, sensor: int, steps: int) -> Array:
        """Return x and y of the middle before the first step and after each: (steps + 1, 2)."""
        t = np.arange(steps + 1)[:, None]
        free = np.array(self.start) + np.array(self.velocity) * t
        span = sensor - 1 - 2 * self.reach
        if span < 0:
            raise ValueError(
                f"a {self.outline} that reaches {self.reach:.4g} pixels from its middle does "
                f"not fit on {sensor} pixels"
            )
        return np.asarray(self.reach + _folded(free - self.reach, span))


@dataclass(frozen=True)
class Scene:
    """The scene of a recording: a square sensor, and the shapes that move over it."""

    size: int = 32
    shapes: tuple[Shape, ...] = (Shape(),)
    threshold: float = 0.2  # of the contrast between shape and ground
    noise: float = 5e-4  # events a pixel, polarity and step
    upsampling: int = 4  # points of light a pixel, along each axis


def record(scene: Scene, steps: int, seed: int = 0) -> tuple[Recording, Array]:
    """Record a scene: events of shape (2, size, size), ON before OFF, and the true middles.

    The middles are (steps, 2) for one shape, (steps, shapes, 2) for several.
    """
    frames, places = dense(scene, steps, seed)
    return Recording.from_dense(frames, DT), places[:, 0] if places.shape[1] == 1 else places


def dense(scene: Scene, steps: int, seed: int = 0) -> tuple[Array, Array]:
    """Record a scene as bool frames (steps, 2, size, size), and middles (steps, shapes, 2)."""
    from .pixels import fire

    places = np.stack([s.path(scene.size, steps) for s in scene.shapes])
    frames = np.zeros((steps, 2, scene.size, scene.size), bool)
    fire(*_drawn(scene, places, steps), scene.upsampling, scene.threshold, frames)
    at = _noise(scene.noise, frames.size, np.random.default_rng(seed))
    frames.reshape(-1)[at] = True
    return frames, places[:, 1:].transpose(1, 0, 2)


def light(scene: Scene, step: int = 0) -> Array:
    """Return the share of each pixel that the shapes cover at a step, [y, x]."""
    from .pixels import cover

    places = np.stack([s.path(scene.size, step) for s in scene.shapes])
    kinds, middles, inverses, reaches = _drawn(scene, places, step)
    covered = np.zeros((scene.size, scene.size))
    cover(kinds, middles[:, step], inverses[:, step], reaches, scene.upsampling, covered)
    return covered


def _drawn(scene: Scene, places: Array, steps: int) -> tuple[Array, Array, Array, Array]:
    """Return (kind, middles, inverse matrices, reach) of each shape for the compiled loop."""
    kinds = np.array([OUTLINES.index(s.outline) for s in scene.shapes])
    inverses = np.linalg.inv(np.stack([s.matrices(steps) for s in scene.shapes]))
    return kinds, places, inverses, np.array([s.reach for s in scene.shapes])


def _noise(chance: float, places: int, rng: np.random.Generator) -> Array:
    """Draw the indices of noise events, each with this probability, by geometric gaps."""
    if chance <= 0:
        return np.zeros(0, np.int64)
    if chance >= 1:
        return np.arange(places)
    expected = int(places * chance + 6 * np.sqrt(places * chance) + 10)
    at = np.cumsum(rng.geometric(chance, expected)) - 1
    while at[-1] < places:
        at = np.concatenate([at, at[-1] + np.cumsum(rng.geometric(chance, expected))])
    return at[at < places]


def _folded(x: Array, span: float) -> Array:
    """Fold x to move back and forth between 0 and the span."""
    if span == 0:
        return np.zeros_like(x)
    x = np.mod(x, 2 * span)
    return np.where(x > span, 2 * span - x, x)
