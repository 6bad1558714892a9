"""A trained tracker as Norse cells, one step a call: the form that is exported.

The mean over the temporal channels goes into the last convolution's weights, the
normalisation behind a convolution into its own; a BatchNorm before one stays, and the
export folds it with its borders right. An LI block is followed by torch's ReLU. What has no
memory is an LI whose time constant is one step: it holds what arrived, and nothing else.
"""

from __future__ import annotations

import copy
import warnings
from typing import Any

import torch
from torch import nn

from .description import Tracker
from .events import DT
from .networks import Convolution, Neurons, Scaled, TrackerNet


def stepwise(net: TrackerNet) -> nn.Module:
    """For events of (2, size, size) in steps of 1 ms."""
    if net.tracker.neuron == "relu-frames":
        raise ValueError(
            f"it looks at {net.tracker.frames} frames at once, and no neuron holds a frame back"
        )
    return Stepwise(net).eval()


class Stepwise(nn.Module):
    def __init__(self, net: TrackerNet):
        super().__init__()
        t: Tracker = net.tracker
        self.input_shape = (2, t.size, t.size)
        self.readout = readout_of(net)
        self.channels = t.channels
        self.blocks = nn.ModuleList()
        for k, scaled in enumerate(net.convs):
            convs = nn.ModuleList(folded(conv) for conv in scaled)
            own = cells(net.neurons[k]) if t.remembers else [at_once()]
            self.blocks.append(nn.ModuleDict({"conv": convs, "cell": nn.ModuleList(own)}))
        self.rectified = t.neuron != "lif"
        self.relu = nn.ReLU()
        self.head = copy.deepcopy(net.head)
        with torch.no_grad():
            self.head.weight /= t.channels
        self.integrator = cells(net.integrator)[0] if t.remembers else at_once()

    def forward(self, x: Any, state: dict[str, Any] | None = None) -> Any:
        before = {} if state is None else state
        after = {}
        signals = [x]
        for b, block in enumerate(self.blocks):
            convs, found = block["conv"], []
            if len(convs) == 1 and len(signals) == 1:
                signals = [convs[0](signals[0])] * self.channels
            else:
                signals = [
                    convs[k % len(convs)](signals[k % len(signals)]) for k in range(self.channels)
                ]
            for k, signal in enumerate(signals):
                name = f"{b}.{k}"
                y, after[name] = block["cell"][k](signal, before.get(name))
                found.append(self.relu(y) if self.rectified else y)
            signals = found
        y, after["head"] = self.integrator(self.head(sum(signals)), before.get("head"))
        return y, after


def folded(conv: Convolution) -> nn.Module:
    """The normalisation behind the convolution as a part of its weights."""
    made = copy.deepcopy(conv)
    if isinstance(conv.after, Scaled):
        with torch.no_grad():
            made.conv.weight *= conv.after.factor[:, None, None, None]
        made.after = nn.Identity()
    return made


def cells(neurons: Neurons) -> list[Any]:
    """One cell of Norse for each temporal channel."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Norse's import, torch.jit
        import norse.torch as norse
    made = []
    for gain in neurons.gain.detach():
        inverse = gain / DT
        if neurons.spiking:
            threshold = neurons.threshold * gain
            p = norse.LIFBoxParameters(tau_mem_inv=inverse, v_th=threshold)
            made.append(norse.LIFBoxCell(p, dt=DT))
        else:
            made.append(norse.LIBoxCell(norse.LIBoxParameters(tau_mem_inv=inverse), dt=DT))
    return made


def at_once() -> Any:
    """No memory: dt/tau is 1."""
    return cells(Neurons(False, False, 1.0, torch.ones(1)))[0]


def readout_of(net: TrackerNet) -> dict[str, Any]:
    t = net.tracker
    sharpness = float(net.sharpness.detach())
    return {"kind": "dsnt", "sharpness": sharpness, "stride": t.stride, "offset": t.offset}
