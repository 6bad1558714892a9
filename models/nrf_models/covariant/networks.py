"""The trackers in torch: a fast form for training, and Norse cells for export.

Training runs each layer over all its steps before the next layer. `stepwise` is the same
network with Norse's cells, one step a call, which `nrf-deploy export` reads; a test compares
the two.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .description import Block, Tracker
from .receptive_fields import bank

SHARPNESS = 10.0  # of the surrogate derivative of a spike


class Spike(torch.autograd.Function):
    """The step x > 0; its gradient is that of Norse's "super": 1 / (1 + a |x|)^2."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return (x > 0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        (x,) = ctx.saved_tensors
        return grads[0] / (SHARPNESS * x.abs() + 1.0) ** 2


class Neurons(nn.Module):
    """Leaky integrators with rectification, or leaky integrate-and-fire neurons, over (B, T,
    channels, ...): each temporal channel has its time constant."""

    def __init__(
        self, spiking: bool, rectified: bool, threshold: float, mu: Tensor, learn: bool = False
    ):
        super().__init__()
        self.spiking, self.rectified = spiking, rectified
        self.log_mu = nn.Parameter(mu.log(), requires_grad=learn)
        self.threshold = threshold

    @property
    def gain(self) -> Tensor:
        """Return dt/tau of each channel; no time constant is shorter than a step."""
        return torch.exp(-self.log_mu.clamp(min=0.0))

    def forward(self, x: Tensor, v: Tensor | None) -> tuple[Tensor, Tensor]:
        k = self.gain.reshape(-1, *[1] * (x.dim() - 3))
        threshold = self.threshold * k  # of what one unit of input adds
        v = torch.zeros_like(x[:, 0]) if v is None else v
        out = []
        for now in x.unbind(1):
            v = v + k * (now - v)
            if self.spiking:
                z = Spike.apply(v - threshold)
                v = v - z * v
                out.append(z)
            else:
                out.append(torch.relu(v) if self.rectified else v)
        return torch.stack(out, 1), v


class Scaled(nn.Module):
    """Normalisation of each channel to a root mean square of 1, times a weight. It adds nothing:
    without events there is no signal, as covariance in time requires."""

    MOMENTUM, EPSILON = 0.1, 1e-5
    running: Tensor

    def __init__(self, features: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(features))
        self.register_buffer("running", torch.ones(features))

    def forward(self, x: Tensor) -> Tensor:
        power = self.running
        if self.training:
            power = x.square().mean((0, 2, 3), dtype=self.running.dtype)
            self.running.lerp_(power.detach(), self.MOMENTUM)
        factor = self.weight * (power + self.EPSILON).rsqrt()
        return x * factor[:, None, None]

    @property
    def factor(self) -> Tensor:
        """Return the factor of each channel after training."""
        return (self.weight * (self.running + self.EPSILON).rsqrt()).detach()


class Convolution(nn.Module):
    """Pooling and convolution. "scale" normalises the output, "batch" puts a BatchNorm before
    the convolution, as the paper does."""

    def __init__(self, inputs: int, block: Block, norm: str):
        super().__init__()
        self.pool = nn.AvgPool2d(block.pool) if block.pool > 1 else nn.Identity()
        self.before = nn.BatchNorm2d(inputs) if norm == "batch" else nn.Identity()
        self.conv = nn.Conv2d(
            inputs, block.features, block.kernel, block.stride, block.kernel // 2, bias=False
        )
        self.after = Scaled(block.features) if norm == "scale" else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.after(self.conv(self.before(self.pool(x))))
        return out


State = list[Tensor | None]


