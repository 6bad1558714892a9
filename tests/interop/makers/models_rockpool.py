"""Models of Rockpool 3.1.0 in torch: LIFTorch in its forms, LIFNeuronTorch, ExpSynTorch, SynNet."""

from __future__ import annotations

import functools
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import kit
import nir
import numpy as np
import torch
from rockpool.nn.combinators import Residual, Sequential
from rockpool.nn.modules.torch import (
    ExpSynTorch,
    LIFBitshiftTorch,
    LIFNeuronTorch,
    LIFTorch,
    LinearTorch,
    aLIFTorch,
)
from rockpool.nn.modules.torch.nir import to_nir
from rockpool.nn.networks import SynNet

torch.set_num_threads(1)
MS = 1e-3


def linear(n: int, m: int, seed: int, draw: Any, bias: bool = False) -> Any:
    """Return a LinearTorch, whose weight is (inputs, outputs)."""
    given = {"bias": torch.from_numpy(draw((m,), seed + 50))} if bias else {}
    return LinearTorch((n, m), weight=torch.from_numpy(draw((n, m), seed)), has_bias=bias, **given)


def mlp(
    first: Callable[[int], Any],
    last: Callable[[int], Any],
    draw: Any = kit.weights,
    bias: bool = False,
    columns: int = 1,
):
    def build() -> tuple[Any, tuple[int, ...]]:
        layers = [
            linear(6, 8 * columns, 1, draw, bias),
            first(8),
            linear(8, 4, 2, draw, bias),
            last(4),
        ]
        return Sequential(*layers).eval(), (6,)

    return build


def of(kind: Any, tau_mem: float = 10 * MS, tau_syn: float | None = 5 * MS, **options: Any):
    def neuron(n: int) -> Any:
        given = {"tau_mem": tau_mem, "threshold": 1.0, "dt": MS, **options}
        if tau_syn is not None:
            given["tau_syn"] = tau_syn
        given = {k: v(n) if callable(v) else v for k, v in given.items()}
        return kind((n,), **given)

    return neuron


def spread(low: float, high: float) -> Callable[[int], torch.Tensor]:
    return lambda n: torch.linspace(low, high, n)


def drawn(seed: int, scale: float) -> Callable[[int], torch.Tensor]:
    return lambda n: torch.from_numpy(kit.weights((n,), seed, scale))


def recurrent(scale: float) -> Callable[[int], torch.Tensor]:
    return lambda n: torch.from_numpy(kit.weights((n, n), 9, scale, -0.05))


def leak(n: int) -> Any:
    return ExpSynTorch((n,), tau=8 * MS, dt=MS)


def decays(n: int) -> Any:
    halves = {"alpha": torch.full((n,), 0.5), "beta": torch.full((n,), 0.5)}
    return LIFTorch((n,), leak_mode="decays", **halves, threshold=1.0, dt=MS)


def synnet() -> tuple[Any, tuple[int, ...]]:
    torch.manual_seed(4)
    net = SynNet(
        n_channels=4, n_classes=2, size_hidden_layers=[6, 6], time_constants_per_layer=[2, 2]
    )
    return net.eval(), (4,)


def residual() -> tuple[Any, tuple[int, ...]]:
    net = Sequential(
        linear(6, 6, 1, kit.weights),
        Residual(linear(6, 6, 2, kit.weights), of(LIFTorch)(6)),
        linear(6, 3, 3, kit.weights),
        of(LIFTorch)(3),
    )
    return net.eval(), (6,)


def two_synapses(n: int) -> Any:
    return LIFTorch((2 * n, n), tau_mem=10 * MS, tau_syn=5 * MS, threshold=1.0, dt=MS)


LIF = functools.partial(of, LIFTorch)
NEURON = functools.partial(of, LIFNeuronTorch, tau_syn=None)
Case = functools.partial(kit.Case, runs="time")

