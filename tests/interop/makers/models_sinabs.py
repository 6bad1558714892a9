"""Models of sinabs 3.1.3: IAF, LIF and ExpLeak, squeezed or not, and networks for Speck."""

from __future__ import annotations

import functools
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import kit
import nir
import numpy as np
import sinabs
import sinabs.activation as sa
import sinabs.layers as sl
import torch
from sinabs.from_torch import from_model
from sinabs.nir import to_nir
from torch import nn
from torch_kit import Watch, filled

ONE: dict[str, Any] = {"batch_size": 1}


def mlp(first: Callable[[], Any], last: Callable[[], Any], draw: Any = kit.weights):
    def build() -> tuple[nn.Module, tuple[int, ...]]:
        net = nn.Sequential(nn.Linear(6, 8), first(), nn.Linear(8, 4), last())
        return filled(net, draw), (6,)

    return build


def conv(pool: Callable[[], nn.Module], pool_first: bool = False, **options: Any):
    """Return a builder of a squeezed convolutional net; a pool behind or before its IAF."""

    def build() -> tuple[nn.Module, tuple[int, ...]]:
        iaf = sl.IAFSqueeze(**ONE, **options)
        middle = [pool(), iaf] if pool_first else [iaf, pool()]
        layers = [nn.Conv2d(2, 4, 3, bias=pool_first), *middle, nn.Flatten()]
        layers += [nn.Linear(16, 3), sl.IAFSqueeze(**ONE, **options)]
        return filled(nn.Sequential(*layers), kit.weights), (2, 6, 6)

    return build


def oblong() -> tuple[nn.Module, tuple[int, ...]]:
    """Return a net whose kernels, strides, paddings and images differ by axis."""
    net = nn.Sequential(
        nn.Conv2d(4, 6, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2), groups=2),
        sl.IAFSqueeze(**ONE),
        sl.SumPool2d((2, 1), stride=(1, 2)),
        nn.Flatten(),
        nn.Linear(48, 3),
        sl.IAFSqueeze(**ONE),
    )
    return filled(net, kit.weights), (4, 9, 6)


def flattened() -> tuple[nn.Module, tuple[int, ...]]:
    """Return sinabs' form of a net over batch and time."""
    net = nn.Sequential(
        sl.FlattenTime(),
        nn.Conv2d(2, 4, 3, padding=1, bias=False),
        sl.IAFSqueeze(**ONE, min_v_mem=-1.0),
        sl.SumPool2d(2),
        nn.Flatten(),
        nn.Linear(36, 3),
        sl.IAFSqueeze(**ONE, min_v_mem=-1.0),
        sl.UnflattenTime(**ONE),
    )
    return filled(net, kit.weights), (2, 6, 6)


def converted() -> tuple[nn.Module, tuple[int, ...]]:
    """Return an ANN that sinabs' from_model made into spikes: IAFSqueeze with a floor of -1."""
    ann = nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(16, 3), nn.ReLU()
    )
    filled(ann, kit.weights)
    return from_model(ann, input_shape=(2, 6, 6), batch_size=1).spiking_model, (2, 6, 6)


def recurrent(kind: Any, bias: bool, draw: Any = kit.weights, **options: Any) -> Callable[[], Any]:
    def build() -> tuple[nn.Module, tuple[int, ...]]:
        inner = kind(rec_connect=nn.Linear(8, 8, bias=bias), **options)
        net = filled(nn.Sequential(nn.Linear(6, 8), inner, nn.Linear(8, 4), sl.IAF()), draw)
        inner.rec_connect.weight.data = torch.from_numpy(kit.weights((8, 8), 9, 0.1, -0.05))
        return net, (6,)

    return build


def of(kind: Any, **options: Any) -> Callable[[], Any]:
    return lambda: kind(**options)


def number(value: float) -> torch.Tensor:
    return torch.tensor(value)


Case = functools.partial(kit.Case)
IAF, LIF, LEAK = (functools.partial(of, k) for k in (sl.IAF, sl.LIF, sl.ExpLeak))
Q = kit.quarters
SINGLE: dict[str, Any] = {"spike_fn": sa.SingleSpike}
VECTOR = torch.linspace(3.0, 12.0, 8)

