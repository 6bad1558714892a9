"""A front end of velocity-adapted fields, which finds the direction and place of motion.

    events -> taps of a delay line, each with kernels that stand where the motion has come to
           -> field_lif: one channel for each velocity and direction of a first derivative
           -> motion: one channel for each velocity, pooled over place and direction

Nothing is trained. `field_lif` has no memory (tau = dt): it sees the past only through the
delays, so that its spikes are covariant under a change of velocity (velocity.py), exactly for
whole pixels a step, on a chip too. `motion` adds them with a time constant. torch and Norse are
imported when the model is built.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nrf_deploy.ir.network import Array
from nrf_deploy.ir.recording import Recording

from .events import DT, Scene, Shape, record
from .receptive_fields import Field, Velocity, bank, described, size_needed
from .velocity import Moving, exponential, taps

SIZE = 48
VELOCITIES: tuple[Velocity, ...] = ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1))
DIRECTIONS = (0.0, math.pi / 2)
SCALE = 1.0
TEMPORAL = exponential(constant=3.0, taps=6)
POOL, STRIDE, MOTION_TIME = Field(4.0), 4, 8e-3
FIELD_THRESHOLD = 0.08  # of a weight-1 event on the fields
MOTION_THRESHOLD = 0.5  # in units of dt/tau, so of what one spike with the weight 1 adds


def fields() -> list[Moving]:
    """Return a first derivative in each direction, for each velocity."""
    return [Moving(Field(SCALE, angle, along=1), v) for v in VELOCITIES for angle in DIRECTIONS]


def field_weights() -> list[Array]:
    """Return for each tap kernels (channels, 2, K, K), ON minus OFF, turned for correlation."""
    turned = (kernels[:, ::-1, ::-1] for kernels in taps(fields(), TEMPORAL))
    return [np.stack([k, -k], axis=1).astype(np.float32) for k in turned]


def motion_weights() -> Array:
    """Return kernels (velocities, channels, K, K) that add a velocity's directions."""
    selection = np.repeat(np.eye(len(VELOCITIES)), len(DIRECTIONS), axis=1)
    return (selection[:, :, None, None] * bank([POOL], size_needed(POOL))).astype(np.float32)


def build(size: int = SIZE) -> Any:
    """Build the torch module, for events of shape (2, size, size) in steps of 1 ms."""
    import torch

    from nrf_deploy.torch.delay import Delay

    from .fixed_layers import convolution, population

    class VelocityFrontEnd(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.input_shape = (2, size, size)
            self.readout = {"kind": "map", "stride": STRIDE, "offset": 0}
            still, velocities = [m.field for m in fields()], [m.velocity for m in fields()]
            self.receptive_fields = {"field_lif": described(still, velocities=velocities)}
            weights = field_weights()
            self.delays = torch.nn.ModuleList(Delay(1) for _ in weights[1:])
            self.taps = torch.nn.ModuleList(convolution(w) for w in weights)
            self.field_lif = population(DT, FIELD_THRESHOLD)
            self.pool = convolution(motion_weights(), STRIDE)
            self.motion = population(MOTION_TIME, MOTION_THRESHOLD)

        def forward(self, x: Any, state: dict[str, Any] | None = None) -> Any:
            before = {} if state is None else state
            after = {}
            seen = [self.taps[0](x)]
            for k, delay in enumerate(self.delays):
                x, after[f"delay{k}"] = delay(x, before.get(f"delay{k}"))
                seen.append(self.taps[k + 1](x))
            y, after["field"] = self.field_lif(sum(seen), before.get("field"))
            y, after["motion"] = self.motion(self.pool(y), before.get("motion"))
            return y, after

    return VelocityFrontEnd().eval()


def demo_scene(seed: int = 0) -> Scene:
    """Return a scene of a disc that moves one pixel a step along x or y, back and forth."""
    rng = np.random.default_rng(seed)
    radius = rng.uniform(5, 8)
    start = rng.uniform(radius + 1, SIZE - radius - 2, 2)
    velocity = VELOCITIES[1 + rng.integers(len(VELOCITIES) - 1)]
    disc = Shape(radius=radius, start=(start[0], start[1]), velocity=velocity)
    return Scene(size=SIZE, shapes=(disc,), threshold=0.9)


def demo_recording(seed: int = 0, steps: int = 120) -> Recording:
    return record(demo_scene(seed), steps, seed)[0]
