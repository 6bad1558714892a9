"""SpikingJelly: v >= v_threshold, a reset to v_reset, where the potential also starts and leaks to.

    IFNode       h = v + x
    LIFNode      h = v + (x - (v - v_r))/T       or, without decay_input,  v - (v - v_r)/T + x
    PLIF         the same with *q for /T, q = sigmoid(w)
    CUBALIFNode  c = c_decay*c + x;  h = v_decay*v + c
    s = 1 where h >= th;  v = v_r where s, else h

The exporter writes float64 and seconds: IF r = 1/dt; LIF tau = T*dt and r = 1, or T without
decay_input; CubaLIF tau = dt/(1 - decay), r = tau_mem/dt, w_in = tau_syn/dt. So dt is 1/r of an
IF, tau/r of a CubaLIF and of a LIF with r other than 1; a network of LIF with r = 1 alone does not
state it. Back: T = tau/dt, and q = dt/tau. LIFNode and ParametricLIFNode are both written as LIF.
Their order of operations differs, and the file tells which it is: q is a float32 of PLIF, so dt/tau
is a float32 to the last bits of its float64, and T of LIFNode is the number that the user typed.
CUBALIFNode leaks to 0 and starts at v_reset, a first potential of its own where that is not 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

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
    agreed,
    decay_time,
    demand,
    double,
    field,
    rounded,
    typed,
)

KINDS = ("IF", "LIF", "CubaLIF")
BITS = 4e-15
"""Largest relative error of a quotient of two float64 products."""


class SpikingJelly(Dialect):
    """The reading of files that SpikingJelly wrote."""

    name = "spikingjelly"
    framework = "SpikingJelly"
    rule = Defaults("value", "at")
    kinds = KINDS
    means = "v = v_reset after a spike, at v >= v_threshold; v starts at v_reset"
    step_from = "the neurons hold it: r of an IF is 1/dt, tau/r of the others is dt"

    def own_step(self, nodes: Sequence[RawNode]) -> float | None:
        return agreed([x for node in nodes for x in _steps(node)], self.framework)

    def membrane(self, kind: str, values: Values, clock: Clock) -> Membrane:
        if kind == "IF":
            return Integrator(r=np.full(values["r"].shape, 1 / clock.step))
        if kind == "CubaLIF":
            return _cuba(values, clock)
        if not (values["v_leak"] == values["v_reset"]).all():
            raise ForeignError("v_leak is not v_reset; SpikingJelly writes the same in both")
        tau, gain = double(values, "tau"), double(values, "r")
        steps = tau / clock.step
        whole = bool((gain == 1).all())
        if not whole and not np.allclose(gain, steps, rtol=SAME, atol=0):
            raise ForeignError(
                f"r is {gain.flat[0]:g}, and tau/dt is {steps.flat[0]:g}; SpikingJelly writes 1 or "
                "tau/dt"
            )
        if (steps < 1).any():
            raise ForeignError(f"tau is {steps.min():g} steps; SpikingJelly writes 1 or more")
        r = gain if whole else steps
        return Leaky(tau=tau, r=r, v_leak=values["v_leak"], order=_order(steps))

    def mark(self, graph: RawGraph) -> Mark | None:
        neurons = [n for n in graph.nodes.values() if n.kind in (*KINDS, "I", "LI", "CubaLI")]
        if not neurons or any(n.kind not in KINDS for n in neurons):
            return None
        double = all(
            getattr(n.fields.get(key), "dtype", None) == np.float64
            for n in neurons
            for key in ("r", "v_threshold", "v_reset")
        )
        named = "input_1" in graph.nodes
        if not (double and named):
            return None
        return Mark("almost surely", "an Input called input_1, and neurons in float64")


def _steps(node: RawNode) -> list[Array]:
    """Return the length of a step that the parameters of one node imply."""
    r = field(node, "r")
    tau = field(node, "tau_mem" if node.kind == "CubaLIF" else "tau")
    if r is None or (r == 0).any():
        return []
    if node.kind == "IF":
        return [1 / r]
    if tau is None or tau.shape != r.shape or (node.kind == "LIF" and (r == 1).all()):
        return []
    return [tau / r]


def _order(steps: Array) -> Literal["divided", "multiplied"]:
    """Return the order of LIFNode or of ParametricLIFNode, by their time constant in steps."""
    q = 1 / steps
    learned = np.abs(q - rounded(q)) <= BITS * q
    by_hand = np.isclose(typed(steps), steps, rtol=BITS, atol=0)
    return "multiplied" if bool((learned & ~by_hand).all()) else "divided"


def _cuba(values: Values, clock: Clock) -> Membrane:
    demand(values, "v_leak", 0, SpikingJelly.framework)
    kept = {key: rounded(1 - clock.file / double(values, key)) for key in ("tau_syn", "tau_mem")}
    for key, gain in (("tau_syn", "w_in"), ("tau_mem", "r")):
        if not np.allclose(double(values, key), values[gain] * clock.file, rtol=SAME, atol=0):
            raise ForeignError(f"{gain} is not {key}/dt, as SpikingJelly writes it")
        if (kept[key] < 0).any() or (kept[key] >= 1).any():
            raise ForeignError(f"{key} is not a decay from 0 to below 1")
    syn, mem = (decay_time(kept[key], clock.step) for key in ("tau_syn", "tau_mem"))
    v0 = values["v_reset"]
    return CurrentLeaky(
        tau_syn=syn,
        tau_mem=mem,
        r=mem / clock.step,
        v_leak=values["v_leak"],
        w_in=syn / clock.step,
        order="scaled",
        v0=v0 if v0.any() else None,
    )
