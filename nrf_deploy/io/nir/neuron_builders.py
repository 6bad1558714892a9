"""Builders of populations and delays of the Network from the fields of NIR nodes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from nrf_deploy.diagnostics.findings import error, warning
from nrf_deploy.ir.network import Array, Delay, Node, Population, Shape
from nrf_deploy.ir.nodes import first
from nrf_deploy.ir.time_constants import TIMES, faults
from nrf_deploy.neurons import MEMBRANES, Membrane, Rule, Spikes, Value

from .beyond import FIELDS, FLAGS, OURS, WORDS, membrane_of, nir_fields, prefixed
from .beyond import read as read_beyond
from .connection_builders import Builder, Reading
from .dialects import FLOOR, NIR, Clock, Dialect, ForeignError
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
    dialect = NIR if how.dialect is None else how.dialect
    own, outer = nir_fields(near), FIELDS[kind]
    f.prefixed = prefixed(near, kind)
    ours = dialect is NIR
    membrane = membrane_of(f, near) if ours else near
    stated = rule(f, how.stated, how.dialect) if kind.spikes else _rectified(f)
    if not ours and not _is_of(f, dialect):
        return None
    values = {
        key: _value(f, key, (stated or {}).get("reset"), key in dialect.infinite)
        for key in (*own, *outer.values())
    }
    known = {key: a for key, a in values.items() if a is not None}
    full = f.fit(known, source) if stated is not None and len(known) == len(values) else None
    shape = full[own[0]].shape if full else None
    dt = None if how.clock is None else how.clock.step
    more = read_beyond(f, membrane, kind, shape, dt) if ours and membrane is not None else None
    if full is None or stated is None:
        return None
    if kind.spikes:
        _check_threshold(f, full, stated["reset"])
    if ours:
        times = [key for key in own if near.__dataclass_fields__[key].metadata["unit"] == "time"]
        if wrong := [x for key in times for x in faults(f.name, key, full[key], dt)]:
            f.findings.extend(wrong)
            return None
        if membrane is None or more is None:
            return None
        neurons, rest = membrane(**{key: full[key] for key in own}, **more[0]), more[1]
    elif (by_dialect := _by_dialect(f, dialect, full, how.clock)) is None:
        return None
    else:
        neurons, rest = by_dialect, {}
    node = Population(
        name=f.name,
        membrane=neurons,
        rule=kind(
            **{key: full[name] for key, name in outer.items()}, **_numbers(stated, full), **rest
        ),
    )
    unsound = [what for part in node.every_part() for what in part.faults()]
    for what in unsound:
        f.error("NIR-RULE", what)
    return None if unsound else node


def _is_of(f: Fields, dialect: Dialect) -> bool:
    """Return whether a producer can have written this node; report an error if it cannot."""
    fix = "state the producer that wrote the file"
    if f.node.kind not in dialect.kinds:
        what = f"a {f.node.kind} is not a node that {dialect.framework} writes"
        f.error("NIR-PRODUCER", what, why=f"it writes {', '.join(dialect.kinds)}", fix=fix)
        return False
    if beyond := sorted(key for key in f.node.metadata if key.startswith(OURS)):
        f.error(
            "NIR-PRODUCER",
            f"the metadata {beyond[0]!r:.80} is of nrf-deploy, not of {dialect.framework}",
            fix="leave the producer out, or state the producer nir",
        )
        return False
    return True


def _by_dialect(
    f: Fields, dialect: Dialect, full: dict[str, Array], clock: Clock | None
) -> Membrane | None:
    """Return the membrane that a producer means; None (and an error) if it did not write this."""
    if clock is None:
        return None  # reported with the time step
    times = [key for key in TIMES if key in full]
    if wrong := [x for key in times for x in faults(f.name, key, full[key], None)]:
        f.findings.extend(wrong)
        return None
    try:
        result = dialect.membrane(f.node.kind, full, clock)
    except ForeignError as foreign:
        f.error("NIR-PRODUCER", str(foreign), fix="state the producer that wrote the file")
        return None
    own_times = ((key, a) for key, unit, a in result.numbers() if unit == "time")
    wrong = [x for key, a in own_times for x in faults(f.name, key, a, clock.step)]
    f.findings.extend(wrong)
    return None if wrong else result


def _numbers(stated: Mapping[str, Any], full: Mapping[str, Array]) -> dict[str, Any]:
    """Return the stated fields of a rule, each number repeated for all neurons."""
    fields = dict(stated)
    for key in ("floor", "refractory", "most"):
        if key in fields and fields[key] == FLOOR:
            fields[key] = -full["v_threshold"]
        elif key in fields:
            fields[key] = np.full(full["v_threshold"].shape, fields[key], np.float32)
    return fields


def _rectified(f: Fields) -> dict[str, Any] | None:
    """Return whether a ReLU follows these neurons; None (and an error) if that is unclear."""
    word = f.word(RECTIFY)
    if word is None:
        return {}
    if isinstance(word, str) and word in FLAGS:
        return {"rectified": FLAGS[word]}
    f.error("NIR-RECTIFY", f"rectify is {word!r:.80}; expected yes or no")
    return None


def _value(f: Fields, key: str, reset: str | None, infinite: bool) -> Array | None:
    """Return a parameter; NIR has defaults for v_reset and w_in if a file does not have them."""
    like, default = DEFAULTS.get(key, ("", 0.0))
    if not like or f.has(key) or not f.has(like):
        return f.floats(key, infinite)
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
    if how.clock is not None:
        dt = how.clock.file
        steps = delay.astype(np.float64) / dt
        off = (delay < 0) | (np.abs(steps - np.rint(steps)) > SLACK * np.maximum(1, steps))
        if off.any():
            where = first(off)
            f.findings.append(
                error(
                    "NIR-DELAY",
                    f"a delay of {delay[where]:g} is {steps[where]:g} steps of {dt:g}",
                    why="a delay is an integer number of steps, 0 or more",
                    fix="choose dt so that every delay is a multiple of it",
                    layer=f.name,
                    neuron=where,
                )
            )
            return None
        if dt != how.clock.step:
            delay = np.rint(steps) * how.clock.step
    return Delay(name=f.name, delay=delay)


NEURON_BUILDERS: dict[str, Builder] = {
    **dict.fromkeys(POPULATIONS, build_population),
    "Delay": build_delay,
}
