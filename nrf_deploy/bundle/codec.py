"""Frozen dataclasses as JSON and named arrays, and back.

What may be written or read is a registry of names and classes: nothing is ever imported
because a file says so. Numbers, text and None are stored unchanged, a tuple is a JSON
list, and an object with one key is
    {"array": name}   an array, stored beside the JSON; one that is shared is stored once
    {"map": {...}}    a mapping; its order is not kept
    {"list": [...]}   a list
while {"type": name, field: value, ...} is a dataclass of the registry. Each field must fit
its annotation, in both directions, so that what is saved can be loaded and what is loaded
can be trusted to be of its type.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import MISSING
from typing import Any

import numpy as np

from nrf_deploy.diagnostics.findings import InputError, error
from nrf_deploy.io.toml_json import is_int64, parse_json
from nrf_deploy.ir.field_types import fields_of, fits
from nrf_deploy.ir.network import Array

Tree = Any  # what json gives


class Codec:
    def __init__(self, classes: Mapping[str, type]) -> None:
        self._classes = dict(classes)
        self._names = {cls: name for name, cls in classes.items()}
        self._fields = {cls: fields_of(cls) for cls in classes.values()}
        self._neutral = {cls: _neutral(cls) for cls in classes.values()}

    def encode(self, value: Any) -> tuple[Tree, dict[str, Array]]:
        """Return (tree, arrays); a value outside the registry is a TypeError, an internal error."""
        arrays: dict[int, tuple[str, Array]] = {}
        return self._encode(value, "", arrays), dict(arrays.values())

    def decode(self, tree: Tree, arrays: Mapping[str, Array]) -> Any:
        try:
            return self._decode(tree, "", arrays)
        except RecursionError as problem:
            raise _refusal("", "is nested too deeply") from problem

    def _encode(self, value: Any, at: str, arrays: dict[int, tuple[str, Array]]) -> Tree:
        if isinstance(value, np.generic):
            value = value.item()
        if isinstance(value, float) and not math.isfinite(value):
            raise _refusal(at, f"is {value}, which JSON cannot hold")
        if isinstance(value, int) and not is_int64(value):
            raise _refusal(at, "is an integer of more than 64 bits")
        if value is None or isinstance(value, (bool, int, float, str)):
            return value
        if type(value) is np.ndarray:
            name, _ = arrays.setdefault(id(value), (f"{len(arrays):04d}", value))
            return {"array": name}
        if isinstance(value, tuple):
            return [self._encode(v, f"{at}/{i}", arrays) for i, v in enumerate(value)]
        if isinstance(value, list):
            return {"list": self._encode(tuple(value), at, arrays)}
        if isinstance(value, Mapping):
            if not all(isinstance(key, str) for key in value):
                raise TypeError(f"{at} has keys that are not text")
            return {"map": {k: self._encode(value[k], f"{at}/{k}", arrays) for k in sorted(value)}}
        if type(value) not in self._names:
            raise TypeError(f"{at} is a {type(value).__name__}, which is not in the registry")
        tree = {"type": self._names[type(value)]}
        for name, hint in self._fields[type(value)].items():
            content = getattr(value, name)
            if not fits(content, hint):
                raise TypeError(f"{at}/{name} is {content!r:.80}, not {hint}")
            neutral = self._neutral[type(value)]
            if name not in neutral or not _is(content, neutral[name]):
                tree[name] = self._encode(content, f"{at}/{name}", arrays)
        return tree

    def _decode(self, tree: Tree, at: str, arrays: Mapping[str, Array]) -> Any:
        match tree:
            case None | bool() | int() | str():
                return tree
            case float() if math.isfinite(tree):
                return tree
            case list():
                return tuple(self._decode(t, f"{at}/{i}", arrays) for i, t in enumerate(tree))
            case {"type": str(name), **fields}:
                return self._build(name, fields, at, arrays)
            case {"array": str(name)} if len(tree) == 1 and name in arrays:
                return arrays[name]
            case {"list": list(items)} if len(tree) == 1:
                return list(self._decode(items, at, arrays))
            case {"map": dict(items)} if len(tree) == 1:
                return {k: self._decode(t, f"{at}/{k}", arrays) for k, t in items.items()}
        raise _refusal(at, f"is {tree!r:.80}, which is not a stored form")

    def _build(self, name: str, stored: Tree, at: str, arrays: Mapping[str, Array]) -> Any:
        cls = self._classes.get(name)
        if cls is None:
            raise _refusal(at, f"is of the unknown type {name!r:.80}")
        hints = self._fields[cls]
        if foreign := sorted(set(stored) - set(hints)):
            raise _refusal(at, f"has fields that a {name} does not have: {', '.join(foreign):.80}")
        values = {k: self._decode(t, f"{at}/{k}", arrays) for k, t in stored.items()}
        for field, value in values.items():
            if not fits(value, hints[field]):
                raise _refusal(
                    f"{at}/{field}", f"is {value!r:.80}, which a {name} cannot have there"
                )
        try:
            return cls(**values)
        except TypeError as problem:
            raise _refusal(at, f"is not a complete {name}: {problem}") from problem


def _neutral(cls: type) -> dict[str, Any]:
    """Return the features of neurons among the fields of a class, with their neutral values.

    A neutral feature is not stored, so that a feature of a later version changes no bundle
    without it.
    """
    fields = dataclasses.fields(cls)
    return {f.name: f.default for f in fields if "about" in f.metadata and f.default is not MISSING}


def _is(content: Any, neutral: Any) -> bool:
    """Return True for a neutral value; an array is stored whatever it holds."""
    return content is neutral or (
        isinstance(content, bool | float | str) and bool(content == neutral)
    )


def to_json(tree: Tree, indent: int | None = None) -> bytes:
    """Return the JSON bytes of a tree; the same tree always gives the same bytes."""
    return json.dumps(tree, sort_keys=True, allow_nan=False, indent=indent).encode("ascii")


def from_json(data: bytes) -> Tree:
    """Return the value of a JSON text; raise ValueError as `parse_json` does."""
    return parse_json(data)


def _refusal(at: str, what: str) -> InputError:
    return InputError(error("BUNDLE-CONTENT", f"{at or 'the content'} {what}"))
