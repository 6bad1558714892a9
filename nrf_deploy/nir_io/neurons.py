"""From the fields of a node to a node of the Network: everything that remembers."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from ..findings import error, warning
from ..network import Array, Delay, Node, Population, Shape
from ..neurons import MEMBRANES, Membrane, Rule, Spikes, Value
from ..nodes import first
from ..time_constants import faults
from .fields import Fields
from .kinds import Builder, Reading
from .rules import rule

POPULATIONS: dict[str, tuple[type[Membrane], type[Rule]]] = {
    kind: (membrane, rule)
    for membrane in MEMBRANES
    for kind, rule in zip(membrane.nir, (Value, Spikes), strict=True)
    if membrane.near is None
}
"""Node of NIR -> the membrane and the rule that it stands for."""
SPIKING = tuple(kind for kind, (_, rule) in POPULATIONS.items() if rule.spikes)
FIELDS: dict[type[Rule], dict[str, str]] = {
    Value: {},
    Spikes: {"threshold": "v_threshold", "reset_to": "v_reset"},
}
"""Fields of a rule that NIR has a field for, and its name."""
RECTIFY = "rectify"
"""What an LI says in its metadata where a ReLU follows it."""
DEFAULTS = {"v_reset": ("v_threshold", 0.0), "w_in": ("v_leak", 1.0)}
SLACK = 1e-6  # of a step: what float32 loses in a delay that is a whole number of steps


def parameters(membrane: type[Membrane], rule: type[Rule]) -> list[str]:
    """Return the fields of the NIR node; those of a membrane have the same names here."""
    return [*(f.name for f in dataclasses.fields(membrane)), *FIELDS[rule].values()]


def build_population(f: Fields, given: Shape | None, how: Reading) -> Node | None:
    membrane, kind = POPULATIONS[f.node.kind]
    said = rule(f, how.rules) if kind.spikes else {}
    values = {key: _value(f, key, (said or {}).get("reset")) for key in parameters(membrane, kind)}
    if said is None:
        return None
    rectify = f.word(RECTIFY) if f.node.kind == "LI" else None
    if rectify not in (None, "yes", "no"):
        f.error("NIR-RECTIFY", f"rectify is {rectify!r:.80}; expected yes or no")
        return None
    more: dict[str, Any] = {"rectified": True} if rectify == "yes" else {}
    known = {key: a for key, a in values.items() if a is not None}
    full = f.fit(known, given) if len(known) == len(values) else None
    if full is None:
        return None
    times = [key for key in full if _unit(membrane, key) == "time"]
    wrong = [x for key in times for x in faults(f.name, key, full[key], how.dt)]
    f.findings.extend(wrong)
    if kind.spikes:
        _check_threshold(f, full, said["reset"])
    if wrong:
        return None
    own = [x.name for x in dataclasses.fields(membrane)]
    return Population(
        name=f.name,
        membrane=membrane(**{key: full[key] for key in own}),
        rule=kind(**{key: full[name] for key, name in FIELDS[kind].items()}, **said, **more),
    )


def _unit(membrane: type[Membrane], key: str) -> str | None:
    return next((f.metadata["unit"] for f in dataclasses.fields(membrane) if f.name == key), None)


def _value(f: Fields, key: str, reset: str | None) -> Array | None:
    """A parameter; NIR gives v_reset and w_in a value where a file leaves them out."""
    like, default = DEFAULTS.get(key, ("", 0.0))
    if not like or f.has(key) or not f.has(like):
        return f.floats(key)
    if key == "w_in":
        f.repaired("NIR-DEFAULT", "w_in is not in the file: 1, as NIR says")
    elif reset == "value":
        f.repaired("NIR-DEFAULT", "v_reset is not in the file: 0, as NIR says")
    pattern = np.asarray(f.node.fields[like])
    return np.full(pattern.shape, default, pattern.dtype if pattern.dtype == "f8" else "f4")


def _check_threshold(f: Fields, full: dict[str, Array], reset: str) -> None:
    threshold = full["v_threshold"]
    low = threshold <= (full["v_reset"] if reset == "value" else 0)
    if low.any():
        where = first(low)
        f.findings.append(
            warning(
                "NIR-THRESHOLD-RESET",
                f"v_threshold {threshold[where]:g} is not above the reset "
                f"({low.sum()} of {low.size} neurons)",
                why="such a neuron, once over its threshold, spikes at every step",
                layer=f.name,
                neuron=where,
            )
        )


def build_delay(f: Fields, given: Shape | None, how: Reading) -> Node | None:
    value = f.floats("delay")
    full = None if value is None else f.fit({"delay": value}, given)
    if full is None:
        return None
    delay = full["delay"]
    if how.dt is not None:
        steps = delay.astype(np.float64) / how.dt
        off = (delay < 0) | (np.abs(steps - np.rint(steps)) > SLACK * np.maximum(1, steps))
        if off.any():
            where = first(off)
            f.findings.append(
                error(
                    "NIR-DELAY",
                    f"a delay of {delay[where]:g} is {steps[where]:g} steps of {how.dt:g}",
                    why="a delay is a whole number of steps, 0 or more",
                    fix="choose dt so that every delay is a multiple of it",
                    layer=f.name,
                    neuron=where,
                )
            )
            return None
    return Delay(name=f.name, delay=delay)


NEURON_BUILDERS: dict[str, Builder] = {
    **dict.fromkeys(POPULATIONS, build_population),
    "Delay": build_delay,
}
