"""SpikingJelly's neurons, layers and containers as nodes.

    IFNode             h = v + x
    LIFNode            h = v + (x - (v - v_r))/tau, or v - (v - v_r)/tau + x without decay_input
    ParametricLIFNode  the same with * q for / tau, q = sigmoid(w)
    CUBALIFNode        c = c*c_decay + x;  h = v*v_decay + c
    HalfThresholdIFNode: IFNode that starts at th/2

    s = [h - th >= 0];  v = v_r where s  (v_reset given)  or  v = h - s*th  (v_reset=None)

v_r is v_reset, or 0 if it is None; v starts at v_reset. In the step mode "m" a layer takes all
steps in one call, time first, and computes the same. SpikingJelly counts in steps.
"""

from __future__ import annotations

import copy
import operator
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from nrf_deploy.ir.network import Array, Delay, Linear, Node, Scale
from nrf_deploy.neurons import Membrane, Spikes

from ..connections import connection
from .base import Call, Framework, Piece
from .parameters import Parameters, class_of, fires, stock

HOME = "spikingjelly.activation_based."
NEURON, LAYER = HOME + "neuron.", HOME + "layer."
IF, HALF = NEURON + "integrate_and_fire.IFNode", NEURON + "integrate_and_fire.HalfThresholdIFNode"
LIF, PLIF = NEURON + "lif.LIFNode", NEURON + "plif.ParametricLIFNode"
CUBA = NEURON + "lif_variants.CUBALIFNode"
NEURONS = (IF, LIF, PLIF, CUBA, HALF)
TWINS = {
    **{
        f"{LAYER}stateless_wrapper.{name}": name
        for name in ("Conv1d", "Conv2d", "Linear", "AvgPool2d", "AdaptiveAvgPool2d", "MaxPool2d")
    },
    **{f"{LAYER}bn.BatchNorm{n}d": f"BatchNorm{n}d" for n in (1, 2)},
    **{f"{LAYER}bn.ThresholdDependentBatchNorm{n}d": f"BatchNorm{n}d" for n in (1, 2)},
    **{f"{LAYER}bn.TemporalEffectiveBatchNorm{n}d": f"BatchNorm{n}d" for n in (1, 2)},
}
"""Layers that compute what torch's layer of the given name does, in each step."""
PASSED = (LAYER + "dropout.Dropout", LAYER + "dropout.Dropout2d", LAYER + "misc.PrintShapeModule")
VOTING, DELAY = LAYER + "misc.VotingLayer", LAYER + "misc.Delay"
SCALERS = tuple(HOME + "ann2snn.modules." + n for n in ("VoltageScaler", "ChannelVoltageScaler"))
RECURRENT = LAYER + "container.LinearRecurrentContainer"
ELEMENT_WISE = LAYER + "container.ElementWiseRecurrentContainer"
LOOPS = (RECURRENT, ELEMENT_WISE)
READ = (*NEURONS, *TWINS, *PASSED, VOTING, DELAY, *SCALERS, *LOOPS)
CONTAINERS = (
    *(LAYER + "container." + n for n in ("MultiStepContainer", "SeqToANNContainer")),
    LAYER + "container.StepModeContainer",
    LAYER + "stateless_wrapper.Flatten",
)
BASES = tuple(
    HOME + "base." + n
    for n in ("StepModule", "SingleStepModule", "MultiStepModule", "MemoryModule")
)
MODELS = HOME + "model."
COUNTING = ("MultiLevelSpikeCount", "PoissonPass")
FIX = "use IFNode, LIFNode, ParametricLIFNode or CUBALIFNode, and layers that torch.nn has too"
WAYS_OUT = {
    "SynapseFilter": "use CUBALIFNode: this filter decays only where no spike comes",
    "WSConv2d": "use Conv2d with the standardised weights that get_weight() returns",
    "WSLinear": "use Linear with the standardised weights that get_weight() returns",
    "NeuNorm": "use BatchNorm2d: a NeuNorm has a state of its own",
    "TLastMultiStepContainer": "use MultiStepContainer, with the time first",
    "TLastSeqToANNContainer": "use SeqToANNContainer, with the time first",
    "Upsample": "use a layer whose output has its input's size",
}


def leaf(module: Any) -> bool:
    """Return True for all of SpikingJelly but containers, ready-made models and base classes."""
    ours = next(c for c in type(module).__mro__ if c.__module__.startswith("spikingjelly"))
    name = f"{ours.__module__}.{ours.__qualname__}"
    return name not in (*CONTAINERS, *BASES) and not ours.__module__.startswith(MODELS)


