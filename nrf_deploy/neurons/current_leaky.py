"""Leaky integrators behind a leaky current: NIR's CubaLI and CubaLIF."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np

from .base import Advance, Array, Form, Membrane, Rule, State, choice, number
from .leaky import exact_time


@dataclass(frozen=True, eq=False, kw_only=True)
class CurrentLeaky(Membrane):
    """i jumps, v moves by the current after the jump, then i decays.

        j = i + dt/tau_syn*w_in*x;  v += dt/tau_mem*((v_leak - v) + r*j);  i = j - dt/tau_syn*j

    It starts at i = 0, v = v_leak; `i` is recorded after its decay. With w_in = tau_syn/dt it is
    Norse's LICell and LIFCell.

    Frameworks compute this in several orders of float32 operations, which round differently.
    With k = dt/tau_mem, d = 1 - k, a = 1 - dt/tau_syn, gx = dt/tau_syn*w_in and g = k*r, each
    computed in float64 and rounded once, and j = i + gx*x:

        norse         v + k*((v_leak - v) + r*j);  i = j - dt/tau_syn*j
        scaled        v = (d*v + g*j) + k*v_leak;  i = a*j      snnTorch, Rockpool, CUBALIFNode
        filtered      i = a*j;  v = (d*v + (g/a)*i) + k*v_leak  sinabs
    """

    states = ("i", "v")
    nir = ("CubaLI", "CubaLIF")
    runs = frozenset(("v0", "order=scaled", "order=filtered"))
    tau_syn: Array = number("time")
    tau_mem: Array = number("time")
    r: Array = number("current")
    v_leak: Array = number("potential")
    w_in: Array = number("input")
    order: Literal["norse", "scaled", "filtered"] = choice(
        "another order of float operations", "norse"
    )

    @property
    def shape(self) -> tuple[int, ...]:
        return self.tau_mem.shape

    def gain(self, dt: float) -> Array:
        return np.asarray(dt / self.tau_syn.astype(np.float64) * self.w_in.astype(np.float64))

    def start(self, rule: Rule) -> State:
        return {"i": np.zeros(()), "v": self.v_leak}

    def euler(self, dt: float, spiking: bool) -> Advance:
        if self.order != "norse":
            return self._scaled(dt)
        k, k_syn = self.rate(dt, self.tau_mem), self.rate(dt, self.tau_syn)
        gain, r, v_leak = self.full(self.gain(dt)), self.full(self.r), self.full(self.v_leak)

        def advance(state: State, x: Array) -> State:
            i, v = state["i"], state["v"]
            j = i + gain * x
            return {"i": j + -k_syn * j, "v": v + k * ((v_leak - v) + r * j)}

        return advance

    def _scaled(self, dt: float) -> Advance:
        k = dt / self.tau_mem.astype(np.float64)
        keep = 1 - dt / self.tau_syn.astype(np.float64)
        a, d, gain = self.full(keep), self.full(1 - k), self.full(self.gain(dt))
        drive, rest = k * self.r.astype(np.float64), self.full(k * self.v_leak)
        filtered = self.order == "filtered"
        with np.errstate(divide="ignore", invalid="ignore"):  # a = 0 has no such step: v is nan
            g = self.full(drive / keep if filtered else drive)

        def advance(state: State, x: Array) -> State:
            j = state["i"] + gain * x
            i = a * j
            return {"i": i, "v": (d * state["v"] + g * (i if filtered else j)) + rest}

        return advance

    def exact(self, dt: float) -> Advance | None:
        """Return the jump at the start of the step, then the decay of i and its effect on v.

        Frameworks with another order than Norse's have the decays themselves: their step is exact.

        With j = i + gain*x the current is j*exp(-s/tau_syn) at time s of the step, and

            v = a*v + (1-a)*v_leak + b*r*j      a = exp(-dt/tau_mem)
            i = exp(-dt/tau_syn)*j              b = dt/tau_mem * a * expm1(q)/q
                                                q = dt/tau_mem - dt/tau_syn

        where b is the integral of exp(-(dt-s)/tau_mem) * exp(-s/tau_syn) / tau_mem over the
        step, and expm1(q)/q is 1 where the two time constants are equal.
        """
        if self.order != "norse":
            return None
        gain, r = self.full(self.gain(dt), np.float64), self.full(self.r, np.float64)
        v_leak = self.full(self.v_leak, np.float64)
        mem, syn = dt / self.tau_mem.astype(np.float64), dt / self.tau_syn.astype(np.float64)
        q = mem - syn
        a, decay = np.exp(-mem), np.exp(-syn)
        b = mem * a * np.where(q == 0, 1.0, np.expm1(q) / np.where(q == 0, 1.0, q))
        rest = -np.expm1(-mem) * v_leak

        def advance(state: State, x: Array) -> State:
            j = state["i"] + gain * x
            return {"i": decay * j, "v": a * state["v"] + rest + b * (r * j)}

        return advance

    def form(self, dt: float) -> Form:
        k = self.full(dt / self.tau_mem.astype(np.float64), np.float64)
        ks = self.full(dt / self.tau_syn.astype(np.float64), np.float64)
        return Form(
            decay=k,
            current_decay=ks,
            drive=self.full(k * self.r * ks * self.w_in, np.float64),
            rest=self.full(k * self.v_leak, np.float64),
        )

    def exactly(self, dt: float) -> Self:
        if self.order != "norse":
            return self
        tau_mem, mem = exact_time(self.tau_mem, dt)
        tau_syn, syn = exact_time(self.tau_syn, dt)
        return dataclasses.replace(
            self, tau_mem=tau_mem, tau_syn=tau_syn, r=self.r * mem, w_in=self.w_in * syn
        )
