"""Builders of populations and delays of the Network from the fields of NIR nodes."""

from __future__ import annotations

from typing import Any

import numpy as np

from nrf_deploy.diagnostics.findings import error, warning
from nrf_deploy.ir.network import Array, Delay, Node, Population, Shape
from nrf_deploy.ir.nodes import first
from nrf_deploy.ir.time_constants import faults
from nrf_deploy.neurons import MEMBRANES, Membrane, Rule, Spikes, Value

from .beyond import FIELDS, FLAGS, WORDS, membrane_of, nir_fields
from .beyond import read as read_beyond
from .connection_builders import Builder, Reading
from .fields import Fields
from .rules import rule

POPULATIONS: dict[str, tuple[type[Membrane], type[Rule]]] = {
    kind: (membrane, rule)
    for membrane in MEMBRANES
    for kind, rule in zip(membrane.nir, (Value, Spikes), strict=True)
    if membrane.near is None
}
"""The membrane and the rule of each kind of node of NIR."""
SPIKING = tuple(kind for kind, (_, rule) in POPULATIONS.items() if rule.spikes)
RECTIFY = WORDS[Value]["rectified"]
"""The key in the metadata of neurons with a value that a ReLU follows."""
DEFAULTS = {"v_reset": ("v_threshold", 0.0), "w_in": ("v_leak", 1.0)}
SLACK = 1e-6  # of a step: the float32 error of a delay that is an integer of steps


def build_population(f: Fields, source: Shape | None, how: Reading) -> Node | None:
    near, kind = POPULATIONS[f.node.kind]
    membrane = membrane_of(f, near)
    stated = rule(f, how.rules) if kind.spikes else _rectified(f)
    own, outer = nir_fields(near), FIELDS[kind]
    values = {key: _value(f, key, (stated or {}).get("reset")) for key in (*own, *outer.values())}
    known = {key: a for key, a in values.items() if a is not None}
    full = f.fit(known, source) if stated is not None and len(known) == len(values) else None
    shape = full[own[0]].shape if full else None
    more = None if membrane is None else read_beyond(f, membrane, kind, shape, how.dt)
    if full is None or stated is None:
        return None
    times = [key for key in own if near.__dataclass_fields__[key].metadata["unit"] == "time"]
    wrong = [x for key in times for x in faults(f.name, key, full[key], how.dt)]
    f.findings.extend(wrong)
    if kind.spikes:
        _check_threshold(f, full, stated["reset"])
    if wrong or membrane is None or more is None:
        return None
    node = Population(
        name=f.name,
        membrane=membrane(**{key: full[key] for key in own}, **more[0]),
        rule=kind(**{key: full[name] for key, name in outer.items()}, **stated, **more[1]),
    )
    unsound = [what for part in node.every_part() for what in part.faults()]
    for what in unsound:
        f.error("NIR-RULE", what)
    return None if unsound else node


def _rectified(f: Fields) -> dict[str, Any] | None:
    """Return whether a ReLU follows these neurons; None (and an error) if that is unclear."""
    word = f.word(RECTIFY)
    if word is None:
        return {}
    if isinstance(word, str) and word in FLAGS:
        return {"rectified": FLAGS[word]}
    f.error("NIR-RECTIFY", f"rectify is {word!r:.80}; expected yes or no")
    return None


def _value(f: Fields, key: str, reset: str | None) -> Array | None:
    """Return a parameter; NIR has defaults for v_reset and w_in if a file does not have them."""
    like, default = DEFAULTS.get(key, ("", 0.0))
    if not like or f.has(key) or not f.has(like):
        return f.floats(key)
    if key == "w_in":
        f.repaired("NIR-DEFAULT", "w_in is not in the file: 1, the default of NIR")
    elif reset == "value":
        f.repaired("NIR-DEFAULT", "v_reset is not in the file: 0, the default of NIR")
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
                why="such a neuron, once above its threshold, spikes in every step",
                layer=f.name,
                neuron=where,
            )
        )


def build_delay(f: Fields, source: Shape | None, how: Reading) -> Node | None:
    value = f.floats("delay")
    full = None if value is None else f.fit({"delay": value}, source)
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
                    why="a delay is an integer number of steps, 0 or more",
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
