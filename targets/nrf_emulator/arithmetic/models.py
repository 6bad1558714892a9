"""The neuron models of this machine and their properties.

A model is a move (how the input changes the potential) and an end (the output, and its effect
on the potential). MODELS lists each pair by its name, with the neurons of a network that it
runs, its parameters, its output and its kernel. The name is data of a program: no other code
compares it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, Literal

import numpy as np

from nrf_deploy.compiler.quantize.neuron import linear_features
from nrf_deploy.engines.emulator.parameters import INT32, Declared, Parameter, flag, of_word
from nrf_deploy.ir.capabilities import Accepts, Domain, accepted, demand, exactly
from nrf_deploy.ir.network import (
    Array,
    Conv,
    Delay,
    Flatten,
    Linear,
    MaxPool,
    Population,
    Scale,
    SumPool,
)
from nrf_deploy.neurons import CurrentLeaky, Integrator, Leaky, Membrane, Rule, Spikes, Value

from .additions import ADDITIONS, DECAY, Counts, Row, Scaled
from .steps import Step, graded, passing, spiking

MACHINE: Declared = {
    "decay_bits": Parameter(1, 24, 12, shared=True),
    "state_bits": Parameter(4, 32, 24, shared=True),
    "sum_bits": Parameter(4, 32, 24, shared=True),
    "fraction_bits": Parameter(0, 16, 6, shared=True),
    "rounding": Parameter(0, 2, 1, shared=True),
    "wrap": flag(0, shared=True),
    "wait": Parameter(0, 2**31 - 1, 0, shared=True),
}
"""Parameters that all neurons of a population share."""
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

Membranes = frozenset[type[Membrane]]
More = Callable[[Population, Scaled], Mapping[str, Any]]
Lifts = Callable[[Population, float, Array], Array]
Sends = Literal["spikes", "counts", "potential", "what arrives"]
Parts = frozenset[str]
"""Parts of a step, by their names in neurons_compiled.py."""


def nothing(node: Population, scaled: Scaled) -> dict[str, Any]:
    return {}


def nowhere(node: Population, dt: float, reach: Array) -> Array:
    return np.zeros(())


@dataclass(frozen=True, kw_only=True)
class Move:
    """The effect of the input on the potentials of these membranes."""

    membranes: Membranes
    states: tuple[str, ...]
    parameters: Declared
    compiled: Parts | None = None


@dataclass(frozen=True, kw_only=True)
class End:
    """The output of a rule.

    Args:
        step: a whole step, its move included
        rule: the rule that it runs
        runs: membranes, and the features of the rule that it runs with them
        parameters: declarations beyond those of the machine and the move
        sends: the output
        counts: its states beyond the move's, and their units
        more: function that returns the parameters that follow from the rule
        lifts: (neurons, dt, bound of their potential) -> bound of the rise of their threshold
        compiled: as Model.compiled
    """

    step: Step
    rule: type[Rule]
    runs: Mapping[Membranes, frozenset[str]]
    parameters: Declared
    sends: Sends
    counts: Mapping[str, Counts] = field(default_factory=dict)
    more: More = nothing
    lifts: Lifts = nowhere
    compiled: Parts | None = None


@dataclass(frozen=True, kw_only=True)
class Model:
    """A neuron model and all of its properties.

    Args:
        runs: the neurons of a network that it runs
        compiled: the parts of its compiled kernel; None if only the plain engine runs it
    """

    step: Step
    states: tuple[str, ...]
    parameters: Declared
    sends: Sends
    runs: tuple[Accepts, ...] = ()
    counts: Mapping[str, Counts] = field(default_factory=dict)
    more: More = nothing
    lifts: Lifts = nowhere
    compiled: Parts | None = None


MOVES: Mapping[str, Move] = {
    "": Move(
        membranes=frozenset((Integrator, Leaky)),
        states=("v",),
        parameters=LEAKY,
        compiled=frozenset(),
    ),
    "cuba_": Move(
        membranes=frozenset((CurrentLeaky,)),
        states=("i", "v"),
        parameters={**LEAKY, **CURRENT},
        compiled=frozenset(("current",)),
    ),
}

FIRING = frozenset(("reset=subtract", "reset_to", "fires=at"))


def _spiking(added: Mapping[str, Row]) -> End:
    """Return the end of neurons that spike, with these additions to their rule."""
    rows = added.values()

    def more(node: Population, scaled: Scaled) -> dict[str, Any]:
        assert type(node.rule) is Spikes
        return {k: v for row in rows for k, v in row.more(node.rule, scaled).items()}

    def lifts(node: Population, dt: float, reach: Array) -> Array:
        assert type(node.rule) is Spikes
        return np.asarray(sum((row.lifts(node.rule, dt, reach) for row in rows), np.zeros(())))

    features = FIRING.union(*(row.features for row in rows))
    return End(
        step=spiking(*rows),
        rule=Spikes,
        runs={frozenset((Integrator, Leaky, CurrentLeaky)): features},
        parameters={**SPIKING, **{k: v for row in rows for k, v in row.parameters.items()}},
        sends="counts" if "many" in added else "spikes",
        counts={row.state: row.counts for row in rows if row.state},
        more=more,
        lifts=lifts,
        compiled=frozenset(added) if all(row.compiled for row in rows) else None,
    )


def _combinations() -> Iterator[tuple[str, ...]]:
    """Yield each combination of additions, the smallest first."""
    for size in range(len(ADDITIONS) + 1):
        yield from combinations(ADDITIONS, size)


ENDS: Mapping[str, End] = {
    "_".join(("lif", *names)): _spiking({n: ADDITIONS[n] for n in names})
    for names in _combinations()
} | {
    "li": End(
        step=graded,
        rule=Value,
        runs={
            frozenset((Integrator,)): frozenset(),
            frozenset((Leaky, CurrentLeaky)): frozenset(("rectified",)),
        },
        parameters=GRADED,
        sends="potential",
        more=lambda node, scaled: {"rectify": 1} if "rectified" in node.features else {},
        compiled=frozenset(("payload",)),
    ),
}


def _rows(name: str, move: Move, end: End) -> Iterator[Accepts]:
    for membranes, features in end.runs.items():
        if common := membranes & move.membranes:
            own = linear_features(common, end.rule)  # units.py reads them by `neuron`
            yield Accepts(name, common, end.rule, features | own)


def _model(name: str, move: Move, end: End) -> Model:
    """Return the model of this move and this end; it has a kernel if both have one."""
    kernel = None
    if move.compiled is not None and end.compiled is not None:
        kernel = move.compiled | end.compiled
    return Model(
        step=end.step,
        states=(*move.states, *end.counts),
        parameters={**MACHINE, **move.parameters, **end.parameters},
        sends=end.sends,
        runs=tuple(_rows(name, move, end)),
        counts=end.counts,
        more=end.more,
        lifts=end.lifts,
        compiled=kernel,
    )


def words(declared: Declared) -> tuple[str, ...]:
    """Return the signed parameters that are as wide as a state."""
    return tuple(name for name, own in declared.items() if (own.low, own.high) == INT32)


PASSING = "pass"
"""The model of pools that could not be folded, of delays and of the parts of a max pool, which have
no neurons."""
MODELS: Mapping[str, Model] = {
    move + end: _model(move + end, MOVES[move], ENDS[end]) for end in ENDS for move in MOVES
} | {
    PASSING: Model(
        step=passing,
        states=(),
        parameters={
            **{name: MACHINE[name] for name in ("sum_bits", "wrap")},
            "rectify": GRADED["rectify"],
        },
        sends="what arrives",
        compiled=frozenset(("passing",)),
    )
}
PARAMETERS: Mapping[str, Declared] = {name: model.parameters for name, model in MODELS.items()}
WIDEST = tuple(move + end for end in ("_".join(("lif", *ADDITIONS)), "li") for move in MOVES)
"""The models with every addition: what they run includes what all others run."""
DOMAIN = Domain(
    tuple(row for name in WIDEST for row in MODELS[name].runs),
    exactly(Linear, Conv, SumPool, MaxPool, Flatten, Scale, Delay),
)


def runs_on(node: Population) -> str:
    """Return the name of the model with the fewest additions that runs all of these neurons."""
    demand(node, DOMAIN, "this machine")
    return next(name for name, model in MODELS.items() if accepted(node, model.runs))