CASES = [
    Case("iaf", mlp(IAF(), IAF()), "IAF, many spikes a step", says={"floor": "none"}),
    Case(
        "iaf_strong",
        mlp(IAF(), IAF(spike_threshold=number(0.7))),
        "IAF, many",
        "strong",
        says={"floor": "none"},
    ),
    Case(
        "iaf_quarters", mlp(IAF(), IAF(), Q), "IAF, many, ties", "quarters", says={"floor": "none"}
    ),
    Case(
        "iaf_single",
        mlp(IAF(**SINGLE), IAF(**SINGLE)),
        "IAF, single",
        says={"floor": "none", "per_step": "one"},
    ),
    Case(
        "iaf_single_quarters",
        mlp(IAF(**SINGLE), IAF(**SINGLE), Q),
        "IAF, single, ties",
        "quarters",
        says={"floor": "none", "per_step": "one"},
    ),
    Case(
        "iaf_capped",
        mlp(IAF(spike_fn=sa.MaxSpike(2)), IAF()),
        "IAF, MaxSpike(2)",
        "strong",
        says={"floor": "none", "per_step": {"1": "many:2"}},
    ),
    Case(
        "iaf_floor",
        mlp(IAF(min_v_mem=-1.0), IAF(min_v_mem=-0.5)),
        "IAF, floor",
        "negative",
        says={"floor": {"3": -0.5}},
    ),
    Case(
        "iaf_floor_quarters",
        mlp(IAF(min_v_mem=-1.0), IAF(min_v_mem=-1.0), Q),
        "IAF, floor, ties",
        "quarters",
    ),
    Case(
        "iaf_zero",
        mlp(IAF(reset_fn=sa.MembraneReset(), **SINGLE), IAF(reset_fn=sa.MembraneReset())),
        "IAF, reset to zero",
        "strong",
        says={"floor": "none", "reset": "value", "per_step": {"1": "one"}},
    ),
    Case(
        "iaf_reset_value",
        mlp(IAF(reset_fn=sa.MembraneReset(reset_value=0.25)), IAF()),
        "MembraneReset(0.25): to refuse",
        lost="the reset",
    ),
    Case(
        "iaf_subtract_value",
        mlp(IAF(reset_fn=sa.MembraneSubtract(subtract_value=0.5)), IAF()),
        "IAF, subtracts 0.5",
        lost="the reset",
    ),
    Case("iaf_tau_syn", mlp(IAF(tau_syn=3.0), IAF()), "IAF, tau_syn", lost="tau_syn"),
    Case(
        "lif",
        mlp(LIF(tau_mem=10.0), LIF(tau_mem=3.0, spike_threshold=number(0.1))),
        "LIF, norm_input",
        "strong",
    ),
    Case(
        "lif_negative",
        mlp(
            LIF(tau_mem=2.0, spike_threshold=number(0.5)),
            LIF(tau_mem=5.0, spike_threshold=number(0.1)),
        ),
        "LIF, norm_input",
        "negative",
    ),
    Case(
        "lif_vector",
        mlp(LIF(tau_mem=VECTOR, spike_threshold=torch.linspace(0.2, 0.8, 8)), LIF(tau_mem=4.0)),
        "LIF, numbers by neuron",
        "strong",
        exports=False,
    ),
    Case(
        "lif_single",
        mlp(LIF(tau_mem=4.0, **SINGLE), LIF(tau_mem=3.0, spike_threshold=number(0.1), **SINGLE)),
        "LIF, single",
        "strong",
        says={"per_step": "one"},
    ),
    Case(
        "lif_no_norm",
        mlp(LIF(tau_mem=10.0, norm_input=False), LIF(tau_mem=3.0, norm_input=False)),
        "LIF, norm_input=False",
        lost="norm_input",
    ),
    Case(
        "lif_no_norm_quarters",
        mlp(LIF(tau_mem=10.0, norm_input=False), IAF(), Q),
        "LIF, norm_input=False, quarters",
        "quarters",
        says={"floor": "none"},
        lost="norm_input",
    ),
    Case(
        "lif_trained_alpha",
        mlp(
            LIF(tau_mem=4.0, train_alphas=True),
            LIF(tau_mem=4.0, spike_threshold=number(0.1), min_v_mem=-0.5),
        ),
        "LIF, train_alphas",
        "strong",
        exports=False,
    ),
    Case(
        "lif_tau_syn",
        mlp(LIF(tau_mem=10.0, tau_syn=5.0), LIF(tau_mem=4.0, tau_syn=2.0)),
        "LIF, tau_syn",
        "strong",
        lost="tau_syn",
    ),
    Case(
        "lif_tau_syn_no_norm",
        mlp(LIF(tau_mem=10.0, tau_syn=5.0, norm_input=False), LIF(tau_mem=4.0)),
        "LIF, tau_syn, norm_input=False",
        exports=False,
    ),
    Case("leak_last", mlp(LIF(tau_mem=5.0), LEAK(tau_mem=8.0)), "ExpLeak last", "strong"),
    Case(
        "leak_last_norm",
        mlp(IAF(), LEAK(tau_mem=8.0, norm_input=True)),
        "ExpLeak last, norm_input",
        exports=False,
    ),
    Case(
        "conv_sumpool",
        conv(lambda: sl.SumPool2d(2), min_v_mem=-1.0),
        "squeezed conv, SumPool2d, floor",
        runs="squeezed",
    ),
    Case(
        "conv_avgpool",
        conv(lambda: nn.AvgPool2d(2), pool_first=True),
        "squeezed conv, AvgPool2d",
        "strong",
        runs="squeezed",
    ),
    Case(
        "conv_oblong", oblong, "conv and pool of two sizes", runs="squeezed", says={"floor": "none"}
    ),
    Case(
        "conv_maxpool",
        conv(lambda: nn.MaxPool2d(2), **SINGLE),
        "squeezed conv, MaxPool2d",
        runs="squeezed",
        exports=False,
    ),
    Case("conv_over_time", flattened, "FlattenTime, UnflattenTime", runs="time", exports=False),
    Case("converted_ann", converted, "from_model", "strong", runs="squeezed"),
    Case(
        "iaf_recurrent",
        recurrent(sl.IAFRecurrent, False),
        "IAFRecurrent",
        runs="time",
        exports=False,
    ),
    Case(
        "lif_recurrent_bias",
        recurrent(sl.LIFRecurrent, True, tau_mem=5.0, norm_input=False),
        "LIFRecurrent, biased",
        runs="time",
        exports=False,
    ),
    Case(
        "alif",
        mlp(of(sl.ALIF, tau_mem=10.0, tau_adapt=10.0, adapt_scale=1.8), IAF()),
        "ALIF: to refuse",
        exports=False,
    ),
]
NEURONS = (sl.IAF, sl.IAFRecurrent, sl.LIF, sl.LIFRecurrent, sl.ALIF, sl.ExpLeak)


