"""Small runs for the tests of verify."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nrf_deploy.ir.network import Array
from nrf_deploy.ir.recording import Recording, Trace

SHAPE = (2, 3, 4)


def trace(
    engine: str,
    frames: Mapping[str, Array],
    states: Mapping[str, Mapping[str, Array]] | None = None,
) -> Trace:
    outputs = {name: Recording.from_dense(f) for name, f in frames.items()}
    return Trace(engine=engine, outputs=outputs, states=states or {}, notes={})


class Heard:
    """A progress that keeps the names of the parts, and how often each was heard of."""

    def __init__(self) -> None:
        self.parts: dict[str, int] = {"": 0}

    def part(self, name: str) -> Heard:
        self.parts[name] = self.parts.pop(name, 0)  # the last one is the one that is heard of
        return self

    def __call__(self, done: int, of: int) -> None:
        self.parts[next(reversed(self.parts))] += 1


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
