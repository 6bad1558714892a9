"""Bundles: damaged bytes, changed content and arrays, with every hash made right again."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from .case import INPUT, MISSING, TARGET, USAGE, Box, Case, Family
from .samples import Sample
from .values import (
    Rng,
    Slot,
    anything,
    array,
    chance,
    damaged,
    integer,
    mutate,
    npy,
    pick,
    pickled,
)

Array = np.ndarray[Any, Any]


@dataclass
class Parts:
    """A bundle taken apart. `raw` holds members that are given as bytes, in the arrays' place."""

    manifest: dict[str, Any]
    content: dict[str, Any]
    arrays: dict[str, Array]
    artefacts: dict[str, bytes]
    raw: dict[str, bytes]

    @property
    def program(self) -> dict[str, Any]:
        held: dict[str, Any] = self.content["map"]["program"]
        return held

    @property
    def network(self) -> dict[str, Any]:
        held: dict[str, Any] = self.content["map"]["network"]
        return held

    def add(self, value: Array) -> dict[str, str]:
        """Add an array under the name that content.json uses."""
        name = f"{len(self.arrays) + len(self.raw):04d}"
        self.arrays[name] = value
        return {"array": name}


def unpack(path: Path) -> Parts:
    with zipfile.ZipFile(path) as held:
        members = {name: held.read(name) for name in held.namelist()}
    arrays = {
        name.removeprefix("arrays/").removesuffix(".npy"): np.load(io.BytesIO(data))
        for name, data in members.items()
        if name.startswith("arrays/")
    }
    artefacts = {n: d for n, d in members.items() if n.startswith("artefacts/")}
    manifest, content = (json.loads(members[n]) for n in ("manifest.json", "content.json"))
    return Parts(manifest, content, arrays, artefacts, {})


def pack(parts: Parts) -> bytes:
    members = {"content.json": json.dumps(parts.content, sort_keys=True).encode()}
    members |= {f"arrays/{name}.npy": npy(value) for name, value in parts.arrays.items()}
    members |= parts.artefacts | parts.raw
    hashes = {name: sha256(data).hexdigest() for name, data in members.items()}
    manifest = parts.manifest | {"members": hashes}
    return zipped({"manifest.json": json.dumps(manifest).encode()} | members)


