"""Models of SpikingJelly 2.0.0: IF, LIF, ParametricLIF and CUBA, hard and soft, its containers."""

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
from spikingjelly.activation_based import base, functional, layer, neuron, rnn, surrogate  # noqa: F401
from spikingjelly.activation_based.nir_exchange import export_to_nir
from torch import nn
from torch_kit import Watch, filled


def mlp(
    first: Callable[[], Any], last: Callable[[], Any], draw: Any = kit.weights, bias: bool = True
):
    def build() -> tuple[nn.Module, tuple[int, ...]]:
        layers = [layer.Linear(6, 8, bias=bias), first(), layer.Linear(8, 4, bias=bias), last()]
        return filled(nn.Sequential(*layers), draw), (6,)

    return build


def norm(features: int) -> nn.Module:
    torch.manual_seed(3)
    made = layer.BatchNorm2d(features)
    made.running_mean = torch.randn(features) * 0.3
    made.running_var = torch.rand(features) + 0.5
    made.weight.data = torch.rand(features) + 0.5
    made.bias.data = torch.randn(features) * 0.3
    return made


def conv(
    spiking: Callable[[], Any],
    pool: Callable[[], nn.Module],
    batch_norm: bool = True,
    votes: bool = False,
    step_mode: str = "s",
):
    """Return a builder of the net of SpikingJelly's Fashion-MNIST tutorial, small."""

    def build() -> tuple[nn.Module, tuple[int, ...]]:
        layers: list[nn.Module] = [layer.Conv2d(2, 4, 3, bias=not batch_norm)]
        layers += [norm(4)] if batch_norm else []
        layers += [spiking(), pool(), layer.Flatten()]
        layers += [layer.Dropout(0.5)] if votes else []
        layers += [layer.Linear(16, 4, bias=False), spiking()]
        layers += [layer.VotingLayer(2)] if votes else []
        net = filled(nn.Sequential(*layers), kit.weights)
        functional.set_step_mode(net, step_mode)
        return net, (2, 6, 6)

    return build


def oblong() -> tuple[nn.Module, tuple[int, ...]]:
    """Return a net whose kernels, strides, paddings and images differ by axis."""
    net = nn.Sequential(
        layer.Conv2d(4, 6, 2, stride=(2, 1), padding=(1, 0)),
        neuron.IFNode(),
        layer.AvgPool2d((2, 1), stride=(1, 2)),
        layer.Flatten(),
        layer.Linear(72, 3),
        neuron.IFNode(),
    )
    return filled(net, kit.weights), (4, 9, 6)


def folded() -> tuple[nn.Module, tuple[int, ...]]:
    """Return the multi-step net of SeqToANNContainers."""
    net = nn.Sequential(
        layer.SeqToANNContainer(nn.Conv2d(2, 4, 3, bias=False), nn.BatchNorm2d(4)),
        neuron.IFNode(step_mode="m"),
        layer.SeqToANNContainer(nn.MaxPool2d(2, 2), nn.Flatten()),
        layer.SeqToANNContainer(nn.Linear(16, 3)),
        neuron.LIFNode(tau=3.0, step_mode="m"),
    )
    return filled(net, kit.weights), (2, 6, 6)


def recurrent(draw: Any = kit.weights) -> Callable[[], tuple[nn.Module, tuple[int, ...]]]:
    """Return a builder of a LinearRecurrentContainer: its Linear takes the input and the output."""

    def build() -> tuple[nn.Module, tuple[int, ...]]:
        inner = layer.LinearRecurrentContainer(neuron.LIFNode(tau=2.0), 8, 8)
        net = nn.Sequential(layer.Linear(6, 8), inner, layer.Linear(8, 4), neuron.IFNode())
        return filled(net, draw), (6,)

    return build


def of(kind: Any, **options: Any) -> Callable[[], Any]:
    return lambda: kind(**options)


