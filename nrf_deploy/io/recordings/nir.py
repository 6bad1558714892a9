"""NIR recordings: one observable of one node is a Recording."""

from __future__ import annotations

import math
import os
from dataclasses import replace
from pathlib import Path

from nrf_deploy.diagnostics.findings import InputError
from nrf_deploy.ir.network import Shape
from nrf_deploy.ir.recording import Recording

from ..archive import DamagedError


def decode(path: Path, dt: float | None, shape: Shape | None) -> Recording:
    """Read the only recording of a file; refuse a file with several.

    NIR numbers neurons and has no shapes: with as many neurons as `shape`, it is taken row by row.
    """
    from ..nir.data import read_data  # h5py is slow to start

    try:
        nodes = read_data(path, dt)
    except InputError as refusal:
        raise refusal.of(path) from refusal
    recordings = {
        f"{node}/{name}": recording
        for node, observables in nodes.items()
        for name, recording in observables.items()
    }
    if len(recordings) != 1:
        names = ", ".join(recordings) or "none"
        raise DamagedError(
            f"holds {len(recordings)} recordings ({names:.200}); expected one: write it separately"
        )
    recording = next(iter(recordings.values()))
    if shape is not None and recording.shape == (math.prod(shape),):
        recording = replace(recording, shape=shape)
    return recording


def write(recording: Recording, path: str | os.PathLike[str]) -> None:
    """Write a recording as the spikes of one node; NIR uses seconds, so it needs a dt."""
    from ..nir.data import write_data

    write_data({"recording": recording}, path)


def is_data(path: Path) -> bool:
    """Return whether an HDF5 file is built as recordings are; refuse one that is unsound.

    The names of its groups decide; an attribute is not read before its length is checked.
    """
    from ..nir.scan import opened

    try:
        with opened(path) as whole:
            return "nodes" in whole.file and "node" not in whole.file
    except InputError as refusal:
        raise refusal.of(path) from refusal
