"""Conformance kits of one case: the manifest, the files and their hashes."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from .bundles import changed_member, zipped
from .case import INPUT, MISSING, TARGET, USAGE, Box, Case, Family
from .values import TEXTS, array, chance, damaged, integer, mutate, npy, pick, slots

CHIPS = {"nrf_loihi": "loihi2", "nrf_emulator": "emulator", "nrf_speck": "speck2b"}


def kits(box: Box) -> Case:
    """Write a kit of one shipped case with one change."""
    rng = box.rng
    root = pick(rng, box.samples.kits)
    manifest = json.loads((root / "kit.json").read_text())
    entry = json.loads(json.dumps(pick(rng, manifest["cases"])))
    files = {name: (root / entry["folder"] / name).read_bytes() for name in entry["files"]}
    held: dict[str, Any] = {**manifest, "cases": [entry]}
    done = []
    whole = dict(files)
    for _ in range(int(pick(rng, (1, 1, 2)))):
        done.append(_change(box, held, entry, files, whole))
    if chance(rng, 0.9):
        hashes = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
        entry["files"] = hashes if isinstance(entry.get("files"), dict) else entry.get("files")
    text = json.dumps(held, indent=1).encode()
    if chance(rng, 0.1):
        text = damaged(rng, text)
        done.append("bytes of kit.json")
    folder = entry.get("folder")
    place = folder if isinstance(folder, str) and folder.isascii() and "/" not in folder and (
        0 < len(folder) < 100 and folder.isprintable() and folder[0] != ".") else "c"  # fmt: skip
    box.put("kit/kit.json", text)
    for name, data in files.items():
        box.put(f"kit/{place}/{name}", data)
    name = entry.get("name")
    case = name if isinstance(name, str) and "\x00" not in name else "x"
    case = case.encode("utf-8", "replace").decode()
    chip = CHIPS[Path(root).parent.name]
    words = ["conformance", "--target", chip, "--kit", "in/kit", f"--case={case}"]
    pages: tuple[str, ...] = ()
    if chance(rng, 0.3):
        words, pages = [*words, "--junit", "out/j.xml"], ("out/j.xml",)
    elif chance(rng, 0.2):
        words.append("--json")
    return Case(tuple(words), f"{root.parent.name}: {'; '.join(done)}",
                frozenset({1, USAGE, INPUT, TARGET, MISSING}), frozenset({1}), pages)  # fmt: skip


def _change(
    box: Box, held: dict[str, Any], entry: Any, files: dict[str, bytes], whole: dict[str, bytes]
) -> str:
    """Change one entry of the manifest, or one file, and always the whole of it."""
    rng = box.rng
    match int(rng.integers(7)):
        case 0 | 1:
            return "kit.json: " + mutate(rng, held, 1, slots({"": entry})[1:] or None)
        case 2:
            return "kit.json: " + mutate(rng, held, 1)
        case 3:
            entry["layers"] = [pick(rng, TEXTS), *entry["layers"][1:]] if isinstance(
                entry.get("layers"), list) else integer(rng)  # fmt: skip
            return f"layers {entry['layers']!r:.60}"
    name = pick(rng, sorted(files))
    if name.endswith(".npz"):
        files[name], what = _npz(box, whole[name])
    elif name == "program.nrfb":
        files[name], what = changed_member(rng, box, whole[name])
    else:
        files[name], what = damaged(rng, whole[name]), "bytes"
    return f"{name}: {what}"


def _npz(box: Box, data: bytes) -> tuple[bytes, str]:
    rng = box.rng
    if chance(rng, 0.2):
        return damaged(rng, data), "bytes"
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = pick(rng, sorted(members))
    match int(rng.integers(5)):
        case 0:
            del members[name]
            return zipped(members), f"{name} deleted"
        case 1:
            new = pick(rng, (*TEXTS, "9/output", "0/x", "0/v/unknown", "x", "0/output"))
            new = new.encode("utf-8", "replace").decode().replace("\x00", "")
            members[f"{new[:200]}.npy"] = members.pop(name)
            return zipped(members), f"{name} renamed to {new!r:.40}"
        case 2:
            members[name] = damaged(rng, members[name])
            return zipped(members), f"bytes of {name}"
    old = np.load(io.BytesIO(members[name]))
    new_array, what = array(rng, old) if old.dtype.kind in "biuf" else (np.zeros(3), "zeros")
    members[name] = npy(new_array)
    return zipped(members), f"{name}: {what}"


FAMILIES = (Family("kit", "conformance kits", kits, 600, 18),)
