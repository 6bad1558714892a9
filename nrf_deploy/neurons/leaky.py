"""Leaky integrators: NIR's LI and LIF."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Self

import numpy as np

from .base import Advance, Array, Form, Membrane, Rule, State, number


def exact_time(tau: Array, dt: float) -> tuple[Array, Array]:
    """Return (the time constant whose Euler step is exact, by how much input must be scaled)."""
    k = dt / tau.astype(np.float64)
    exact = -np.expm1(-k)
    return dt / exact, k / exact


@dataclass(frozen=True, eq=False, kw_only=True)
class Leaky(Membrane):
    """v += dt/tau * (v_leak - v + r*x); starts at v_leak.

    Norse's LIBoxCell and LIFBoxCell, which differ in the order of their float32 operations.
    """

    states = ("v",)
    nir = ("LI", "LIF")
    tau: Array = number("time")
    r: Array = number("input")
    v_leak: Array = number("potential")

    def start(self, rule: Rule) -> State:
        return {"v": self.v_leak}

    def euler(self, dt: float, spiking: bool) -> Advance:
        k, r, v_leak = self.rate(dt, self.tau), self.full(self.r), self.full(self.v_leak)

        def lif(state: State, x: Array) -> State:
            v = state["v"]
            return {"v": v + k * ((r * x + v_leak) - v)}

        def li(state: State, x: Array) -> State:
            v = state["v"]
            return {"v": v + k * ((v_leak - v) + r * x)}

        return lif if spiking else li

    def exact(self, dt: float) -> Advance:
        """Return v = a*v + (1-a)*(r*x + v_leak) with a = exp(-dt/tau)."""
        r, v_leak = self.full(self.r, np.float64), self.full(self.v_leak, np.float64)
        rate = dt / self.tau.astype(np.float64)
        a, b = np.exp(-rate), -np.expm1(-rate)
        return lambda state, x: {"v": a * state["v"] + b * (r * x + v_leak)}

    def form(self, dt: float) -> Form:
        k = self.full(dt / self.tau.astype(np.float64), np.float64)
        return Form(
            decay=k,
            current_decay=self.full(1.0, np.float64),
            drive=self.full(k * self.r, np.float64),
            rest=self.full(k * self.v_leak, np.float64),
        )

    def exactly(self, dt: float) -> Self:
        tau, factor = exact_time(self.tau, dt)
        return dataclasses.replace(self, tau=tau, r=self.r * factor)