Case = functools.partial(kit.Case)
IF, LIF, PLIF = (
    functools.partial(of, k) for k in (neuron.IFNode, neuron.LIFNode, neuron.ParametricLIFNode)
)
CUBA = functools.partial(of, neuron.CUBALIFNode)
Q = kit.quarters
SOFT: dict[str, Any] = {"v_reset": None}
STEP = {"dt": 1e-3}
"""The step with which the files are exported: those of LIF alone do not state it."""

CASES = [
    Case("if_hard", mlp(IF(), IF()), "IF hard"),
    Case("if_hard_strong", mlp(IF(), IF(v_threshold=2.0)), "IF hard", "strong"),
    Case("if_hard_quarters", mlp(IF(), IF(), Q), "IF hard, ties", "quarters"),
    Case("if_soft", mlp(IF(**SOFT), IF(**SOFT)), "IF soft", "negative"),
    Case("if_soft_quarters", mlp(IF(**SOFT), IF(**SOFT), Q), "IF soft, ties", "quarters"),
    Case(
        "lif_2",
        mlp(LIF(tau=2.0), LIF(tau=2.0, surrogate_function=surrogate.ATan())),
        "LIF hard, tau 2",
        "strong",
        says=STEP,
    ),
    Case(
        "lif_2_quarters",
        mlp(LIF(tau=2.0), LIF(tau=2.0, v_threshold=0.25), Q),
        "LIF hard, tau 2, ties",
        "quarters",
        says=STEP,
    ),
    Case(
        "lif_odd", mlp(LIF(tau=3.7), LIF(tau=3.7, decay_input=False)), "LIF hard, tau 3.7", "real"
    ),
    Case(
        "lif_no_decay_input",
        mlp(LIF(tau=3.7, decay_input=False), LIF(tau=2.0, decay_input=False)),
        "LIF hard, no decay_input",
    ),
    Case(
        "lif_soft",
        mlp(LIF(tau=3.7, decay_input=False, **SOFT), LIF(tau=2.0, **SOFT)),
        "LIF soft",
        "strong",
    ),
    Case(
        "lif_soft_quarters",
        mlp(LIF(tau=2.0, decay_input=False, **SOFT), LIF(tau=4.0, decay_input=False, **SOFT), Q),
        "LIF soft, ties",
        "quarters",
    ),
    Case(
        "lif_negative_reset",
        mlp(
            LIF(tau=2.0, v_threshold=0.3, v_reset=-0.5), LIF(tau=2.0, v_threshold=0.3, v_reset=-0.5)
        ),
        "LIF, v_reset -0.5",
        "strong",
        says=STEP,
    ),
    Case(
        "lif_offset",
        mlp(LIF(tau=3.0, v_reset=0.25, decay_input=False), IF(v_reset=-0.25)),
        "v_reset of both signs",
    ),
    Case(
        "plif",
        mlp(PLIF(init_tau=2.0), PLIF(init_tau=3.3)),
        "ParametricLIF hard",
        "strong",
        says=STEP,
    ),
    Case(
        "plif_soft",
        mlp(PLIF(init_tau=2.6, decay_input=False, **SOFT), PLIF(init_tau=2.0, **SOFT)),
        "ParametricLIF soft",
        "strong",
    ),
    Case(
        "plif_no_decay_input",
        mlp(PLIF(init_tau=3.7, decay_input=False), PLIF(init_tau=2.0, decay_input=False), Q),
        "ParametricLIF, ties",
        "quarters",
    ),
    Case("cuba", mlp(CUBA(), CUBA(c_decay=0.3, v_decay=0.9, v_threshold=1.0)), "CUBALIF hard"),
    Case("cuba_soft", mlp(CUBA(**SOFT), CUBA(**SOFT)), "CUBALIF soft", "negative"),
    Case("cuba_quarters", mlp(CUBA(), CUBA(v_reset=0.25), Q), "CUBALIF hard, ties", "quarters"),
    Case(
        "conv_avgpool",
        conv(LIF(tau=2.0, detach_reset=True), lambda: layer.AvgPool2d(2), batch_norm=False),
        "conv, AvgPool2d",
        "strong",
        says=STEP,
    ),
    Case(
        "conv_maxpool",
        conv(IF(), lambda: layer.MaxPool2d(2, 2)),
        "conv, BatchNorm2d, MaxPool2d",
        "strong",
    ),
    Case("conv_oblong", oblong, "conv and pool of two sizes", "strong"),
    Case(
        "conv_votes",
        conv(LIF(tau=2.0, detach_reset=True), lambda: layer.MaxPool2d(2, 2), votes=True),
        "the same, Dropout, VotingLayer",
        "strong",
        exports=False,
    ),
    Case(
        "conv_many_steps",
        conv(IF(), lambda: layer.MaxPool2d(2, 2), step_mode="m"),
        "step mode m",
        "strong",
        runs="time",
    ),
    Case("conv_seq_to_ann", folded, "SeqToANNContainer", runs="time", exports=False),
    Case("recurrent_linear", recurrent(), "LinearRecurrentContainer", exports=False),
    Case(
        "recurrent_linear_quarters",
        recurrent(Q),
        "LinearRecurrentContainer, ties",
        "quarters",
        exports=False,
    ),
    Case(
        "linear_last",
        lambda: (
            filled(
                nn.Sequential(layer.Linear(6, 8), neuron.LIFNode(), layer.Linear(8, 3)), kit.weights
            ),
            (6,),
        ),
        "Linear last, a readout",
        "strong",
        says=STEP,
    ),
    Case(
        "half_threshold",
        mlp(of(neuron.HalfThresholdIFNode), IF()),
        "HalfThresholdIF",
        exports=False,
    ),
    Case("klif", mlp(of(neuron.KLIFNode), IF()), "KLIF: to refuse", exports=False),
    Case("qif", mlp(of(neuron.QIFNode), IF()), "QIF: to refuse", exports=False),
    Case(
        "synapse_filter",
        lambda: (
            filled(
                nn.Sequential(
                    layer.Linear(6, 8),
                    neuron.IFNode(),
                    layer.SynapseFilter(tau=4.0),
                    layer.Linear(8, 3),
                    neuron.IFNode(),
                ),
                kit.weights,
            ),
            (6,),
        ),
        "SynapseFilter: to refuse",
        exports=False,
    ),
    Case(
        "not_spiking",
        mlp(of(neuron.IFNode, surrogate_function=surrogate.Sigmoid(spiking=False)), IF()),
        "spiking=False: to refuse",
        exports=False,
    ),
]


