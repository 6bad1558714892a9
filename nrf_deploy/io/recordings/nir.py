"""NIR recordings: one observable of one node is a Recording."""

from __future__ import annotations

import math
import os
from dataclasses import replace
from pathlib import Path

from nrf_deploy.diagnostics.findings import InputError
from nrf_deploy.ir.network import Shape
from nrf_deploy.ir.recording import Recording

from . import parts

RECORDINGS = frozenset(("nodes", "events", "CD", "spikes"))
"""Groups of an HDF5 file of recordings: of NIR data, DSEC, Prophesee and SHD."""


def decode(path: Path, dt: float | None, shape: Shape | None, part: str | None) -> Recording:
    """Read one recording of a file; `part` names it where there are several.

    NIR numbers neurons and has no shapes: with as many neurons as `shape`, it is taken row by row.
    """
    from ..nir.data import read_data  # h5py is slow to start

    try:
        nodes = read_data(path, dt, choose=lambda names: parts.chosen(names, part, path))
    except InputError as refusal:
        raise refusal.of(path) from refusal
    ((recording,),) = (observables.values() for observables in nodes.values())
    if shape is not None and recording.shape == (math.prod(shape),):
        recording = replace(recording, shape=shape)
    return recording


def write(recording: Recording, path: str | os.PathLike[str]) -> None:
    """Write a recording as the spikes of one node; NIR uses seconds, so it needs a dt."""
    from ..nir.data import write_data

    write_data({"recording": recording}, path)


def is_own(path: Path) -> bool:
    """Return whether a .nir file is one of NIR itself; of other names a worker tells."""
    from ..nir.scan import LIMITS, opened

    if path.suffix.lower() != ".nir" or path.stat().st_size > LIMITS.size:
        return False
    try:
        with opened(path) as whole:
            return "node" in whole.file or "nodes" in whole.file
    except InputError as refusal:
        raise refusal.of(path) from refusal


def is_data(path: Path) -> bool:
    """Return whether an HDF5 file holds a recording; refuse NIR's own file if it is unsound.

    The names of its groups decide; an attribute is not read before its length is checked.
    """
    from ..nir.scan import LIMITS, opened

    if path.stat().st_size > LIMITS.size:
        return True  # no model is that large
    try:
        with opened(path) as whole:
            return "node" not in whole.file and not RECORDINGS.isdisjoint(whole.file)
    except InputError as refusal:
        raise refusal.of(path) from refusal
