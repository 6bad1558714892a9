"""Recordings in files: what a file holds is recognised by its content, then by its suffix.

| content | recognised by |
|---|---|
| a Recording, as `write` leaves it | .npz with the member `format` |
| decoded camera events | .npz with t (microseconds), x, y, p |
| dense frames (steps, *shape) | .npz with `frames` (and dt in seconds, if known), or .npy |
| N-MNIST and N-Caltech101 | .bin |
| camera events as a table | .csv with lines of t,x,y,p |
| files of cameras | see camera.py: .raw (EVT2, EVT3), .dat, .aedat4, .es |
| NIR data | .nir whose root is a NIRGraphData |
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ..archive import Archive, DamagedError, TooLargeError, from_npy
from ..files import reading, write_atomically
from ..findings import ArgumentTypeError, Finding, InputError, UsageError, error, refuse, warning
from ..network import Array, Shape
from ..recording import MAX_STEPS, Recording
from . import binning, frames, nir, npz, sensor, slow, suit
from .asked import kind_faults
from .camera import Camera, recognise, whole
from .choice import Choice, Crop, Merge, Options, Origin, beyond, choice
from .room import demand_events
from .sensor import Events, Table
from .summary import Look, looked

__all__ = [
    "STATES", "Camera", "Choice", "Crop", "Events", "Look", "Merge", "Options", "Origin", "Table",
    "choice", "decode", "demand_npz", "looked", "opened", "read", "read_states", "write",
    "write_states",
]  # fmt: skip

LIMIT = 1 << 30  # bytes, unpacked
STATES = ".states.npz"

KNOWN = (
    ".npz written by nrf-deploy; .npz with t (microseconds), x, y, p; .npz with frames "
    "(steps, *shape); .npy of frames; .bin of N-MNIST; .csv with lines of t,x,y,p; "
    "Prophesee .raw (EVT2, EVT3) and .dat; .aedat4; .es; NIR data"
)

_EVENT_FILES: Mapping[str, tuple[Callable[[bytes], dict[str, Array]], int]] = {
    ".bin": (sensor.nmnist, 64 << 20),
    ".csv": (sensor.csv, 128 << 20),
}
"""The reader of a table, and the bytes that it reads: all events are in memory at once."""


def read(
    path: str | os.PathLike[str],
    *,
    shape: Shape | None = None,
    dt: float | None = None,
    bin: float | None = None,
    merge: Merge | None = None,
    clip: int | None = None,
    crop: Crop | None = None,
    downsample: int | None = None,
    start: float | None = None,
    until: float | None = None,
    origin: Origin | int | None = None,
    stretch: int = 1,
    limit: int = LIMIT,
    max_steps: int = MAX_STEPS,
) -> tuple[Recording, list[Finding]]:
    """A file as a Recording for an input of `shape`, and what is to be said about it.

    Camera events are counted in steps of `bin` seconds. Step 0 begins at `origin`: at the first
    event ("first", the default), at t = 0 of the file's clock ("zero"), or at so many
    microseconds of it; and `start` seconds later where that is given. From `until` seconds after
    the origin on nothing is taken. `crop` (x, y, width, height) keeps a window of the sensor,
    `downsample` makes one pixel of N x N. `dt` is the model's time step: a recording in other
    steps is warned of, and one that does not say its own takes it (1 or more counts steps, and
    says nothing of seconds). Values above `clip` become `clip`. `stretch` makes the times of
    events so many times as long, in the same steps. `limit` bounds the bytes that are read at
    once, `max_steps` the steps that events may span. A camera's file of any size is read packet
    by packet: only what comes out is held.
    """
    name = os.fspath(path)
    asked = {"bin": bin, "clip": clip, "crop": crop, "downsample": downsample, "origin": origin}
    refuse(list(kind_faults(**asked, start=start, until=until)), ArgumentTypeError)
    chosen = choice(crop=crop, downsample=downsample, start=start, until=until, origin=origin)
    held, findings = opened(path, limit=limit, dt=bin, shape=shape)
    events = not isinstance(held, Recording)
    slow.demand(stretch, name, in_steps=not events)
    if isinstance(held, Recording):
        recording, said = suit.in_steps(
            held, name, shape=shape, dt=dt, bin=bin, merge=merge, origin=origin, chosen=chosen
        )
    else:
        size = held.size if isinstance(held, Camera) else None
        refuse(beyond(chosen, size, name), UsageError)
        try:
            recording, said = binning.binned(
                slow.stretched(held.packets, stretch), name, slow.chosen(chosen, stretch),
                shape=shape, bin=bin, merge=merge, max_steps=max_steps,
            )  # fmt: skip
        except DamagedError as damage:
            raise damage.refusal(path, "RECORDING") from damage
        form = [f"decode {held.form}", *chosen.made(usual=True)]
        form += [f"merge {merge}"] if merge else []
        form += [f"time x{stretch}"] if stretch > 1 else []
        recording = replace(recording, made=(*form, f"bin {bin:g} s"))
        said += held.findings if isinstance(held, Camera) else []
    findings += said
    findings += suit.pace(recording, name, dt, events)
    recording, said = suit.clipped(recording, name, clip)
    findings += said
    if not len(recording.index):
        fix = "look at whether this is the file that was meant"
        findings.append(warning("RECORDING-EMPTY", f"{name} holds no event", fix=fix))
    return recording, findings


def opened(
    path: str | os.PathLike[str],
    *,
    limit: int = LIMIT,
    dt: float | None = None,
    shape: Shape | None = None,
) -> tuple[Recording | Camera | Table, list[Finding]]:
    """What a file holds; of a camera's file nothing but the header is read yet."""
    with reading(path) as stream:
        try:
            if camera := recognise(stream, Path(path)):
                return camera, []
            stream.seek(0)
            held, findings = _decode(stream, Path(path), limit, dt, shape)
        except DamagedError as damage:
            raise damage.refusal(path, "RECORDING") from damage
    if isinstance(held, Recording):
        return held, findings
    return Table(held, Path(path).suffix.lower().removeprefix(".")), findings


