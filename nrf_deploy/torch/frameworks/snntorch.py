"""snnTorch's neurons as nodes.

    Leaky      v = d*v + x            d = beta clamped to 0..1;  s = [v - th > 0]
    Synaptic   i = a*i + x;  v = d*v + i                         a = alpha clamped
    RLeaky     v = d*v + x + rec(s);  RSynaptic: rec(s) goes into i; its bias from the first step
    Lapicque   v = x*R*(1/(R*C))*dt + (1 - dt/(R*C))*v

With reset_delay=True (the only way of a Lapicque) the reset of a spike comes in the next step, and
the potential that a layer shows is the one before it:

    subtract   v -= th after the membrane moved: "late"
    zero       Leaky: v = 0 before it moves: as a reset to 0 at once
               all others: v = 0 after it moved, so that this step's input is lost: rest for a step
    none       v is never reset

With reset_delay=False, zero is a reset to 0 at once, and subtract is "doubled". `state_function`,
bound in the constructor, decides what runs, not the buffer that load_state_dict fills. All first
states are 0. snnTorch counts in steps.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from nrf_deploy.ir.network import LoopStart, Node, Scale
from nrf_deploy.neurons import Membrane, Spikes

from .base import Call, Framework, Piece
from .parameters import Parameters, class_of, fires, inner_connection, stock

NEURONS = "snntorch._neurons."
LEAKY, SYNAPTIC = NEURONS + "leaky.Leaky", NEURONS + "synaptic.Synaptic"
R_LEAKY, R_SYNAPTIC = NEURONS + "rleaky.RLeaky", NEURONS + "rsynaptic.RSynaptic"
LAPICQUE = NEURONS + "lapicque.Lapicque"
READ = (LEAKY, SYNAPTIC, R_LEAKY, R_SYNAPTIC, LAPICQUE)
RESETS = {"_base_sub": (0, "subtract"), "_base_zero": (1, "zero"), "_base_int": (2, "none")}
FIX = "use Leaky, Synaptic, RLeaky, RSynaptic or Lapicque"
WAYS_OUT = {
    "Alpha": "train with Synaptic: the reset of an Alpha acts on its two currents",
    "SLSTM": "use RSynaptic: chips have no LSTM",
    "SConv2dLSTM": "use RSynaptic: chips have no LSTM",
    "DeltaLeaky": "use Leaky: a DeltaLeaky fires on changes of its potential",
    "LeakyParallel": "use Leaky with the same beta, step by step",
    "StateLeaky": "use Leaky with the same beta, step by step",
    "LinearLeaky": "use torch.nn.Linear and Leaky, step by step",
    "AssociativeLeaky": "use Leaky with the same beta, step by step",
    "GradedSpikes": "put its weights into the layer behind it",
}
STATES = ("mem", "syn", "spk")


def read(call: Call, dt: float) -> Piece:
    """Return the nodes of a layer; refuse one whose step is not known exactly."""
    kind = stock(FRAMEWORK, call, READ, WAYS_OUT.get(type(call.module).__name__, FIX))
    p = Parameters(FRAMEWORK, call, dt)
    _refuse_extras(p)
    into, membrane = _membrane(p, kind)
    neurons = p.population(membrane, _rule(p, kind))
    nodes: list[Node] = [neurons]
    chain = [*(n.name for n in into), call.name]
    edges = list(itertools.pairwise(chain))
    last = call.name
    factor = p.array(call.module.graded_spikes_factor, "graded_spikes_factor")
    if np.any(factor != 1):
        last = f"{call.name}.factor"
        nodes.append(Scale(name=last, scale=factor))
        edges.append((call.name, last))
    start: LoopStart | None = None
    if kind in (R_LEAKY, R_SYNAPTIC):
        back = _recurrent(p)
        start = None if getattr(back, "bias", None) is None else "bias"
        nodes.append(back)
        edges += [(last, back.name), (back.name, call.name)]
    return Piece((*nodes, *into), tuple(edges), entry=chain[0], exit=last, loop_start=start)


def potential(module: Any, output: Any) -> Any:
    """Return v after the step; where the reset comes a step later, as if it had come."""
    name = getattr(getattr(module, "state_function", None), "__name__", "")
    if name != "_base_zero" or not getattr(module, "reset_delay", True):
        return getattr(module, "mem", None)
    spikes = output[0] if isinstance(output, tuple) else output
    return module.mem * (spikes == 0)


@contextmanager
def prepared(root: Any) -> Iterator[None]:
    """Run neurons from zeros, and give them back their states afterwards.

    The tensors of the states stay the same objects, so that one who watches the run knows them.
    """
    states = [
        (m, n, m._buffers[n], m._buffers[n].detach().clone())
        for m in root.modules()
        if type(m).__module__.startswith("snntorch.")
        for n in STATES
        if n in m._buffers
    ]
    try:
        for *_, tensor, _ in states:
            tensor.detach().zero_()
        yield
    finally:
        for module, name, tensor, value in states:
            tensor.detach().copy_(value)
            module._buffers[name] = tensor


def _refuse_extras(p: Parameters) -> None:
    m = p.call.module
    if m.inhibition:
        raise p.refused(
            "inhibition=True lets only the largest potential of the layer fire",
            "train with inhibition=False, or with recurrent weights below 0",
        )
    if m.state_quant:
        raise p.refused(
            "state_quant rounds its states in each step",
            "train with state_quant=False: the compiler of a chip rounds, and reports the cost",
        )
    if fires(m.spike_grad) != "above":
        raise p.refused(
            f"spike_grad is {getattr(m.spike_grad, '__name__', class_of(m.spike_grad))}, which "
            "gives not 1 for mem > threshold and 0 otherwise",
            "use a function of snntorch.surrogate",
        )


def _membrane(p: Parameters, kind: str) -> tuple[list[Scale], Membrane]:
    """Return the membrane, and what scales its input."""
    m = p.call.module
    if kind == LAPICQUE:
        return _lapicque(p)
    keep = np.clip(p.array(m.beta, "beta"), 0, 1)
    ones = np.ones_like(keep)
    if kind in (SYNAPTIC, R_SYNAPTIC):
        a = np.clip(p.array(m.alpha, "alpha"), 0, 1)
        return [], p.current((a, keep), ones, "scaled")
    return [], p.leaky(keep, ones)


def _lapicque(p: Parameters) -> tuple[list[Scale], Membrane]:
    """Return the factors of the input but the last one, and the membrane with the last."""
    m = p.call.module
    rc, dt = m.R * m.C, m.time_step
    keep = p.array(1 - dt / rc, "1 - time_step/(R*C)")
    if np.any(keep < 0):
        raise p.refused(
            f"its potential changes its sign in each step (1 - time_step/(R*C) is {keep.min():g})",
            "use a beta above 0.37, or R*C above time_step",
        )
    named = {"R": m.R, "rate": 1 / rc, "time_step": dt}
    factors = {n: p.array(f, n) for n, f in named.items()}
    factors = {n: f for n, f in factors.items() if np.any(f != 1)}
    *first, last = factors.items() or [("", np.ones_like(keep))]
    return [Scale(name=f"{p.call.name}.{n}", scale=f) for n, f in first], p.leaky(keep, last[1])


def _rule(p: Parameters, kind: str) -> Spikes:
    m = p.call.module
    function: Any = m.state_function
    name = getattr(function, "__name__", str(function))
    value, reset = RESETS.get(name, (-1, ""))
    own = getattr(function, "__self__", None) is m
    if value < 0 or not own:
        raise p.refused(
            f"its state_function is {name}", "build the layer anew with its reset_mechanism"
        )
    stated = int(m.reset_mechanism_val)
    if stated != value:
        words = dict(RESETS.values())
        raise p.refused(
            f"reset_mechanism was changed to {words.get(stated, stated)!r} after the layer was "
            f"built with {reset!r}, which is what it still computes",
            f"build the layer with reset_mechanism={words.get(stated, stated)!r}, then load its "
            "weights",
        )
    threshold = p.array(m.threshold, "threshold")
    if np.any(threshold < 0):
        raise p.refused(
            f"threshold is {threshold.min():g}", "train with a threshold of 0 or above",
            "a neuron at rest would be reset before its first step",
        )  # fmt: skip
    delayed = bool(getattr(m, "reset_delay", True))
    if kind == R_SYNAPTIC and not delayed:
        raise p.refused("reset_delay=False does not run in snnTorch", "train with reset_delay=True")
    if reset == "subtract":
        return Spikes(threshold=threshold, reset="late" if delayed else "doubled")
    if reset == "none":
        return Spikes(threshold=threshold, reset="none")
    rests = delayed and kind != LEAKY
    rest = np.ones(p.call.shape) if rests else None
    return Spikes(threshold=threshold, reset="value", refractory=rest)


def _recurrent(p: Parameters) -> Node:
    """Return the connection from the spikes back to the neurons."""
    call, module = p.call, p.call.module.recurrent
    if class_of(module) in (
        NEURONS + "rleaky.RecurrentOneToOne",
        NEURONS + "rsynaptic.RecurrentOneToOne",
    ):
        return Scale(name=f"{call.name}.recurrent", scale=p.array(module.V, "recurrent.V"))
    return inner_connection(FRAMEWORK, call, module, "recurrent")


FRAMEWORK = Framework(
    "snnTorch",
    "snntorch",
    leaf=lambda module: True,
    read=read,
    prepare=prepared,
    counts=True,
    potential=potential,
    release="1.0.0",
)
