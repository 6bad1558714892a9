"""snnTorch: decay before the input, gain 1, and by default a reset one step late.

    Leaky     v = beta*v + x - th*s_before         s = 1 where v > th
    Synaptic  i = alpha*i + x;  v = beta*v + i - th*s_before
    RLeaky, RSynaptic: x + recurrent(s_before), its bias from the first step on

The exporter writes tau = 1e-4/(1 - beta), r = tau/1e-4, tau_syn = 1e-4/(1 - alpha) and
w_in = tau_syn/1e-4 for every neuron, so one step is 1e-4 of the file. Back, in float64 and rounded
to float32 once, beta = 1 - 1e-4/tau; several below 0.75 have the same tau in float32, and of those
the one with the fewest decimals is taken. Euler's step in the order "scaled" has d = beta and a
gain of 1. beta = 1 (tau and r infinite) is an integrator: r = 1/dt; in a layer of which only some
neurons have it, tau is so long that d is 1. alpha = 1 does not end: it is refused.

The file does not state the reset (reset_mechanism, reset_delay), which may differ from layer to
layer: late (the default of snnTorch, "subtract" with a delay), doubled ("subtract" with
reset_delay=False), value ("zero"; all but Leaky then rest one step, if they have a delay) or none.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nrf_deploy.ir.network import Array
from nrf_deploy.neurons import CurrentLeaky, Integrator, Leaky, Membrane

from ..graph import RawGraph, RawNode
from .base import (
    SAME,
    Clock,
    Defaults,
    Dialect,
    ForeignError,
    Mark,
    Values,
    decay_time,
    demand,
    double,
    each,
    field,
    ratio,
    rounded,
)

STEP = 1e-4
DECIMALS = 9
"""Decimals that tell all float32 numbers from 0.5 to 1 apart."""
PAIRS = {"LIF": (("tau", "r"),), "CubaLIF": (("tau_mem", "r"), ("tau_syn", "w_in"))}


class SnnTorch(Dialect):
    """The reading of files that snnTorch wrote."""

    name = "snntorch"
    framework = "snnTorch"
    rule = Defaults("late", "above")
    kinds = ("LIF", "CubaLIF")
    means = "v_threshold is subtracted one step after the spike, at v > v_threshold"
    lost = (
        "reset_mechanism and reset_delay of each layer (read as subtract with a delay, the "
        "default), graded_spikes_factor, inhibition, state_quant, and every layer that its "
        "exporter left out with a warning"
    )
    counts = True
    infinite = frozenset(("tau", "tau_mem", "r"))

    def own_step(self, nodes: Sequence[RawNode]) -> float | None:
        return STEP

    def membrane(self, kind: str, values: Values, clock: Clock) -> Membrane:
        for key, gain in PAIRS[kind]:
            step = ratio(double(values, key), double(values, gain))
            off = ~(np.isclose(step, STEP, rtol=SAME, atol=0) | _endless(values, key, gain))
            if off.any():
                what = f"{key}/{gain} is {float(step[off].flat[0]):g}"
                raise ForeignError(f"{what}; snnTorch writes {STEP:g} in every neuron")
        for key in ("v_leak", "v_reset"):
            demand(values, key, 0, self.framework)
        rest = values["v_leak"]
        if kind == "LIF":
            beta = _kept(values, "tau")
            if (beta == 1).all():
                return Integrator(r=np.full(beta.shape, 1 / clock.step))
            tau = decay_time(beta, clock.step)
            return Leaky(tau=tau, r=tau / clock.step, v_leak=rest, order="scaled")
        alpha, beta = _kept(values, "tau_syn"), _kept(values, "tau_mem")
        if (alpha == 1).any():
            raise ForeignError("alpha is 1: the current of these neurons never decays")
        syn, mem = decay_time(alpha, clock.step), decay_time(beta, clock.step)
        return CurrentLeaky(
            tau_syn=syn,
            tau_mem=mem,
            r=mem / clock.step,
            v_leak=rest,
            w_in=syn / clock.step,
            order="scaled",
        )

    def mark(self, graph: RawGraph) -> Mark | None:
        neurons = [n for n in graph.nodes.values() if n.kind in (*PAIRS, "IF", "LI", "I", "CubaLI")]
        pairs = [(n, *pair) for n in neurons for pair in PAIRS.get(n.kind, ((), ()))]
        if not neurons or any(n.kind not in PAIRS for n in neurons):
            return None
        for node, tau, gain in pairs:
            a, b = field(node, tau), field(node, gain)
            if a is None or b is None or a.shape != b.shape:
                return None
            if not np.allclose(a, b * STEP, rtol=1e-6, atol=0):
                return None
        plain = all(n.fields[PAIRS[n.kind][0][0]].dtype == np.float32 for n in neurons)
        recurrent = any(name.endswith(".w_rec") for name in graph.nodes)
        if not (plain or recurrent):
            return None
        return Mark("likely", "tau is r * 1e-4 in every neuron")


def _endless(values: Values, tau: str, gain: str) -> Array:
    return np.asarray(np.isinf(values[tau]) & np.isinf(values[gain]))


def _kept(values: Values, key: str) -> Array:
    """Return beta or alpha as a float32 of snnTorch, which clamps it to 0..1."""
    if values[key].dtype == np.float32:
        return each(_shortest_beta, values[key])
    return np.clip(rounded(1 - STEP / double(values, key)), 0, 1)


def _shortest_beta(tau: Array) -> Array:
    exact = np.clip(1 - STEP / tau.astype(np.float64), 0, 1)
    beta = rounded(exact)
    for decimals in range(DECIMALS, 0, -1):
        short = np.round(exact, decimals).astype(np.float32)
        beta = np.where(np.float32(STEP) / (1 - short) == tau, short, beta)
    return beta
