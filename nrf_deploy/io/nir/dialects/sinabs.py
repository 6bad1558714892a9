"""Sinabs: exponential decay, several spikes a step, a floor.

    a = exp(-1/tau);  v = a*v + y;  n = trunc(v/th) where v > 0;  v -= n*th
    v = relu(v - v_min) + v_min

y is x for IAF (a = 1), (1 - a)*x for LIF with norm_input (its default), and x for ExpLeak (an LI;
its default is norm_input=False). As Euler's step in the order "scaled", (d*v + g*x):

    IAF      Integrator, r = 1/dt: v + 1*x
    LIF      tau' = dt/(1 - a), r = 1: d = a and g = 1 - a, each a float32 of sinabs
    ExpLeak  tau' = dt/(1 - a), r = 1/(1 - a): g = 1

-1/tau and 1 - a are float32 as in sinabs; exp is taken in float64 and rounded once (the float32
exp of torch differs from that in 1 % of all values, by one unit in the last place).
The file has no floor, reset or number of spikes. Sinabs' own reader assumes a floor of
-v_threshold for IAF and none for LIF, many spikes and subtraction; so does this one.
Recurrent layers start from zero, not from the bias of the way back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from nrf_deploy.neurons import Integrator, Leaky, Membrane

from ..graph import RawGraph, RawNode
from .base import (
    Clock,
    Defaults,
    Dialect,
    Mark,
    Values,
    decay_time,
    demand,
    double,
    fields,
    rounded,
)

NEURONS = ("IF", "LIF", "LI")


class Sinabs(Dialect):
    """The reading of files that sinabs wrote."""

    name = "sinabs"
    framework = "sinabs"
    rule = Defaults("subtract", "at", "many", "-v_threshold")
    kinds = NEURONS
    means = (
        "v_threshold is subtracted for each of several spikes a step, at v >= v_threshold, with "
        "the floor -v_threshold of IAF; LIF decays by exp(-1/tau)"
    )
    lost = (
        "the floor (min_v_mem), the reset, the number of spikes a step, tau_syn and norm_input of "
        "LIF (read as True, its default)"
    )
    counts = True
    loop_start = "zero"

    def own_step(self, nodes: Sequence[RawNode]) -> float | None:
        return 1.0

    def defaults(self, kind: str) -> Defaults:
        return self.rule if kind == "IF" else replace(self.rule, floor="none")

    def membrane(self, kind: str, values: Values, clock: Clock) -> Membrane:
        demand(values, "r", 1, self.framework)
        if kind == "IF":
            return Integrator(r=np.full(values["r"].shape, 1 / clock.step))
        demand(values, "v_leak", 0, self.framework)
        kept = rounded(np.exp(rounded(-1 / double(values, "tau"))))
        tau = decay_time(kept, clock.step)
        gain = 1 / (1 - kept) if kind == "LI" else np.ones(kept.shape)
        return Leaky(tau=tau, r=gain, v_leak=values["v_leak"], order="scaled")

    def mark(self, graph: RawGraph) -> Mark | None:
        neurons = [n for n in graph.nodes.values() if n.kind in (*NEURONS, "CubaLIF", "I")]
        if not neurons or any(n.kind not in NEURONS or "v_reset" in n.fields for n in neurons):
            return None
        ones = all((r == 1).all() for r in fields(neurons, "r"))
        steps = all((tau >= 1).all() for tau in fields(neurons, "tau"))
        if not (ones and steps and all(n.name.isdecimal() for n in neurons)):
            return None
        return Mark("likely", "r is 1 in every neuron, there is no v_reset, and layers are numbers")
