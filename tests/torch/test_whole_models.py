"""Whole models of frameworks through the export, in the forms of their tutorials.

The layers are stand-ins with the frameworks' equations; tests/interop exports the frameworks' own.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from nrf_deploy.engines.reference import run
from nrf_deploy.ir.network import Network, Output
from nrf_deploy.ir.recording import Recording
from nrf_deploy.torch import from_torch
from tests.builders import foreign_modules as theirs

STEPS = 40


@pytest.fixture(autouse=True)
def versions(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("snntorch", "spikingjelly", "sinabs", "rockpool"):
        module = ModuleType(name)
        module.__version__ = "of the stand-in"  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, name, module)


def exported(module: Any, shape: tuple[int, ...]) -> Network:
    network: Network = from_torch(module.eval(), shape)[0]
    return network


def kinds(network: Network) -> list[str]:
    return [n.kind for n in network.nodes[1:-1]]


def quarters(module: nn.Module, seed: int = 0) -> nn.Module:
    """Give a module weights in quarters, so that no sum rounds."""
    draw = torch.Generator().manual_seed(seed)
    for tensor in nn.Module.parameters(module):
        tensor.data = torch.round(torch.randn(tensor.shape, generator=draw) * 3 + 0.5) / 4
    return module


def network_run(network: Network, x: Any) -> Any:
    (out,) = (n.name for n in network.nodes if type(n) is Output)
    return run(network, Recording.from_dense(x), record=[out]).outputs[out].dense()


def drawn(shape: tuple[int, ...]) -> Any:
    x = np.random.default_rng(5).integers(-4, 9, (STEPS, *shape)) / 4
    return x.astype(np.float32)


class Loop(nn.Module):
    """snnTorch's tutorial: states as arguments, the loop inside, the time first."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.lif1 = nn.Linear(6, 8), theirs.Leaky(0.9)
        self.fc2, self.lif2 = nn.Linear(8, 4), theirs.RLeaky(0.5, recurrent=nn.Linear(4, 4))

    def forward(self, x: Any) -> Any:
        mem1, mem2, outputs, potentials = self.lif1.reset_mem(), self.lif2.reset_mem(), [], []
        spk2 = torch.zeros(x.shape[1], 4)
        for t in range(x.shape[0]):
            spk1, mem1 = self.lif1(self.fc1(x[t]), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), spk2, mem2)
            outputs.append(spk2)
            potentials.append(mem2)
        return torch.stack(outputs), torch.stack(potentials)


def test_a_loop_over_time_of_snntorch() -> None:
    module = quarters(Loop())
    network = exported(module, (6,))
    assert kinds(network) == ["Linear", "LIF", "Linear", "LIF", "Linear"]
    x = drawn((6,))
    with torch.no_grad(), theirs_prepared("snntorch", module):
        expected = module(torch.tensor(x)[:, None])[0][:, 0].numpy()
    assert np.array_equal(network_run(network, x), expected)
    assert expected.any()


def theirs_prepared(name: str, module: Any) -> Any:
    from nrf_deploy.torch.frameworks.registry import known

    (framework,) = (f for f in known() if f.package == name)
    return framework.prepare(module)


def test_a_sequential_with_hidden_states_keeps_its_states() -> None:
    hidden = {"init_hidden": True}
    module = nn.Sequential(
        nn.Conv2d(2, 3, 3), nn.MaxPool2d(2), theirs.Leaky(0.5, **hidden), nn.Flatten(),
        nn.Linear(12, 3), theirs.Leaky(0.75, 0.5, **hidden),
    )  # fmt: skip
    quarters(module)
    module(torch.ones(5, 2, 6, 6))
    before = module[2].mem.clone()
    network = exported(module, (2, 6, 6))
    assert kinds(network) == ["Conv", "MaxPool", "LIF", "Flatten", "Linear", "LIF"]
    assert torch.equal(module[2].mem, before)


def test_layers_of_spikingjelly_are_read_as_those_of_torch() -> None:
    norm = theirs.BatchNorm2d(3)
    with torch.no_grad():
        norm.running_mean.normal_()
    module = nn.Sequential(
        theirs.Conv2d(2, 3, 3), norm, theirs.IFNode(), nn.Flatten(), nn.Linear(48, 4),
        theirs.LIFNode(0.5, None, tau=3.0, decay_input=False),
    )  # fmt: skip
    assert kinds(exported(module, (2, 6, 6))) == ["Conv", "IF", "Flatten", "Linear", "LIF"]


def test_a_recurrent_container_of_spikingjelly() -> None:
    node = theirs.LIFNode(tau=2.0, decay_input=True)
    inner = theirs.LinearRecurrentContainer(node, 8, 8)
    module = quarters(nn.Sequential(nn.Linear(6, 8), inner, nn.Linear(8, 3), theirs.IFNode()))
    network = exported(module, (6,))
    x = drawn((6,))
    with torch.no_grad(), theirs_prepared("spikingjelly", module):
        expected = np.stack([module(torch.tensor(f)[None])[0].numpy() for f in x])
    assert np.array_equal(network_run(network, x), expected)
    assert expected.any()


class Total(nn.Module):
    """A loop on one frame that returns the sum of the outputs of all steps."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), theirs.IFNode(0.5))

    def forward(self, x: Any) -> Any:
        total = 0
        for _ in range(8):
            total = total + self.net(x)
        return total


def test_a_sum_over_all_steps_is_left_to_the_host() -> None:
    network, findings = from_torch(Total().eval(), (2, 4, 6))[:2]
    assert kinds(network) == ["AvgPool", "Flatten", "IF"]
    (told,) = (f for f in findings if f.code == "EXPORT-HOST")
    assert "its sum is left to the host" in told.what


def test_a_network_of_sinabs_is_exported_without_the_ann_it_was_made_from() -> None:
    spiking = nn.Sequential(nn.Linear(6, 8), theirs.IAFSqueeze(min_v_mem=-1.0), nn.Linear(8, 3))
    module = theirs.Network(nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)), spiking)
    assert kinds(exported(module, (6,))) == ["Linear", "IF", "Linear"]


def test_a_sequential_of_rockpool() -> None:
    half = {"alpha": torch.full((8,), 0.5), "beta": torch.full((8,), 0.5)}
    few = {name: value[:3] for name, value in half.items()}
    module = theirs.TorchSequential(
        theirs.LinearTorch(6, 8), theirs.LIFTorch(8, **half),
        theirs.LinearTorch(8, 3), theirs.LIFTorch(3, **few),
    )  # fmt: skip
    quarters(module)
    network = exported(module, (6,))
    assert network.dt == 1e-3
    x = drawn((6,))
    with torch.no_grad(), theirs_prepared("rockpool", module):
        expected = module(torch.tensor(x)[None])[0][0].numpy()
    assert np.array_equal(network_run(network, x), expected)
    assert expected.any()
