"""The machine of the arithmetic "fixed": its rules in steps.py, its models in models.py.

No state changes before step `wait`; parameters are checked against the declarations of models.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from nrf_deploy.diagnostics.findings import Finding, TargetError
from nrf_deploy.engines.emulator.golden import State
from nrf_deploy.engines.emulator.parameters import (
    Codes,
    Declared,
    Parameter,
    as_integers,
    flag,
    named,
    ranged,
    synapse_faults,
    unknown_model,
    wrong_parameters,
)
from nrf_deploy.ir.network import Array
from nrf_deploy.ir.program import Population, Program, Synapses

from .additions import DECAY
from .models import MACHINE, MODELS, PARAMETERS, words

SYNAPSES: Declared = {"graded": flag(1)}
CODES = Codes.of("FIXED")


def parameters(population: Population) -> dict[str, Array]:
    """Return every parameter of the population's model as int64.

    Raises:
        TargetError: the model or a parameter is unknown, or a value is beyond its range
    """
    declared = PARAMETERS.get(population.model)
    if declared is None:
        raise TargetError(unknown_model(population, PARAMETERS, CODES))
    if wrong := [*named(population.params, declared), *_ranged(population, declared)]:
        raise TargetError(wrong_parameters(population, declared, CODES, wrong))
    return as_integers(population.params, declared)


def _ranged(population: Population, declared: Declared) -> list[str]:
    """List the parameters outside their ranges; most ranges depend on two widths."""
    params, shape = population.params, population.shape
    if wrong := list(ranged(params, declared, shape)):
        return wrong
    bits, whole = (int(params.get(n, MACHINE[n].default)) for n in ("state_bits", "decay_bits"))
    half = 1 << bits - 1
    narrow = {
        **dict.fromkeys(words(declared), Parameter(-half, half - 1)),
        **{name: Parameter(0, 1 << whole) for name, p in declared.items() if p == DECAY},
        "leak": Parameter(0, half - 1),
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
        """Return the payloads; 1 for each if the synapse's `graded` is 0."""
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
