"""A witness in the metadata of a graph: the outputs of the training framework on a short input.

    nrf.witness.version = "1"
    nrf.witness.about   JSON text: the producer and its version, the steps, dt, the shape of the
                        input, the layers in the order of the rows, and what stays undecided
    nrf.witness.start   integers (1 + layers, steps + 1): where the events of each step begin; row
                        0 is the input, each further row the output of a layer
    nrf.witness.index   the flat element of each event: first of the input, then layer by layer
    nrf.witness.value   the value of each event as float64, which holds counts and float32 exactly
    nrf.witness.potential.N   float32 (steps, neurons): the potential of layer N after each step

A silent step costs nothing. The same witness gives the same bytes. A file with a witness of
another version, or with one that does not fit its network, is refused.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from nrf_deploy.diagnostics.findings import Finding, UsageError, error, refuse
from nrf_deploy.ir.network import Array, Network, Shape
from nrf_deploy.ir.recording import Recording
from nrf_deploy.ir.witness import Witness
from nrf_deploy.ir.witness_faults import faults

from ..toml_json import parse_json

PREFIX = "nrf.witness."
VERSION = "1"
POTENTIAL = PREFIX + "potential."
MOST_STEPS = 4_096
MOST_EVENTS = 1 << 22
MOST_POTENTIALS = 1 << 22
"""Limits on what a file holds: a witness is short. Without one, a recording can be compared."""
MOST_REMARKS, LONGEST = 64, 400
TEXT, WHOLE, FLAG = (str,), (int,), (bool,)
ABOUT: dict[str, tuple[type, ...]] = {
    "producer": TEXT, "version": TEXT, "steps": WHOLE, "dt": (int, float, type(None)),
}  # fmt: skip
LISTS: dict[str, tuple[type, ...]] = {
    "input": WHOLE, "whole": FLAG, "layers": TEXT, "undecided": TEXT,
}  # fmt: skip
"""The keys of the JSON text. `whole`: of the input and each layer, whether values are integers."""
FIX = "export the model again"
WHY = "a witness that is not understood would prove nothing"


# --- writing -----------------------------------------------------------------


def encode(witness: Witness, network: Network) -> dict[str, str | Array]:
    """Return the entries of a graph's metadata; refuse a witness that does not fit the network."""
    refuse([*_unfit(witness, network), *_large(witness)], UsageError)
    return _entries(witness)


def digest(witness: Witness) -> str:
    """Return the SHA-256 of a witness as hexadecimal digits."""
    total = hashlib.sha256()
    for key, value in sorted(_entries(witness).items()):
        data = value.encode() if isinstance(value, str) else np.ascontiguousarray(value).tobytes()
        total.update(f"{key} {len(data)}\n".encode() + data)
    return total.hexdigest()


def _entries(witness: Witness) -> dict[str, str | Array]:
    layers = list(witness.outputs)
    parts = [witness.input, *(witness.outputs[name] for name in layers)]
    about = {
        "producer": witness.producer,
        "version": witness.version,
        "steps": witness.input.steps,
        "dt": witness.input.dt,
        "input": list(witness.input.shape),
        "whole": [p.value.dtype.kind in "biu" for p in parts],
        "layers": layers,
        "undecided": list(witness.undecided),
    }
    arrays = {
        "start": np.array([p.start for p in parts], np.int64),
        "index": np.concatenate([p.index for p in parts]).astype(np.int64),
        "value": np.concatenate([p.value.astype(np.float64) for p in parts]),
    }
    entries: dict[str, str | Array] = {"version": VERSION, "about": json.dumps(about)}
    shown = {
        POTENTIAL + str(layers.index(name)): _flat(v) for name, v in witness.potentials.items()
    }
    return {PREFIX + k: v for k, v in (entries | arrays).items()} | dict(sorted(shown.items()))


def _flat(potentials: Array) -> Array:
    return potentials.astype(np.float32).reshape(len(potentials), -1)


def _unfit(witness: Witness, network: Network) -> Iterator[Finding]:
    for fault in faults(witness, network):
        yield error("NIR-WITNESS", f"the witness is not sound: {fault}", why=WHY, fix=FIX)


def _large(witness: Witness) -> Iterator[Finding]:
    events = sum(len(r.index) for r in (witness.input, *witness.outputs.values()))
    sizes = {
        "steps": (witness.input.steps, MOST_STEPS),
        "events": (events, MOST_EVENTS),
        "potentials": (sum(v.size for v in witness.potentials.values()), MOST_POTENTIALS),
        "remarks": (len(witness.undecided), MOST_REMARKS),
    }
    for what, (size, limit) in sizes.items():
        if size > limit:
            yield error(
                "NIR-WITNESS-LARGE",
                f"the witness has {size:,} {what}; expected at most {limit:,}",
                fix="give it fewer steps",
            )
    if any(len(text) > LONGEST for text in (witness.producer, witness.version, *witness.undecided)):
        yield error("NIR-WITNESS-LARGE", f"a text has more than {LONGEST} characters")


# --- reading -----------------------------------------------------------------


def is_entry(key: str) -> bool:
    """Return whether a key of the outer graph's metadata is part of a witness."""
    return key.startswith(PREFIX)


