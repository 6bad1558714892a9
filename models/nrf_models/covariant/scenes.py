"""Batches of scenes for training and test, drawn from a seed and made in advance.

In memory and on disk a batch is the list of its events, a hundred times smaller than its
frames at the paper's size; those of a folder are mapped into memory.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any, Literal

import numpy as np

from nrf_deploy.io.files import write_atomically
from nrf_deploy.ir.network import Array

from .description import Tracker, Training
from .events import OUTLINES, Scene, Shape, dense

WORKERS = 2  # threads that make batches before they are needed

READING = Lock()
"""Lock for parsing headers of arrays: ast's depth counter in CPython 3.11 is shared by threads,
and two at once can end in a SystemError."""


@dataclass(frozen=True, eq=False)
class Batch:
    """A batch: flat indices of events in frames of `shape` (B, T, 2, H, W), in order, and the
    middles of the shapes (B, T, shapes, 2)."""

    at: Array
    shape: tuple[int, ...]
    places: Array

    @property
    def events(self) -> Array:
        """Return the frames, as bools."""
        frames = np.zeros(math.prod(self.shape), bool)
        frames[self.at] = True
        return frames.reshape(self.shape)


def scene(
    tracker: Tracker, training: Training, rng: np.random.Generator, speed: float | None = None
) -> Scene:
    """Draw shapes of random size, place and course; `speed` is log-uniform if it is None."""
    shapes = []
    for k in range(tracker.shapes):
        low, high = training.velocities
        velocity = math.exp(rng.uniform(math.log(low), math.log(high))) if speed is None else speed
        course, radius = rng.uniform(0, 2 * math.pi), rng.uniform(*training.radii)
        motion = _motion(training.motions[rng.integers(len(training.motions))], rng)
        shape = Shape(
            outline=OUTLINES[k % len(OUTLINES)],
            radius=radius,
            velocity=(velocity * math.cos(course), velocity * math.sin(course)),
            **motion,
        )
        reach = shape.reach
        if 2 * reach > tracker.size - 1:
            raise ValueError(
                f"a {shape.outline} of radius {radius:.4g} reaches {reach:.4g} pixels from its "
                f"middle and does not fit on {tracker.size} pixels: lower radii or raise size"
            )
        start = rng.uniform(reach, tracker.size - 1 - reach, 2)
        shapes.append(replace(shape, start=(float(start[0]), float(start[1]))))
    return Scene(tracker.size, tuple(shapes), training.threshold, training.noise)


def _motion(name: str, rng: np.random.Generator) -> dict[str, Any]:
    sign = float(rng.choice([-1, 1]))
    match name:
        case "straight":
            return {}
        case "rotation":
            return {"angle": rng.uniform(0, 2 * math.pi), "spin": sign * rng.uniform(0.005, 0.05)}
        case "scaling":
            return {"growth": math.exp(rng.uniform(0.002, 0.02)), "most": 1.5}
        case "shear":
            return {"shear": rng.uniform(0.2, 0.6), "shear_rate": rng.uniform(0.02, 0.1)}
    raise ValueError(f"there is no motion {name!r}: straight, rotation, scaling, shear")


def batch(
    tracker: Tracker, training: Training, seed: tuple[int, ...], speed: float | None = None
) -> Batch:
    """Return the batch of a seed, the same on every machine."""
    shape = _shape(tracker, training)
    events, places = [], np.zeros((*shape[:2], tracker.shapes, 2))
    for k in range(training.batch):
        rng = np.random.default_rng([*seed, k])
        drawn = scene(tracker, training, rng, speed)
        frames, places[k] = dense(drawn, shape[1], int(rng.integers(2**31)))
        events.append(np.flatnonzero(frames) + k * frames.size)
    small = np.int32 if math.prod(shape) <= 2**31 else np.int64
    return Batch(np.concatenate(events).astype(small), shape, places)


def _shape(tracker: Tracker, training: Training) -> tuple[int, ...]:
    steps = training.warm_up + training.steps
    return training.batch, steps, 2, tracker.size, tracker.size


def batches(
    tracker: Tracker,
    training: Training,
    first: int = 0,
    folder: str | Path | None = None,
    workers: int = WORKERS,
) -> Iterator[tuple[int, Batch]]:
    """Yield training batches from number `first` on, made in threads.

    With a folder each batch is kept there, and read the next time.
    """
    make = partial(_kept, Path(folder)) if folder else batch
    with ThreadPoolExecutor(workers) as pool:
        waiting: list[tuple[int, Future[Batch]]] = []
        number = first
        while number < training.batches or waiting:
            while number < training.batches and len(waiting) <= workers:
                seed = (training.seed, 1, number)
                waiting.append((number, pool.submit(make, tracker, training, seed)))
                number += 1
            done, future = waiting.pop(0)
            yield done, future.result()


def _kept(folder: Path, tracker: Tracker, training: Training, seed: tuple[int, ...]) -> Batch:
    """Read a batch from the folder, or make and keep it. File names contain its configuration.

    The events are written last: if they exist, the batch is complete.
    """
    made_from = repr((tracker.size, tracker.shapes, replace(training, batches=1), seed))
    name = hashlib.sha256(made_from.encode()).hexdigest()[:24]
    places, events = folder / f"{name}-places.npy", folder / f"{name}-events.npy"
    if events.exists():
        return _read(events, places, _shape(tracker, training), tracker.shapes)
    new = batch(tracker, training, seed)
    folder.mkdir(parents=True, exist_ok=True)
    for path, values in ((places, new.places), (events, new.at)):
        write_atomically(path, partial(np.save, arr=values, allow_pickle=False))
    return new


def _read(events: Path, places: Path, shape: tuple[int, ...], shapes: int) -> Batch:
    at = _array(events, "r")
    inside = at.ndim == 1 and at.dtype.kind == "i" and (np.diff(at, prepend=-1) > 0).all()
    if not inside or at[-1:].max(initial=0) >= math.prod(shape):
        raise ValueError(f"{events} holds no events of such a batch: delete it")
    middles = _array(places)
    if middles.shape != (*shape[:2], shapes, 2):
        raise ValueError(f"{places} holds no places of such a batch: delete it and its events")
    return Batch(at, shape, middles)


def _array(path: Path, mapped: Literal["r"] | None = None) -> Array:
    try:
        with READING:
            return np.asanyarray(np.load(path, mmap_mode=mapped, allow_pickle=False))
    except (ValueError, EOFError) as problem:
        raise ValueError(f"{path} is not an array: {problem}; delete it") from problem
