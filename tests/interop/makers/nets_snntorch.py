"""Networks of snnTorch: the builders of models_snntorch.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import kit
import snntorch as snn
import torch
from torch import nn
from torch_kit import filled


def full(value: float, n: int) -> torch.Tensor:
    return torch.full((n,), value)


def spread(low: float, high: float, n: int) -> torch.Tensor:
    return torch.linspace(low, high, n)


def mlp(
    first: Callable[..., Any], last: Callable[..., Any], draw: Any = kit.weights, bias: bool = True
):
    """Return a builder of 6 inputs, 8 neurons and 4 neurons; init_hidden, as Sequential needs."""

    def build() -> tuple[nn.Module, tuple[int, ...]]:
        net = nn.Sequential(
            nn.Linear(6, 8, bias=bias), first(8), nn.Linear(8, 4, bias=bias), last(4)
        )
        return filled(net, draw), (6,)

    return build


def of(kind: Any, **options: Any) -> Callable[[int], Any]:
    """Return a neuron by its size, all parameters of the layer's shape, as the exporter needs."""

    def neuron(n: int) -> Any:
        given = {"threshold": 1.0, **options}
        numbers = {k: v for k, v in given.items() if k in ("alpha", "beta", "threshold")}
        numbers = {k: v(n) if callable(v) else full(v, n) for k, v in numbers.items()}
        made = kind(**{**given, **numbers}, init_hidden=True)
        return made

    return neuron


def plain(kind: Any, **options: Any) -> Callable[[int], Any]:
    """Return a neuron with scalar parameters, the form of the tutorials."""
    return lambda n: kind(init_hidden=True, **options)


def recurrent(kind: Any, draw: Any = kit.weights, **options: Any) -> Callable[[int], Any]:
    def neuron(n: int) -> Any:
        if options.get("all_to_all", True):
            made = kind(init_hidden=True, linear_features=n, **options)
        else:
            made = kind(init_hidden=True, V=torch.from_numpy(draw((n,), 5)), **options)
        return made

    return neuron


def conv(neuron: Any, pool: nn.Module, norm: bool = False, draw: Any = kit.weights):
    """Return a builder of tutorial 6's net: convolution, pool, neuron, and a Linear with neuron."""

    def build() -> tuple[nn.Module, tuple[int, ...]]:
        layers: list[nn.Module] = [nn.Conv2d(2, 4, 3)]
        if norm:
            layers.append(nn.BatchNorm2d(4))
        layers += [pool, neuron((4, 2, 2)), nn.Flatten()]
        layers += [nn.Dropout(0.5)] if norm else []
        layers += [nn.Linear(16, 3), neuron((3,))]
        net = filled(nn.Sequential(*layers), draw)
        if norm:
            torch.manual_seed(3)
            net[1].running_mean = torch.randn(4) * 0.3
            net[1].running_var = torch.rand(4) + 0.5
            net[1].weight.data = torch.rand(4) + 0.5
            net[1].bias.data = torch.randn(4) * 0.3
        return net, (2, 6, 6)

    return build


def shaped(**options: Any) -> Callable[[tuple[int, ...]], Any]:
    def neuron(shape: tuple[int, ...]) -> Any:
        numbers = {"beta": torch.full(shape, 0.75), "threshold": torch.full(shape, 1.0)}
        return snn.Leaky(**{**numbers, **options}, init_hidden=True)

    return neuron


def oblong() -> tuple[nn.Module, tuple[int, ...]]:
    """Return a net whose kernels, strides, paddings and images differ by axis."""
    net = nn.Sequential(
        nn.Conv2d(4, 6, 2, stride=(2, 1), padding=(1, 0), groups=2),
        shaped()((6, 5, 5)),
        nn.AvgPool2d((2, 1), stride=(1, 2)),
        nn.Flatten(),
        nn.Linear(72, 3),
        shaped()((3,)),
    )
    return filled(net, kit.weights), (4, 9, 6)


class States(nn.Module):
    """Tutorial 5's layers, with the states as arguments and results of one step."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(6, 8)
        self.lif1 = snn.Leaky(beta=0.9)
        self.fc2 = nn.Linear(8, 4)
        self.lif2 = snn.Leaky(beta=0.8, threshold=0.75, learn_beta=True, learn_threshold=True)

    def forward(self, x: Any, state: Any = None) -> Any:
        mem1, mem2 = (self.lif1.init_leaky(), self.lif2.init_leaky()) if state is None else state
        spk1, mem1 = self.lif1(self.fc1(x), mem1)
        spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
        return spk2, (mem1, mem2)


class RecurrentStates(nn.Module):
    """A recurrent layer, with its spikes and potential as arguments and results of one step."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(6, 8)
        self.rlif = snn.RLeaky(beta=0.9, linear_features=8)
        self.out = nn.Linear(8, 3)

    def forward(self, x: Any, state: Any = None) -> Any:
        spk, mem = self.rlif.init_rleaky() if state is None else state
        spk, mem = self.rlif(self.fc(x), spk, mem)
        return self.out(spk), (spk, mem)


class Loop(nn.Module):
    """Tutorial 5's net as it stands: the loop over time is in forward, one input for all steps."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(6, 8)
        self.lif1 = snn.Leaky(beta=0.9)
        self.fc2 = nn.Linear(8, 4)
        self.lif2 = snn.Leaky(beta=0.9)

    def forward(self, x: Any) -> Any:
        mem1, mem2, out = self.lif1.init_leaky(), self.lif2.init_leaky(), []
        for _ in range(kit.STEPS):
            spk1, mem1 = self.lif1(self.fc1(x), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            out.append(spk2)
        return torch.stack(out)


def module(kind: type[nn.Module]) -> Callable[[], tuple[nn.Module, tuple[int, ...]]]:
    return lambda: (filled(kind(), kit.weights), (6,))