CASES = [
    Case("lif", mlp(LIF(), LIF(20 * MS, 20 * MS)), "LIFTorch, many"),
    Case(
        "lif_sparse",
        mlp(LIF(3 * MS, 2 * MS, threshold=2.0), LIF(2 * MS, 2 * MS, threshold=1.5)),
        "LIFTorch, high threshold",
    ),
    Case("lif_strong", mlp(LIF(), LIF()), "LIFTorch, many", "strong"),
    Case("lif_negative", mlp(LIF(), LIF(5 * MS, 2 * MS)), "LIFTorch, many", "negative"),
    Case(
        "lif_spread",
        mlp(
            LIF(spread(4 * MS, 30 * MS), spread(2 * MS, 15 * MS), threshold=spread(0.5, 2.0)), LIF()
        ),
        "LIFTorch, numbers by neuron",
        "real",
    ),
    Case(
        "lif_quarters",
        mlp(decays, decays, kit.quarters),
        "LIFTorch, decays, ties",
        "quarters",
        exports=False,
    ),
    Case(
        "lif_bias",
        mlp(LIF(bias=drawn(11, 0.2)), LIF(bias=drawn(12, 0.2))),
        "LIFTorch with bias",
        lost="bias",
    ),
    Case("lif_linear_bias", mlp(LIF(), LIF(), bias=True), "LinearTorch with bias"),
    Case(
        "lif_capped",
        mlp(LIF(max_spikes_per_dt=1), LIF(max_spikes_per_dt=3)),
        "LIFTorch, max_spikes_per_dt",
        "strong",
        says={"per_step": {"1_LIFTorch": "many:1", "3_LIFTorch": "many:3"}},
    ),
    Case(
        "lif_recurrent",
        mlp(LIF(has_rec=True, w_rec=recurrent(0.1)), LIF()),
        "LIFTorch, has_rec",
        lost="recurrent weights",
    ),
    Case(
        "lif_bitshift",
        mlp(of(LIFBitshiftTorch, 16 * MS, 8 * MS), of(LIFBitshiftTorch)),
        "LIFBitshiftTorch, cap 31",
        exports=False,
    ),
    Case("lif_neuron", mlp(NEURON(), NEURON(20 * MS)), "LIFNeuronTorch", "strong"),
    Case(
        "lif_neuron_bias",
        mlp(NEURON(bias=drawn(11, 0.3)), NEURON(bias=drawn(12, 0.3))),
        "LIFNeuronTorch with bias",
        lost="bias",
    ),
    Case(
        "lif_neuron_quarters",
        mlp(NEURON(), NEURON(), kit.quarters),
        "LIFNeuronTorch, quarters",
        "quarters",
    ),
    Case("leak_last", mlp(LIF(), leak), "ExpSynTorch last"),
    Case("synnet_capped", synnet, "SynNet, cap 1 in the last layer", "strong", exports=False),
    Case("residual_sum", residual, "Residual", exports=False),
    Case("synapses_2", mlp(two_synapses, LIF(), columns=2), "two synapses a neuron: to refuse"),
    Case("noisy", mlp(LIF(noise_std=0.1), LIF()), "noise_std: to refuse", lost="noise"),
    Case("adaptive", mlp(of(aLIFTorch), LIF()), "aLIFTorch: to refuse", exports=False),
]
NEURONS = (LIFTorch, LIFNeuronTorch, aLIFTorch, ExpSynTorch)


@torch.no_grad()
def run(case: kit.Case, net: Any, x: np.ndarray) -> kit.Run:
    """Run all steps in one call: the state that Rockpool keeps between calls is by sample."""
    torch.manual_seed(0)  # noise_std
    net = net.reset_state()
    _, _, record = net(torch.from_numpy(x)[None], record=True)
    spikes, values, potentials = {}, {}, {}

    def walk(module: Any, record: Any, path: str) -> None:
        for name, child in module.named_children():
            where = f"{path}.{name}" if path else name
            below = record.get(name, record)
            if isinstance(child, ExpSynTorch):
                values[where] = record[f"{name}_output"].detach().numpy()[0]
            elif isinstance(child, NEURONS):
                spikes[where] = below["spikes"].detach().numpy()[0]
                potentials[where] = below["vmem"].detach().numpy()[0]
            else:
                walk(child, below, where)

    walk(net, record, "")
    return kit.Run(spikes, values, potentials)


@torch.no_grad()
def export(case: kit.Case, net: Any, shape: tuple[int, ...], path: Path) -> None:
    nir.write(path, to_nir(net, torch.zeros(1, 1, *shape)))


kit.factories(CASES, globals())

if __name__ == "__main__":
    kit.make(CASES, "rockpool", version("rockpool"), run, export)
