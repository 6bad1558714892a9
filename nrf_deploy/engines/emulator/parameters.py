"""Declaration of an arithmetic's parameters, and the check of a program by it.

    parameters = {"lif": {"decay": Parameter(0, 256), "bias": Parameter(-128, 127, 0)}}
    synapse_parameters = {"graded": Parameter(0, 1, 1)}

Support is declared: a model, or a parameter of it, that is not listed is refused, and so is a
value out of its range, one that is not an integer, and one whose shape is not that of the neurons.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from nrf_deploy.diagnostics.findings import Finding, error
from nrf_deploy.ir.network import Array, Shape
from nrf_deploy.ir.program import Params, Population, Program, Synapses
from nrf_deploy.ir.program_faults import broadcasts

INT32 = (-(2**31), 2**31 - 1)


@dataclass(frozen=True)
class Parameter:
    """A parameter: an integer from `low` to `high`, required unless it has a default.

    `shared`: one number for the whole population.
    """

    low: int
    high: int
    default: int | None = None
    shared: bool = False


Declared = Mapping[str, Parameter]
WORDS = ("MODEL-UNKNOWN", "MODEL-PARAMETERS", "SYNAPSE-PARAMETERS")


class Codes(NamedTuple):
    """The codes of the findings of one arithmetic."""

    unknown: str
    parameters: str
    synapses: str

    @staticmethod
    def of(prefix: str) -> Codes:
        """Return the codes with this prefix."""
        return Codes(*(f"{prefix}-{word}" for word in WORDS))


def of_word(default: int | None = None) -> Parameter:
    """Return a parameter that takes any integer of 32 bits."""
    return Parameter(*INT32, default)


def flag(default: int | None = None, shared: bool = False) -> Parameter:
    return Parameter(0, 1, default, shared)


def model_faults(
    program: Program,
    models: Mapping[str, Declared],
    synapses: Declared,
    codes: Codes,
) -> Iterator[Finding]:
    """Yield an error for each population and synapse object that the declarations do not allow."""
    for p in program.populations:
        declared = models.get(p.model)
        if declared is None:
            yield unknown_model(p, models, codes)
            continue
        wrong = [*named(p.params, declared), *ranged(p.params, declared, p.shape)]
        if wrong:
            yield wrong_parameters(p, declared, codes, wrong)
    for s in program.synapses:
        yield from synapse_faults(s, synapses, codes)


def unknown_model(population: Population, models: Mapping[str, Any], codes: Codes) -> Finding:
    return error(
        codes.unknown,
        f"the neuron model {population.model!r:.80} does not exist here",
        layer=population.name,
        fix=f"use one of: {', '.join(models)}",
    )


def wrong_parameters(
    population: Population, declared: Declared, codes: Codes, wrong: list[str]
) -> Finding:
    return error(
        codes.parameters,
        f"the parameters of {population.model!r}: {', '.join(wrong)}",
        layer=population.name,
        fix=f"it takes {', '.join(sorted(declared)) or 'none'}",
    )


def synapse_faults(s: Synapses, declared: Declared, codes: Codes) -> Iterator[Finding]:
    wrong = [*named(s.params, declared), *ranged(s.params, declared, ())]
    if wrong:
        yield error(
            codes.synapses,
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


def ranged(params: Params, declared: Declared, shape: Shape) -> Iterator[str]:
    """Yield which known parameters are out of their range, not shared, or of another shape."""
    for name, value in params.items():
        if (parameter := declared.get(name)) is None:
            continue
        if np.min(value) < parameter.low or np.max(value) > parameter.high:
            yield f"{name!r} is beyond {parameter.low}..{parameter.high}"
        if parameter.shared and np.ndim(value):
            yield f"{name!r} differs among neurons"
        elif not broadcasts(np.shape(value), shape):
            yield f"{name!r} has the shape {np.shape(value)} for neurons of {shape}"


def as_integers(params: Params, declared: Declared) -> dict[str, Array]:
    """Return every parameter as int64; missing ones have their defaults."""
    usual = {n: p.default for n, p in declared.items() if p.default is not None}
    return {name: np.asarray(value, np.int64) for name, value in {**usual, **params}.items()}
