"""Our .npz file: a Recording's arrays, readable by numpy, with reproducible bytes.

Members: format ("nrf-deploy recording 1"), shape, start, index, value and, if known, dt in
seconds, and "made": the named steps by which it was made.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import BinaryIO

import numpy as np

from nrf_deploy.ir.network import Array
from nrf_deploy.ir.recording import Recording

from ..archive import (
    NUMBERS,
    Archive,
    DamagedError,
    TooLargeError,
    from_npy,
    to_npy,
    write,
)
from .limits import demand_elements, demand_events, demand_steps

FORMAT = "nrf-deploy recording"
VERSION = "1"

_ARRAYS = ("shape", "start", "index", "value")
_SMALL = {"format.npy": 1 << 12, "shape.npy": 1 << 10, "dt.npy": 1 << 10, "made.npy": 1 << 20}
"""Limits of members in bytes: text takes four a character, and objects many more."""


def is_recording(archive: Archive) -> bool:
    return "format.npy" in archive.sizes


def encode(recording: Recording, stream: BinaryIO) -> None:
    arrays = {
        "format": np.array(f"{FORMAT} {VERSION}"),
        "shape": np.array(recording.shape, np.int64),
        "start": recording.start,
        "index": recording.index,
        "value": recording.value,
    }
    if recording.dt is not None:
        arrays["dt"] = np.array(recording.dt, np.float64)
    if recording.made:
        arrays["made"] = np.array(recording.made)
    write(stream, ((f"{name}.npy", to_npy(array)) for name, array in arrays.items()))


def encode_states(states: Mapping[str, Array], stream: BinaryIO) -> None:
    """Write state variables by name, for numpy.load."""
    write(stream, ((f"{name}.npy", to_npy(array)) for name, array in states.items()))


def decode(archive: Archive) -> Recording:
    for member, limit in _SMALL.items():
        if (size := archive.sizes.get(member, 0)) > limit:
            raise TooLargeError(f"has {size:,} bytes of {member}; the limit is {limit:,}")
    stated = str(from_npy(archive.read("format.npy"), "U"))
    name, _, version = stated.rpartition(" ")
    if name != FORMAT:
        raise DamagedError(f"has the unknown format {stated!r:.80}")
    if version != VERSION:
        raise DamagedError(
            f"is written in version {version:.20} of the format; this tool reads {VERSION}"
        )
    wanted = {f"{part}.npy" for part in ("format", *_ARRAYS)}
    if differ := sorted((set(archive.sizes) - {"dt.npy", "made.npy"}) ^ wanted):
        raise DamagedError(f"lacks or adds members: {', '.join(differ):.200}")
    arrays = {part: from_npy(archive.read(f"{part}.npy")) for part in _ARRAYS}
    demand_steps(arrays["start"].size - 1)
    demand_events(arrays["index"].size, archive.size)
    if strange := [n for n, a in arrays.items() if n != "value" and a.dtype.kind not in "iu"]:
        raise DamagedError(f"has {' and '.join(strange)} that are not integers")
    if arrays["shape"].ndim != 1:
        raise DamagedError("has a shape that is not a list of sizes")
    shape = tuple(int(n) for n in arrays["shape"])
    demand_elements(shape)
    dt = from_npy(archive.read("dt.npy"), NUMBERS) if "dt.npy" in archive.sizes else None
    if dt is not None and dt.size != 1:
        raise DamagedError("has several dt")
    steps = from_npy(archive.read("made.npy"), "U") if "made.npy" in archive.sizes else np.zeros(0)
    if steps.ndim != 1:
        raise DamagedError("has steps that are not a list")
    integral = arrays["value"].dtype.kind in "biu"
    recording = Recording(
        shape,
        arrays["start"].astype(np.int64, copy=False),
        arrays["index"].astype(np.int64, copy=False),
        arrays["value"].astype(np.int64 if integral else np.float32, copy=False),
        None if dt is None else float(dt.item()),
        tuple(str(step) for step in steps),
    )
    if faults := list(recording.faults()):
        raise DamagedError(f"is not sound: {'; '.join(faults)}")
    return recording
