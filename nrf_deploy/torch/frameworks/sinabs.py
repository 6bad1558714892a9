"""sinabs' layers as nodes.

    i = a*(i + x) or x;  y = (1 - d)*i if norm_input else i;  v = d*v + y       a, d = exp(-1/tau)
    s = [v > 0]*trunc(v/th)  MultiSpike | min(that, k)  MaxSpike | [v - th >= 0]  SingleSpike
    v -= s*th  MembraneSubtract | v *= [s == 0]  MembraneReset;  v = max(v - floor, 0) + floor

An IAF has d = 1 and no norm_input; an ExpLeak does not fire, its output is v. Recurrent layers add
rec_connect(s) to the input of the next step, and nothing in the first one: not even its bias.
sinabs counts in steps.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from nrf_deploy.ir.network import AvgPool, Node, Scale, SumPool
from nrf_deploy.neurons import Membrane, Rule, Spikes, Value

from .base import Call, Framework, Piece
from .parameters import Parameters, class_of, inner_connection, stock

LAYERS = "sinabs.layers."
SPIKES = "sinabs.activation.spike_generation."
RESETS = "sinabs.activation.reset_mechanism."
NEURONS = tuple(
    LAYERS + name
    for name in (
        "iaf.IAF", "iaf.IAFSqueeze", "iaf.IAFRecurrent", "lif.LIF", "lif.LIFSqueeze",
        "lif.LIFRecurrent", "exp_leak.ExpLeak", "exp_leak.ExpLeakSqueeze",
    )
)  # fmt: skip
SUM_POOL = LAYERS + "pool2d.SumPool2d"
READ = (*NEURONS, SUM_POOL)
CONTAINERS = (
    "sinabs.network.Network",
    LAYERS + "merge.Merge",
    *(LAYERS + "reshape." + name for name in ("FlattenTime", "UnflattenTime", "Repeat")),
)
COUNTS = 4096  # sums of spikes for which a sum pool must be exact
RUN: dict[str, Any] = {"batch_size": 1, "num_timesteps": -1, "record_states": True}
"""Attributes of layers while they run."""
FIX = "use IAF, LIF, ExpLeak or SumPool2d"
WAYS_OUT = {
    "ALIF": "train with LIF: the rising threshold of an ALIF is not exported",
    "ALIFRecurrent": "train with LIFRecurrent: the rising threshold of an ALIF is not exported",
    "SpikingMaxPooling2dLayer": "use SumPool2d: this layer compares counts since the first step",
    "NeuromorphicReLU": "convert the network with sinabs.from_torch.from_model first",
    "DynapcnnNetwork": "export the spiking model that it was made of",
}


def leaf(module: Any) -> bool:
    """Return True for all of sinabs but its containers and their subclasses."""
    ours = next(c for c in type(module).__mro__ if c.__module__.startswith("sinabs"))
    return f"{ours.__module__}.{ours.__qualname__}" not in CONTAINERS


def read(call: Call, dt: float) -> Piece:
    """Return the nodes of a layer; refuse one whose step is not known exactly."""
    kind = stock(FRAMEWORK, call, READ, WAYS_OUT.get(type(call.module).__name__, FIX))
    if kind == SUM_POOL:
        return _sum_pool(call)
    parameters = Parameters(FRAMEWORK, call, dt)
    neurons = parameters.population(_membrane(parameters), _rule(parameters))
    if not hasattr(call.module, "rec_connect"):
        return Piece((neurons,))
    back = _recurrent(call)
    edges = ((neurons.name, back.name), (back.name, neurons.name))
    bias = getattr(back, "bias", None) is not None
    return Piece((neurons, back), edges, exit=neurons.name, loop_start="zero" if bias else None)


def time(module: Any) -> tuple[str, ...] | None:
    """Return the leading axes of a layer: batch and time, or both in one."""
    if class_of(module) not in NEURONS:
        return None
    return ("T",) if hasattr(module, "squeeze_forward") else ("B", "T")


def idle(module: Any) -> tuple[Any, ...]:
    """Return the network that a Network of sinabs was converted from."""
    before = getattr(module, "analog_model", None)
    network = class_of(module) == "sinabs.network.Network"
    return (before,) if network and before is not module.spiking_model else ()


def potential(module: Any, output: Any) -> Any:
    """Return v after each step, which a layer records; a recurrent one records another."""
    recorded = getattr(module, "recordings", None)
    if not recorded or hasattr(module, "rec_connect"):
        return None
    v = recorded["v_mem"]
    return v.flatten(0, 1) if hasattr(module, "squeeze_forward") else v


@contextmanager
def prepared(root: Any) -> Iterator[None]:
    """Run layers from their first state, in batches of 1, and let them record their states."""
    layers = [m for m in root.modules() if class_of(m).startswith("sinabs.")]
    states = [(m, dict(m._buffers)) for m in layers if hasattr(m, "is_state_initialised")]
    attributes = [(m, n, vars(m)[n]) for m in layers for n in RUN if n in vars(m)]
    recorded = [(m, vars(m)["recordings"]) for m in layers if "recordings" in vars(m)]
    try:
        for module, buffers in states:
            for name, value in buffers.items():
                module._buffers[name] = value.new_zeros(0)
        for module, name, _ in attributes:
            setattr(module, name, RUN[name])
        yield
    finally:
        for module, buffers in states:
            module._buffers.update(buffers)
            vars(module).pop("recordings", None)
        for module, name, value in (*attributes, *((m, "recordings", v) for m, v in recorded)):
            setattr(module, name, value)


def _membrane(p: Parameters) -> Membrane:
    m = p.call.module
    if m.min_v_mem is not None and m.spike_fn is None:
        raise p.refused(
            "its potential has the floor min_v_mem", "use min_v_mem=None: its output has no floor"
        )
    d = p.array(m.alpha_mem_calculated, "alpha_mem")
    gain = np.float32(1) - d if m.norm_input else np.ones_like(d)
    a = m.alpha_syn_calculated
    if a is None:
        return p.leaky(d, gain)
    return p.current((p.array(a, "alpha_syn"), d), gain, "filtered")


def _rule(p: Parameters) -> Rule:
    m = p.call.module
    if m.spike_fn is None:
        return Value()
    more = _spike_fn(p) | _reset_fn(p)
    if m.min_v_mem is not None:
        more["floor"] = p.array(m.min_v_mem, "min_v_mem")
    return Spikes(threshold=p.array(m.spike_threshold, "spike_threshold"), fires="at", **more)


def _spike_fn(p: Parameters) -> dict[str, Any]:
    function = p.call.module.spike_fn
    if isinstance(function, type):
        name = f"{function.__module__}.{function.__qualname__}"
        if name == SPIKES + "MultiSpike":
            return {"per_step": "many"}
        if name == SPIKES + "SingleSpike":
            return {}
    elif class_of(function) == SPIKES + "MaxSpike":
        limit = function.max_num_spikes_per_bin
        more = {} if limit is None else {"most": p.array(limit, "max_num_spikes_per_bin")}
        return {"per_step": "many", **more}
    raise p.refused(
        f"spike_fn is {getattr(function, '__name__', class_of(function))}",
        "use MultiSpike, SingleSpike or MaxSpike of sinabs.activation",
    )


def _reset_fn(p: Parameters) -> dict[str, Any]:
    function = p.call.module.reset_fn
    if class_of(function) == RESETS + "MembraneSubtract":
        amount = function.subtract_value
        more = {} if amount is None else {"subtracts": p.array(amount, "subtract_value")}
        return {"reset": "subtract", **more}
    if class_of(function) != RESETS + "MembraneReset":
        raise p.refused(
            f"reset_fn is {class_of(function)}",
            "use MembraneSubtract or MembraneReset of sinabs.activation",
        )
    if function.reset_value != 0:
        raise p.refused(
            f"reset_fn is MembraneReset({function.reset_value:g})",
            "use MembraneReset(0) or MembraneSubtract",
            "sinabs adds that value to every neuron in every step",
        )
    return {"reset": "value"}


def _recurrent(call: Call) -> Node:
    """Return the connection from the spikes back to the input."""
    import torch

    module = call.module.rec_connect
    while type(module) is torch.nn.Sequential and len(call.shape) == 1:
        parts = [m for m in module if not isinstance(m, torch.nn.Flatten | torch.nn.Unflatten)]
        if len(parts) != 1:
            break
        module = parts[0]
    return inner_connection(FRAMEWORK, call, module, "rec_connect")


def _sum_pool(call: Call) -> Piece:
    """Return a sum; sinabs takes the mean and multiplies it, which for some windows rounds."""
    pool = call.module
    if pool.norm_type != 1 or pool.ceil_mode:
        what = (
            "it counts windows that hang over the border" if pool.ceil_mode else "its norm is not 1"
        )
        raise FRAMEWORK.refused(call, what, "use SumPool2d with ceil_mode=False")
    window = _pair(pool.kernel_size)
    shape: dict[str, Any] = {
        "name": call.name,
        "pool_input": call.input_shape,
        "window": window,
        "stride": window if pool.stride is None else _pair(pool.stride),
        "padding": ((0, 0), (0, 0)),
    }
    size, counts = np.float32(math.prod(window)), np.arange(COUNTS, dtype=np.float32)
    if np.all(counts / size * size == counts):
        return Piece((SumPool(**shape),))
    mean, factor = AvgPool(**shape), f"{call.name}.sum"
    scale = Scale(name=factor, scale=np.full(mean.shape, size))
    return Piece((mean, scale), ((call.name, factor),))


def _pair(value: Any) -> tuple[int, int]:
    first, second = value if isinstance(value, tuple | list) else (value, value)
    return int(first), int(second)


FRAMEWORK = Framework(
    "sinabs",
    "sinabs",
    leaf,
    read,
    prepare=prepared,
    time=time,
    idle=idle,
    counts=True,
    potential=potential,
    release="3.1.3",
)
