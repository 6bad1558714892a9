"""Training: events in, coordinates out, through time.

The loss is the squared distance of the coordinates (in half widths of the sensor), the
cross entropy of the heat map against a Gaussian round the true place, and the neurons'
activity. The first steps of every batch run without gradient, so that slow neurons have
filled before they are judged.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nrf_deploy.network import Array
from nrf_deploy.readout import coordinates

from . import checkpoint
from .description import Config, Tracker
from .networks import TrackerNet
from .scenes import Batch, batch, batches
from .stepwise import readout_of

EVERY = 20  # batches between two checkpoints
WIDTH = 1.0  # of the wanted heat map, in pixels of the last map
TEST_SEED = 7


@dataclass(frozen=True)
class Progress:
    number: int
    of: int
    loss: float
    pixels: float


def train(
    config: Config,
    path: str | Path,
    report: Callable[[Progress], None] = lambda progress: None,
    device: str = "cpu",
    data: str | Path | None = None,
) -> TrackerNet:
    """Train, or go on where the checkpoint at `path` stopped; what comes of it is the same."""
    torch.manual_seed(config.training.seed)
    net = TrackerNet(config.tracker).to(device)
    optimiser = torch.optim.Adam(net.parameters(), lr=config.training.rate)
    first = _resume(config, path, net, optimiser) if Path(path).exists() else 0
    net.train()
    for number, drawn in batches(config.tracker, config.training, first, data):
        for group in optimiser.param_groups:
            group["lr"] = rate(config, number)
        loss, pixels = step(config, net, drawn, optimiser, device)
        report(Progress(number + 1, config.training.batches, loss, pixels))
        if (number + 1) % EVERY == 0 or number + 1 == config.training.batches:
            checkpoint.write(path, config, net, _moments(net, optimiser, number + 1))
    trained: TrackerNet = net.eval()
    return trained


def rate(config: Config, number: int) -> float:
    """Falls as a cosine from the rate to nothing."""
    return config.training.rate * 0.5 * (1 + math.cos(math.pi * number / config.training.batches))


def step(
    config: Config, net: TrackerNet, drawn: Batch, optimiser: Any, device: str
) -> tuple[float, float]:
    """One batch: (loss, mean error in pixels)."""
    events = torch.from_numpy(drawn.events).to(device)
    places = torch.from_numpy(drawn.places).float().to(device)
    warm, mixed = config.training.warm_up, device != "cpu"
    with torch.autocast(device, torch.bfloat16, enabled=mixed):
        states = None
        if warm and config.tracker.remembers:
            with torch.no_grad():
                states = net(events[:, :warm].float())[1]
        seen = events[:, warm:].float() if net.tracker.neuron != "relu-frames" else events.float()
        maps, _, active = net(seen, states)
    maps = maps.float()[:, -config.training.steps :]
    loss, away = _loss(config, maps, places[:, warm:], active)
    optimiser.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    optimiser.step()
    return float(loss.detach()), float(away.detach())


def _loss(config: Config, maps: Tensor, places: Tensor, active: Tensor) -> tuple[Tensor, Tensor]:
    t: Tracker = config.tracker
    height, width = maps.shape[-2:]
    chance = torch.log_softmax(maps.flatten(3), -1)
    x = t.offset + t.stride * torch.arange(width, device=maps.device)
    y = t.offset + t.stride * torch.arange(height, device=maps.device)
    p = chance.exp().unflatten(-1, (height, width))
    found = torch.stack([(p.sum(-2) * x).sum(-1), (p.sum(-1) * y).sum(-1)], -1)
    away = (found - places).square().sum(-1)
    spread = WIDTH * t.stride
    wanted = torch.softmax(
        (
            -(places[..., 0, None, None] - x).square() / (2 * spread**2)
            - (places[..., 1, None, None] - y[:, None]).square() / (2 * spread**2)
        ).flatten(3),
        -1,
    )
    entropy = -(wanted * chance).sum(-1).mean()
    half = t.size / 2
    loss = (away / half**2).mean() + config.training.map_weight * entropy
    return loss + config.training.activity_weight * active, away.sqrt().mean()


def errors(
    net: TrackerNet, config: Config, speed: float, count: int = 32, seed: int = TEST_SEED
) -> Array:
    """(count,) mean distances in pixels between the found and the true places. The scenes
    are other than those of training, and the same for every tracker."""
    training = replace(config.training, batch=count, motions=("straight",))
    drawn = batch(config.tracker, training, (seed, 2, round(speed * 1000)), speed)
    with torch.no_grad():
        maps = torch.cat(
            [
                net(torch.from_numpy(part).float())[0]
                for part in np.array_split(drawn.events, min(8, count))
            ]
        ).numpy()
    readout = readout_of(net) | {"sharpness": 1.0}  # the maps are sharpened already
    places = np.stack([coordinates(m, readout)[training.warm_up :] for m in maps])
    away = np.linalg.norm(places - drawn.places[:, training.warm_up :], axis=-1)
    return np.asarray(away.mean(axis=(1, 2)))


def _moments(net: TrackerNet, optimiser: Any, number: int) -> dict[str, Tensor]:
    """The optimiser's state by the parameter's name, and how many batches are done."""
    names = {id(p): name for name, p in net.named_parameters()}
    found = {"done": torch.tensor(number)}
    for p, state in optimiser.state.items():
        for key, value in state.items():
            found[f"{names[id(p)]}/{key}"] = torch.as_tensor(value).detach().cpu()
    return found


def _resume(config: Config, path: str | Path, net: TrackerNet, optimiser: Any) -> int:
    kept = checkpoint.read(path)
    if kept.config != config:
        raise ValueError(f"{path} holds a tracker of another configuration: name another file")
    net.load_state_dict(kept.net.state_dict())
    for name, p in net.named_parameters():
        state = {
            key.removeprefix(f"{name}/"): value
            for key, value in kept.extra.items()
            if key.startswith(f"{name}/")
        }
        if state:
            optimiser.state[p] = state
    return int(kept.extra["done"])
