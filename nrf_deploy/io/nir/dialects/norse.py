"""Norse, by its own to_nir: time constants that hold dt twice, and no gain of the input.

    LIFBox  v += k*((x + v_leak) - v)                              then v = v_reset where v > v_th
    LIF     j = i + x;  v += k*((v_leak - v) + j);  i = j - k_s*j
    LIBox   v += k*((v_leak - v) + x)            IAF  v += x
    k = dt*tau_mem_inv, k_s = dt*tau_syn_inv, dt = 0.001

The exporter writes tau = dt/tau_inv, so tau is dt times the time constant: 1e-5 for 10 ms. Back,
tau_inv = dt/tau and the time constant is 1/tau_inv, in seconds. It writes r = 1 and w_in = 1 too:
in NIR a LIF cell has w_in = tau_syn/dt, and IAF has r = 1/dt. These are NIR's membranes in Norse's
own order of operations. tau_inv in float32 is what the user typed; the file holds its reciprocal,
so the shortest decimal number within the rounding is taken.

Both the cells and the exporter have dt = 0.001 by default, and the file holds neither: a module
with another dt is read by `nrf-deploy export`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nrf_deploy.ir.network import Array
from nrf_deploy.neurons import CurrentLeaky, Integrator, Leaky, Membrane

from ..graph import RawGraph, RawNode
from .base import (
    Clock,
    Defaults,
    Dialect,
    ForeignError,
    Mark,
    Values,
    demand,
    double,
    fields,
    typed,
)

STEP = 1e-3
TIMES = {"LIF": ("tau",), "LI": ("tau",), "CubaLIF": ("tau_mem", "tau_syn"), "IF": ()}


class Norse(Dialect):
    """The reading of files that Norse's to_nir wrote."""

    name = "norse"
    framework = "Norse"
    rule = Defaults()
    kinds = tuple(TIMES)
    means = (
        "v = v_reset after a spike, at v > v_threshold; time constants are dt times as long as "
        "Norse's, with dt = 0.001, and a current takes its input whole"
    )
    lost = "v_reset (read as 0 where it is missing), the reset method and dt (read as 0.001)"
    step_from = "it is the default of Norse's cells and of its exporter, and the file states none"

    def own_step(self, nodes: Sequence[RawNode]) -> float | None:
        return STEP

    def in_file(self, step: float) -> float:
        return step * step

    def membrane(self, kind: str, values: Values, clock: Clock) -> Membrane:
        demand(values, "r", 1, self.framework)
        one = np.ones(values["r"].shape)
        if kind == "IF":
            return Integrator(r=one / clock.step)
        tau = {key: _seconds(values, key) for key in TIMES[kind]}
        for key, seconds in tau.items():
            if (off := seconds < clock.step * (1 - 1e-6)).any():
                what = f"{key} is {float(double(values, key)[off].flat[0]):g}, less than a step"
                raise ForeignError(f"{what} of {clock.file:g} in the unit of Norse's exporter")
        if kind != "CubaLIF":
            return Leaky(tau=tau["tau"], r=one, v_leak=values["v_leak"])
        demand(values, "w_in", 1, self.framework)
        return CurrentLeaky(
            tau_syn=tau["tau_syn"],
            tau_mem=tau["tau_mem"],
            r=one,
            v_leak=values["v_leak"],
            w_in=tau["tau_syn"] / clock.step,
        )

    def mark(self, graph: RawGraph) -> Mark | None:
        neurons = [n for n in graph.nodes.values() if n.kind in (*TIMES, "I", "CubaLI")]
        inputs = [n for n in graph.nodes.values() if n.kind == "Input" and not n.inner]
        shapes = [np.ravel(x) for x in fields(inputs, "shape")]
        if not neurons or any(n.kind not in TIMES for n in neurons):
            return None
        scalar = all(np.ndim(x) == 0 for n in neurons for x in n.fields.values())
        ones = all((r == 1).all() for r in fields(neurons, "r"))
        taus = [t for key in ("tau", "tau_mem") for t in fields(neurons, key)]
        short = all((t >= STEP * STEP * 0.999).all() and (t < STEP).all() for t in taus)
        batch = bool(shapes) and all(len(s) > 1 and s[0] == 1 for s in shapes)
        if not (scalar and ones and short and batch):
            return None
        return Mark(
            "likely", "every parameter is one number, r is 1, and the Input has a batch of 1"
        )


def _seconds(values: Values, key: str) -> Array:
    """Return a time constant in seconds, from dt/tau_inv."""
    return np.asarray(1 / typed(STEP / double(values, key)))
