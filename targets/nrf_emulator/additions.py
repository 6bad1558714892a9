"""What the rule of neurons that spike can have beyond a test and a reset: one row each.

Every choice of rows is a model (models.py), in the order of the table. A row with a compiled part
of its name (neurons_compiled.py) says so; without one the plain engine runs its models.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from nrf_deploy.emulator.golden import State
from nrf_deploy.emulator.parameters import Declared, Parameter
from nrf_deploy.network import Array
from nrf_deploy.neurons import Spikes

from .steps import Params, Test

Counts = Literal["potential", "steps"]
DECAY = Parameter(0, 2**24, 0)


@dataclass(frozen=True)
class Scaled:
    """How numbers of a rule become integers.

    Args:
        whole: amounts of v -> units of the state
        decay: time constants -> the part that is lost in a step, in 2^decay_bits
    """

    whole: Callable[[Array], Array]
    decay: Callable[[Array], Array]


def nowhere(rule: Spikes, dt: float, reach: Array) -> Array:
    return np.zeros(())


@dataclass(frozen=True, kw_only=True)
class Row:
    """An addition to the rule.

    Args:
        features: those of the rule that it runs
        state: its state, which starts at the parameter of this name with a 0
        counts: what the state counts
        parameters: their declarations
        before: what it changes of a step's test
        after: its state after the step
        more: the parameters that a rule gives it
        lifts: how far it can lift the threshold of neurons whose potential can reach `reach`
        compiled: a kernel has this part
        case: its case of the conformance kit: (about, what is covered, parameters)
    """

    features: frozenset[str]
    state: str
    counts: Counts
    parameters: Declared
    before: Callable[[Params, State, Test], Test]
    after: Callable[[Params, State, Array], Array]
    more: Callable[[Spikes, Scaled], Mapping[str, Any]]
    lifts: Callable[[Spikes, float, Array], Array] = nowhere
    compiled: bool = False
    case: tuple[str, str, Mapping[str, int]]


ADDITIONS: Mapping[str, Row] = {}
