"""Small runs for the tests of verify."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nrf_deploy.network import Array
from nrf_deploy.recording import Recording, Trace

SHAPE = (2, 3, 4)


def trace(
    engine: str,
    frames: Mapping[str, Array],
    states: Mapping[str, Mapping[str, Array]] | None = None,
) -> Trace:
    outputs = {name: Recording.from_dense(f) for name, f in frames.items()}
    return Trace(engine=engine, outputs=outputs, states=states or {}, notes={})


def spikes(seed: int, steps: int = 10, rate: float = 0.3) -> Array:
    return (np.random.default_rng(seed).random((steps, *SHAPE)) < rate).astype(np.int64)


def delayed(frames: Array, steps: int) -> Array:
    return np.concatenate([np.zeros_like(frames[:steps]), frames])


def flipped(frames: Array, *place: int) -> Array:
    out = frames.copy()
    out[place] = 1 - out[place]
    return out


def stateful(seed: int, kind: type = np.int64) -> dict[str, Array]:
    rng = np.random.default_rng(seed)
    return {v: rng.integers(-99, 99, (10, *SHAPE)).astype(kind) for v in ("u", "v")}
