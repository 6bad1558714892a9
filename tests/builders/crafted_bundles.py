"""Bundles that `save` would refuse, with every hash right: what somebody else may have written."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nrf_deploy.bundle import bundle as bundles
from nrf_deploy.bundle.bundle import Bundle, load
from nrf_deploy.io.archive import to_npy, write
from nrf_deploy.ir.network import Array
from nrf_deploy.ir.program import Program

TARGETS = Path(__file__).parents[2] / "targets"
Content = dict[str, Any]


def kit(name: str) -> Path:
    """Return the path of the program of a conformance case, such as loihi.sparse."""
    (folder,) = TARGETS.glob(f"*/kit/{name}")
    return folder / "program.nrfb"


def unchecked(bundle: Bundle, path: Path) -> Path:
    """Write a bundle without asking whether it is sound."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bundles, "_faults", lambda bundle: [])
        bundles.save(bundle, path)
    return path


def with_program(source: Path, path: Path, change: Callable[[Program], Program]) -> Path:
    """Write the bundle with another program, and an input of the size of its ports."""
    bundle = load(source)
    program = change(bundle.program)
    nodes = tuple(
        replace(node, port_shape=port.shape)
        for node, port in zip(bundle.network.nodes, program.ports, strict=True)
    )
    network = replace(bundle.network, nodes=nodes)
    return unchecked(replace(bundle, program=program, network=network), path)


def edited(
    source: Path,
    path: Path,
    change: Callable[[Content], None],
    arrays: dict[str, Array] | None = None,
    **manifest: Any,
) -> Path:
    """Write the bundle with another content, other arrays or words of the manifest."""
    with zipfile.ZipFile(source) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    head = json.loads(members.pop("manifest.json")) | manifest
    content = json.loads(members["content.json"])
    change(content)
    members["content.json"] = json.dumps(content).encode()
    for name, array in (arrays or {}).items():
        members[f"arrays/{name}.npy"] = b"".join(map(bytes, to_npy(np.asarray(array))))
    head["members"] = {n: hashlib.sha256(m).hexdigest() for n, m in members.items()}
    members = {"manifest.json": json.dumps(head).encode()} | members
    with open(path, "wb") as stream:
        write(stream, [(name, (data,)) for name, data in members.items()])
    return path
