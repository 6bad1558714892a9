"""A trained tracker as Norse cells, one step a call, which is the form for export.

The mean over the temporal channels is folded into the last convolution's weights, the
normalisation after a convolution into its weights; a BatchNorm before one stays, and the
export folds it with correct borders. An LI block is followed by torch's ReLU. A layer without
memory is an LI whose time constant is one step: its state is its present input.
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
    """Convert a tracker to Norse cells, for events of (2, size, size) in steps of 1 ms."""
    if net.tracker.neuron == "relu-frames":
        raise ValueError(
            f"it reads {net.tracker.frames} frames at once, and no neuron delays a frame"
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
            cell_list = cells(net.neurons[k]) if t.remembers else [at_once()]
            self.blocks.append(nn.ModuleDict({"conv": convs, "cell": nn.ModuleList(cell_list)}))
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
            convs, outputs = block["conv"], []
            if len(convs) == 1 and len(signals) == 1:
                signals = [convs[0](signals[0])] * self.channels
            else:
                signals = [
                    convs[k % len(convs)](signals[k % len(signals)]) for k in range(self.channels)
                ]
            for k, signal in enumerate(signals):
                name = f"{b}.{k}"
                y, after[name] = block["cell"][k](signal, before.get(name))
                outputs.append(self.relu(y) if self.rectified else y)
            signals = outputs
        y, after["head"] = self.integrator(self.head(sum(signals)), before.get("head"))
        return y, after


def folded(conv: Convolution) -> nn.Module:
    """Fold the normalisation after a convolution into its weights."""
    copied = copy.deepcopy(conv)
    if isinstance(conv.after, Scaled):
        with torch.no_grad():
            copied.conv.weight *= conv.after.factor[:, None, None, None]
        copied.after = nn.Identity()
    return copied


def cells(neurons: Neurons) -> list[Any]:
    """Create a Norse cell for each temporal channel."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Norse's import, torch.jit
        import norse.torch as norse
    cells_made = []
    for gain in neurons.gain.detach():
        inverse = gain / DT
        if neurons.spiking:
            threshold = neurons.threshold * gain
            p = norse.LIFBoxParameters(tau_mem_inv=inverse, v_th=threshold)
            cells_made.append(norse.LIFBoxCell(p, dt=DT))
        else:
            cells_made.append(norse.LIBoxCell(norse.LIBoxParameters(tau_mem_inv=inverse), dt=DT))
    return cells_made


def at_once() -> Any:
    """Create a cell without memory: dt/tau is 1."""
    return cells(Neurons(False, False, 1.0, torch.ones(1)))[0]


def readout_of(net: TrackerNet) -> dict[str, Any]:
    t = net.tracker
    sharpness = float(net.sharpness.detach())
    return {"kind": "dsnt", "sharpness": sharpness, "stride": t.stride, "offset": t.offset}
