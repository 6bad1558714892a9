"""Models of Norse 1.1.0: its cells, recurrent and adaptive ones, and the forms of its tutorials."""

from __future__ import annotations

import functools
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import kit
import nir
import norse.torch as norse
import numpy as np
import torch
from norse.torch.functional.reset import reset_subtract
from norse.torch.utils.export_nir import to_nir
from torch import nn
from torch_kit import Watch, filled


def number(value: float) -> torch.Tensor:
    return torch.tensor(value)


def rates(**seconds: float) -> dict[str, torch.Tensor]:
    return {f"{k}_inv": number(1 / v) for k, v in seconds.items()}


def lif(**options: Any) -> norse.LIFParameters:
    return norse.LIFParameters(**options)


def box(**options: Any) -> norse.LIFBoxParameters:
    return norse.LIFBoxParameters(**options)


def mlp(
    first: Callable[[], Any], last: Callable[[], Any], draw: Any = kit.weights, gain: float = 4.0
):
    def build() -> tuple[nn.Module, tuple[int, ...]]:
        net = norse.SequentialState(nn.Linear(6, 8), first(), nn.Linear(8, 4), last())
        net = filled(net, draw)
        for layer in net:
            if isinstance(layer, nn.Linear):
                layer.weight.data *= gain
        return net, (6,)

    return build


def conv() -> tuple[nn.Module, tuple[int, ...]]:
    torch.manual_seed(3)
    norm = nn.BatchNorm2d(4)
    norm.running_mean, norm.running_var = torch.randn(4) * 0.3, torch.rand(4) + 0.5
    net = norse.SequentialState(
        nn.Conv2d(2, 4, 3, bias=False),
        norm,
        norse.LIFBoxCell(box(**rates(tau_mem=0.002))),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(16, 3),
        norse.LICell(),
    )
    return filled(net, kit.weights), (2, 6, 6)


def oblong() -> tuple[nn.Module, tuple[int, ...]]:
    """Return a net whose kernels, strides, paddings and images differ by axis."""
    net = norse.SequentialState(
        nn.Conv2d(4, 6, (3, 2), stride=(2, 1), padding=(1, 0), groups=2),
        norse.IAFCell(),
        nn.Conv2d(6, 2, (1, 2), stride=(1, 2)),
        norse.IAFCell(),
    )
    return filled(net, kit.weights), (4, 9, 6)


def conv_tutorial() -> tuple[nn.Module, tuple[int, ...]]:
    """Return the MNIST tutorial's convolutional net: MaxPool2d of spikes, LICell last."""
    net = norse.SequentialState(
        nn.Conv2d(2, 4, 3),
        norse.LIFCell(lif(alpha=number(100.0))),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(16, 8),
        norse.LIFCell(lif(alpha=number(100.0))),
        nn.Linear(8, 3, bias=False),
        norse.LICell(),
    )
    return filled(net, lambda shape, seed: 2 * kit.weights(shape, seed)), (2, 6, 6)


class Tutorial(nn.Module):
    """The MNIST tutorial's recurrent net, one step: LIFRecurrentCell, Linear, LICell."""

    def __init__(self) -> None:
        super().__init__()
        self.l1 = norse.LIFRecurrentCell(6, 8, p=lif(alpha=number(100.0), v_th=number(0.5)))
        self.fc = nn.Linear(8, 3, bias=False)
        self.out = norse.LICell()

    def forward(self, x: Any, state: Any = None) -> Any:
        a, b = state if state is not None else (None, None)
        z, a = self.l1(x, a)
        y, b = self.out(self.fc(z), b)
        return y, (a, b)


class Feedback(nn.Module):
    """Feedback written by hand: the spikes of a step go through a Linear into the next step."""

    def __init__(self) -> None:
        super().__init__()
        self.i, self.r, self.o = nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(8, 3)
        self.l, self.li = norse.LIFBoxCell(box(**rates(tau_mem=0.004))), norse.LICell()

    def forward(self, x: Any, state: Any = None) -> Any:
        z, s0, s1 = state if state is not None else (None, None, None)
        i = self.i(x)
        if z is not None:
            i = i + self.r(z)
        z, s0 = self.l(i, s0)
        y, s1 = self.li(self.o(z), s1)
        return y, (z, s0, s1)


