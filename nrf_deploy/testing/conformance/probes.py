"""Probes: small networks in which one feature of neurons changes their output.

Each neuron has a channel that lifts its potential and one that lowers it. Weights are eighths
below 1 and decays are powers of 2, so that 4 bits lose nothing. The weights that lift equal the
threshold: from rest one event reaches it exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from nrf_deploy.ir.network import Array, Input, Linear, Network, Output, Population
from nrf_deploy.ir.recording import Recording
from nrf_deploy.neurons import (
    CurrentLeaky,
    Integrator,
    Leaky,
    LinearLeak,
    Membrane,
    Rising,
    Rule,
    Spikes,
    Value,
)

NEURONS = "n"
SIZE, STEPS = 16, 48
UNIT = 1 / 8
ONE = np.ones(SIZE, np.float32)
TOP = 7 * UNIT
"""The largest weight, and the threshold."""
UP = TOP * ONE
DOWN = UNIT * np.resize([4, 6, 3, 5], SIZE)
LEAK = UNIT


@dataclass(frozen=True, kw_only=True)
class Probe:
    """The values with which a feature changes the output.

    Args:
        fields: the fields of the rule or the membrane that hold it
        needs: features without which it changes nothing
        idle: features beside which it changes nothing
        beside: fields that hold the same number with the feature and without it
        rates: events per step in a channel that lifts, and in one that lowers
    """

    fields: Mapping[str, Any]
    needs: frozenset[str] = frozenset()
    idle: frozenset[str] = frozenset()
    beside: Mapping[str, Any] = field(default_factory=dict)
    rates: tuple[float, float] = (0.5, 0.25)


def _rising(**more: Any) -> Rising:
    return Rising(tau=8 * ONE, jump=4 * UNIT * ONE, **more)


PLAIN = Probe(fields={})
PROBES: Mapping[str, Probe] = {
    "rectified": Probe(fields={"rectified": True}, rates=(0.25, 0.5)),
    "reset=subtract": Probe(fields={"reset": "subtract"}),
    "reset=late": Probe(fields={"reset": "late"}),
    "reset=none": Probe(fields={"reset": "none"}, rates=(0.4, 0.55)),
    "reset=doubled": Probe(fields={"reset": "doubled"}, beside={"threshold": 3 * UNIT * ONE}),
    "reset_to": Probe(
        fields={"reset_to": -6 * UNIT * ONE},
        idle=frozenset(f"reset={word}" for word in ("subtract", "late", "none", "doubled")),
    ),
    "subtracts": Probe(fields={"subtracts": 4 * UNIT * ONE}, needs=frozenset(("reset=subtract",))),
    "fires=at": Probe(fields={"fires": "at"}, rates=(0.4, 0.0)),
    "per_step=many": Probe(
        fields={"per_step": "many"},
        needs=frozenset(("reset=subtract", "fires=at")),
        beside={"threshold": 3 * UNIT * ONE},
    ),
    "most": Probe(
        fields={"most": ONE},
        needs=frozenset(("reset=subtract", "fires=at", "per_step=many")),
        beside={"threshold": 3 * UNIT * ONE},
        rates=(0.3, 0.4),
    ),
    "floor": Probe(fields={"floor": -UNIT * ONE}, rates=(0.5, 0.5)),
    "worth": Probe(fields={"worth": 2.5 * ONE}),
    "refractory": Probe(fields={"refractory": 2 * ONE}, rates=(0.35, 0.25)),
    "adaptation=Rising": Probe(fields={"adaptation": _rising()}),
    "adaptation.takes=adapted": Probe(
        fields={"adaptation": _rising(takes="adapted")},
        needs=frozenset(("adaptation=Rising", "reset=subtract")),
    ),
    **{
        f"{membrane.__name__}.v0": Probe(fields={"v0": v0 * ONE})
        for membrane, v0 in ((Integrator, -3), (LinearLeak, -3), (Leaky, -8), (CurrentLeaky, -8))
    },
}
"""One for each feature that a rule or a membrane can have; a feature behind those it needs."""
ROUNDING = frozenset(
    f"{membrane.__name__}.order={word}"
    for membrane, words in (
        (Leaky, ("scaled", "divided", "multiplied")),
        (CurrentLeaky, ("scaled", "filtered")),
    )
    for word in words
)
"""Features that change the rounding of the float reference only, which no chip follows."""

PAIRS = (
    ("refractory", "reset=subtract"),
    ("adaptation=Rising", "fires=at"),
    ("refractory", "adaptation=Rising"),
    ("floor", "reset=subtract"),
    ("floor", "per_step=many"),
)
"""Features that change what the other one does: each is also probed beside the other."""

MEMBRANE: Mapping[type[Membrane], Mapping[str, Array]] = {
    Integrator: {"r": ONE},
    LinearLeak: {"r": ONE, "leak": LEAK * ONE},
    Leaky: {"tau": 4 * ONE, "r": 4 * ONE, "v_leak": 0 * ONE},
    CurrentLeaky: {
        "tau_syn": 2 * ONE,
        "tau_mem": 4 * ONE,
        "r": 4 * ONE,
        "w_in": 2 * ONE,
        "v_leak": 0 * ONE,
    },
}
"""Numbers with which an event of weight w adds w to the potential."""
REACHED: Mapping[type[Membrane], float] = {LinearLeak: TOP - LEAK}
"""The potential to which the largest weight lifts one from 0 in a step, if this is not TOP."""
RULES: tuple[type[Rule], ...] = (Value, Spikes)


def closed(features: frozenset[str]) -> frozenset[str]:
    """Return these features and those that they need."""
    return features.union(*(PROBES[name].needs for name in features))


def _rule(membrane: type[Membrane], rule: type[Rule]) -> Rule:
    return Spikes(threshold=REACHED.get(membrane, TOP) * ONE) if rule is Spikes else rule()


def neurons(
    membrane: type[Membrane], rule: type[Rule], features: frozenset[str], probe: Probe
) -> Population:
    """Return neurons with exactly these features, and the numbers that stand beside a probe."""
    plain = Population(
        name=NEURONS, membrane=membrane(**MEMBRANE[membrane]), rule=_rule(membrane, rule)
    )
    stated = [each.fields for name, each in PROBES.items() if name in features]
    return plain.with_(**{k: v for fields in (probe.beside, *stated) for k, v in fields.items()})


def network(node: Population) -> Network:
    """Return the smallest network around these neurons."""
    weight = np.concatenate([np.diag(UP), np.diag(-DOWN)], axis=1)
    nodes = (
        Input(name="x", port_shape=(2 * SIZE,)),
        Linear(name="w", weight=weight),
        node,
        Output(name="y", port_shape=(SIZE,)),
    )
    return Network(nodes, (("x", "w"), ("w", NEURONS), (NEURONS, "y")), 1.0)


@cache
def recording(rates: tuple[float, float]) -> Recording:
    """Return events at these rates a step."""
    drawn = np.random.default_rng(7).random((STEPS, 2 * SIZE))
    rate = np.repeat(rates, SIZE)
    return Recording.from_dense((drawn < rate).astype(np.int64), 1.0)
