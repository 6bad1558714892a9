"""Fields of neurons beyond those of NIR, in a node's metadata under names that begin with "nrf.".

    nrf.version = "1"
    nrf.membrane = "LinearLeak"     a membrane without a node in NIR; it is written as the node of
                                    its nearest membrane
    nrf.floor = an array            a field of the membrane or the rule: one number per neuron,
                                    a word, or "yes" or "no"
    nrf.adaptation = "Rising"       a field that holds a part; its fields follow
    nrf.adaptation.tau = an array

The dataclasses of neurons/ are the only list of these fields. A field of a file that this
version does not know is refused: without it the node would be read as other neurons.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import MISSING
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np

from nrf_deploy import neurons
from nrf_deploy.diagnostics.findings import Finding, error
from nrf_deploy.ir.network import Array, Population, Shape
from nrf_deploy.ir.time_constants import faults
from nrf_deploy.neurons import Membrane, Part, Rule, Spikes, Unit, Value

from .fields import Fields, as_float, stretch

OURS = "nrf."
VERSION = "1"
FIELDS: dict[type[Rule], dict[str, str]] = {
    Value: {},
    Spikes: {"threshold": "v_threshold", "reset_to": "v_reset"},
}
"""Fields of a rule that NIR has a field for, and its name."""
WORDS: dict[type[Rule], dict[str, str]] = {
    Value: {"rectified": "rectify"},
    Spikes: {"reset": "reset", "fires": "fires"},
}
"""Fields of a rule that are in the metadata under a separate name."""
FLAGS = {"yes": True, "no": False}
WHY = "a rule that is not understood would be read as other neurons"
FIX = "update nrf-deploy, or export the model again"

Entry = str | Array


def nir_fields(membrane: type[Membrane]) -> list[str]:
    """Return the fields of a membrane that its NIR node has too, under the same names."""
    own = dataclasses.fields(membrane.near or membrane)
    return [f.name for f in own if f.default is MISSING]


def words(cls: type[Part], key: str) -> tuple[str, ...]:
    """Return the words that a field can hold; none for a field of another type."""
    hint = get_type_hints(cls)[key]
    return get_args(hint) if get_origin(hint) is Literal else ()


def prefixed(membrane: type[Membrane], rule: type[Rule]) -> dict[str, str]:
    """Return the name in the metadata of every field of a population, by the field's own name."""
    return {
        f.name: OURS + f.name
        for part in (membrane, rule)
        for f in dataclasses.fields(part)
        if f.name not in _elsewhere(part)
    }


def _elsewhere(cls: type[Part]) -> set[str]:
    """Return the fields of a membrane or a rule that are elsewhere in the node."""
    if issubclass(cls, Membrane):
        return set(nir_fields(cls))
    return {*FIELDS.get(cls, ()), *WORDS.get(cls, ())} if issubclass(cls, Rule) else set()


# --- writing -----------------------------------------------------------------


def is_known(node: Population) -> bool:
    """Return whether the membrane, the rule and every part of it are of the registry."""
    known = (*neurons.MEMBRANES, *FIELDS, *neurons.PARTS)
    return all(type(part) in known for part in node.every_part())


def say(node: Population) -> dict[str, Entry]:
    """Return the metadata for everything without a field in NIR; empty if NIR has all fields."""
    membrane = type(node.membrane)
    entries: dict[str, Entry] = {} if membrane.near is None else {"membrane": membrane.__name__}
    for part in (node.membrane, node.rule):
        entries |= _say(part, "", node.shape)
    return {OURS + k: v for k, v in {"version": VERSION, **entries}.items()} if entries else {}


def _say(part: Part, before: str, shape: Shape) -> Iterator[tuple[str, Entry]]:
    stated = {f.name for f, _ in part.stated()}
    for f in dataclasses.fields(part):
        if f.name in _elsewhere(type(part)) or not (f.default is MISSING or f.name in stated):
            continue
        name, value = before + f.name, getattr(part, f.name)
        if isinstance(value, Part):
            yield name, type(value).__name__
            yield from _say(value, f"{name}.", shape)
        elif isinstance(value, bool):
            yield name, "yes" if value else "no"
        else:
            yield name, value if isinstance(value, str) else full(value, shape)


def full(value: Array | float, shape: Shape) -> Array:
    """Return a number as one for each neuron."""
    array = np.asarray(value)
    return array if array.shape else np.full(shape, array, np.float32)


# --- reading -----------------------------------------------------------------


