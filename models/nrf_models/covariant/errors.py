"""Errors of a tracker in pixels, on scenes that are not used in training."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from nrf_deploy.ir.network import Array
from nrf_deploy.verification.task.readout import coordinates

from .description import Config
from .networks import TrackerNet
from .scenes import Batch, batch
from .stepwise import readout_of

VELOCITIES = (0.08, 0.16, 0.32, 0.64, 1.28, 2.56)  # of every test, in pixels a step
SEED = 7


def errors(
    net: TrackerNet, config: Config, speed: float, count: int = 32, seed: int = SEED
) -> Array:
    """Return (count,) mean distances in pixels between the tracker's and the true places."""
    return np.asarray(distances(net, config, speed, count, seed).mean(axis=-1))


def distances(
    net: TrackerNet, config: Config, speed: float, count: int = 32, seed: int = SEED
) -> Array:
    """Return (count, shapes) mean distances for each shape.

    The scenes are not those of training, and the same for every tracker.
    """
    drawn = unseen(config, speed, count, seed)
    device = net.head.weight.device
    with torch.no_grad():
        maps = torch.cat(
            [
                net(torch.from_numpy(part).to(device).float())[0]
                for part in np.array_split(drawn.events, min(8, count))
            ]
        )
    readout = readout_of(net) | {"sharpness": 1.0}  # the maps are sharpened already
    places = np.stack([coordinates(m, readout) for m in maps.cpu().numpy()])
    away = np.linalg.norm(places - drawn.places, axis=-1)[:, config.training.warm_up :]
    return np.asarray(away.mean(axis=1))


def tested(net: TrackerNet, config: Config, scenes: int) -> dict[str, Any]:
    """Return the notes of a published checkpoint: mean and median errors by velocity.

    With several shapes they also have the means for each shape.
    """
    away = {f"{v:g}": distances(net, config, v, scenes) for v in VELOCITIES}
    notes: dict[str, Any] = {
        "errors": {v: round(float(a.mean()), 3) for v, a in away.items()},
        "medians": {v: round(float(np.median(a.mean(axis=-1))), 3) for v, a in away.items()},
        "scenes": scenes,
    }
    if config.tracker.shapes > 1:
        notes["shapes"] = {
            v: [round(float(one), 3) for one in a.mean(axis=0)] for v, a in away.items()
        }
        notes["together"] = {f"{v:g}": round(_together(config, v, scenes), 3) for v in VELOCITIES}
    return notes


def _together(config: Config, speed: float, scenes: int) -> float:
    """Return the error of the mean of all true places, for each shape.

    A tracker that locates the shapes but confuses them has about this error.
    """
    places = unseen(config, speed, scenes).places[:, config.training.warm_up :]
    middle = places.mean(axis=2, keepdims=True)
    return float(np.linalg.norm(places - middle, axis=-1).mean())


def unseen(config: Config, speed: float, count: int, seed: int = SEED) -> Batch:
    training = replace(config.training, batch=count, motions=("straight",))
    return batch(config.tracker, training, (seed, 2, round(speed * 1000)), speed)
