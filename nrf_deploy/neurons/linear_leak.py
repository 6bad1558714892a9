"""Integrators that lose a fixed amount per unit of time, for chips whose clock subtracts it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from .base import Advance, Array, Form, number
from .integrator import Integrator


@dataclass(frozen=True, eq=False, kw_only=True)
class LinearLeak(Integrator):
    """v += (dt*r)*x - dt*leak. Norse has no such cell, and NIR no such node."""

    near = Integrator
    leak: Array = number("rate")

    def euler(self, dt: float, spiking: bool) -> Advance:
        gain = self.full(dt * self.r.astype(np.float64))
        leak = self.full(dt * self.leak.astype(np.float64))
        return lambda state, x: {"v": state["v"] + gain * x - leak}

    def form(self, dt: float) -> Form:
        lost = self.full(-dt * self.leak.astype(np.float64), np.float64)
        return dataclasses.replace(super().form(dt), rest=lost)
