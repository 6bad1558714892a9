"""The machine of the arithmetic "fixed": its models, and what their parameters may be.

The steps of the neurons stand in steps.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from nrf_deploy.emulator.golden import State
from nrf_deploy.emulator.parameters import (
    Codes,
    Declared,
    Parameter,
    as_integers,
    flag,
    named,
    of_word,
    ranged,
    synapse_faults,
    unknown_model,
    wrong_parameters,
)
from nrf_deploy.findings import Finding, TargetError
from nrf_deploy.network import Array
from nrf_deploy.program import Population, Program, Synapses

from .steps import Params, graded, passing, spiking

MACHINE: Declared = {
    "decay_bits": Parameter(1, 24, 12, shared=True),
    "state_bits": Parameter(4, 32, 24, shared=True),
    "sum_bits": Parameter(4, 32, 24, shared=True),
    "fraction_bits": Parameter(0, 16, 6, shared=True),
    "rounding": Parameter(0, 2, 1, shared=True),
    "wrap": flag(0, shared=True),
    "wait": Parameter(0, 2**31 - 1, 0, shared=True),
}
"""What all neurons of a population have in common."""
DECAY = Parameter(0, 2**24, 0)
LEAKY: Declared = {
    "decay": DECAY,
    "leak": of_word(0),
    "rest": of_word(0),
    "bias": of_word(0),
    "v0": of_word(0),
}
CURRENT: Declared = {"current_decay": DECAY, "input_bias": of_word(0), "i0": of_word(0)}
SPIKING: Declared = {
    "vth": of_word(),
    "v_reset": of_word(0),
    "at": flag(0, shared=True),
    "subtract": flag(0, shared=True),
}
GRADED: Declared = {
    "shift": Parameter(0, 31, 0),
    "message_bits": Parameter(2, 32, 16, shared=True),
    "message_rounding": Parameter(0, 2, 1, shared=True),
    "rectify": flag(0, shared=True),
}
SYNAPSES: Declared = {"graded": flag(1)}
CODES = Codes(
    unknown="FIXED-MODEL-UNKNOWN",
    parameters="FIXED-MODEL-PARAMETERS",
    synapses="FIXED-SYNAPSE-PARAMETERS",
)


@dataclass(frozen=True)
class Model:
    step: Callable[[Params, State, Array], tuple[Array, State]]
    states: tuple[str, ...]
    parameters: Declared


MODELS = {
    "lif": Model(spiking, ("v",), {**MACHINE, **LEAKY, **SPIKING}),
    "cuba_lif": Model(spiking, ("i", "v"), {**MACHINE, **LEAKY, **CURRENT, **SPIKING}),
    "li": Model(graded, ("v",), {**MACHINE, **LEAKY, **GRADED}),
    "cuba_li": Model(graded, ("i", "v"), {**MACHINE, **LEAKY, **CURRENT, **GRADED}),
    "pass": Model(passing, (), {name: MACHINE[name] for name in ("sum_bits", "wrap")}),
}
PARAMETERS: Mapping[str, Declared] = {name: model.parameters for name, model in MODELS.items()}


def parameters(population: Population) -> dict[str, Array]:
    """Return every parameter of the population's model as int64; refuse what is unknown or
    beyond its range."""
    declared = PARAMETERS.get(population.model)
    if declared is None:
        raise TargetError(unknown_model(population, PARAMETERS, CODES))
    if wrong := [*named(population.params, declared), *_ranged(population, declared)]:
        raise TargetError(wrong_parameters(population, declared, CODES, wrong))
    return as_integers(population.params, declared)


def _ranged(population: Population, declared: Declared) -> list[str]:
    """List the parameters beyond their range, which depends on two widths for most of them."""
    params, shape = population.params, population.shape
    if wrong := list(ranged(params, declared, shape)):
        return wrong
    bits, whole = (int(params.get(n, MACHINE[n].default)) for n in ("state_bits", "decay_bits"))
    half = 1 << bits - 1
    state = ("rest", "bias", "input_bias", "v0", "i0", "vth", "v_reset")
    narrow = {
        **{name: Parameter(-half, half - 1) for name in state},
        "leak": Parameter(0, half - 1),
        **dict.fromkeys(("decay", "current_decay"), Parameter(0, 1 << whole)),
    }
    return list(ranged(params, narrow, shape))


class FixedArithmetic:
    name = "fixed"
    states: Mapping[str, tuple[str, ...]] = {name: m.states for name, m in MODELS.items()}

    def faults(self, program: Program) -> Iterator[Finding]:
        for p in program.populations:
            try:
                parameters(p)
            except TargetError as refusal:
                yield from refusal.findings
        for s in program.synapses:
            yield from synapse_faults(s, SYNAPSES, CODES)

    def held(self, synapses: Synapses) -> Array:
        return synapses.weight.astype(np.int64)

    def message(self, synapses: Synapses, output: Array) -> Array:
        """A synapse is graded, unless its `graded` is 0: then it sees only that there was one."""
        return output if synapses.params.get("graded", 1) else (output != 0).astype(np.int64)

    def deliver(self, synapses: Synapses, total: Array) -> Array:
        return total

    def start(self, population: Population) -> State:
        p = parameters(population)
        return {
            name: np.broadcast_to(p[name + "0"], population.shape).copy()
            for name in self.states[population.model]
        }

    def step(
        self, population: Population, state: State, arriving: Array, t: int
    ) -> tuple[Array, State]:
        p = parameters(population)
        if t < p.get("wait", 0):
            return np.zeros(population.shape, np.int64), state
        return MODELS[population.model].step(p, state, arriving)
