"""Training: events in, coordinates out, through time.

The loss is the squared distance of the coordinates (in half widths of the sensor), the
cross entropy of the heat map against a Gaussian round the true place, and the neurons'
activity. The first steps of every batch run without gradient, so that slow neurons are
filled before their output counts.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nrf_deploy.diagnostics.findings import MissingError, UsageError, error

from . import checkpoint
from .description import Config, Tracker
from .networks import TrackerNet
from .scenes import Batch, batches

EVERY = 20  # batches between two checkpoints
WIDTH = 1.0  # of the wanted heat map, in pixels of the last map


@dataclass(frozen=True)
class Progress:
    number: int
    of: int
    loss: float
    pixels: float
    waited: float  # seconds that training waited for events so far


def train(
    config: Config,
    path: str | Path,
    report: Callable[[Progress], None] = lambda progress: None,
    device: str = "cpu",
    data: str | Path | None = None,
    mixed: bool | None = None,
) -> TrackerNet:
    """Train a tracker, or continue from the checkpoint at `path` with the same result.

    `mixed` computes convolutions in bfloat16 (default: on a GPU). Weights, potentials and the
    loss stay in 32 bits.
    """
    where = device_of(device)
    mixed = where.type != "cpu" if mixed is None else mixed
    torch.manual_seed(config.training.seed)
    net = TrackerNet(config.tracker).to(where)
    optimiser = torch.optim.Adam(net.parameters(), lr=config.training.rate)
    first = _resume(config, path, net, optimiser) if Path(path).exists() else 0
    net.train()
    waited, since = 0.0, time.perf_counter()
    for number, drawn in batches(config.tracker, config.training, first, data):
        waited += time.perf_counter() - since
        for group in optimiser.param_groups:
            group["lr"] = rate(config, number)
        loss, pixels = step(config, net, drawn, optimiser, mixed)
        report(Progress(number + 1, config.training.batches, loss, pixels, waited))
        if (number + 1) % EVERY == 0 or number + 1 == config.training.batches:
            checkpoint.write(path, config, net, _moments(net, optimiser, number + 1))
        since = time.perf_counter()
    trained: TrackerNet = net.eval()
    return trained


def device_of(name: str) -> torch.device:
    """Return the device of this name; refuse one that does not exist."""
    try:
        device = torch.device(name)
    except RuntimeError as problem:
        raise UsageError(
            error("DEVICE-UNKNOWN", f"{name!r} is not a device", fix="give cpu or cuda")
        ) from problem
    if device.type not in ("cpu", "cuda"):
        raise UsageError(
            error("DEVICE-UNKNOWN", f"trackers do not train on {name!r}", fix="give cpu or cuda")
        )
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise MissingError(
            error(
                "DEVICE-MISSING",
                f"there is no {name!r}: torch sees {torch.cuda.device_count()} GPUs",
                fix="train with --device cpu, or install a torch and a driver for the GPU",
            )
        )
    return device


def rate(config: Config, number: int) -> float:
    """Return the learning rate of a batch, which falls to 0 as a cosine."""
    return config.training.rate * 0.5 * (1 + math.cos(math.pi * number / config.training.batches))


def step(
    config: Config, net: TrackerNet, drawn: Batch, optimiser: Any, mixed: bool
) -> tuple[float, float]:
    """Train on one batch and return (loss, mean error in pixels)."""
    device = net.head.weight.device
    events = _frames(drawn, device)
    places = torch.from_numpy(drawn.places).float().to(device)
    warm = config.training.warm_up
    with torch.autocast(device.type, torch.bfloat16, enabled=mixed):
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


def _frames(drawn: Batch, device: torch.device) -> Tensor:
    """Return the events as bools; only their indices are copied to the device."""
    frames = torch.zeros(math.prod(drawn.shape), dtype=torch.bool, device=device)
    frames[torch.from_numpy(drawn.at.astype(np.int64)).to(device)] = True
    return frames.reshape(drawn.shape)


def _loss(config: Config, maps: Tensor, places: Tensor, active: Tensor) -> tuple[Tensor, Tensor]:
    t: Tracker = config.tracker
    height, width = maps.shape[-2:]
    chance = torch.log_softmax(maps.flatten(3), -1)
    x = t.offset + t.stride * torch.arange(width, device=maps.device)
    y = t.offset + t.stride * torch.arange(height, device=maps.device)
    p = chance.exp().unflatten(-1, (height, width))
    places_found = torch.stack([(p.sum(-2) * x).sum(-1), (p.sum(-1) * y).sum(-1)], -1)
    away = (places_found - places).square().sum(-1)
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


def _moments(net: TrackerNet, optimiser: Any, number: int) -> dict[str, Tensor]:
    """Return the optimiser's state by the parameter's name, and the number of finished batches."""
    names = {id(p): name for name, p in net.named_parameters()}
    moments = {"done": torch.tensor(number)}
    for p, state in optimiser.state.items():
        for key, value in state.items():
            moments[f"{names[id(p)]}/{key}"] = torch.as_tensor(value).detach().cpu()
    return moments


def _resume(config: Config, path: str | Path, net: TrackerNet, optimiser: Any) -> int:
    kept = checkpoint.read(path)
    if kept.config != config:
        raise ValueError(f"{path} holds a tracker of another configuration: name another file")
    net.load_state_dict(kept.net.state_dict())
    for name, p in net.named_parameters():
        state = {
            key.removeprefix(f"{name}/"): value.to(p.device) if value.dim() else value
            for key, value in kept.extra.items()
            if key.startswith(f"{name}/")
        }
        if state:
            optimiser.state[p] = state
    return int(kept.extra["done"])
