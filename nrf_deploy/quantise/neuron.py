"""What a float neuron is to a machine of integers: two decays, a gain, and a constant drive.

With k = dt/tau forward Euler reads v' = (1 - k) v + k (r x + v_leak). A machine computes
v_int' = (1 - k) v_int + u_int + bias_int, so with v_int = S v

    weights carry S k r,    v_threshold becomes S v_threshold,
    bias = S k (v_leak + r b)            for a constant input b (a layer's bias).

The weights hold g * w, so g alone is chosen and S = g / (k r) follows for each neuron. A
current with its own time constant (CubaLIF) decays by ks = dt/tau_syn, and its input counts
ks * w_in.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..capabilities import demand, exactly
from ..network import (
    IF,
    LI,
    LIF,
    Array,
    CubaLI,
    CubaLIF,
    FlooredIF,
    Integrator,
    LinearLeakIF,
    Population,
    RateIF,
    RectifiedLI,
)

FORMS = exactly(
    Integrator, IF, FlooredIF, LinearLeakIF, RateIF, LI, RectifiedLI, LIF, CubaLI, CubaLIF
)
"""Kinds with this form. What a target's own kind has besides (a floor), the target reads."""


@dataclass(frozen=True, eq=False)
class Neuron:
    """Per neuron, in the population's shape. `drive` is what one unit of input adds to v."""

    decay: Array  # k: the part of v that is lost in a step
    current_decay: Array  # ks; 1 where the current has no memory
    drive: Array  # S = gain / drive
    rest: Array  # constant that is added to v in each step, without the layer's bias
    threshold: Array | None  # None where the value is v
    first: Array  # v before the first step


def neuron(population: Population, dt: float) -> Neuron:
    shape = population.shape

    def full(x: Array | float) -> Array:
        return np.broadcast_to(np.asarray(x, np.float64), shape)

    demand(population, FORMS, "quantisation")
    threshold = None
    if isinstance(population, IF | LIF | CubaLIF):
        threshold = full(population.v_threshold)
    match population:
        case Integrator():
            return Neuron(
                decay=full(0.0),
                current_decay=full(1.0),
                drive=full(dt * population.r.astype(np.float64)),
                rest=full(0.0),
                threshold=threshold,
                first=full(population.v_reset if isinstance(population, IF) else 0.0),
            )
        case LI():
            k = full(dt / population.tau.astype(np.float64))
            return Neuron(
                decay=k,
                current_decay=full(1.0),
                drive=full(k * population.r),
                rest=full(k * population.v_leak),
                threshold=threshold,
                first=full(population.v_leak),
            )
        case CubaLI():
            k = full(dt / population.tau_mem.astype(np.float64))
            ks = full(dt / population.tau_syn.astype(np.float64))
            return Neuron(
                decay=k,
                current_decay=ks,
                drive=full(k * population.r * ks * population.w_in),
                rest=full(k * population.v_leak),
                threshold=threshold,
                first=full(population.v_leak),
            )
    raise TypeError(f"{population.kind} has no such form")  # FORMS and the cases differ