class TrackerNet(nn.Module):
    """A tracker: (B, T, 2, H, W) events to (B, T, shapes, h, w) maps of the places."""

    def __init__(self, tracker: Tracker):
        super().__init__()
        self.tracker = t = tracker
        generator = torch.Generator().manual_seed(t.seed)
        mu = first_times(t, generator)
        self.convs, self.neurons = nn.ModuleList(), nn.ModuleList()
        inputs = t.inputs
        for k, block in enumerate(t.blocks):
            copies = 1 if t.share or k == 0 else t.channels
            convs = nn.ModuleList(Convolution(inputs, block, t.norm) for _ in range(copies))
            for conv in convs:
                first_weights(conv.conv, t, k, generator)
            self.convs.append(convs)
            if t.remembers:
                spiking = t.neuron == "lif"
                self.neurons.append(Neurons(spiking, not spiking, t.threshold, mu[k], t.learn_time))
            inputs = block.features
        self.head = nn.Conv2d(inputs, t.shapes, t.head, padding=t.head // 2, bias=False)
        uniform(self.head.weight, generator)
        head_time = torch.tensor([t.head_time])
        self.integrator = Neurons(False, False, 1.0, head_time, t.learn_time)
        self.sharpness = nn.Parameter(torch.tensor(1.0))

    def forward(self, x: Tensor, states: State | None = None) -> tuple[Tensor, State, Tensor]:
        """Return (maps, states for the next call, mean activity of the neurons)."""
        before: State = [None] * (len(self.neurons) + 1) if states is None else states
        after: State = []
        x = stacked(x, self.tracker.frames) if self.tracker.neuron == "relu-frames" else x
        x = x[:, :, None]
        active = x.new_zeros(())
        for k, convs in enumerate(self.convs):
            x = over_channels(convs, x)
            if self.tracker.remembers:
                x = x.expand(-1, -1, self.tracker.channels, -1, -1, -1)
                x, v = self.neurons[k](x, before[k])
                after.append(v)
                active = active + x.mean()
            else:
                x = torch.relu(x)
        merged = x.mean(2)
        maps = self.head(merged.flatten(0, 1)).reshape(*merged.shape[:2], -1, *merged.shape[3:])
        if self.tracker.remembers:
            maps, v = self.integrator(maps[:, :, None], before[-1])
            maps = maps[:, :, 0]
            after.append(v)
        return maps * self.sharpness, after, active


def over_channels(convs: nn.ModuleList, x: Tensor) -> Tensor:
    """Apply one convolution to all channels, or one to each: (B, T, channels, F, H, W)."""
    if len(convs) == 1:
        y = convs[0](x.flatten(0, 2))
        return y.reshape(*x.shape[:3], *y.shape[1:])
    parts = [conv(x[:, :, k].flatten(0, 1)) for k, conv in enumerate(convs)]
    return torch.stack([y.reshape(*x.shape[:2], *y.shape[1:]) for y in parts], 2)


def stacked(x: Tensor, frames: int) -> Tensor:
    """Stack each step with the frames before it as maps, newest first; zeros at the start."""
    back = [
        torch.cat([torch.zeros_like(x[:, :k]), x[:, : x.shape[1] - k]], 1) for k in range(frames)
    ]
    return torch.cat(back, 2)


def first_times(t: Tracker, generator: torch.Generator) -> Tensor:
    """Return time constants (blocks, channels): the ladder, or uniform between its ends."""
    ladder = torch.tensor(t.time_constants[: t.channels])
    if t.time == "theory":
        return ladder.repeat(len(t.blocks), 1)
    low, high = float(ladder.min()), float(ladder.max())
    return low + (high - low) * torch.rand(len(t.blocks), len(ladder), generator=generator)


def first_weights(conv: nn.Conv2d, t: Tracker, k: int, generator: torch.Generator) -> None:
    """Set the first weights: fields in the first block if it starts by theory, else uniform.

    ON and OFF events have random signs; a field is repeated for all of its maps.
    """
    uniform(conv.weight, generator)
    if k > 0 or t.space == "uniform":
        return
    kernels = bank(t.first_fields(), conv.kernel_size[0])[:, ::-1, ::-1].copy()
    size = np.sqrt(np.square(kernels).sum(axis=(1, 2), keepdims=True))
    signs = torch.rand(conv.out_channels, conv.in_channels, 1, 1, generator=generator) * 2 - 1
    with torch.no_grad():
        conv.weight.copy_(signs * torch.from_numpy((kernels / size).astype(np.float32))[:, None])


def uniform(weight: Tensor, generator: torch.Generator) -> None:
    bound = (1.0 / weight[0].numel()) ** 0.5
    with torch.no_grad():
        weight.copy_((torch.rand(weight.shape, generator=generator) * 2 - 1) * bound)
