"""NIR recordings: one observable of one node is a Recording."""

from __future__ import annotations

import math
import os
from dataclasses import replace
from pathlib import Path

from ..archive import DamagedError
from ..network import Shape
from ..recording import Recording


def decode(path: Path, dt: float | None, shape: Shape | None) -> Recording:
    """The one recording that the file holds; one of several would be a guess.

    NIR numbers neurons and knows no shape: as many as `shape` holds are taken row by row.
    """
    from ..nir_io.data import read_data  # h5py is slow to start

    held = {
        f"{node}/{name}": recording
        for node, observables in read_data(path, dt).items()
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
    """Whether this HDF5 file says of itself that it holds recordings."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            stated = file.attrs.get("__type__")
    except Exception:  # whatever hostile bytes do, the reader of graphs will say it
        return False
    return stated in (b"NIRGraphData", "NIRGraphData")
