"""How far from the true places a tracker's are, in pixels, on scenes that it has not seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from nrf_deploy.network import Array
from nrf_deploy.readout import coordinates

from .description import Config
from .networks import TrackerNet
from .scenes import Batch, batch
from .stepwise import readout_of

VELOCITIES = (0.08, 0.16, 0.32, 0.64, 1.28, 2.56)  # of every test, in pixels a step
SEED = 7


def errors(
    net: TrackerNet, config: Config, speed: float, count: int = 32, seed: int = SEED
) -> Array:
    """(count,) mean distances in pixels between the found and the true places."""
    return np.asarray(distances(net, config, speed, count, seed).mean(axis=-1))


def distances(
    net: TrackerNet, config: Config, speed: float, count: int = 32, seed: int = SEED
) -> Array:
    """(count, shapes): the same for each shape. The scenes are other than those of training,
    and the same for every tracker."""
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


def unseen(config: Config, speed: float, count: int, seed: int = SEED) -> Batch:
    training = replace(config.training, batch=count, motions=("straight",))
    return batch(config.tracker, training, (seed, 2, round(speed * 1000)), speed)