class TimeLoop(nn.Module):
    """The loop of the tutorials, over time inside forward; time is the first axis."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.lif, self.out, self.li = (
            nn.Linear(6, 8),
            norse.LIFCell(),
            nn.Linear(8, 3),
            norse.LICell(),
        )

    def forward(self, x: Any) -> Any:
        s, t, ys = None, None, []
        for step in range(x.shape[0]):
            z, s = self.lif(self.fc(x[step]), s)
            y, t = self.li(self.out(z), t)
            ys.append(y)
        return torch.stack(ys)


def of(kind: Any, *given: Any, **options: Any) -> Callable[[], Any]:
    return lambda: kind(*given, **options)


def seeded(
    kind: type[nn.Module], scale: float = 3.0
) -> Callable[[], tuple[nn.Module, tuple[int, ...]]]:
    def build() -> tuple[nn.Module, tuple[int, ...]]:
        torch.manual_seed(5)
        net = filled(kind(), lambda shape, seed: scale * kit.weights(shape, seed))
        return net, (6,)

    return build


def recurrent(
    kind: Any, cells: bool = True, **options: Any
) -> Callable[[], tuple[nn.Module, tuple[int, ...]]]:
    def build() -> tuple[nn.Module, tuple[int, ...]]:
        cell = kind(6, 8, **options)
        cell.input_weights.data = torch.from_numpy(5 * kit.weights((8, 6), 1))
        cell.recurrent_weights.data = torch.from_numpy(kit.weights((8, 8), 2))
        out = norse.LIFCell() if cells else norse.LIF()
        net = norse.SequentialState(
            cell, filled(nn.Sequential(nn.Linear(8, 4)), lambda s, i: 4 * kit.weights(s, i))[0], out
        )
        return net.eval(), (6,)

    return build


Case = functools.partial(kit.Case)
IAF = functools.partial(of, norse.IAFCell)
SOFT: dict[str, Any] = {"reset_method": reset_subtract}
HALVES = rates(tau_mem=0.002, tau_syn=0.004)  # k = 1/2 and 1/4 at dt = 1 ms
LSNN = norse.LSNNParameters(**rates(tau_adapt=0.02), v_th=number(0.5))
REFRAC = norse.LIFRefracParameters(lif=lif(), rho_reset=number(3.0))

CASES = [
    Case(
        "box_value",
        mlp(of(norse.LIFBoxCell), of(norse.LIFBoxCell, box(**rates(tau_mem=0.005)))),
        "LIFBoxCell",
        "strong",
    ),
    Case(
        "box_quarters",
        mlp(
            of(norse.LIFBoxCell, box(**rates(tau_mem=0.002))),
            of(norse.LIFBoxCell, box(v_th=number(0.25), **rates(tau_mem=0.004))),
            kit.quarters,
            1.0,
        ),
        "LIFBoxCell, ties",
        "quarters",
    ),
    Case(
        "box_leak",
        mlp(
            of(norse.LIFBoxCell, box(v_leak=number(0.3), v_reset=number(-0.2))),
            of(norse.LIFBoxCell, box(v_th=number(0.2))),
        ),
        "LIFBoxCell, v_leak and v_reset",
        "negative",
        lost="v_reset",
    ),
    Case(
        "box_subtract",
        mlp(of(norse.LIFBoxCell, box(**SOFT)), of(norse.LIFBoxCell)),
        "LIFBoxCell, reset_subtract",
        "strong",
        lost="reset method",
    ),
    Case(
        "cell",
        mlp(of(norse.LIFCell), of(norse.LIFCell, lif(**rates(tau_mem=0.005, tau_syn=0.02)))),
        "LIFCell",
    ),
    Case("cell_negative", mlp(of(norse.LIFCell), of(norse.LIFCell)), "LIFCell", "negative"),
    Case(
        "cell_quarters",
        mlp(of(norse.LIFCell, lif(**HALVES)), of(norse.LIFCell, lif(**HALVES)), kit.quarters, 1.0),
        "LIFCell, ties",
        "quarters",
    ),
    Case(
        "cell_then_leak", mlp(of(norse.LIFBoxCell), of(norse.LIBoxCell)), "LIBoxCell last", "strong"
    ),
    Case(
        "cell_then_current_leak",
        mlp(of(norse.LIFCell), of(norse.LICell)),
        "LICell last",
        exports=False,
    ),
    Case("iaf", mlp(IAF(), IAF(), gain=1.0), "IAFCell"),
    Case("iaf_quarters", mlp(IAF(), IAF(), kit.quarters, 1.0), "IAFCell, ties", "quarters"),
    Case(
        "refractory",
        mlp(of(norse.LIFRefracCell, REFRAC), of(norse.LIFCell)),
        "LIFRefracCell, rho_reset 3",
        exports=False,
    ),
    Case("adaptive", mlp(of(norse.LSNNCell, LSNN), of(norse.LIFCell)), "LSNNCell", exports=False),
    Case("recurrent_cell", recurrent(norse.LIFRecurrentCell), "LIFRecurrentCell", exports=False),
    Case(
        "recurrent_cell_lsnn",
        recurrent(norse.LSNNRecurrentCell, p=LSNN),
        "LSNNRecurrentCell",
        exports=False,
    ),
    Case(
        "tutorial",
        seeded(Tutorial),
        "the MNIST tutorial's recurrent net",
        runs="state",
        exports=False,
    ),
    Case(
        "feedback", seeded(Feedback, 3.0), "feedback written by hand", runs="state", exports=False
    ),
    Case("time_loop", seeded(TimeLoop), "loop over time in forward", runs="time", exports=False),
    Case(
        "whole_time",
        lambda: (
            filled(
                norse.SequentialState(nn.Linear(6, 8), norse.LIF(), nn.Linear(8, 3), norse.LI()),
                lambda s, i: 4 * kit.weights(s, i),
            ),
            (6,),
        ),
        "LIF and LI over whole time",
        runs="time",
        exports=False,
    ),
    Case(
        "whole_time_recurrent",
        recurrent(norse.LIFRecurrent, cells=False),
        "LIFRecurrent over whole time",
        runs="time",
        exports=False,
    ),
    Case(
        "conv_avgpool",
        conv,
        "conv, BatchNorm2d, AvgPool2d",
        "strong",
        exports=False,
    ),
    Case("conv_maxpool", conv_tutorial, "the tutorial's conv net, MaxPool2d", exports=False),
    Case("conv_oblong", oblong, "conv of two sizes", "strong", exports=False),
    Case(
        "adex",
        mlp(of(norse.LIFAdExCell), of(norse.LIFCell)),
        "LIFAdExCell: to refuse",
        exports=False,
    ),
    Case(
        "izhikevich",
        mlp(
            of(
                norse.IzhikevichCell,
                norse.IzhikevichSpikingBehavior(
                    norse.IzhikevichParameters(0.02, 0.2, -65.0, 8.0),
                    norse.IzhikevichState(number(-65.0), number(-13.0)),
                ),
            ),
            of(norse.LIFCell),
        ),
        "IzhikevichCell: to refuse",
        exports=False,
    ),
]
READOUTS = (norse.LICell, norse.LIBoxCell, norse.LI)


def is_neuron(module: nn.Module) -> bool:
    return (
        type(module).__module__.startswith("norse.torch.module")
        and not list(module.children())
        and type(module).__name__ not in ("Lift", "SequentialState")
    )


@torch.no_grad()
def run(case: kit.Case, net: Any, x: np.ndarray) -> kit.Run:
    watch = Watch(net, is_neuron)
    frames = torch.from_numpy(x)[:, None]
    if case.runs == "time":
        net(frames)
    else:
        state = None
        for t in range(len(x)):
            _, state = net(frames[t], state)
    watch.close()
    out = {}
    for name, parts in watch.outputs.items():
        whole = parts[0] if len(parts) == 1 else np.stack(parts)
        out[name] = whole[:, 0]
    values = {k: out.pop(k) for k, m in watch.modules.items() if isinstance(m, READOUTS)}
    return kit.Run(out, values)


@torch.no_grad()
def export(case: kit.Case, net: Any, shape: tuple[int, ...], path: Path) -> None:
    nir.write(path, to_nir(net, torch.zeros(1, *shape)))


kit.factories(CASES, globals())

if __name__ == "__main__":
    kit.make(CASES, "norse", version("norse"), run, export)