def decode(
    metadata: Mapping[str, Any], network: Network, findings: list[Finding]
) -> Witness | None:
    """Return the witness in a graph's metadata; None without one, or (and errors) if unsound."""
    entries = {k.removeprefix(PREFIX): v for k, v in metadata.items() if is_entry(k)}
    if not entries:
        return None
    if (version := entries.pop("version", None)) != VERSION:
        stated = "not stated" if version is None else repr(version)[:20]
        what = f"{PREFIX}version is {stated}; this version reads {VERSION!r}"
        fix = "update nrf-deploy, or export the model again"
        findings.append(error("NIR-WITNESS-VERSION", what, why=WHY, fix=fix))
        return None
    try:
        return _witness(entries, network)
    except _UnsoundError as fault:
        what = f"the witness of the file is not sound: {fault}"
        findings.append(error("NIR-WITNESS", what, why=WHY, fix=FIX))
        return None


class _UnsoundError(Exception):
    """The fault of a witness, in words."""


def _witness(entries: dict[str, Any], network: Network) -> Witness:
    about = _about(entries.pop("about", None))
    layers, steps, size = about["layers"], about["steps"], len(about["layers"]) + 1
    for name in layers:
        if name not in network or layers.count(name) > 1:
            which = "twice" if name in network else "which the network does not have"
            raise _UnsoundError(f"it has a layer {name!r:.80}, {which}")
    if len(about["whole"]) != size:
        raise _UnsoundError(f"it states {len(about['whole'])} kinds of values for {size} signals")
    start = _array(entries, "start", "iu", (size, steps + 1))
    index, value = _array(entries, "index", "iu"), _array(entries, "value", "f")
    if index.ndim != 1 or index.shape != value.shape or len(index) > MOST_EVENTS:
        raise _UnsoundError(f"index and value have the shapes {index.shape} and {value.shape}")
    shapes = [tuple(about["input"]), *(network[name].shape for name in layers)]
    parts = list(_parts(start.astype(np.int64), index, value, shapes, about))
    potentials = {}
    for key in sorted(k for k in entries if k.startswith("potential.")):
        number = key.removeprefix("potential.")
        if number not in map(str, range(len(layers))):
            raise _UnsoundError(f"it has a potential of layer {number!r:.20}; expected a number")
        name = layers[int(number)]
        shape = network[name].shape
        flat = _array(entries, key, "f", (steps, math.prod(shape)))
        potentials[name] = flat.astype(np.float32).reshape(steps, *shape)
    if entries:
        raise _UnsoundError(f"it has unknown entries: {', '.join(sorted(entries)):.200}")
    witness = Witness(
        producer=about["producer"],
        version=about["version"],
        input=parts[0],
        outputs=dict(zip(layers, parts[1:], strict=True)),
        potentials=potentials,
        undecided=tuple(about["undecided"]),
    )
    if fault := next(faults(witness, network), ""):
        raise _UnsoundError(fault)
    return witness


def _about(text: Any) -> dict[str, Any]:
    """Return the facts in the JSON text, each of its type and within its limits."""
    try:
        about = parse_json(text) if isinstance(text, str) else None
    except ValueError as problem:
        raise _UnsoundError(f"{PREFIX}about is not JSON: {problem!s:.80}") from problem
    if not isinstance(about, dict) or about.keys() != ABOUT.keys() | LISTS.keys():
        raise _UnsoundError(f"{PREFIX}about does not hold exactly {', '.join((*ABOUT, *LISTS))}")
    for key, value in about.items():
        single = type(value) in ABOUT.get(key, ())
        many = isinstance(value, list) and all(type(x) in LISTS.get(key, ()) for x in value)
        if not single and not many:
            raise _UnsoundError(f"its {key} is {value!r:.60}")
    if not 1 <= about["steps"] <= MOST_STEPS:
        raise _UnsoundError(f"it has {about['steps']:,} steps; expected 1 to {MOST_STEPS:,}")
    texts = (about["producer"], about["version"], *about["undecided"])
    if len(texts) > MOST_REMARKS + 2 or any(len(t) > LONGEST for t in texts):
        raise _UnsoundError("its texts are too long")
    return about


def _array(entries: dict[str, Any], key: str, kinds: str, shape: Shape | None = None) -> Array:
    value = entries.pop(key, None)
    if not isinstance(value, np.ndarray) or value.dtype.kind not in kinds:
        raise _UnsoundError(f"{PREFIX}{key} is missing or of another type")
    if shape is not None and value.shape != shape:
        raise _UnsoundError(f"{PREFIX}{key} has the shape {value.shape}; expected {shape}")
    return value


def _parts(
    start: Array, index: Array, value: Array, shapes: list[Shape], about: dict[str, Any]
) -> Iterator[Recording]:
    """Yield the input and the output of each layer."""
    first = 0
    for k, (row, shape) in enumerate(zip(start, shapes, strict=True)):
        events = int(row[-1])
        if not 0 <= events <= len(index) - first:
            raise _UnsoundError(f"row {k} of {PREFIX}start ends with {events}")
        here = slice(first, first + events)
        first += events
        numbers = value[here]
        if about["whole"][k]:
            if not (np.isfinite(numbers).all() and np.all(numbers == np.rint(numbers))):
                raise _UnsoundError(f"signal {k} has values that are not whole numbers")
            if np.any(np.abs(numbers) > 2**53):
                raise _UnsoundError(f"signal {k} has counts above 2^53")
            numbers = numbers.astype(np.int64)
        else:
            with np.errstate(over="ignore"):
                numbers = numbers.astype(np.float32)
        dt = None if about["dt"] is None else float(about["dt"])
        yield Recording(shape, row, index[here].astype(np.int64), numbers, dt)
    if first != len(index):
        raise _UnsoundError(f"{len(index) - first:,} events belong to no signal")
