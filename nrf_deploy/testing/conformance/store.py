"""Storage of a kit as a folder: kit.json, and a folder for each case.

The folder of a case has

    program.nrfb    a bundle, or model.nir for a model
    input.npz       a recording, as `nrf-deploy run --input` takes it
    expected.npz    for layer k of the case's list: "k/output", "k/STATE", (steps, *shape),
                    and "k/STATE/unknown", not 0 where a recording does not show the value

kit.json holds the rest, with the SHA-256 of each of these files. It is checked as untrusted input.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from nrf_deploy.bundle.bundle import Bundle, load, save
from nrf_deploy.bundle.codec import from_json, to_json
from nrf_deploy.diagnostics.findings import InputError, MissingFileError, UsageError, error, refuse
from nrf_deploy.io import archive, nir
from nrf_deploy.io.files import content, reading, write_atomically
from nrf_deploy.io.recordings import decode, write
from nrf_deploy.io.recordings.limits import demand_elements, demand_steps
from nrf_deploy.ir.field_types import fits
from nrf_deploy.ir.network import Array, Network
from nrf_deploy.ir.recording import Recording, Trace

from .case import Case, Hidden, Image, Kit, Unknown

FORMAT = "nrf-deploy conformance kit"
SCHEMA = "1"
LIMIT = 16 << 20  # bytes of a file
LARGEST = 1 << 31  # of a number in the manifest
MANIFEST = "kit.json"
PROGRAM, MODEL, INPUT, EXPECTED = "program.nrfb", "model.nir", "input.npz", "expected.npz"

_LAYER = re.compile(r"\d{1,9}", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*", re.ASCII)
_FIELDS: dict[str, Any] = {
    "name": str,
    "folder": str,
    "about": str,
    "covers": list,
    "made_by": str,
    "layers": list,
    "behind": int,
    "units": int,
    "hidden": Mapping[str, Mapping[str, Mapping[str, Any]]],
    "image": Mapping[str, str] | None,
    "files": Mapping[str, str],
}
_HIDDEN: dict[str, Any] = {"why": str, "codes": list, "mask": bool}


# --- to files -------------------------------------------------------------------


def write_kit(kit: Kit, folder: str | os.PathLike[str]) -> None:
    """Write a kit to a folder, which is made if it is missing; the manifest is written last."""
    refuse([error("KIT-UNSOUND", f) for f in kit.faults()], UsageError)
    root = Path(folder)
    try:
        for case in kit.cases:
            (root / case.folder).mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        what = f"{root} cannot be written: {problem.strerror or problem}"
        raise UsageError(error("OUTPUT-UNWRITABLE", what)) from problem
    manifest = {
        "format": FORMAT,
        "schema_version": SCHEMA,
        "about": kit.about,
        "engines": dict(kit.engines),
        "cases": [_written(case, root / case.folder) for case in kit.cases],
    }
    data = to_json(manifest, indent=1) + b"\n"
    write_atomically(root / MANIFEST, lambda stream: _put(stream, data))


def _put(stream: BinaryIO, data: bytes) -> None:
    stream.write(data)


def _written(case: Case, folder: Path) -> dict[str, Any]:
    if isinstance(case.subject, Bundle):
        subject = PROGRAM
        save(case.subject, folder / PROGRAM)
    else:
        subject = MODEL
        nir.write(case.subject, folder / MODEL)
    write(case.recording, folder / INPUT)
    arrays = dict(_arrays(case))
    members = [(f"{name}.npy", archive.to_npy(x)) for name, x in arrays.items()]
    write_atomically(folder / EXPECTED, partial(archive.write, members=members))
    return {
        "name": case.name,
        "folder": case.folder,
        "about": case.about,
        "covers": list(case.covers),
        "made_by": case.made_by,
        "layers": list(case.layers),
        "behind": case.behind,
        "units": case.units,
        "hidden": {
            layer: {
                v: {"why": u.why, "codes": list(u.codes), "mask": u.mask is not None}
                for v, u in variables.items()
            }
            for layer, variables in case.hidden.items()
        },
        "image": None if case.image is None else dataclasses.asdict(case.image),
        "files": {n: _sha256((folder / n).read_bytes()) for n in (subject, INPUT, EXPECTED)},
    }


def _arrays(case: Case) -> Iterator[tuple[str, Array]]:
    for k, (name, output) in enumerate(case.expected.outputs.items()):
        yield f"{k}/output", _narrow(output.dense())
        for v, x in case.expected.states.get(name, {}).items():
            yield f"{k}/{v}", _narrow(x)
        for v, unknown in case.hidden.get(name, {}).items():
            if unknown.mask is not None:
                yield f"{k}/{v}/unknown", unknown.mask.astype(np.int8)


def _narrow(x: Array) -> Array:
    if x.dtype.kind == "f":
        return x.astype(np.float32)
    low, high = int(x.min(initial=0)), int(x.max(initial=0))
    kinds = (np.int8, np.int16, np.int32)
    fitting = (k for k in kinds if np.iinfo(k).min <= low and high <= np.iinfo(k).max)
    return x.astype(next(fitting, np.int64))


# --- from files -----------------------------------------------------------------


def read_kit(folder: str | os.PathLike[str]) -> Kit:
    root = Path(folder)
    if not root.is_dir():
        raise (UsageError if root.exists() else MissingFileError)(
            error(
                "KIT-MISSING",
                f"{root} is not a folder",
                fix="name the folder of a kit: it holds kit.json (docs/conformance.md)",
            )
        )
    manifest = _manifest(root)
    kit = Kit(
        about=manifest["about"],
        cases=tuple(_read(entry, root) for entry in manifest["cases"]),
        engines=manifest["engines"],
    )
    refuse([error("KIT-UNSOUND", f"{root}: {f}") for f in kit.faults()], InputError)
    return kit


def _manifest(root: Path) -> dict[str, Any]:
    path = root / MANIFEST
    data = content(path, LIMIT, "KIT-TOO-LARGE")
    try:
        manifest = from_json(data)
    except ValueError as problem:
        raise _damaged(path, f"is not JSON ({problem})") from problem
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise _damaged(path, "is not the manifest of a conformance kit")
    version = manifest.get("schema_version")
    if version != SCHEMA:
        raise InputError(
            error(
                "KIT-SCHEMA",
                f"{root} has the schema {version!r:.20}; this nrf-deploy reads {SCHEMA!r}",
                fix="update nrf-deploy, or take the kit that belongs to this version",
            )
        )
    kinds = {"about": str, "cases": list, "engines": Mapping[str, str]}
    for name, kind in kinds.items():
        if not fits(manifest.get(name), kind):
            raise _damaged(path, f"has no sound {name!r}")
    for entry in manifest["cases"]:
        if reason := _entry_fault(entry):
            raise _damaged(path, f"holds a case that {reason}")
    return manifest


def _entry_fault(entry: Any) -> str | None:
    if not isinstance(entry, dict) or entry.keys() != _FIELDS.keys():
        return f"does not have exactly the fields {', '.join(_FIELDS)}"
    for name, kind in _FIELDS.items():
        if not fits(entry[name], kind):
            return f"has no sound {name!r}"
    for name in (entry["name"], entry["folder"]):
        if not _NAME.fullmatch(name):
            return f"has the name {name!r:.80}"
    texts = (*entry["covers"], *entry["layers"])
    if not all(isinstance(t, str) for t in texts) or not all(
        0 <= entry[name] < LARGEST for name in ("behind", "units")
    ):
        return "has an entry that is not text, or a number out of range"
    for variables in entry["hidden"].values():
        for facts in variables.values():
            if facts.keys() != _HIDDEN.keys() or not all(
                fits(facts[k], h) for k, h in _HIDDEN.items()
            ):
                return "has an unsound list of hidden values"
            if not all(fits(code, int) and -(2**63) <= code < 2**63 for code in facts["codes"]):
                return "has codes that are not integers of 64 bits"
    if entry["image"] is not None and entry["image"].keys() != {"sha256", "made_by"}:
        return "has an unsound image"
    subjects = set(entry["files"]) - {INPUT, EXPECTED}
    if subjects not in ({PROGRAM}, {MODEL}) or len(entry["files"]) != 3:
        return f"does not list {PROGRAM} or {MODEL}, {INPUT} and {EXPECTED}"
    return None


def _read(entry: dict[str, Any], root: Path) -> Case:
    folder = root / entry["folder"]
    for name, digest in entry["files"].items():
        if _sha256(content(folder / name, LIMIT, "KIT-TOO-LARGE")) != digest:
            raise _damaged(folder / name, "was changed: its SHA-256 is not that of the kit")
    subject: Bundle | Network
    if PROGRAM in entry["files"]:
        subject = load(folder / PROGRAM)
    else:
        subject, _ = nir.read(folder / MODEL)
    recording, _ = decode(folder / INPUT)
    if not isinstance(recording, Recording):
        raise _damaged(folder / INPUT, "holds events with timestamps, not steps")
    expected, masks = _expected(folder / EXPECTED, entry)
    return Case(
        name=entry["name"],
        about=entry["about"],
        covers=tuple(entry["covers"]),
        made_by=entry["made_by"],
        subject=subject,
        recording=recording,
        expected=expected,
        behind=entry["behind"],
        units=entry["units"],
        hidden=_hidden(entry, masks, folder / EXPECTED),
        image=None if entry["image"] is None else Image(**entry["image"]),
    )


def _hidden(entry: dict[str, Any], masks: Mapping[tuple[str, str], Array], path: Path) -> Hidden:
    facts = {(n, v): x for n, variables in entry["hidden"].items() for v, x in variables.items()}
    if {at for at, x in facts.items() if x["mask"]} != masks.keys():
        raise _damaged(path, "has other masks than kit.json lists")
    hidden: dict[str, dict[str, Unknown]] = {}
    for (name, v), x in facts.items():
        unknown = Unknown(x["why"], tuple(x["codes"]), masks.get((name, v)))
        hidden.setdefault(name, {})[v] = unknown
    return hidden


def _expected(path: Path, entry: dict[str, Any]) -> tuple[Trace, dict[tuple[str, str], Array]]:
    outputs: dict[str, Recording] = {}
    states: dict[str, dict[str, Array]] = {}
    masks: dict[tuple[str, str], Array] = {}
    with reading(path) as stream:
        try:
            members = archive.Archive(stream, limit=LIMIT, stored=True)
            arrays = {
                n.removesuffix(".npy"): archive.from_npy(members.read(n)) for n in members.sizes
            }
        except archive.DamagedError as damage:
            raise damage.refusal(path, "KIT") from damage
    for key, x in arrays.items():
        number, _, variable = key.partition("/")
        if not _LAYER.fullmatch(number) or int(number) >= len(entry["layers"]) or not x.ndim:
            raise _damaged(path, f"holds {key!r:.40}, which belongs to no layer")
        name = entry["layers"][int(number)]
        wide = x.astype(np.int64) if x.dtype.kind in "biu" else x
        if variable == "output":
            outputs[name] = _output(wide, path)
        elif variable.endswith("/unknown"):
            masks[name, variable.removesuffix("/unknown")] = wide
        else:
            states.setdefault(name, {})[variable] = wide
    if list(outputs) != entry["layers"]:
        raise _damaged(path, "does not hold one output for each layer")
    return Trace(f"expected ({entry['made_by']})", outputs, states, {}), masks


def _output(dense: Array, path: Path) -> Recording:
    try:
        demand_steps(len(dense))
        demand_elements(dense.shape[1:])
    except archive.DamagedError as damage:
        raise damage.refusal(path, "KIT") from damage
    return Recording.from_dense(dense)


def _damaged(path: Path, what: str) -> InputError:
    return InputError(error("KIT-DAMAGED", f"{path} {what}", fix="take a complete copy of the kit"))


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
