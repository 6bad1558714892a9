"""Rockpool's torch modules as nodes.

    LIFTorch         i = b*(i + x + w_rec^T s);  v = a*v + i + bias
    LIFNeuronTorch   v = a*v + x + bias
    ExpSynTorch      i = b*(i + x), and i is the output
    LinearTorch      y = W^T x + bias

    n = [v >= th]*floor(v/th), at most max_spikes_per_dt;  v -= n*th

a (alpha) is the decay of the membrane and b (beta) that of the synapse: exp(-dt/tau), or what the
leak_mode holds. v starts at 0. Modules take (batch, time, neurons) and know their time step.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from nrf_deploy.ir.network import Array, Linear, Node
from nrf_deploy.neurons import Spikes, Value

from .base import Call, Framework, Piece
from .parameters import Parameters, stock

HOME = "rockpool.nn.modules.torch."
LINEAR = HOME + "linear_torch.LinearTorch"
LIF, BITSHIFT = HOME + "lif_torch.LIFTorch", HOME + "lif_bitshift_torch.LIFBitshiftTorch"
NEURON, SYNAPSE = HOME + "lif_neuron_torch.LIFNeuronTorch", HOME + "exp_syn_torch.ExpSynTorch"
DROPOUTS = (HOME + "dropout.UnitDropout", HOME + "dropout.TimeStepDropout")
READ = (LINEAR, LIF, BITSHIFT, NEURON, SYNAPSE, *DROPOUTS)
CONTAINERS = (
    "rockpool.nn.combinators.sequential.TorchSequential",
    "rockpool.nn.combinators.residual.TorchResidual",
    "rockpool.nn.networks.synnet.SynNet",
    HOME + "torch_module.TorchModule",
)
STEPS = tuple(f"{HOME}{file}.{name}" for file in ("lif_torch", "lif_neuron_torch")
              for name in ("StepPWL", "PeriodicExponential"))  # fmt: skip
FIX = "use LinearTorch, LIFTorch, LIFNeuronTorch or ExpSynTorch"
WAYS_OUT = {
    "aLIFTorch": "train with LIFTorch: its rising threshold is not exported",
    "LIFExodus": "load its parameters into a LIFTorch, and export that",
    "LowPass": "use ExpSynTorch",
    "RateTorch": "use LIFTorch: a chip's neurons spike",
    "TorchFFwdStack": "use Sequential of LinearTorch and the modules between them",
}
HARMLESS = ("parameters", "modules")  # TorchModule.to_torch puts torch's own into the object
STATES = ("vmem", "isyn", "spikes")


def leaf(module: Any) -> bool:
    """Return True for all of Rockpool but its containers and classes made from TorchModule."""
    ours = next(c for c in type(module).__mro__ if c.__module__.startswith("rockpool"))
    return f"{ours.__module__}.{ours.__qualname__}" not in CONTAINERS


def read(call: Call, dt: float) -> Piece:
    """Return the nodes of a module; refuse one whose step is not known exactly."""
    name = type(call.module).__name__
    kind = stock(FRAMEWORK, call, READ, WAYS_OUT.get(name, FIX), HARMLESS)
    if kind in DROPOUTS:
        return Piece()  # in evaluation, as all modules are exported
    if kind == LINEAR:
        return Piece((_linear(call),))
    p = Parameters(FRAMEWORK, call, dt)
    if np.any(p.scalar(call.module.noise_std, "noise_std") != 0):
        raise p.refused("noise_std is not 0", "set noise_std to 0: a chip adds no such noise")
    if kind == SYNAPSE:
        return Piece((_synapse(p),))
    return _neuron(p) if kind == NEURON else _lif(p)


def time_step(module: Any) -> float | None:
    dt = getattr(module, "dt", None)
    return None if dt is None else float(dt)


def time(module: Any) -> tuple[str, ...]:
    return ("B", "T")


def potential(module: Any, output: Any) -> Any:
    """Return v after the last step of a call; the module keeps that of the first sample."""
    v = getattr(module, "vmem", None)
    return None if v is None else v[None]


@contextmanager
def prepared(root: Any) -> Iterator[None]:
    """Run modules from their first states, and give them back their states afterwards."""
    from torch import nn

    states = [
        (m, n, m._buffers[n])
        for m in nn.Module.modules(root)
        if type(m).__module__.startswith("rockpool.")
        for n in STATES
        if n in m._buffers
    ]
    try:
        for module, name, value in states:
            setattr(module, name, value.new_zeros(value.shape))
        yield
    finally:
        for module, name, value in states:
            setattr(module, name, value)


def _linear(call: Call) -> Linear:
    m, name = call.module, call.name
    weight = call.arrays(m.weight, name, "the weight").T
    bias = None if m.bias is None else call.arrays(m.bias, name, "the bias")
    if bias is not None and bias.shape != weight.shape[:1]:
        bias = np.full(weight.shape[:1], bias)
    return Linear(name=name, weight=weight, bias=bias)


def _lif(p: Parameters) -> Piece:
    call, m = p.call, p.call.module
    if int(m.n_synapses) != 1:
        raise p.refused(
            f"its neurons have {int(m.n_synapses)} synapses each",
            "use shape (n, n) or (n,), with one LIFTorch for each time constant",
            "each synapse is a current of its own, and a neuron here has one",
        )
    keeps = p.array(_flat(m.beta), "beta"), p.array(m.alpha, "alpha")
    ones = np.ones(call.shape, np.float32)
    rest = _bias(p)
    neurons = p.population(p.current(keeps, ones, "filtered", rest), _rule(p))
    weight = call.arrays(m.w_rec, call.name, "w_rec").T
    if not np.any(weight):
        return Piece((neurons,))
    back: Node = Linear(name=f"{call.name}.w_rec", weight=weight)
    edges = ((neurons.name, back.name), (back.name, neurons.name))
    return Piece((neurons, back), edges, exit=neurons.name)


def _neuron(p: Parameters) -> Piece:
    import torch

    m = p.call.module
    keep = p.array(torch.exp(-m.dt / m.tau_mem), "exp(-dt/tau_mem)")
    membrane = p.leaky(keep, np.ones_like(keep), _bias(p))
    return Piece((p.population(membrane, _rule(p)),))


def _synapse(p: Parameters) -> Node:
    """Return a potential that keeps nothing of itself behind the current: it is the current."""
    import torch

    m = p.call.module
    keep = p.array(torch.exp(-m.dt / m.tau), "exp(-dt/tau)")
    none, ones = np.zeros_like(keep), np.ones_like(keep)
    return p.population(p.current((keep, none), ones, "filtered"), Value())


def _bias(p: Parameters) -> Array | None:
    bias = p.array(p.call.module.bias, "bias")
    return bias if np.any(bias) else None


def _rule(p: Parameters) -> Spikes:
    m = p.call.module
    # Rockpool keeps the method `apply` of a class of torch: its owner says what it computes
    function = getattr(m.spike_generation_fn, "__self__", m.spike_generation_fn)
    name = f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', function)}"
    if name not in STEPS:
        raise p.refused(
            f"spike_generation_fn is {name.rpartition('.')[2]}",
            "use StepPWL or PeriodicExponential of rockpool.nn.modules.torch.lif_torch",
        )
    return Spikes(
        threshold=p.array(m.threshold, "threshold"),
        reset="subtract",
        fires="at",
        per_step="many",
        most=p.array(m.max_spikes_per_dt, "max_spikes_per_dt"),
    )


def _flat(value: Any) -> Any:
    """Return numbers of (neuron, synapse) by neuron, where each neuron has one synapse."""
    return value.reshape(value.shape[:-1]) if value.ndim == 2 else value


FRAMEWORK = Framework(
    "Rockpool",
    "rockpool",
    leaf,
    read,
    time_step,
    prepare=prepared,
    time=time,
    potential=potential,
    release="3.1.0",
)