@torch.no_grad()
def run(case: kit.Case, net: Any, x: np.ndarray) -> kit.Run:
    sinabs.reset_states(net)
    watch = Watch(net, lambda m: isinstance(m, NEURONS))
    potentials: dict[str, list[np.ndarray]] = {}
    frames = torch.from_numpy(x)
    if case.runs == "time":
        net(frames[None])
        out = {k: v[0] for k, v in watch.outputs.items()}
        spikes = {k: v[0] if v.shape[0] == 1 else v for k, v in out.items()}
    else:
        for t in range(len(x)):
            net(frames[t][None] if case.runs == "squeezed" else frames[t][None, None])
            for name, neuron in watch.modules.items():
                potentials.setdefault(name, []).append(neuron.v_mem.numpy()[0].copy())
        spikes = {
            k: np.concatenate([a.reshape(a.shape[-len(potentials[k][0].shape) :])[None] for a in v])
            for k, v in watch.outputs.items()
        }
    watch.close()
    values = {k: spikes.pop(k) for k, m in watch.modules.items() if isinstance(m, sl.ExpLeak)}
    return kit.Run(spikes, values, {k: np.stack(v) for k, v in potentials.items()})


@torch.no_grad()
def export(case: kit.Case, net: Any, shape: tuple[int, ...], path: Path) -> None:
    sample = torch.zeros(1, *shape) if case.runs == "squeezed" else torch.zeros(1, 1, *shape)
    graph = to_nir(net, sample)
    graph.infer_types()  # a convolution needs the size of its image
    nir.write(path, graph)


kit.factories(CASES, globals())

if __name__ == "__main__":
    kit.make(CASES, "sinabs", version("sinabs"), run, export)