def decode(
    path: str | os.PathLike[str], *, limit: int = LIMIT
) -> tuple[Recording | Events, list[Finding]]:
    """All that a file holds, before anything is asked of it: steps, or the events of a camera."""
    held, findings = opened(path, limit=limit)
    if isinstance(held, Recording):
        return held, findings
    if isinstance(held, Table):
        return held.events, findings
    try:
        events, said = sensor.events(whole(held, limit), os.fspath(path))
    except DamagedError as damage:
        raise damage.refusal(path, "RECORDING") from damage
    return events, [*findings, *held.findings, *said]


def demand_npz(path: str | os.PathLike[str]) -> None:
    """Recordings are written as .npz, or as NIR data; asked before a long run, not after it."""
    if Path(path).suffix not in (".npz", ".nir"):
        what = f"{os.fspath(path)} does not end in .npz or .nir (NIR data)"
        raise UsageError(error("RECORDING-SUFFIX", what, fix="name it .npz"))


def write(recording: Recording, path: str | os.PathLike[str]) -> None:
    """As .npz that `read` gives back exactly and numpy opens, the same bytes every time; or as
    NIR data, which has the events and their dt, but not `made`."""
    name = os.fspath(path)
    demand_npz(path)
    refuse(
        [error("RECORDING-UNSOUND", f"{name}: {fault}") for fault in recording.faults()],
        UsageError,
    )
    if Path(path).suffix == ".nir":
        nir.write(recording, path)
    else:
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


def _decode(
    stream: BinaryIO, path: Path, limit: int, dt: float | None, shape: Shape | None
) -> tuple[Recording | Events, list[Finding]]:
    head = stream.read(6)
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _from_zip(Archive(stream, limit=limit), path)
    if head.startswith(b"\x89HDF"):
        return nir.decode(path, dt, shape), []
    size = stream.seek(0, os.SEEK_END)
    reader, most = (None, limit)
    if head != b"\x93NUMPY":
        reader, most = _EVENT_FILES.get(path.suffix.lower(), (None, limit))
    if size > min(limit, most):
        raise TooLargeError(f"has {size:,} bytes; the limit is {min(limit, most):,}")
    stream.seek(0)
    if head == b"\x93NUMPY":
        return frames.decode(from_npy(stream.read(size)), None, size), []
    if reader:
        return sensor.events(reader(stream.read(size)), str(path))
    raise _unknown(path, "is empty" if not size else f"begins with {head!r}")


def _from_zip(archive: Archive, path: Path) -> tuple[Recording | Events, list[Finding]]:
    if npz.is_recording(archive):
        return npz.decode(archive), []
    members = {name.removesuffix(".npy") for name in archive.sizes}
    if members >= {"t", "x", "y", "p"}:
        columns = {name: from_npy(archive.read(f"{name}.npy")) for name in ("t", "x", "y", "p")}
        demand_events(max(column.size for column in columns.values()), archive.size)
        return sensor.events(columns, str(path))
    if "frames" in members:
        dt = from_npy(archive.read("dt.npy")) if "dt" in members else None
        if dt is not None and (dt.size != 1 or not (np.isfinite(dt).all() and dt.item() > 0)):
            raise DamagedError("has a dt that is no positive number")
        dense = from_npy(archive.read("frames.npy"))
        return frames.decode(dense, None if dt is None else float(dt.item()), archive.size), []
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
