"""Numbers of a float neuron for an integer machine: two decays, a gain, a constant drive.

With k = dt/tau forward Euler reads v' = (1 - k) v + k (r x + v_leak). A machine computes
v_int' = (1 - k) v_int + u_int + bias_int, so with v_int = S v

    weights carry S k r,    v_threshold becomes S v_threshold,
    bias = S k (v_leak + r b)            for a constant input b (a layer's bias).

The weights are g * w, so only g is chosen and S = g / (k r) follows for each neuron. A
current with its own time constant (CurrentLeaky) decays by ks = dt/tau_syn, and its input counts
ks * w_in.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from nrf_deploy.diagnostics.findings import TargetError, error
from nrf_deploy.ir.capabilities import Accepts, Domain, demand, known_features
from nrf_deploy.ir.network import Array, Population
from nrf_deploy.neurons import MEMBRANES, RULES, Membrane, Rule, Spikes

LINEAR = frozenset(
    (
        *("Integrator.v0", "LinearLeak.v0", "Leaky.v0", "CurrentLeaky.v0"),
        *("Leaky.order=scaled", "Leaky.order=divided", "Leaky.order=multiplied"),
        *("CurrentLeaky.order=scaled", "CurrentLeaky.order=filtered"),
    )
)
"""Features of membranes that `Neuron` holds: the first potential, and orders of float operations,
which are one linear form."""


def linear_features(membranes: Iterable[type[Membrane]], rule: type[Rule]) -> frozenset[str]:
    """Return the features of these membranes that a reader of `Neuron` reads."""
    return LINEAR & known_features(membranes, rule)


FORMS = Domain(
    tuple(
        Accepts("integers", frozenset(MEMBRANES), rule, known_features(MEMBRANES, rule))
        for rule in RULES
    )
)
"""Kinds with this form. The target reads the other features of a rule (a floor)."""


@dataclass(frozen=True, eq=False)
class Neuron:
    """Numbers of each neuron, in the population's shape; one unit of input adds `drive` to v."""

    decay: Array  # k: the part of v that is lost in a step
    current_decay: Array  # ks; 1 where the current has no memory
    drive: Array  # S = gain / drive
    rest: Array  # constant that is added to v in each step, without the layer's bias
    threshold: Array | None  # None where the value is v
    first: Array  # v before the first step


def neuron(population: Population, dt: float) -> Neuron:
    """Return the decays, the gain and the constants of these neurons, in float64."""
    demand(population, FORMS, "quantisation")
    membrane, rule = population.membrane, population.rule
    if (form := membrane.form(dt)) is None:
        raise TargetError(
            error(
                "KIND-UNSUPPORTED",
                f"a step of {type(membrane).__name__} is not linear",
                layer=population.name,
                why="it has no decay and no gain that an integer machine could store",
                fix="train with one of the linear kinds (docs/how-it-works.md)",
            )
        )

    def full(x: Array | float) -> Array:
        return np.broadcast_to(np.asarray(x, np.float64), population.shape)

    return Neuron(
        decay=full(form.decay),
        current_decay=full(form.current_decay),
        drive=full(form.drive),
        rest=full(form.rest),
        threshold=full(rule.threshold) if type(rule) is Spikes else None,
        first=full(membrane.first_state(rule)["v"]),
    )