def zipped(members: dict[str, bytes], how: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", how) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data, how)
    return stream.getvalue()


# --- the calls that a bundle is given to ------------------------------------------


def called(box: Box, data: bytes, sample: Sample, about: str) -> Case:
    """Draw one command; most are `run`, which the plain emulator then repeats."""
    bundle = box.put("b.nrfb", data)
    recording = box.put("in.npz", _input(box.rng, data, sample))
    about = f"{sample.name}: {about}"
    refusals = frozenset({USAGE, INPUT})
    match int(box.rng.integers(20)):
        case 0:
            return Case(("inspect", bundle), about, refusals)
        case 1:
            return Case(("inspect", bundle, "--cores", "--json"), about, refusals)
        case 2:
            words = ("verify", bundle, "--input", recording, "--report", "out/r.html")
            pages = ("out/r.html", "out/j.xml")
            return Case((*words, "--junit", "out/j.xml"), about, refusals | {1}, frozenset({1}),
                        pages, (bundle, recording))  # fmt: skip
        case 3:
            more = pick(box.rng, (("--attribute",), ("--bisect", "out/small"), ("--json",), ()))
            return Case(("verify", bundle, "--input", recording, *more), about, refusals | {1},
                        frozenset({1}), (), (bundle, recording))  # fmt: skip
        case 4 if sample.family == "speck":
            return Case(("flash", bundle, "--dry-run", "--image", "out/i.img"), about,
                        refusals | {TARGET, MISSING})  # fmt: skip
        case 4 if sample.family == "loihi":
            return Case(("export", bundle, "--as", "lava", "out/lava"), about, refusals | {TARGET})
        case 5:
            words = ("run", bundle, "--input", recording, "--engine", "reference")
            return Case((*words, "-o", "out/o.npz"), about, refusals)
    states = ("--states",) if chance(box.rng, 0.3) else ()
    words = ("run", bundle, "--input", recording, "-o", "out/o.npz", *states)
    return Case(words, about, refusals, golden=(bundle, recording))


def _input(rng: Rng, data: bytes, sample: Sample) -> bytes:
    """Return the sample's recording, or one in the shape that the bundle now declares."""
    if chance(rng, 0.5):
        return sample.recording.read_bytes()
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as held:
            nodes = json.loads(held.read("content.json"))["map"]["network"]["nodes"]
        shape = tuple(next(n["port_shape"] for n in nodes if n["type"] == "network.Input"))
        if not 0 < np.prod(shape, dtype=float) < 20_000:
            return sample.recording.read_bytes()
        frames = (rng.random((12, *shape)) < 0.4).astype(np.int64)
    except (ValueError, TypeError, LookupError, StopIteration, zipfile.BadZipFile, EOFError,
            AttributeError, NotImplementedError, OverflowError):  # fmt: skip
        return sample.recording.read_bytes()
    return zipped({"frames.npy": npy(frames)})


# --- families ---------------------------------------------------------------------


def damaged_bytes(box: Box) -> Case:
    """Change bytes of the file, or of a member whose hash is then corrected."""
    rng, sample = box.rng, pick(box.rng, box.samples.bundles)
    if chance(rng, 0.3):
        data = damaged(rng, sample.bundle.read_bytes())
        return called(box, data, sample, "bytes of the file")
    parts = unpack(sample.bundle)
    names = [f"arrays/{name}.npy" for name in parts.arrays] or ["content.json"]
    name = pick(rng, (*names, "content.json"))
    if name == "content.json":
        parts.raw[name] = damaged(rng, json.dumps(parts.content).encode())
    else:
        old = parts.arrays.pop(name.removeprefix("arrays/").removesuffix(".npy"))
        parts.raw[name] = pickled() if chance(rng, 0.1) else damaged(rng, npy(old))
    return called(box, pack(parts), sample, f"bytes of {name}")


def changed_content(box: Box) -> Case:
    """Change one to three places of content.json; most are of the program."""
    rng, sample = box.rng, pick(box.rng, box.samples.bundles)
    parts = unpack(sample.bundle)
    tree = parts.program if chance(rng, 0.7) else parts.content["map"]
    about = mutate(rng, tree, int(pick(rng, (1, 1, 1, 2, 3))))
    return called(box, pack(parts), sample, about)


def changed_arrays(box: Box) -> Case:
    """Replace one or two arrays by others of another dtype, shape or range."""
    rng = box.rng
    sample = pick(rng, box.samples.with_arrays)
    parts = unpack(sample.bundle)
    done = []
    for _ in range(int(rng.integers(1, 3))):
        name = pick(rng, sorted(parts.arrays))
        parts.arrays[name], what = array(rng, parts.arrays[name])
        done.append(f"array {name}: {what}")
    return called(box, pack(parts), sample, "; ".join(done))


GEOMETRY = {
    "shape", "port_shape", "source_shape", "target_shape", "input_size", "stride", "padding",
    "dilation", "groups", "start", "stop", "delay", "latency", "pool_input", "window",
    "flat_input",
}  # fmt: skip


def changed_geometry(box: Box) -> Case:
    """Change two to five numbers of shapes, strides, paddings and delays at once."""
    rng, sample = box.rng, pick(box.rng, box.samples.bundles)
    parts = unpack(sample.bundle)
    places = [s for s in _of_geometry(parts.content["map"], False) if _whole(s)]
    done = []
    for _ in range(int(rng.integers(2, 6))):
        held, key = pick(rng, places)
        old, held[key] = held[key], int(rng.integers(-3, 10))
        if chance(rng, 0.6):  # wherever the same number stands in a shape
            for other, at in places:
                other[at] = held[key] if other[at] == old else other[at]
        done.append(f"{key}: {old} -> {held[key]}")
    return called(box, pack(parts), sample, "geometry " + "; ".join(done))


def _of_geometry(tree: Any, inside: bool) -> list[Slot]:
    found: list[Slot] = []
    for key in list(tree) if isinstance(tree, dict) else range(len(tree)):
        within = inside or key in GEOMETRY
        if isinstance(tree[key], dict | list):
            found += _of_geometry(tree[key], within)
        elif within:
            found.append((tree, key))
    return found


def _whole(slot: Slot) -> bool:
    held, key = slot
    return isinstance(held[key], int) and not isinstance(held[key], bool)


def changed_parameters(box: Box) -> Case:
    """Change parameters, models, arithmetics, delays, latencies or peaks."""
    rng, sample = box.rng, pick(box.rng, box.samples.bundles)
    parts = unpack(sample.bundle)
    program = parts.program
    done = []
    for _ in range(int(rng.integers(1, 3))):
        match int(rng.integers(8)):
            case 0:
                program["arithmetic"] = pick(rng, ("loihi", "fixed", "speck.events", "speck.steps",
                                                   "x", ""))  # fmt: skip
                done.append(f"arithmetic {program['arithmetic']!r}")
            case 1:
                held = pick(rng, program["populations"])
                held["model"] = pick(rng, ("lif", "if", "li", "merge", "lif_refractory", "x", ""))
                done.append(f"model {held['model']!r}")
            case 2 if program["synapses"]:
                held = pick(rng, program["synapses"])
                held["delay"] = int(pick(rng, (0, -1, 2**16, 2**20, 2**26, 2**31, 10**12, 3)))
                done.append(f"delay {held['delay']}")
            case 3 if program["origins"]:
                held = pick(rng, program["origins"])
                held["latency"] = integer(rng, held["latency"])
                done.append(f"latency {held['latency']}")
            case 4 if program["ports"]:
                held = pick(rng, program["ports"])
                key = pick(rng, ("peak", "lowest"))
                held[key] = integer(rng)
                done.append(f"{key} {held[key]}")
            case _:
                held = pick(rng, [*program["populations"], *program["synapses"]])
                done.append(_parameter(rng, parts, held))
    return called(box, pack(parts), sample, "; ".join(done))


def _parameter(rng: Rng, parts: Parts, held: dict[str, Any]) -> str:
    params = held["params"]["map"]
    key = pick(rng, [*params, "x", "bits", "du", "v_min"]) if chance(rng, 0.9) else "x"
    if key in params and chance(rng, 0.15):
        del params[key]
        return f"{key} of {held['name']} deleted"
    if chance(rng, 0.4):
        sizes = tuple(s for s in held.get("shape", [3]) if isinstance(s, int) and 0 <= s < 50)
        value = np.array(np.full(sizes, integer(rng) % 2**62, np.int64))
        value, what = array(rng, value)
        params[key] = parts.add(value)
        return f"{key} of {held['name']}: array, {what}"
    params[key] = integer(rng) if chance(rng, 0.6) else anything(rng)
    return f"{key} of {held['name']} = {params[key]!r:.60}"


def changed_member(rng: Rng, box: Box, data: bytes) -> tuple[bytes, str]:
    """Return the bundle with one member changed and its hashes right."""
    path = box.folder / "tmp" / "whole.nrfb"
    path.write_bytes(data)
    parts = unpack(path)
    path.unlink()
    if parts.arrays and chance(rng, 0.4):
        name = pick(rng, sorted(parts.arrays))
        parts.arrays[name], what = array(rng, parts.arrays[name])
        return pack(parts), f"array {name}: {what}"
    return data if not (what := mutate(rng, parts.program, 1)) else pack(parts), what


def _random(name: str, about: str, make: Any, long: int, short: int) -> Family:
    return Family(f"bundle-{name}", about, make, long, short)


FAMILIES = (
    _random("bytes", "bytes of a bundle or of its members", damaged_bytes, 800, 24),
    _random("content", "values of content.json", changed_content, 2000, 66),
    _random("arrays", "arrays: dtype, shape, range", changed_arrays, 1300, 48),
    _random("geometry", "2 to 5 numbers of shapes at once", changed_geometry, 900, 30),
    _random("params", "parameters, models, delays", changed_parameters, 1050, 36),
)
