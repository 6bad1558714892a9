"""The parameters that an arithmetic takes: one declaration, and one check of a program by it.

    parameters = {"lif": {"decay": Parameter(0, 256), "bias": Parameter(-128, 127, 0)}}
    synapse_parameters = {"graded": Parameter(0, 1, 1)}

Support is declared: a model, or a parameter of it, that is not listed is refused, and so is a
value out of its range, one that is not an integer, and one that does not spread over the neurons.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..findings import Finding, error
from ..network import Array
from ..program import Params, Population, Program, Synapses

INT32 = (-(2**31), 2**31 - 1)


@dataclass(frozen=True)
class Parameter:
    """An integer from `low` to `high`; it must be given where there is no default.

    `shared`: one number for the whole population.
    """

    low: int
    high: int
    default: int | None = None
    shared: bool = False


Declared = Mapping[str, Parameter]


def of_word(default: int | None = None) -> Parameter:
    return Parameter(*INT32, default)


def flag(default: int | None = None, shared: bool = False) -> Parameter:
    return Parameter(0, 1, default, shared)


def model_faults(
    program: Program,
    models: Mapping[str, Declared],
    synapses: Declared,
    prefix: str,
) -> Iterator[Finding]:
    """Yield an error for each population and synapse object that the declarations do not allow.

    `prefix` begins the codes: PREFIX-MODEL-UNKNOWN, PREFIX-MODEL-PARAMETERS,
    PREFIX-SYNAPSE-PARAMETERS.
    """
    for p in program.populations:
        declared = models.get(p.model)
        if declared is None:
            yield unknown_model(p, models, prefix)
            continue
        wrong = [*named(p.params, declared), *ranged(p.params, declared)]
        if wrong:
            yield wrong_parameters(p, declared, prefix, wrong)
    for s in program.synapses:
        yield from synapse_faults(s, synapses, prefix)


def unknown_model(population: Population, models: Mapping[str, Any], prefix: str) -> Finding:
    return error(
        f"{prefix}-MODEL-UNKNOWN",
        f"the neuron model {population.model!r:.80} does not exist here",
        layer=population.name,
        fix=f"use one of: {', '.join(models)}",
    )


def wrong_parameters(
    population: Population, declared: Declared, prefix: str, wrong: list[str]
) -> Finding:
    return error(
        f"{prefix}-MODEL-PARAMETERS",
        f"the parameters of {population.model!r}: {', '.join(wrong)}",
        layer=population.name,
        fix=f"it takes {', '.join(sorted(declared)) or 'none'}",
    )


def synapse_faults(s: Synapses, declared: Declared, prefix: str) -> Iterator[Finding]:
    wrong = [*named(s.params, declared), *ranged(s.params, declared)]
    wrong += [f"{n!r} differs among synapses" for n, x in s.params.items() if np.ndim(x)]
    if wrong:
        yield error(
            f"{prefix}-SYNAPSE-PARAMETERS",
            f"the parameters of these synapses: {', '.join(wrong)}",
            layer=s.name,
            fix=f"they take {', '.join(sorted(declared)) or 'none'}",
        )


def named(params: Params, declared: Declared) -> Iterator[str]:
    """Yield which parameters are missing, and which are not known."""
    for name, parameter in declared.items():
        if parameter.default is None and name not in params:
            yield f"{name!r} is missing"
    for name in params:
        if name not in declared:
            yield f"{name!r:.80} is not one of them"


def ranged(params: Params, declared: Declared) -> Iterator[str]:
    """Yield which known parameters are out of their range, or not shared."""
    for name, value in params.items():
        if (parameter := declared.get(name)) is None:
            continue
        if np.min(value) < parameter.low or np.max(value) > parameter.high:
            yield f"{name!r} is beyond {parameter.low}..{parameter.high}"
        if parameter.shared and np.ndim(value):
            yield f"{name!r} differs among neurons"


def as_integers(params: Params, declared: Declared) -> dict[str, Array]:
    """Return every parameter as int64, those that are not given by their defaults."""
    usual = {n: p.default for n, p in declared.items() if p.default is not None}
    return {name: np.asarray(value, np.int64) for name, value in {**usual, **params}.items()}
