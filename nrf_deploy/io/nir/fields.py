"""Fields of a node: readers that convert them one by one and report their faults."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nrf_deploy.diagnostics.findings import Finding, Severity, error, info, warning
from nrf_deploy.ir.network import Array, Shape
from nrf_deploy.ir.nodes import first

from .graph import RawNode

LARGEST = 1 << 31
TYPES = ("input_type", "output_type")
"""Shapes that nir itself stores in a node and does not use."""


@dataclass
class Fields:
    """The fields of one node, with the findings and the keys that were read."""

    node: RawNode
    findings: list[Finding]
    used: set[str] = field(default_factory=set)
    words: set[str] = field(default_factory=set)
    """Keys of the metadata that were read."""
    prefixed: Mapping[str, str] = field(default_factory=dict)
    """Keys of the metadata that are read only under this longer name."""

    @property
    def name(self) -> str:
        return self.node.name

    def error(self, code: str, what: str, **more: Any) -> None:
        self.findings.append(error(code, what, layer=self.name, **more))

    def repaired(self, code: str, what: str, severity: Severity = "info", why: str = "") -> None:
        say = info if severity == "info" else warning
        self.findings.append(say(code, what, layer=self.name, why=why))

    def has(self, key: str) -> bool:
        return key in self.node.fields

    def word(self, key: str) -> Any:
        """Return the entry of the node's metadata under this key; None if it is missing."""
        self.words.add(key)
        return self.node.metadata.get(key)

    def take(self, key: str) -> Any:
        """Return the raw value, or None (and an error) if it is missing."""
        self.used.add(key)
        if key not in self.node.fields:
            self.error(
                "NIR-FIELD-MISSING",
                f"a {self.node.kind} needs the field {key!r}",
                fix="export the model again; the file is not complete",
            )
            return None
        return self.node.fields[key]

    def floats(self, key: str, infinite: bool = False) -> Array | None:
        """Return finite numbers as float32 or float64; None (and an error) otherwise.

        `infinite`: positive infinity is a number too.
        """
        value = self.take(key)
        if value is None:
            return None
        if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiub" or not value.size:
            self.error("NIR-FIELD-TYPE", f"{key!r} is not made of numbers")
            return None
        array = as_float(value)
        if array is None:
            self.error("NIR-FIELD-TYPE", f"{key!r} holds integers too large for a float")
            return None
        bad = ~(np.isfinite(array) | (infinite & np.isposinf(array)))
        if bad.any():
            where = first(bad)
            self.error(
                "NIR-NOT-FINITE",
                f"{key} holds {array[where]} at {where} ({bad.sum()} of {bad.size} not finite)",
                why="training diverged or the file is damaged",
                fix="export a checkpoint that is finite",
            )
            return None
        return array

    def ints(self, key: str, count: int, least: int = 0) -> Shape | None:
        """Return `count` integers; a single one is repeated."""
        values = self.whole(key)
        if values is None:
            return None
        if len(values) == 1:
            values *= count
        if len(values) != count:
            self.error("NIR-FIELD-SHAPE", f"{key!r} holds {len(values)} values, not {count}")
            return None
        if min(values) < least:
            self.error("NIR-FIELD-RANGE", f"{key!r} is {min(values)}; it must be {least} or more")
            return None
        return values

    def whole(self, key: str) -> Shape | None:
        """Return integers of moderate size, up to 64 of them."""
        value = self.take(key)
        if value is None:
            return None
        ok = isinstance(value, np.ndarray) and value.dtype.kind in "iuf" and 0 < value.size <= 64
        flat = value.ravel().tolist() if ok else []
        if not flat or not all(abs(x) < LARGEST and x == int(x) for x in flat):
            self.error("NIR-FIELD-TYPE", f"{key!r} does not hold integers")
            return None
        return tuple(int(x) for x in flat)

    def sizes(self, key: str) -> Shape | None:
        """Return a shape with any number of axes; its sizes are 1 or more."""
        shape = self.whole(key)
        if shape is not None and min(shape) < 1:
            self.error("NIR-FIELD-RANGE", f"{key!r} is {shape}; every size must be 1 or more")
            return None
        return shape

    def leftover(self) -> None:
        """Refuse fields and metadata that were not read: they may change the node's output."""
        for key in sorted(self.node.fields.keys() - self.used):
            if key in TYPES:
                self.repaired("NIR-FIELD-UNKNOWN", f"the field {key!r} was not read", "warning")
                continue
            self.error(
                "NIR-FIELD-UNKNOWN",
                f"the field {key!r:.80} is unknown",
                why=f"a {self.node.kind} of NIR has no such field; it may change the output",
                fix="remove the field if the node means the same without it",
            )
        for key in sorted(self.node.metadata.keys() - self.words):
            self.error(
                "NIR-METADATA-UNKNOWN",
                f"the metadata {key!r:.80} is unknown",
                why=f"{_known(self.node.kind, self.words)}; it may change the output",
                fix=f"write it as {self.prefixed[key]}, and nrf.version = '1' beside it"
                if key in self.prefixed
                else "remove it from the node if the node means the same without it",
            )

    def fit(self, values: dict[str, Array], source: Shape | None) -> dict[str, Array] | None:
        """Return the parameters, each in the full shape of the layer.

        The layer has the shape of its input if every parameter can be
        stretched to it, else that of its largest parameter.
        """
        largest = max((a.shape for a in values.values()), key=lambda s: (math.prod(s), len(s)))
        fits_input = source is not None and all(_fits(a.shape, source) for a in values.values())
        shape = source if source is not None and fits_input else largest
        if source is None and math.prod(shape) == 1:
            return None  # one value for all, of an unknown number
        full: dict[str, Array] = {}
        stretched: list[str] = []
        for key, array in values.items():
            if not _fits(array.shape, shape):
                self.error("NIR-PARAM-SHAPE", f"{key} has shape {array.shape}, the layer {shape}")
                return None
            if array.shape != shape:
                stretched.append(key)
            full[key] = stretch(array, shape)
        if stretched:
            plain = all(values[key].ndim == 0 for key in stretched)
            what = f"{', '.join(stretched)} repeated to the full shape {shape}"
            self.repaired("NIR-BROADCAST", what, "info" if plain else "warning")
        return full


