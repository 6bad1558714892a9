"""Checks of values against the annotations of dataclasses."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np

_NUMBERS: dict[Any, tuple[type, ...]] = {
    int: (int, np.integer),
    float: (int, float, np.integer, np.floating),
}


def fields_of(cls: type) -> dict[str, Any]:
    hints = get_type_hints(cls)
    fields = {f.name: hints[f.name] for f in dataclasses.fields(cls)}
    if "type" in fields:
        raise TypeError(f"{cls.__name__} has a field of the name that marks dataclasses")
    return fields


def fits(value: Any, hint: Any) -> bool:
    """Return whether a value has the type of an annotation."""
    origin, args = get_origin(hint), get_args(hint)
    if hint is Any:
        return True
    if hint in (None, NoneType):
        return value is None
    if hint in _NUMBERS:
        return isinstance(value, _NUMBERS[hint]) and not isinstance(value, bool)
    if origin is Literal:
        return isinstance(value, str) and value in args
    if origin in (Union, UnionType):
        return any(fits(value, arg) for arg in args)
    if origin is tuple:
        if not isinstance(value, tuple):
            return False
        expected = args[:1] * len(value) if args[-1] is Ellipsis else args
        return len(value) == len(expected) and all(map(fits, value, expected))
    if origin is Mapping:
        return isinstance(value, Mapping) and all(fits(v, args[1]) for v in value.values())
    return isinstance(value, origin or hint)


def misfits(noun: Any, called: str) -> Iterator[str]:
    """Yield the fields of a dataclass whose values their annotations do not allow."""
    for name, hint in _hints(type(noun)).items():
        if not fits(value := getattr(noun, name), hint):
            yield f"{name} of {called} is {value!r:.80}, which it cannot be"


_HINTS: dict[type, dict[str, Any]] = {}


def _hints(cls: type) -> dict[str, Any]:
    if cls not in _HINTS:
        _HINTS[cls] = fields_of(cls) if dataclasses.is_dataclass(cls) else {}
    return _HINTS[cls]
