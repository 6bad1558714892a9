"""One time step of a population: the normative float text.

The step of its membrane (neurons/) comes first, then that of its rule. The "euler" steps are
Norse's, operation by operation in float32, so that spikes and states agree with it bit for bit:
Leaky is LIBoxCell and LIFBoxCell, CurrentLeaky is LICell and LIFCell, Integrator with spikes is
IAFCell. The field `order` of a membrane gives other frameworks' order of operations. Norse stores
1/tau in float32; `Membrane.rate` recovers that number from a tau that was written as 1/tau_inv in
float64. Norse's cells have no r, w_in or dt*r: these scale the input before the cell sees it, and
a factor of 1 changes nothing.

The "exact" steps are the solution of the same equations for an input that is held for one step.
They need not equal a float32 original, so coefficients and states are float64, and only the
outputs are rounded to float32.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np

from nrf_deploy.ir.capabilities import Accepts, Domain, demand
from nrf_deploy.ir.network import Array, Population
from nrf_deploy.neurons import MEMBRANES, RULES, State

Decay = Literal["euler", "exact"]
Step = Callable[[State, Array], tuple[Array, State]]
"""(state, input) -> (value, state after the step)"""
Neuron = tuple[State, Step]
STEPS = frozenset(f"{m.__name__}.{x}" for m in MEMBRANES for x in m.runs)
NEURONS = tuple(
    Accepts("reference", frozenset(MEMBRANES), rule, rule.runs | STEPS) for rule in RULES
)
DOMAIN = Domain(NEURONS)


def neuron(node: Population, dt: float, decay: Decay) -> Neuron:
    """Return the first state of a population and its step."""
    demand(node, DOMAIN, "the float reference")
    exact = node.membrane.exact(dt) if decay == "exact" else None
    dtype = np.float32 if exact is None else np.float64
    advance = exact or node.membrane.euler(dt, node.spikes)
    more, fire = node.rule.fire(node.shape, dt, dtype)
    start = {**node.membrane.first_state(node.rule), **more}

    def step(state: State, x: Array) -> tuple[Array, State]:
        return fire(state, {**state, **advance(state, x)})

    return {k: np.broadcast_to(v, node.shape).astype(dtype) for k, v in start.items()}, step
