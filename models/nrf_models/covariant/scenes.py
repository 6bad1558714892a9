"""Batches of scenes for training and test: drawn from a seed, made while the last one is used."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from nrf_deploy.files import write_atomically
from nrf_deploy.network import Array

from .description import Tracker, Training
from .events import OUTLINES, Scene, Shape, dense

AHEAD = 2  # batches made before they are needed


@dataclass(frozen=True, eq=False)
class Batch:
    """Events (B, T, 2, H, W) as bools, and the middles of the shapes (B, T, shapes, 2)."""

    events: Array
    places: Array


def scene(
    tracker: Tracker, training: Training, rng: np.random.Generator, speed: float | None = None
) -> Scene:
    """Shapes of random size, place and course; `speed` is drawn log-uniformly if not given."""
    shapes = []
    for k in range(tracker.shapes):
        low, high = training.velocities
        own = math.exp(rng.uniform(math.log(low), math.log(high))) if speed is None else speed
        course, radius = rng.uniform(0, 2 * math.pi), rng.uniform(*training.radii)
        motion = _motion(training.motions[rng.integers(len(training.motions))], rng)
        shape = Shape(
            outline=OUTLINES[k % len(OUTLINES)],
            radius=radius,
            velocity=(own * math.cos(course), own * math.sin(course)),
            **motion,
        )
        reach = shape.reach
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
    """The batch of this seed, the same on every machine."""
    steps = training.warm_up + training.steps
    shape = (training.batch, steps, 2, tracker.size, tracker.size)
    events, places = np.zeros(shape, bool), np.zeros((training.batch, steps, tracker.shapes, 2))
    for k in range(training.batch):
        rng = np.random.default_rng([*seed, k])
        drawn = scene(tracker, training, rng, speed)
        events[k], places[k] = dense(drawn, steps, int(rng.integers(2**31)))
    return Batch(events, places)


def batches(
    tracker: Tracker, training: Training, first: int = 0, folder: str | Path | None = None
) -> Iterator[tuple[int, Batch]]:
    """Training batches from number `first` on, made in a thread of its own. With a folder
    each is kept there, one bit a pixel, and read instead of made when it is wanted again."""
    made = partial(_kept, Path(folder)) if folder else batch
    with ThreadPoolExecutor(1) as pool:
        waiting: list[tuple[int, Future[Batch]]] = []
        number = first
        while number < training.batches or waiting:
            while number < training.batches and len(waiting) < AHEAD:
                seed = (training.seed, 1, number)
                waiting.append((number, pool.submit(made, tracker, training, seed)))
                number += 1
            done, future = waiting.pop(0)
            yield done, future.result()


def _kept(folder: Path, tracker: Tracker, training: Training, seed: tuple[int, ...]) -> Batch:
    """The name of a batch's file holds what it was made from."""
    made_from = repr((tracker.size, tracker.shapes, replace(training, batches=0), seed))
    path = folder / f"{hashlib.sha256(made_from.encode()).hexdigest()[:24]}.npz"
    steps = training.warm_up + training.steps
    shape = (training.batch, steps, 2, tracker.size, tracker.size)
    if path.exists():
        with np.load(path, allow_pickle=False) as stored:
            events = np.unpackbits(stored["events"], count=math.prod(shape)).reshape(shape)
            return Batch(events.astype(bool), stored["places"])
    new = batch(tracker, training, seed)
    folder.mkdir(parents=True, exist_ok=True)
    packed = np.packbits(new.events)

    def put(stream: BinaryIO) -> None:
        np.savez(stream, events=packed, places=new.places)

    write_atomically(path, put)
    return new