def stretch(array: Array, shape: Shape) -> Array:
    """Return an array in a shape that it fits; raise ValueError if it does not."""
    if array.shape == shape:
        return array
    if not _fits(array.shape, shape):
        raise ValueError(f"the shape is {array.shape}; expected {shape}")
    lean = array.reshape(_strip(array.shape, len(shape)))
    return np.ascontiguousarray(np.broadcast_to(lean, shape))


def _known(kind: str, words: set[str]) -> str:
    """Return in words which metadata of a node are read."""
    return f"of a {kind} {' and '.join(sorted(words)) or 'nothing'} can be read"


def as_float(value: Array) -> Array | None:
    if value.dtype.kind == "f":
        return value.astype(np.float32) if value.dtype.itemsize < 4 else value
    for dtype in (np.float32, np.float64):
        cast = value.astype(dtype)
        if max(-cast.min(), cast.max()) <= 2.0 ** np.finfo(dtype).nmant:
            return cast
    return None


def _strip(shape: Sequence[int], ndim: int) -> Shape:
    """Return a shape without its leading ones beyond `ndim` axes."""
    extra = max(0, len(shape) - ndim)
    return tuple(shape[extra:]) if all(n == 1 for n in shape[:extra]) else tuple(shape)


def _fits(shape: Shape, full: Shape) -> bool:
    """Return whether a shape is one value, or has the same axes, with 1 where it repeats."""
    lean = _strip(shape, len(full))
    if all(n == 1 for n in lean) and len(lean) <= len(full):
        return True
    return len(lean) == len(full) and all(a in (1, b) for a, b in zip(lean, full, strict=True))