def membrane_of(f: Fields, near: type[Membrane]) -> type[Membrane] | None:
    """Return the membrane of a node; None (and an error) if it is unknown."""
    if OURS + "membrane" not in f.node.metadata:
        return near
    name = f.word(OURS + "membrane")
    known = {m.__name__: m for m in neurons.MEMBRANES if m.near is near}
    if isinstance(name, str) and name in known:
        return known[name]
    f.error(
        "NIR-RULE-UNKNOWN",
        f"{OURS}membrane is {name!r:.40}; a node {f.node.kind} can be "
        f"{' or '.join(known) or 'no other membrane'}",
        why=WHY,
        fix=FIX,
    )
    return None


def read(
    f: Fields, membrane: type[Membrane], rule: type[Rule], shape: Shape | None, dt: float | None
) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Return the fields of the membrane and of the rule; None (and errors) if one is unclear.

    Args:
        f: the fields of the node
        membrane: the membrane of the node
        rule: its rule
        shape: of the layer; None if it is not known, and shapes are not checked
        dt: the time step; None if it is not known
    """
    entries = {k: f.word(k) for k in sorted(f.node.metadata) if k.startswith(OURS)}
    if not entries:
        return {}, {}
    if (version := entries.pop(OURS + "version", None)) != VERSION:
        stated = "not stated" if version is None else repr(version)[:20]
        f.error(
            "NIR-RULE-VERSION",
            f"{OURS}version is {stated}; this version reads {VERSION!r}",
            why=WHY,
            fix=f"state {OURS}version = {VERSION!r} beside it" if version is None else FIX,
        )
        return None
    if not entries:
        f.error("NIR-RULE", f"{OURS}version has no other field of {OURS[:-1]} beside it", fix=FIX)
        return None
    entries.pop(OURS + "membrane", None)
    reader = _Reader(f.name, entries, shape, dt)
    values = reader.fields(membrane, ""), reader.fields(rule, "")
    for key in sorted(entries.keys() - reader.used):
        what = f"the metadata {key!r:.80} is unknown of {_name(membrane, rule)} neurons"
        reader.findings.append(error("NIR-RULE-UNKNOWN", what, why=WHY, fix=FIX, layer=f.name))
    f.findings += reader.findings
    return None if reader.findings else values


def _name(membrane: type[Membrane], rule: type[Rule]) -> str:
    return f"{membrane.__name__} {'spiking' if rule.spikes else 'value'}"


class _Reader:
    """A reader of the fields of parts from metadata, with findings for their faults."""

    def __init__(
        self, layer: str, entries: Mapping[str, Any], shape: Shape | None, dt: float | None
    ) -> None:
        self.layer, self.entries, self.shape, self.dt = layer, entries, shape, dt
        self.used: set[str] = set()
        self.findings: list[Finding] = []

    def wrong(self, code: str, what: str) -> None:
        self.findings.append(error(code, what, why=WHY, fix=FIX, layer=self.layer))

    def fields(self, cls: type[Part], before: str) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for f in dataclasses.fields(cls):
            key = f"{OURS}{before}{f.name}"
            if f.name in _elsewhere(cls):
                continue
            if key in self.entries:
                self.used.add(key)
                values[f.name] = self.value(cls, f, key)
            elif f.default is MISSING:
                self.wrong("NIR-RULE", f"{key} is missing")
        return values

    def value(self, cls: type[Part], f: dataclasses.Field[Any], key: str) -> Any:
        entry, hint = self.entries[key], get_type_hints(cls)[f.name]
        if "unit" in f.metadata:
            return self.number(key, f.metadata["unit"], entry)
        parts = {p.__name__: p for p in neurons.PARTS if p in get_args(hint)}
        flags = FLAGS if hint is bool else {}
        known = {**parts, **flags, **{word: word for word in words(cls, f.name)}}
        if not isinstance(entry, str) or entry not in known:
            self.wrong("NIR-RULE-UNKNOWN", f"{key} is {entry!r:.40}; expected {' or '.join(known)}")
            return None
        if entry in parts:
            inner = self.fields(parts[entry], key.removeprefix(OURS) + ".")
            return None if self.findings else parts[entry](**inner)
        return known[entry]

    def number(self, key: str, unit: Unit, entry: Any) -> Array | None:
        """Return finite numbers in the shape of the layer; None (and an error) otherwise."""
        numbers = isinstance(entry, np.ndarray) and entry.dtype.kind in "fiu" and entry.size
        array = as_float(entry) if numbers else None
        if array is None or not np.isfinite(array).all():
            self.wrong("NIR-RULE", f"{key} is {entry!r:.40}; expected finite numbers")
            return None
        if self.shape is None:
            return array
        try:
            array = stretch(array, self.shape)
        except ValueError as problem:
            self.wrong("NIR-RULE", f"{key}: {problem}")
            return None
        if unit == "time":
            self.findings += faults(self.layer, key, array, self.dt)
        return array
