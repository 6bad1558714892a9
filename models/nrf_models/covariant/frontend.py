"""The covariant front end. Its weights are computed, not trained.

    events -> fields (one convolution) -> three populations with rising time constants
    each population -> pooling over place and scale -> a population with the same time constant
    all of them -> a map of moving objects

`fields` holds first derivatives of Gaussians in four directions at two scales. A change
of size moves the response from one scale to the other, a turn from one direction to the
next, a change of speed from one time constant to the next.

An event is a delta: it lifts a voltage by dt/tau. Thresholds are proportional to
dt/tau, so that all time constants need the same number of events and a stretch in time
loses no spikes. torch and Norse are imported when the model is built.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from nrf_deploy.ir.network import Array
from nrf_deploy.ir.recording import Recording

from .events import Scene, Shape, record
from .receptive_fields import Field, bank, described, size_needed, time_constants

SIZE = 32
SCALES = (1.0, 4.0)  # variances: sigma 1 and 2 pixels
DIRECTIONS = 4
POOL = Field(0.5)  # on the grid of the fields
STRIDE = 2
TIME_CONSTANTS = time_constants(slowest=16e-3, ratio=2, count=3)
# in units of dt/tau, so of what one event with the weight 1 adds
FIELD_THRESHOLD, POOL_THRESHOLD, MAP_THRESHOLD = 0.1, 0.6, 3.0


def fields(scales: Sequence[float] = SCALES, directions: int = DIRECTIONS) -> list[Field]:
    """Return the fields by scale, with directions evenly round the circle."""
    angles = [2 * math.pi * k / directions for k in range(directions)]
    return [Field(s, angle, along=1) for s in scales for angle in angles]


def field_weights() -> Array:
    """Return kernels (fields, 2, K, K), ON minus OFF, turned for torch's correlation."""
    size = max(size_needed(f) for f in fields())
    turned = bank(fields(), size)[:, ::-1, ::-1]
    return np.stack([turned, -turned], axis=1).astype(np.float32)


def pool_weights() -> Array:
    """Return kernels (directions, fields, K, K) that add a direction's fields of all scales."""
    gauss = bank([POOL], size_needed(POOL))
    same = np.tile(np.eye(DIRECTIONS), len(SCALES))
    return (same[:, :, None, None] * gauss).astype(np.float32)


def build(size: int = SIZE) -> Any:
    """Build the torch module, for events of shape (2, size, size) in steps of 1 ms."""
    import torch

    from .fixed_layers import convolution, population

    class FrontEnd(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.input_shape = (2, size, size)
            self.readout = {"kind": "map", "stride": STRIDE**2, "offset": 0}
            seen = described(fields(), STRIDE)
            self.receptive_fields = {f"field_lif.{k}": seen for k in range(len(TIME_CONSTANTS))}
            self.fields = convolution(field_weights(), STRIDE)
            self.field_lif = torch.nn.ModuleList(
                population(tau, FIELD_THRESHOLD) for tau in TIME_CONSTANTS
            )
            self.pool = torch.nn.ModuleList(
                convolution(pool_weights(), STRIDE) for _ in TIME_CONSTANTS
            )
            self.pool_lif = torch.nn.ModuleList(
                population(tau, POOL_THRESHOLD) for tau in TIME_CONSTANTS
            )
            ones = np.ones((1, DIRECTIONS, 1, 1), np.float32)
            self.merge = torch.nn.ModuleList(convolution(ones, 1) for _ in TIME_CONSTANTS)
            self.map = population(TIME_CONSTANTS[-1], MAP_THRESHOLD)

        def forward(self, x: Any, state: dict[str, Any] | None = None) -> Any:
            before = {} if state is None else state
            after = {}
            shared = self.fields(x)
            branches = []
            for k in range(len(TIME_CONSTANTS)):
                f, p = f"field{k}", f"pool{k}"
                y, after[f] = self.field_lif[k](shared, before.get(f))
                y, after[p] = self.pool_lif[k](self.pool[k](y), before.get(p))
                branches.append(self.merge[k](y))
            y, after["map"] = self.map(sum(branches), before.get("map"))
            return y, after

    return FrontEnd().eval()


def demo_scene(seed: int = 0) -> Scene:
    """Return a scene of a disc whose size, place and course depend on the seed."""
    rng = np.random.default_rng(seed)
    course, speed = rng.uniform(0, 2 * math.pi), rng.uniform(0.1, 0.2)
    x, y = rng.uniform(10, SIZE - 11, 2)
    disc = Shape(
        radius=rng.uniform(4, 7),
        start=(x, y),
        velocity=(speed * math.cos(course), speed * math.sin(course)),
    )
    return Scene(size=SIZE, shapes=(disc,))


def demo_recording(seed: int = 0, steps: int = 300) -> Recording:
    """Record a moving disc with noise, 1 ms a step."""
    return record(demo_scene(seed), steps, seed)[0]
