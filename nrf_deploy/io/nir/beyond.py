"""What NIR has no field for, in the metadata of a node, under names that begin with "nrf.".

    nrf.version = "1"
    nrf.membrane = "LinearLeak"     a membrane that NIR has no node for; it is written as the node
                                    of the membrane that it is near to
    nrf.floor = an array            a field of the membrane or the rule: one number per neuron,
                                    a word, or "yes" or "no"
    nrf.adaptation = "Rising"       a field that holds a part; its fields follow
    nrf.adaptation.tau = an array

The dataclasses of neurons/ are the only list of what can stand there. What a file states and this
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
"""Fields of a rule that stand in the metadata under a name of their own."""
FLAGS = {"yes": True, "no": False}
WHY = "a rule that is not understood would be read as other neurons"
FIX = "update nrf-deploy, or export the model anew"

Told = str | Array


def nir_fields(membrane: type[Membrane]) -> list[str]:
    """Return the fields of a membrane that its NIR node has too, under the same names."""
    own = dataclasses.fields(membrane.near or membrane)
    return [f.name for f in own if f.default is MISSING]


def words(cls: type[Part], key: str) -> tuple[str, ...]:
    """Return the words that a field can hold; none for a field of another type."""
    hint = get_type_hints(cls)[key]
    return get_args(hint) if get_origin(hint) is Literal else ()


def _elsewhere(cls: type[Part]) -> set[str]:
    """Return the fields of a membrane or a rule that stand elsewhere in the node."""
    if issubclass(cls, Membrane):
        return set(nir_fields(cls))
    return {*FIELDS.get(cls, ()), *WORDS.get(cls, ())} if issubclass(cls, Rule) else set()


# --- writing -----------------------------------------------------------------


def is_known(node: Population) -> bool:
    """Return whether the membrane, the rule and every part of it are of the registry."""
    known = (*neurons.MEMBRANES, *FIELDS, *neurons.PARTS)
    return all(type(part) in known for part in node.every_part())


def say(node: Population) -> dict[str, Told]:
    """Return the metadata for all that NIR has no field for; empty where it can say it all."""
    membrane = type(node.membrane)
    found: dict[str, Told] = {} if membrane.near is None else {"membrane": membrane.__name__}
    for part in (node.membrane, node.rule):
        found |= _say(part, "", node.shape)
    return {OURS + k: v for k, v in {"version": VERSION, **found}.items()} if found else {}


def _say(part: Part, before: str, shape: Shape) -> Iterator[tuple[str, Told]]:
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
    """Return the membrane that a node stands for; None (and an error) where it is unknown."""
    if OURS + "membrane" not in f.node.metadata:
        return near
    said = f.word(OURS + "membrane")
    known = {m.__name__: m for m in neurons.MEMBRANES if m.near is near}
    if isinstance(said, str) and said in known:
        return known[said]
    f.error(
        "NIR-RULE-UNKNOWN",
        f"{OURS}membrane is {said!r:.40}; a node {f.node.kind} can stand for "
        f"{' or '.join(known) or 'no other membrane'}",
        why=WHY,
        fix=FIX,
    )
    return None


def read(
    f: Fields, membrane: type[Membrane], rule: type[Rule], shape: Shape | None, dt: float | None
) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Return the fields of the membrane and of the rule; None (and errors) where one is unclear.

    Args:
        f: the fields of the node
        membrane: what the node stands for
        rule: its rule
        shape: of the layer; None where that is not known, and shapes are not judged
        dt: the time step, where it is known
    """
    said = {k: f.word(k) for k in sorted(f.node.metadata) if k.startswith(OURS)}
    if not said:
        return {}, {}
    if (version := said.pop(OURS + "version", None)) != VERSION:
        f.error(
            "NIR-RULE-VERSION",
            f"{OURS}version is {version!r:.20}; this version reads {VERSION!r}",
            why=WHY,
            fix=FIX,
        )
        return None
    if not said:
        f.error("NIR-RULE", f"{OURS}version stands alone: what it belongs to is not there", fix=FIX)
        return None
    said.pop(OURS + "membrane", None)
    reader = _Reader(f.name, said, shape, dt)
    found = reader.fields(membrane, ""), reader.fields(rule, "")
    for key in sorted(said.keys() - reader.used):
        what = f"the metadata {key!r:.80} is unknown of {_name(membrane, rule)} neurons"
        reader.findings.append(error("NIR-RULE-UNKNOWN", what, why=WHY, fix=FIX, layer=f.name))
    f.findings += reader.findings
    return None if reader.findings else found


def _name(membrane: type[Membrane], rule: type[Rule]) -> str:
    return f"{membrane.__name__} {'spiking' if rule.spikes else 'value'}"


class _Reader:
    """Takes the fields of parts out of metadata, and writes down what is wrong with them."""

    def __init__(
        self, layer: str, said: Mapping[str, Any], shape: Shape | None, dt: float | None
    ) -> None:
        self.layer, self.said, self.shape, self.dt = layer, said, shape, dt
        self.used: set[str] = set()
        self.findings: list[Finding] = []

    def wrong(self, code: str, what: str) -> None:
        self.findings.append(error(code, what, why=WHY, fix=FIX, layer=self.layer))

    def fields(self, cls: type[Part], before: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for f in dataclasses.fields(cls):
            key = f"{OURS}{before}{f.name}"
            if f.name in _elsewhere(cls):
                continue
            if key in self.said:
                self.used.add(key)
                found[f.name] = self.value(cls, f, key)
            elif f.default is MISSING:
                self.wrong("NIR-RULE", f"{key} is missing")
        return found

    def value(self, cls: type[Part], f: dataclasses.Field[Any], key: str) -> Any:
        said, hint = self.said[key], get_type_hints(cls)[f.name]
        if "unit" in f.metadata:
            return self.number(key, f.metadata["unit"], said)
        parts = {p.__name__: p for p in neurons.PARTS if p in get_args(hint)}
        flags = FLAGS if hint is bool else {}
        known = {**parts, **flags, **{word: word for word in words(cls, f.name)}}
        if not isinstance(said, str) or said not in known:
            self.wrong("NIR-RULE-UNKNOWN", f"{key} is {said!r:.40}; expected {' or '.join(known)}")
            return None
        if said in parts:
            inner = self.fields(parts[said], key.removeprefix(OURS) + ".")
            return None if self.findings else parts[said](**inner)
        return known[said]

    def number(self, key: str, unit: Unit, said: Any) -> Array | None:
        """Return finite numbers in the shape of the layer; None (and an error) otherwise."""
        numbers = isinstance(said, np.ndarray) and said.dtype.kind in "fiu" and said.size
        array = as_float(said) if numbers else None
        if array is None or not np.isfinite(array).all():
            self.wrong("NIR-RULE", f"{key} is {said!r:.40}; expected finite numbers")
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
