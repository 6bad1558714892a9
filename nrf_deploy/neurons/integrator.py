"""Integrators of their input: NIR's I and IF."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .base import Advance, Array, Form, Membrane, Rule, State, number


@dataclass(frozen=True, eq=False, kw_only=True)
class Integrator(Membrane):
    """v += (dt*r)*x.

    It starts at 0, or where its spikes reset it to. With r = 1/dt it is Norse's IAFCell.
    """

    states = ("v",)
    nir = ("I", "IF")
    r: Array = number("input")

    def start(self, rule: Rule) -> State:
        return {"v": np.asarray(rule.origin)}

    def euler(self, dt: float, spiking: bool) -> Advance:
        gain = self.full(dt * self.r.astype(np.float64))
        return lambda state, x: {"v": state["v"] + gain * x}

    def exact(self, dt: float) -> Advance | None:
        return None

    def form(self, dt: float) -> Form:
        return Form(
            decay=self.full(0.0, np.float64),
            current_decay=self.full(1.0, np.float64),
            drive=self.full(dt * self.r.astype(np.float64), np.float64),
            rest=self.full(0.0, np.float64),
        )
