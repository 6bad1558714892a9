"""Models of snnTorch 1.0.0: every neuron that has spikes, every reset, the tutorials' forms."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kit
import nir
import numpy as np
import snntorch as snn
import torch
from nets_snntorch import (
    Loop,
    RecurrentStates,
    States,
    conv,
    mlp,
    module,
    oblong,
    of,
    plain,
    recurrent,
    shaped,
    spread,
)
from snntorch import utils
from snntorch.export_nir import export_to_nir
from torch import nn
from torch_kit import Watch, filled

NEURONS = (snn.Leaky, snn.Synaptic, snn.RLeaky, snn.RSynaptic, snn.Lapicque, snn.Alpha)
leaky = functools.partial(of, snn.Leaky)
synaptic = functools.partial(of, snn.Synaptic)
Case = functools.partial(kit.Case)
L9 = leaky(beta=0.9)
S = {"alpha": 0.7, "beta": 0.9}
Q = kit.quarters


def one_to_one(kind: Any, **options: Any) -> Callable[[int], Any]:
    return recurrent(kind, all_to_all=False, **options)


CASES = [
    Case(
        "leaky_scalar",
        mlp(plain(snn.Leaky, beta=0.9), plain(snn.Leaky, beta=0.5)),
        "Leaky late, scalars",
    ),
    Case("leaky_late", mlp(L9, L9), "Leaky late"),
    Case("leaky_late_strong", mlp(L9, leaky(beta=0.6)), "Leaky late", "strong"),
    Case("leaky_late_negative", mlp(L9, leaky(beta=0.97)), "Leaky late", "negative"),
    Case(
        "leaky_late_quarters",
        mlp(leaky(beta=0.5), leaky(beta=0.75), Q),
        "Leaky late, ties",
        "quarters",
    ),
    Case(
        "leaky_spread",
        mlp(
            leaky(beta=lambda n: spread(0.3, 0.97, n), threshold=lambda n: spread(0.5, 1.5, n)), L9
        ),
        "Leaky late, numbers by neuron",
        "real",
    ),
    Case("leaky_beta0", mlp(leaky(beta=0.0), L9), "Leaky late, beta 0"),
    Case("leaky_beta1", mlp(leaky(beta=1.0), L9), "Leaky late, beta 1"),
    Case(
        "leaky_zero",
        mlp(leaky(beta=0.9, reset_mechanism="zero"), leaky(beta=0.8, reset_mechanism="zero")),
        "Leaky zero",
        "strong",
        says={"reset": "value"},
    ),
    Case(
        "leaky_zero_now",
        mlp(
            leaky(beta=0.9, reset_mechanism="zero", reset_delay=False),
            leaky(beta=0.5, reset_mechanism="zero", reset_delay=False),
            Q,
        ),
        "Leaky zero, no delay",
        "quarters",
        says={"reset": "value"},
    ),
    Case(
        "leaky_now",
        mlp(leaky(beta=0.9, reset_delay=False), leaky(beta=0.9, reset_delay=False)),
        "Leaky subtract, no delay",
        says={"reset": "doubled"},
    ),
    Case(
        "leaky_now_strong",
        mlp(leaky(beta=0.9, reset_delay=False), leaky(beta=0.9, reset_delay=False)),
        "Leaky subtract, no delay",
        "strong",
        says={"reset": "doubled"},
    ),
    Case(
        "leaky_none",
        mlp(L9, leaky(beta=0.9, reset_mechanism="none")),
        "Leaky late, last none",
        says={"reset": {"3": "none"}},
    ),
    Case(
        "leaky_graded",
        mlp(leaky(beta=0.9, graded_spikes_factor=2.5), L9),
        "Leaky, graded spikes",
        lost="graded_spikes_factor",
    ),
    Case(
        "leaky_learned",
        module(States),
        "Leaky, states as arguments",
        runs="state",
        exports=False,
    ),
    Case("leaky_loop", module(Loop), "tutorial 5, loop in forward", runs="loop", exports=False),
    Case("synaptic_late", mlp(synaptic(**S), synaptic(**S)), "Synaptic late"),
    Case(
        "synaptic_late_quarters",
        mlp(synaptic(alpha=0.5, beta=0.5), synaptic(alpha=0.75, beta=0.5), Q),
        "Synaptic late, ties",
        "quarters",
    ),
    Case(
        "synaptic_zero",
        mlp(synaptic(**S, reset_mechanism="zero"), synaptic(**S, reset_mechanism="zero")),
        "Synaptic zero: hold 1",
        "negative",
        says={"reset": "value", "refractory": 1},
    ),
    Case(
        "synaptic_zero_now",
        mlp(
            synaptic(**S, reset_mechanism="zero", reset_delay=False),
            synaptic(**S, reset_mechanism="zero", reset_delay=False),
        ),
        "Synaptic zero, no delay",
        says={"reset": "value"},
    ),
    Case(
        "synaptic_now",
        mlp(synaptic(**S, reset_delay=False), synaptic(**S, reset_delay=False)),
        "Synaptic subtract, no delay",
        "real",
        says={"reset": "doubled"},
    ),
    Case(
        "synaptic_none",
        mlp(synaptic(**S), synaptic(**S, reset_mechanism="none")),
        "Synaptic, last none",
        says={"reset": {"3": "none"}},
        inputs="real",
    ),
    Case("synaptic_alpha0", mlp(synaptic(alpha=0.0, beta=0.9), L9), "Synaptic, alpha 0"),
    Case(
        "rleaky_late",
        mlp(recurrent(snn.RLeaky, beta=0.9), recurrent(snn.RLeaky, beta=0.5)),
        "RLeaky late, biased recurrence",
    ),
    Case(
        "rleaky_late_quarters",
        mlp(recurrent(snn.RLeaky, beta=0.5), recurrent(snn.RLeaky, beta=0.5), Q),
        "RLeaky late, ties",
        "quarters",
    ),
    Case(
        "rleaky_zero",
        mlp(recurrent(snn.RLeaky, beta=0.9, reset_mechanism="zero"), L9),
        "RLeaky zero: hold 1",
        says={"reset": {"1.lif": "value"}, "refractory": {"1.lif": 1}},
    ),
    Case(
        "rleaky_zero_now",
        mlp(
            recurrent(snn.RLeaky, beta=0.9, reset_mechanism="zero", reset_delay=False),
            leaky(beta=0.9, reset_mechanism="zero", reset_delay=False),
        ),
        "RLeaky zero, no delay",
        says={"reset": "value"},
    ),
    Case(
        "rleaky_now",
        mlp(recurrent(snn.RLeaky, beta=0.9, reset_delay=False), L9),
        "RLeaky subtract, no delay",
        says={"reset": {"1.lif": "doubled"}},
    ),
    Case("rleaky_diagonal", mlp(one_to_one(snn.RLeaky, beta=0.9), L9), "RLeaky one to one"),
    Case(
        "rleaky_conv",
        lambda: (
            filled(
                nn.Sequential(
                    nn.Conv2d(2, 3, 3),
                    snn.RLeaky(beta=0.8, conv2d_channels=3, kernel_size=3, init_hidden=True),
                    nn.Flatten(),
                    nn.Linear(48, 3),
                    snn.Leaky(beta=0.8, init_hidden=True),
                ),
                kit.weights,
            ),
            (2, 6, 6),
        ),
        "RLeaky with a convolution",
        exports=False,
    ),
    Case(
        "rleaky_states",
        module(RecurrentStates),
        "RLeaky, states as arguments",
        runs="state",
        exports=False,
    ),
    Case(
        "rsynaptic_late",
        mlp(
            recurrent(snn.RSynaptic, alpha=0.5, beta=0.9),
            recurrent(snn.RSynaptic, alpha=0.5, beta=0.9),
        ),
        "RSynaptic late",
        inputs="negative",
    ),
    Case(
        "rsynaptic_zero",
        mlp(recurrent(snn.RSynaptic, alpha=0.5, beta=0.9, reset_mechanism="zero"), L9),
        "RSynaptic zero: hold 1",
        says={"reset": {"1.lif": "value"}, "refractory": {"1.lif": 1}},
    ),
    Case(
        "lapicque_late",
        mlp(
            plain(snn.Lapicque, beta=0.9, threshold=0.1),
            plain(snn.Lapicque, R=2.0, C=4.0, time_step=1, threshold=0.3),
        ),
        "Lapicque late",
    ),
    Case(
        "lapicque_zero",
        mlp(
            plain(snn.Lapicque, beta=0.8, threshold=0.2, reset_mechanism="zero"),
            plain(snn.Lapicque, beta=0.9, threshold=0.05),
        ),
        "Lapicque zero: hold 1",
    ),
    Case("conv_avgpool", conv(shaped(), nn.AvgPool2d(2)), "tutorial 6 with AvgPool2d"),
    Case("conv_oblong", oblong, "conv and pool of two sizes", "real"),
    Case(
        "conv_maxpool",
        conv(shaped(threshold=4.0), nn.MaxPool2d(2)),
        "tutorial 6: MaxPool2d on currents",
        "real",
    ),
    Case(
        "conv_norm_dropout", conv(shaped(), nn.AvgPool2d(2), norm=True), "BatchNorm2d and Dropout"
    ),
    Case(
        "linear_last",
        lambda: (filled(nn.Sequential(nn.Linear(6, 8), L9(8), nn.Linear(8, 3)), kit.weights), (6,)),
        "Linear last, a readout",
    ),
    Case(
        "alpha", mlp(plain(snn.Alpha, alpha=0.9, beta=0.8), L9), "Alpha: to refuse", exports=False
    ),
    Case(
        "leaky_inhibition",
        mlp(leaky(beta=0.9, inhibition=True), L9),
        "inhibition: to refuse",
        lost="inhibition",
    ),
    Case(
        "leaky_quantised",
        mlp(leaky(beta=0.9, state_quant=lambda v: torch.round(v * 4) / 4), L9),
        "state_quant: to refuse",
        lost="state_quant",
    ),
]


@torch.no_grad()
def run(case: kit.Case, net: Any, x: np.ndarray) -> kit.Run:
    utils.reset(net)
    watch = Watch(net, lambda m: isinstance(m, NEURONS))
    potentials: dict[str, list[np.ndarray]] = {}
    values = []
    frames = torch.from_numpy(x)[:, None]
    state = None
    if case.runs == "loop":  # one input for all steps
        x[:] = x[0]
        net(frames[0])
    for t in range(len(x) if case.runs != "loop" else 0):
        if case.runs == "state":
            out, state = net(frames[t], state)
        else:
            out = net(frames[t])
        for name, neuron in watch.modules.items():
            potentials.setdefault(name, []).append(neuron.mem.numpy()[0].copy())
        if case.name in ("linear_last", "rleaky_states"):
            values.append(out.numpy()[0].copy())
    watch.close()
    spikes = {k: np.concatenate(v) for k, v in watch.outputs.items()}
    readout = {"out" if case.runs == "state" else "2": np.stack(values)} if values else {}
    return kit.Run(spikes, readout, {k: np.stack(v) for k, v in potentials.items()})


@torch.no_grad()
def export(case: kit.Case, net: Any, shape: tuple[int, ...], path: Path) -> None:
    utils.reset(net)
    graph = export_to_nir(net, torch.zeros(1, *shape), ignore_dims=[0])
    nir.write(path, graph)


kit.factories(CASES, globals())

if __name__ == "__main__":
    kit.make(CASES, "snntorch", snn.__version__, run, export)
