"""Witnesses: in a .nir file, and in the recordings that users make in their framework."""

from __future__ import annotations

import io
import json
from functools import cache
from typing import Any

import h5py
import numpy as np

from tests.builders.witnesses import two_layers, witness_of

from .case import INPUT, TARGET, USAGE, Box, Case, Family
from .values import Rng, anything, array, chance, damaged, integer, number, pick

GROUP = "node/metadata"
PREFIX = "nrf.witness."
FAILED = 1
"""The exit code of verify where a model differs from its framework."""


@cache
def _file() -> bytes:
    from nrf_deploy.io import nir

    network = two_layers()
    return nir.checked(network, witness_of(network, steps=12))


@cache
def _arrays() -> dict[str, np.ndarray[Any, Any]]:
    witness = witness_of(two_layers(), steps=12)
    outputs = {name: r.dense() for name, r in witness.outputs.items()}
    shown = {f"potential:{name}": v for name, v in witness.potentials.items()}
    return {"input": witness.input.dense(), **outputs, **shown}


def in_a_file(box: Box) -> Case:
    """Change one to three entries of a witness in the metadata of a graph."""
    rng = box.rng
    path = box.path("m.nir")
    path.write_bytes(_file())
    done = []
    with h5py.File(path, "r+") as file:
        group = file[GROUP]
        for _ in range(int(pick(rng, (1, 1, 2, 3)))):
            key = pick(rng, sorted(k for k in group if k.startswith(PREFIX)) or [PREFIX])
            old = group[key][()] if key in group else b""
            new = _changed(rng, old)
            if key in group:
                del group[key]
            if new is not None:
                kind = h5py.string_dtype() if isinstance(new, str) else None
                group.create_dataset(key, data=new, dtype=kind)
            done.append(f"{key} = {new!r:.40}")
    verb = pick(rng, ("inspect", "check", "compile"))
    words = ("--target", "emulator") if verb != "inspect" else ()
    words = (*words, "-o", "out/b.nrfb") if verb == "compile" else words
    return Case((verb, "in/m.nir", *words), "; ".join(done), frozenset({USAGE, INPUT, TARGET}))


def _changed(rng: Rng, old: Any) -> Any:
    """Return another entry; None for one that is missing."""
    if chance(rng, 0.1):
        return None
    if isinstance(old, bytes):
        text = old.decode()
        if not text.startswith("{") or chance(rng, 0.2):
            return pick(rng, ("1", "2", "", "{}", "[]", "null", "1e400", '{"a": 1, "a": 2}'))
        about = json.loads(text)
        key = pick(rng, sorted(about))
        if chance(rng, 0.4):
            about[key] = integer(rng) if chance(rng, 0.5) else number(rng)
        else:
            about[key] = anything(rng)
        text = json.dumps(about, default=str)
        return text.encode("utf-8", "replace").decode().replace("\x00", "")
    changed = array(rng, old)[0]
    return changed if changed.dtype.kind in "fiub" else np.float64(number(rng))


def recorded(box: Box) -> Case:
    """Change one to three arrays of a recording, or its bytes."""
    rng = box.rng
    network = box.put("m.nir", _plain())
    arrays: dict[str, Any] = dict(_arrays())
    done = []
    for _ in range(int(pick(rng, (1, 1, 2, 3)))):
        key = pick(rng, [*arrays, "axes", "producer", "n9", "input:in"])
        if key in arrays and chance(rng, 0.15):
            del arrays[key]
            done.append(f"no {key}")
            continue
        old = arrays.get(key, np.zeros((12, 8)))
        new = array(rng, old)[0] if chance(rng, 0.7) else np.array(str(number(rng)))
        arrays[key] = new
        done.append(f"{key} {new.dtype} {new.shape}")
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    data = stream.getvalue()
    if chance(rng, 0.2):
        data = damaged(rng, data)
    path = box.put("t.npz", data)
    codes = frozenset({USAGE, INPUT, TARGET, FAILED})
    if chance(rng, 0.5):
        more = ("--json",) if chance(rng, 0.3) else ()
        return Case(("verify", network, "--against", path, *more), "; ".join(done), codes)
    words = ("compile", network, "--target", "emulator", "-o", "out/b.nrfb", "--witness", path)
    return Case(words, "; ".join(done), codes)


@cache
def _plain() -> bytes:
    from nrf_deploy.io import nir

    return nir.checked(two_layers())


FAMILIES = (
    Family("witness-files", "a witness in the metadata of a graph", in_a_file, 120, 10),
    Family("witness-recordings", "recordings from a training framework", recorded, 120, 10),
)
