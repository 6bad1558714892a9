"""Statements of the caller about the neurons of a file: the producer, and fields of the rule."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import Any, get_args

from nrf_deploy.diagnostics.findings import ArgumentTypeError, Finding, UsageError, error, refuse
from nrf_deploy.neurons.spikes import Fires, Reset

from ..rule_options import KEYS, REST, Producer, RuleOptions

NONE = "none"
LARGEST = 1 << 31


@dataclass(frozen=True)
class Statements:
    """The producer of a file, and the fields of the rule by layer."""

    producer: Producer | None = None
    fields: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def of(self, key: str, layer: str) -> Any:
        """Return what is stated about a layer; None if nothing is."""
        by_layer = self.fields.get(key, {})
        return by_layer.get(layer, by_layer.get(REST))

    def __bool__(self) -> bool:
        return self.producer is not None or bool(self.fields)


def statements(options: Mapping[str, Any]) -> Statements:
    """Return the statements of these options; refuse unknown ones and unknown values."""
    refuse(_unknown(options), ArgumentTypeError)
    findings = list(_no_producer(options))
    fields: dict[str, dict[str, Any]] = {}
    for key in KEYS:
        value = options.get(key)
        if value is None:
            continue
        by_layer = value if isinstance(value, Mapping) else {REST: value}
        findings += [f for v in by_layer.values() for f in _wrong(key, v)]
        findings += [_no_name(key, name) for name in by_layer if not isinstance(name, str)]
        if not by_layer:
            findings.append(_error(key, f"{key} is an empty mapping", "name a layer, or leave it"))
        fields[key] = dict(by_layer)
    refuse(findings, UsageError)
    return Statements(options.get("producer"), fields)


def _unknown(options: Mapping[str, Any]) -> Iterator[Finding]:
    known = ("dt", *RuleOptions.__annotations__)
    for name in sorted(options.keys() - set(known)):
        fix = f"the options of reading a model are {', '.join(known)}"
        yield error("ARGUMENT-UNKNOWN", f"there is no option {name!r:.40}", fix=fix)


def _no_producer(options: Mapping[str, Any]) -> Iterator[Finding]:
    producer = options.get("producer")
    if producer is None:
        return
    if not isinstance(producer, str) or producer not in get_args(Producer):
        what = f"producer is {producer!r:.40}; expected one of {', '.join(get_args(Producer))}"
        yield error("PRODUCER-UNKNOWN", what, fix="name the framework that wrote the file")


def _wrong(key: str, value: Any) -> Iterator[Finding]:
    """Yield an error if a field of the rule cannot have this value."""
    if key in WORDS:
        if not isinstance(value, str) or value not in WORDS[key]:
            expected = " or ".join(WORDS[key])
            yield _error(key, f"{key} is {value!r:.40}; expected {expected}", f"give {expected}")
    elif key == "per_step":
        if not isinstance(value, str) or spikes(value) is None:
            what = f"per_step is {value!r:.40}; expected one, many, or many:N with N of 1 or more"
            yield _error(key, what, "give many:N to limit the spikes of a step to N")
    elif key == "floor":
        number = isinstance(value, Real) and not isinstance(value, bool)
        if not _is_none(value) and not (number and math.isfinite(value)):
            what = f"floor is {value!r:.40}; expected a finite number or none"
            yield _error(key, what, "give the lowest potential, as min_v_mem of sinabs")
    elif not _is_none(value) and not _is_count(value):
        what = f"refractory is {value!r:.40}; expected a number of steps from 1, or none"
        yield _error(key, what, "give the steps for which the potential rests after a spike")


def _is_none(value: Any) -> bool:
    return isinstance(value, str) and value == NONE


def _is_count(value: Any) -> bool:
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    return whole and 1 <= value < LARGEST


WORDS: dict[str, tuple[str, ...]] = {"reset": get_args(Reset), "fires": get_args(Fires)}


def _no_name(key: str, name: Any) -> Finding:
    return _error(key, f"{key} names the layer {name!r:.40}; expected text", "name a layer as text")


def _error(key: str, what: str, fix: str) -> Finding:
    return error("RULE-UNKNOWN", what, fix=fix)


def spikes(text: str) -> tuple[str, int | None] | None:
    """Return (one or many, its limit or None) of a text; None if it is neither."""
    word, colon, limit = text.partition(":")
    if text in ("one", "many"):
        return text, None
    whole = limit.isascii() and limit.isdecimal() and len(limit) < 10
    return (word, int(limit)) if word == "many" and colon and whole and int(limit) else None
