"""Leaky integrators: NIR's LI and LIF."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np

from .base import Advance, Array, Form, Membrane, Rule, State, choice, number


def exact_time(tau: Array, dt: float) -> tuple[Array, Array]:
    """Return (the time constant whose Euler step is exact, by how much input must be scaled)."""
    k = dt / tau.astype(np.float64)
    exact = -np.expm1(-k)
    return dt / exact, k / exact


@dataclass(frozen=True, eq=False, kw_only=True)
class Leaky(Membrane):
    """v += dt/tau * (v_leak - v + r*x); starts at v_leak.

    Frameworks compute this in several orders of float32 operations, which round differently.
    With k = dt/tau, d = 1 - k and g = k*r, each computed in float64 and rounded once:

        norse         v + k*((r*x + v_leak) - v)      LIFBoxCell
                      v + k*((v_leak - v) + r*x)      LIBoxCell, whose value is v
        scaled        (d*v + g*x) + k*v_leak          snnTorch, sinabs, Rockpool, Spyx
        divided       v + (x - (v - v_leak))/T        SpikingJelly's LIFNode; T = tau/dt
                      (v - (v - v_leak)/T) + g*x      the same, where r is not 1
        multiplied    as divided, with * k for / T    SpikingJelly's ParametricLIFNode
    """

    states = ("v",)
    nir = ("LI", "LIF")
    runs = frozenset(("v0", "order=scaled", "order=divided", "order=multiplied"))
    tau: Array = number("time")
    r: Array = number("input")
    v_leak: Array = number("potential")
    order: Literal["norse", "scaled", "divided", "multiplied"] = choice(
        "another order of float operations", "norse"
    )

    def start(self, rule: Rule) -> State:
        return {"v": self.v_leak}

    def euler(self, dt: float, spiking: bool) -> Advance:
        if self.order != "norse":
            return self._scaled(dt) if self.order == "scaled" else self._divided(dt)
        k, r, v_leak = self.rate(dt, self.tau), self.full(self.r), self.full(self.v_leak)

        def lif(state: State, x: Array) -> State:
            v = state["v"]
            return {"v": v + k * ((r * x + v_leak) - v)}

        def li(state: State, x: Array) -> State:
            v = state["v"]
            return {"v": v + k * ((v_leak - v) + r * x)}

        return lif if spiking else li

    def _scaled(self, dt: float) -> Advance:
        form = self.form(dt)
        d, g = self.full(1 - form.decay), self.full(form.drive)
        rest = self.full(form.rest)
        return lambda state, x: {"v": (d * state["v"] + g * x) + rest}

    def _divided(self, dt: float) -> Advance:
        tau = self.tau.astype(np.float64)
        steps, k = self.full(tau / dt), self.full(dt / tau)
        g, v_leak = self.full(self.form(dt).drive), self.full(self.v_leak)
        divides, decays = self.order == "divided", bool(np.all(self.r == 1))

        def part(x: Array) -> Array:
            return x / steps if divides else x * k

        def advance(state: State, x: Array) -> State:
            v = state["v"]
            less = v - v_leak
            return {"v": v + part(x - less) if decays else (v - part(less)) + g * x}

        return advance

    def exact(self, dt: float) -> Advance | None:
        """Return v = a*v + (1-a)*(r*x + v_leak) with a = exp(-dt/tau).

        A framework with the order "scaled" has d itself, not a time constant: its step is exact.
        """
        if self.order == "scaled":
            return None
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
        if self.order == "scaled":
            return self
        tau, factor = exact_time(self.tau, dt)
        return dataclasses.replace(self, tau=tau, r=self.r * factor)
