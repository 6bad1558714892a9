"""Recordings in files: what a file holds is recognised by its content, then by its suffix.

| content | recognised by |
|---|---|
| a Recording, as `write` leaves it | .npz with the member `format` |
| decoded camera events | .npz with t (microseconds), x, y, p |
| dense frames (steps, *shape) | .npz with `frames` (and dt in seconds, if known), or .npy |
| N-MNIST and N-Caltech101 | .bin |
| camera events as a table | .csv with lines of t,x,y,p |
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ..archive import Archive, DamagedError, TooLargeError, from_npy
from ..files import reading, write_atomically
from ..findings import Finding, InputError, UsageError, error, refuse, warning
from ..network import Array, Shape
from ..recording import Recording
from . import frames, npz, sensor, suit
from .sensor import Events, Merge

__all__ = [
    "STATES", "Events", "Merge", "decode", "demand_npz", "read", "read_states", "write",
    "write_states",
]  # fmt: skip

LIMIT = 1 << 30  # bytes, unpacked
STATES = ".states.npz"
MAX_STEPS = 10_000_000

KNOWN = (
    ".npz written by nrf-deploy; .npz with t (microseconds), x, y, p; .npz with frames "
    "(steps, *shape); .npy of frames; .bin of N-MNIST; .csv with lines of t,x,y,p"
)

_EVENT_FILES: Mapping[str, Callable[[bytes], dict[str, Array]]] = {
    ".bin": sensor.nmnist,
    ".csv": sensor.csv,
}


def read(
    path: str | os.PathLike[str],
    *,
    shape: Shape | None = None,
    dt: float | None = None,
    bin: float | None = None,
    merge: Merge | None = None,
    clip: int | None = None,
    origin: int | None = None,
    limit: int = LIMIT,
    max_steps: int = MAX_STEPS,
) -> tuple[Recording, list[Finding]]:
    """A file as a Recording for an input of `shape`, and what is to be said about it.

    Camera events are counted in steps of `bin` seconds; step 0 begins at the first event, or
    at `origin` microseconds. `dt` is the model's time step: a recording in other steps is
    warned of, and one that does not say its own takes it (1 or more counts steps, and says
    nothing of seconds). Values above `clip` become `clip`. `limit` bounds the bytes that are
    read, `max_steps` the steps that events may span.
    """
    name = os.fspath(path)
    held, findings = decode(path, limit=limit)
    binned = isinstance(held, Events)
    if isinstance(held, Events):
        recording = sensor.binned(
            held, name, shape=shape, bin=bin, merge=merge, origin=origin, max_steps=max_steps
        )
    else:
        recording, said = suit.in_steps(
            held, name, shape=shape, dt=dt, bin=bin, merge=merge, origin=origin
        )
        findings += said
    findings += suit.pace(recording, name, dt, binned)
    recording, said = suit.clipped(recording, name, clip)
    findings += said
    if not len(recording.index):
        fix = "look at whether this is the file that was meant"
        findings.append(warning("RECORDING-EMPTY", f"{name} holds no event", fix=fix))
    return recording, findings


def decode(
    path: str | os.PathLike[str], *, limit: int = LIMIT
) -> tuple[Recording | Events, list[Finding]]:
    """What a file holds, before anything is asked of it: steps, or the events of a camera."""
    with reading(path) as stream:
        try:
            return _decode(stream, Path(path), limit)
        except DamagedError as damage:
            raise damage.refusal(path, "RECORDING") from damage


def demand_npz(path: str | os.PathLike[str]) -> None:
    """Recordings are written in one format only; asked before a long run, not after it."""
    if Path(path).suffix != ".npz":
        what = f"{os.fspath(path)} does not end in .npz, the one format that recordings go into"
        raise UsageError(error("RECORDING-SUFFIX", what, fix="name it .npz"))


def write(recording: Recording, path: str | os.PathLike[str]) -> None:
    """As .npz that `read` gives back exactly and numpy opens; the same bytes every time."""
    name = os.fspath(path)
    demand_npz(path)
    refuse(
        [error("RECORDING-UNSOUND", f"{name}: {fault}") for fault in recording.faults()],
        UsageError,
    )
    write_atomically(path, partial(npz.encode, recording))


def write_states(path: str | os.PathLike[str], states: Mapping[str, Array]) -> Path:
    """A layer's states (steps, *shape) by name, as SPIKES.states.npz beside its SPIKES.npz."""
    beside = Path(path).with_suffix(STATES)
    write_atomically(beside, partial(npz.encode_states, states))
    return beside


def read_states(path: str | os.PathLike[str], *, limit: int = LIMIT) -> dict[str, Array]:
    """What `write_states` left: (steps, *shape) by name."""
    with reading(path) as stream:
        try:
            archive = Archive(stream, limit=limit)
            states = {n.removesuffix(".npy"): from_npy(archive.read(n)) for n in archive.sizes}
            if flat := [n for n, x in states.items() if not x.ndim]:
                raise DamagedError(f"has no steps in {', '.join(flat):.200}")
            return states
        except DamagedError as damage:
            raise damage.refusal(path, "RECORDING") from damage


def _decode(stream: BinaryIO, path: Path, limit: int) -> tuple[Recording | Events, list[Finding]]:
    head = stream.read(6)
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _from_zip(Archive(stream, limit=limit), path)
    size = stream.seek(0, os.SEEK_END)
    if size > limit:
        raise TooLargeError(f"has {size:,} bytes; the limit is {limit:,}")
    stream.seek(0)
    if head == b"\x93NUMPY":
        return frames.decode(from_npy(stream.read()), None), []
    if reader := _EVENT_FILES.get(path.suffix.lower()):
        return sensor.events(reader(stream.read()), str(path))
    raise _unknown(path, "is empty" if not size else f"begins with {head!r}")


def _from_zip(archive: Archive, path: Path) -> tuple[Recording | Events, list[Finding]]:
    if npz.is_recording(archive):
        return npz.decode(archive), []
    members = {name.removesuffix(".npy") for name in archive.sizes}
    if members >= {"t", "x", "y", "p"}:
        columns = {name: from_npy(archive.read(f"{name}.npy")) for name in ("t", "x", "y", "p")}
        return sensor.events(columns, str(path))
    if "frames" in members:
        dt = from_npy(archive.read("dt.npy")) if "dt" in members else None
        if dt is not None and (dt.size != 1 or not (np.isfinite(dt).all() and dt.item() > 0)):
            raise DamagedError("has a dt that is no positive number")
        dense = from_npy(archive.read("frames.npy"))
        return frames.decode(dense, None if dt is None else float(dt.item())), []
    raise _unknown(path, f"is a zip archive with {', '.join(sorted(members)) or 'nothing'}")


def _unknown(path: Path, what: str) -> InputError:
    return InputError(
        error(
            "RECORDING-UNKNOWN",
            f"{path} is of no known format: it {what:.200}",
            why=f"known are: {KNOWN}",
            fix="decode the file and save t, x, y, p with numpy.savez",
        )
    )
