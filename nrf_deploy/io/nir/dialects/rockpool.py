"""Rockpool (torch): exponential decay, the filter before the membrane, several spikes a step.

    LIFTorch        i = (i + x)*b;  v = a*v + i                a = exp(-dt/tau_mem)
    LIFNeuronTorch  v = a*v + x                                b = exp(-dt/tau_syn)
    n = trunc(v/th) where v >= th, at most 65536;  v -= n*th

The exporter writes tau in seconds and r = tau_mem*exp(-dt/tau_mem)/dt for both. With u = dt/tau_mem
this is u*exp(u) = 1/r, so dt = tau_mem*W(1/r) with Lambert's W; float32 leaves an error of some
1e-8, so the shortest decimal number within it is taken. It writes w_in = 1 and v_leak = 0.

torch computes dt/tau as the reciprocal of tau times dt, in float32; so it is here, and exp is taken
in float64 and rounded once. As Euler's step in the order "scaled", with k = 1 - a:

    LIF      tau = dt/k, r = 1/k:                          v = a*v + 1*x
    CubaLIF  w_in = 1/(1 - b), r = b/k:  j = i + 1*x;      v = a*v + b*j;  i = b*j
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nrf_deploy.ir.network import Array
from nrf_deploy.neurons import CurrentLeaky, Leaky, Membrane

from ..graph import RawGraph, RawNode
from .base import (
    Clock,
    Defaults,
    Dialect,
    ForeignError,
    Mark,
    Values,
    agreed,
    decay_time,
    demand,
    double,
    each,
    field,
    rounded,
)

MEMBRANE = {"LIF": "tau", "CubaLIF": "tau_mem"}


class Rockpool(Dialect):
    """The reading of files that Rockpool wrote."""

    name = "rockpool"
    framework = "Rockpool"
    rule = Defaults("subtract", "at", "many:65536")
    kinds = tuple(MEMBRANE)
    means = (
        "v_threshold is subtracted for each of several spikes a step, at v >= v_threshold; "
        "everything decays by exp(-dt/tau), and a current before it moves the potential"
    )
    lost = (
        "the bias of neurons, recurrent weights, max_spikes_per_dt and noise_std: a network that "
        "uses them is read without"
    )
    step_from = "r is tau*exp(-dt/tau)/dt in every neuron"

    def own_step(self, nodes: Sequence[RawNode]) -> float | None:
        return agreed([x for node in nodes for x in _steps(node)], self.framework)

    def membrane(self, kind: str, values: Values, clock: Clock) -> Membrane:
        demand(values, "v_leak", 0, self.framework)
        kept = _kept(values, MEMBRANE[kind], clock)
        k, tau = 1 - kept, decay_time(kept, clock.step)
        if (kept >= 1).any():
            raise ForeignError(f"{MEMBRANE[kind]} is too long for a decay in float32")
        if kind == "LIF":
            return Leaky(tau=tau, r=1 / k, v_leak=values["v_leak"], order="scaled")
        demand(values, "w_in", 1, self.framework)
        filtered = _kept(values, "tau_syn", clock)
        if (filtered >= 1).any():
            raise ForeignError("tau_syn is too long for a decay in float32")
        return CurrentLeaky(
            tau_syn=decay_time(filtered, clock.step),
            tau_mem=tau,
            r=filtered / k,
            v_leak=values["v_leak"],
            w_in=1 / (1 - filtered),
            order="scaled",
        )

    def mark(self, graph: RawGraph) -> Mark | None:
        neurons = [n for n in graph.nodes.values() if n.kind in MEMBRANE]
        named = all(n.name.endswith(("_LIFTorch", "_LIFNeuronTorch")) for n in neurons)
        if not neurons or not named:
            return None
        return Mark("surely", "neurons are called N_LIFTorch or N_LIFNeuronTorch")


def _steps(node: RawNode) -> list[Array]:
    """Return the length of a step that the parameters of one node imply."""
    tau, r = field(node, MEMBRANE[node.kind]), field(node, "r")
    if tau is None or r is None or tau.shape != r.shape or not (r > 0).all():
        return []
    return [tau * each(lambert_w, 1 / r)]


def lambert_w(y: Array) -> Array:
    """Return w with w*exp(w) = y, for y above 0, by Newton's method."""
    w = np.log1p(y)
    for _ in range(30):
        e = np.exp(w)
        w = w - (w * e - y) / (e * (w + 1))
    return np.asarray(w)


def _kept(values: Values, tau: str, clock: Clock) -> Array:
    """Return exp(-dt/tau) as a float32 of Rockpool."""
    quotient = rounded(rounded(1 / double(values, tau)) * np.float64(np.float32(clock.file)))
    return rounded(np.exp(-quotient))
