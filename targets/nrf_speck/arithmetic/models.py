"""The neurons of these chips: one table with all of their properties.

Code that needs the model of a layer (the check, the trial runs, the quantizer, the lowering)
calls `runs_on`; code that reads a program calls `is_core` or `joins_wires`. No code outside this
file compares the name of a model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nrf_deploy.compiler.quantize.neuron import linear_features
from nrf_deploy.engines.emulator.parameters import Declared, Parameter, flag
from nrf_deploy.ir.capabilities import Accepts, Domain, accepted, exactly
from nrf_deploy.ir.network import (
    Conv,
    Delay,
    Flatten,
    Linear,
    MaxPool,
    Node,
    Population,
    Scale,
    SumPool,
    Threshold,
)
from nrf_deploy.ir.program import Population as Core
from nrf_deploy.neurons import (
    CurrentLeaky,
    Integrator,
    Leaky,
    LinearLeak,
    Membrane,
    Rule,
    Spikes,
    Value,
)

from ..chip import LEAST, MOST

NEURONS, MERGE = "iaf", "merge"


@dataclass(frozen=True, eq=False, kw_only=True)
class Model:
    """A model of the populations of a program.

    Args:
        runs: the neurons of a network that are lowered to it
        parameters: declarations of its parameters
        states: its state variables
        sends: "spikes", or "what arrives" if it only joins wires
        compiled: True if the compiled kernels run it
    """

    runs: tuple[Accepts, ...] = ()
    parameters: Declared
    states: tuple[str, ...]
    sends: str
    compiled: bool = False


FIRING = frozenset(("reset=subtract", "reset_to", "fires=at", "per_step=many", "floor"))
"""Features of the rule of a core.

The chip gives one spike for each event and keeps the rest, so with several events a neuron gives
several spikes in a step (per_step=many). The summed arithmetic counts them as the model does.
"""
COUNTED = FIRING | {"worth"}
"""Features of neurons that stand for a value: the host or the next layer counts their spikes."""


def _row(
    model: str | None,
    membranes: frozenset[type[Membrane]],
    rule: type[Rule],
    features: frozenset[str],
) -> Accepts:
    """Return a row whose membranes may have a first potential and any order of operations."""
    return Accepts(model, membranes, rule, features | linear_features(membranes, rule))


DECLARED: Declared = {
    "threshold_high": Parameter(1, MOST, shared=True),
    "threshold_low": Parameter(LEAST, 0, LEAST, shared=True),
    "bias": Parameter(LEAST, MOST, 0),
    "v0": Parameter(LEAST, MOST, 0),
    "returns_to_zero": flag(0, shared=True),
}
"""Parameters of neurons; a shared one has one value per core."""

MODELS: Mapping[str, Model] = {
    NEURONS: Model(
        runs=(
            _row(NEURONS, frozenset((Integrator, LinearLeak)), Spikes, FIRING),
            _row(NEURONS, frozenset((Integrator,)), Spikes, COUNTED),
        ),
        parameters=DECLARED,
        states=("v",),
        sends="spikes",
        compiled=True,
    ),
    MERGE: Model(parameters={}, states=(), sends="what arrives", compiled=True),
}

LEAKS = FIRING | {"reset=late", "reset=doubled"}
"""Features of neurons with an exponential leak that the rewrite to a linear one takes."""
LEAKY = frozenset((Leaky, CurrentLeaky))
VALUES = LEAKY | {Integrator}
EXPLAINED = (
    _row(None, LEAKY, Spikes, LEAKS),
    _row(None, VALUES, Value, frozenset(("rectified",))),
)
"""Neurons that compile/check.py refuses, with a rewrite to suggest."""

DOMAIN = Domain(
    (*(row for model in MODELS.values() for row in model.runs), *EXPLAINED),
    exactly(Linear, Conv, SumPool, Flatten, Scale),
    explained=exactly(Threshold, Delay, MaxPool),
)


def runs_on(node: Node) -> tuple[str, Spikes] | None:
    """Return the model of these neurons and the rule with its parameters (core_units.py).

    Return None if no core can run them.
    """
    row = accepted(node, DOMAIN.runs)
    if row is None or row.model is None or type(node) is not Population:
        return None
    return (row.model, node.rule) if type(node.rule) is Spikes else None


def is_core(population: Core) -> bool:
    """Return whether a population of a program runs on a core."""
    model = MODELS.get(population.model)
    return model is not None and model.sends == "spikes"


def joins_wires(population: Core) -> bool:
    """Return whether a population of a program only joins the wires into one core."""
    model = MODELS.get(population.model)
    return model is not None and model.sends == "what arrives"