@torch.no_grad()
def run(case: kit.Case, net: Any, x: np.ndarray) -> kit.Run:
    functional.reset_net(net)
    watch = Watch(net, lambda m: isinstance(m, neuron.BaseNode))
    potentials: dict[str, list[np.ndarray]] = {}
    frames = torch.from_numpy(x)[:, None]
    values = []
    if case.runs == "time":
        net(frames)
        watch.close()
        return kit.Run({k: v[0][:, 0] for k, v in watch.outputs.items()})
    for t in range(len(x)):
        out = net(frames[t])
        for name, node in watch.modules.items():
            potentials.setdefault(name, []).append(node.v.numpy()[0].copy())
        if case.name in ("linear_last", "conv_votes"):
            values.append(out.numpy()[0].copy())
    watch.close()
    spikes = {k: np.concatenate(v) for k, v in watch.outputs.items()}
    last = {str(len(net) - 1): np.stack(values)} if values else {}
    return kit.Run(spikes, last, {k: np.stack(v) for k, v in potentials.items()})


@torch.no_grad()
def export(case: kit.Case, net: Any, shape: tuple[int, ...], path: Path) -> None:
    sample = torch.zeros(1, 1, *shape) if case.runs == "time" else torch.zeros(1, *shape)
    nir.write(path, export_to_nir(net, sample, dt=1e-3))


kit.factories(CASES, globals())

if __name__ == "__main__":
    kit.make(CASES, "spikingjelly", version("spikingjelly"), run, export)