def plain(module: Any) -> Any:
    """Return torch's own layer with the same parameters, if this one computes what that one does.

    A layer with a replaced method, or with a scale by step other than 1, stays as it is: `read`
    refuses it.
    """
    from torch import nn

    name = TWINS.get(class_of(module))
    if name is None or "forward" in vars(module) or not _same_in_each_step(module):
        return module
    twin = copy.copy(module)
    twin.__class__ = getattr(nn, name)
    return twin


def _same_in_each_step(module: Any) -> bool:
    return "Temporal" not in class_of(module) or bool((module.scale == 1).all())


def read(call: Call, dt: float) -> Piece:
    """Return the nodes of a layer; refuse one whose step is not known exactly."""
    kind = stock(FRAMEWORK, call, READ, WAYS_OUT.get(type(call.module).__name__, FIX))
    if kind in PASSED:
        return Piece()
    if kind in TWINS and not _same_in_each_step(call.module):
        raise FRAMEWORK.refused(
            call, "its scale differs from step to step", "use BatchNorm, whose scale is one for all"
        )
    if kind in TWINS:
        return Piece((connection(replace(call, module=plain(call.module)), call.arrays),))
    p = Parameters(FRAMEWORK, call, dt)
    if kind in NEURONS:
        return Piece((p.population(_membrane(p, kind), _rule(p)),))
    if kind in SCALERS:
        return Piece((Scale(name=call.name, scale=_factor(p)),))
    if kind == DELAY:
        steps = int(call.module.delay_steps)
        delay = np.full(call.shape, steps * dt)
        return Piece((Delay(name=call.name, delay=delay),)) if steps else Piece()
    if kind == VOTING:
        return Piece((_voting(call),))
    return _loop(p, dt, kind)


def time(module: Any) -> tuple[str, ...] | None:
    """Return the leading axes in the step mode "m": time, then batch."""
    return ("T", "B") if getattr(module, "step_mode", "s") == "m" else None


def potential(module: Any, output: Any) -> Any:
    """Return v after the last step of a call."""
    module = getattr(module, "sub_module", module)
    v = getattr(module, "_memories", {}).get("v")
    return v if hasattr(v, "shape") else None


@contextmanager
def prepared(root: Any) -> Iterator[None]:
    """Run layers from their first states, and give them back their states afterwards."""
    layers = [m for m in root.modules() if "_memories" in vars(m) and hasattr(m, "reset")]
    states = [(m, dict(m._memories)) for m in layers]
    try:
        for module in layers:
            module.reset()
        yield
    finally:
        for module, memories in states:
            module._memories.update(memories)


def _membrane(p: Parameters, kind: str) -> Membrane:
    m, shape = p.call.module, p.call.shape
    first = p.array(m._memories_rv["v"], "the first potential")
    rest = np.zeros(shape, np.float32) if m.v_reset is None else p.array(m.v_reset, "v_reset")
    if kind in (IF, HALF):
        return replace(p.leaky(np.ones(shape, np.float32), np.ones(shape, np.float32)), v0=first)
    if kind == CUBA:
        keeps = p.array(m.c_decay, "c_decay"), p.array(m.v_decay, "v_decay")
        return replace(p.current(keeps, np.ones(shape, np.float32), "scaled"), v0=first)
    if kind == LIF:
        factor = p.array(m.tau, "tau")
        if np.any(factor <= 1):
            raise p.refused(f"tau is {factor.min():g}", "use a tau above 1")
        membrane = p.relaxing(factor, rest, "divided", bool(m.decay_input))
    else:
        factor = p.array(m.w.sigmoid(), "sigmoid(w)")
        if np.any((factor <= 0) | (factor >= 1)):
            raise p.refused(f"sigmoid(w) is {factor.flat[0]:g}", "train with a w nearer to 0")
        membrane = p.relaxing(factor, rest, "multiplied", bool(m.decay_input))
    return membrane if np.all(first == rest) else replace(membrane, v0=first)


def _rule(p: Parameters) -> Spikes:
    m = p.call.module
    _refuse_surrogate(p)
    if getattr(m, "_neuron_precision", None) is not None:
        raise p.refused(
            "its precision was changed", "build the layer without a precision of its own"
        )
    threshold = p.array(m.v_threshold, "v_threshold")
    if m.v_reset is None:
        return Spikes(threshold=threshold, reset="subtract", fires="at")
    return Spikes(threshold=threshold, reset_to=p.array(m.v_reset, "v_reset"), fires="at")


