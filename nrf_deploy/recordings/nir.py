"""NIR recordings: one observable of one node is a Recording."""

from __future__ import annotations

import math
import os
from dataclasses import replace
from pathlib import Path

from ..archive import DamagedError
from ..findings import InputError
from ..network import Shape
from ..recording import Recording


def decode(path: Path, dt: float | None, shape: Shape | None) -> Recording:
    """The one recording that the file holds; one of several would be a guess.

    NIR numbers neurons and knows no shape: as many as `shape` holds are taken row by row.
    """
    from ..nir_io.data import read_data  # h5py is slow to start

    try:
        nodes = read_data(path, dt)
    except InputError as refusal:
        raise refusal.of(path) from refusal
    held = {
        f"{node}/{name}": recording
        for node, observables in nodes.items()
        for name, recording in observables.items()
    }
    if len(held) != 1:
        names = ", ".join(held) or "none"
        raise DamagedError(
            f"holds {len(held)} recordings ({names:.200}), and one is wanted: write it alone"
        )
    recording = next(iter(held.values()))
    if shape is not None and recording.shape == (math.prod(shape),):
        recording = replace(recording, shape=shape)
    return recording


def write(recording: Recording, path: str | os.PathLike[str]) -> None:
    """As the spikes of one node; NIR counts in seconds, so a dt must be known."""
    from ..nir_io.data import write_data

    write_data({"recording": recording}, path)


def is_data(path: Path) -> bool:
    """Return whether an HDF5 file is built as recordings are; refuse one that is unsound.

    The names of its groups tell: an attribute is not read before its length was looked at.
    """
    from ..nir_io.scan import opened

    try:
        with opened(path) as whole:
            return "nodes" in whole.file and "node" not in whole.file
    except InputError as refusal:
        raise refusal.of(path) from refusal