def _refuse_surrogate(p: Parameters) -> None:
    function = p.call.module.surrogate_function
    name = type(function).__name__
    if not getattr(function, "spiking", True):
        raise p.refused(
            f"its surrogate {name} has spiking=False", "set_spiking_mode(True), and test it again"
        )
    if name in COUNTING or fires(function) != "at":
        raise p.refused(
            f"its surrogate {name} gives not 1 for v >= v_threshold and 0 otherwise",
            "use a surrogate such as ATan or Sigmoid of spikingjelly.activation_based.surrogate",
        )


def _factor(p: Parameters) -> Array:
    """Return the factors of a scaler; those of channels apply to the axis that it names."""
    m = p.call.module
    axis = getattr(m, "channel_dim", 1)
    scale = m.scale
    if getattr(scale, "ndim", 0) == 1:
        axes = len(p.call.shape) + 1
        shape = [1] * axes
        shape[axis % axes] = -1
        scale = scale.reshape(shape)
    return p.array(scale, "scale")


def _voting(call: Call) -> Linear:
    """Return the mean of each group of neighbours; those that fill no group are left out."""
    size, (inputs,) = int(call.module.voting_size), call.input_shape
    groups = inputs // size
    weight = np.zeros((groups, inputs), np.float32)
    weight[:, : groups * size] = np.repeat(np.eye(groups), size, axis=1) / size
    return Linear(name=call.name, weight=weight)


def _loop(p: Parameters, dt: float, kind: str) -> Piece:
    """Return a container that leads its output back: neurons, and the connections around them."""
    call, m = p.call, p.call.module
    inner = f"{call.name}.sub_module"
    neurons = read(replace(call, name=inner, module=_inner(p), input_shape=call.shape), dt)
    last = neurons.last
    if kind == ELEMENT_WISE:
        if not _adds(m.element_wise_function):
            raise p.refused(
                "its element_wise_function is not an addition", "use lambda y, x: y + x"
            )
        return Piece(neurons.nodes, (*neurons.edges, (last, neurons.first)), exit=last)
    weight = call.arrays(m.rc.weight, call.name, "the weight")
    bias = None if m.rc.bias is None else call.arrays(m.rc.bias, call.name, "the bias")
    inputs = call.input_shape[-1]
    into = Linear(name=f"{call.name}.rc", weight=weight[:, :inputs], bias=bias)
    back = Linear(name=f"{call.name}.rc.recurrent", weight=weight[:, inputs:])
    edges = ((into.name, neurons.first), (last, back.name), (back.name, neurons.first))
    nodes: tuple[Node, ...] = (into, back, *neurons.nodes)
    return Piece(nodes, (*neurons.edges, *edges), entry=into.name, exit=last)


def _inner(p: Parameters) -> Any:
    from torch import nn

    m = p.call.module
    if class_of(m.sub_module) not in NEURONS or len(p.call.shape) != 1:
        raise p.refused(
            f"it holds {type(m.sub_module).__name__} of the shape {p.call.shape}",
            "put one flat layer of IFNode, LIFNode, ParametricLIFNode or CUBALIFNode into it",
        )
    if hasattr(m, "rc") and type(m.rc) is not nn.Linear:
        raise p.refused(f"its rc is {type(m.rc).__name__}", "use the Linear that it builds")
    if any(x._forward_hooks or x._forward_pre_hooks for x in m.children()):
        raise p.refused("a layer inside it carries forward hooks", "remove the hooks")
    return m.sub_module


def _adds(function: Any) -> bool:
    """Return True if a function of two tensors is their sum, on 4096 pairs of numbers."""
    import torch

    if function in (operator.add, torch.add):
        return True
    draw = torch.Generator().manual_seed(0)
    a, b = (torch.randn(4096, generator=draw) * 3 for _ in range(2))
    try:
        return bool(torch.equal(function(a, b), a + b))
    except Exception:  # a function of the user's: whatever it raises, it is not a sum
        return False


FRAMEWORK = Framework(
    "SpikingJelly",
    "spikingjelly",
    leaf,
    read,
    prepare=prepared,
    time=time,
    counts=True,
    potential=potential,
    plain=plain,
    release="2.0.0",
)
