"""Recordings in files. The format is recognised by a file's content, then by its suffix.

| content | recognised by |
|---|---|
| a Recording, as `write` leaves it | .npz with the member `format` |
| decoded camera events | .npz with t (microseconds), x, y, p |
| dense frames (steps, *shape) | .npz with `frames` (and dt in seconds, if known), or .npy |
| decoded camera events | .npy with the fields t, x, y, p, or (N, 4) and a layout |
| N-MNIST and N-Caltech101 | .bin |
| camera events as a table | .csv with lines of t,x,y,p |
| files of cameras | see camera.py: .raw (EVT2, EVT3), .dat, .aedat, .aedat4, .es, .h5 |
| NIR data | .nir whose root is a NIRGraphData |
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np

from nrf_deploy.diagnostics.findings import (
    ArgumentTypeError,
    Finding,
    InputError,
    UsageError,
    error,
    refuse,
    warning,
)
from nrf_deploy.ir.network import Array, Shape
from nrf_deploy.ir.recording import MAX_STEPS, Recording

from ..archive import NUMBERS, Archive, DamagedError, TooLargeError, from_npy
from ..files import reading, write_atomically
from . import binning, columns, frames, model_fit, nir, npz, parts, sensor, time_stretch
from .camera import Camera, recognise, whole
from .event_options import Choice, Crop, Merge, Options, Origin, beyond, choice, kind_faults
from .limits import demand_events
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
    ".npz written by nrf-deploy; .npz or .npy with t (microseconds), x, y, p; .npz with frames "
    "(steps, *shape); .npy of frames; .bin of N-MNIST; .csv with lines of t,x,y,p; "
    "Prophesee .raw (EVT2, EVT3) and .dat; .aedat (2.0, 3.1); .aedat4; .es; HDF5 of DSEC, "
    "Prophesee and SHD; NIR data"
)

_EVENT_FILES: Mapping[str, tuple[Callable[[bytes], dict[str, Array]], int]] = {
    ".bin": (sensor.nmnist, 64 << 20),
    ".csv": (sensor.csv, 128 << 20),
}
"""The reader of a table, and its limit in bytes: all events are in memory at once."""


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
    layout: str | None = None,
    part: str | None = None,
    stretch: int = 1,
    limit: int = LIMIT,
    max_steps: int = MAX_STEPS,
) -> tuple[Recording, list[Finding]]:
    """Read a file as a Recording for an input of `shape`, with findings about it.

    Camera events are counted in steps of `bin` seconds. Step 0 begins at `origin`: at the first
    event ("first", the default), at t = 0 of the file's clock ("zero"), or at a number of
    microseconds of it; and `start` seconds later if this is set. Events from `until` seconds after
    the origin on are left out. `crop` (x, y, width, height) keeps a window of the sensor,
    `downsample` makes one pixel of N x N. `dt` is the model's time step: a recording in other
    steps gets a warning, and one without a time step takes it (1 or more counts steps and has no
    length in seconds). `layout` states the order of columns or bits of a file that does not, `part`
    names one recording of a file of several. Values above `clip` become `clip`. `stretch`
    multiplies the times of events by a number, in the same steps. `limit` bounds the bytes that
    are read at once, `max_steps` the steps that events may span. A camera's file of any size is
    read packet by packet: only the result is kept in memory.
    """
    name = os.fspath(path)
    options = {"bin": bin, "clip": clip, "crop": crop, "downsample": downsample, "origin": origin}
    texts = {"layout": layout, "part": part}
    faults = kind_faults(**options, **texts, start=start, until=until)
    refuse(list(faults), ArgumentTypeError)
    chosen = choice(crop=crop, downsample=downsample, start=start, until=until, origin=origin)
    content, findings = opened(path, limit=limit, dt=bin, shape=shape, layout=layout, part=part)
    events = not isinstance(content, Recording)
    time_stretch.demand(stretch, name, in_steps=not events)
    if isinstance(content, Recording):
        recording, messages = model_fit.in_steps(
            content, name, shape=shape, dt=dt, bin=bin, merge=merge, origin=origin, chosen=chosen
        )
    else:
        size = content.size if isinstance(content, Camera) else None
        refuse(beyond(chosen, size, name), UsageError)
        try:
            flat = isinstance(content, Camera) and content.flat and shape is not None
            recording, messages = binning.binned(
                time_stretch.stretched(content.packets, stretch), name,
                time_stretch.chosen(chosen, stretch),
                shape=(1, 1, math.prod(shape or ())) if flat else shape,
                bin=bin, merge=merge, max_steps=max_steps,
            )  # fmt: skip
            recording = replace(recording, shape=shape or recording.shape)
        except DamagedError as damage:
            raise damage.refusal(path, "RECORDING") from damage
        form = [f"decode {content.form}", *chosen.made(usual=True)]
        form += [f"merge {merge}"] if merge else []
        form += [f"time x{stretch}"] if stretch > 1 else []
        recording = replace(recording, made=(*form, f"bin {bin:g} s"))
        messages += content.findings if isinstance(content, Camera) else []
    findings += messages
    findings += model_fit.pace(recording, name, dt, events)
    recording, messages = model_fit.clipped(recording, name, clip)
    findings += messages
    if not len(recording.index):
        fix = "check that this is the right file"
        findings.append(warning("RECORDING-EMPTY", f"{name} holds no event", fix=fix))
    return recording, findings


def opened(
    path: str | os.PathLike[str],
    *,
    limit: int = LIMIT,
    dt: float | None = None,
    shape: Shape | None = None,
    layout: str | None = None,
    part: str | None = None,
) -> tuple[Recording | Camera | Table, list[Finding]]:
    """Open a file and return its content; of a camera's file only the header is read."""
    with reading(path) as stream:
        try:
            stream.seek(0)
            head = stream.read(8)
            camera = recognise(stream, Path(path), layout)
            if camera is None and head.startswith(b"\x89HDF") and not nir.is_own(Path(path)):
                camera = parts.hdf5_camera(Path(path), part)
            parts.demand_used(Path(path), head, camera, layout, part)
            if camera:
                return camera, []
            stream.seek(0)
            content, findings = _decode(stream, Path(path), limit, dt, shape, layout, part)
        except DamagedError as damage:
            raise damage.refusal(path, "RECORDING") from damage
    if isinstance(content, Recording):
        return content, findings
    return Table(content, Path(path).suffix.lower().removeprefix(".")), findings


def decode(
    path: str | os.PathLike[str], *, limit: int = LIMIT
) -> tuple[Recording | Events, list[Finding]]:
    """Read a whole file without options: steps, or the events of a camera."""
    content, findings = opened(path, limit=limit)
    if isinstance(content, Recording):
        return content, findings
    if isinstance(content, Table):
        return content.events, findings
    try:
        events, messages = sensor.events(whole(content, limit), os.fspath(path))
    except DamagedError as damage:
        raise damage.refusal(path, "RECORDING") from damage
    return events, [*findings, *content.findings, *messages]


def demand_npz(path: str | os.PathLike[str]) -> None:
    """Refuse a path that does not end in .npz or .nir; called before a long run."""
    if Path(path).suffix not in (".npz", ".nir"):
        what = f"{os.fspath(path)} does not end in .npz or .nir (NIR data)"
        raise UsageError(error("RECORDING-SUFFIX", what, fix="name it .npz"))


def write(recording: Recording, path: str | os.PathLike[str]) -> None:
    """Write a recording as .npz or, by its suffix, as NIR data.

    `read` returns an .npz exactly and numpy opens it; its bytes are always the same. NIR data
    has the events and their dt, but not `made`.
    """
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
    """Write a layer's states (steps, *shape) by name to SPIKES.states.npz beside SPIKES.npz."""
    beside = Path(path).with_suffix(STATES)
    write_atomically(beside, partial(npz.encode_states, states))
    return beside


def read_states(path: str | os.PathLike[str], *, limit: int = LIMIT) -> dict[str, Array]:
    """Read the states that `write_states` wrote: (steps, *shape) by name."""
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
    stream: BinaryIO,
    path: Path,
    limit: int,
    dt: float | None,
    shape: Shape | None,
    layout: str | None,
    part: str | None,
) -> tuple[Recording | Events, list[Finding]]:
    head = stream.read(6)
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _from_zip(Archive(stream, limit=limit), path)
    if head.startswith(b"\x89HDF"):
        return nir.decode(path, dt, shape, part), []
    size = stream.seek(0, os.SEEK_END)
    reader, limit_of_kind = (None, limit)
    if head != b"\x93NUMPY":
        reader, limit_of_kind = _EVENT_FILES.get(path.suffix.lower(), (None, limit))
    if size > min(limit, limit_of_kind):
        raise TooLargeError(f"has {size:,} bytes; the limit is {min(limit, limit_of_kind):,}")
    stream.seek(0)
    if head == b"\x93NUMPY":
        return _from_npy(from_npy(stream.read(size), NUMBERS + "V"), path, size, layout)
    if reader:
        return sensor.events(reader(stream.read(size)), str(path))
    raise _unknown(path, "is empty" if not size else f"begins with {head!r}")


def _from_npy(
    array: Array, path: Path, size: int, layout: str | None
) -> tuple[Recording | Events, list[Finding]]:
    if array.dtype.names is not None:
        if layout is not None:
            fields = ", ".join(array.dtype.names)
            raise parts.unused("layout", path, f"its array names its fields: {fields:.80}")
        return sensor.events(columns.structured(array), str(path))
    if layout is not None and layout != columns.FRAMES:
        return sensor.events(columns.table(array, layout), str(path))
    if layout is None:
        columns.demand_frames(array, str(path))
    return frames.decode(array, None, size), []


def _from_zip(archive: Archive, path: Path) -> tuple[Recording | Events, list[Finding]]:
    if npz.is_recording(archive):
        return npz.decode(archive), []
    members = {name.removesuffix(".npy") for name in archive.sizes}
    if members >= {"t", "x", "y", "p"}:
        arrays = {name: from_npy(archive.read(f"{name}.npy")) for name in ("t", "x", "y", "p")}
        demand_events(max(array.size for array in arrays.values()), archive.size)
        return sensor.events(arrays, str(path))
    if "frames" in members:
        dt = from_npy(archive.read("dt.npy")) if "dt" in members else None
        if dt is not None and (dt.size != 1 or not (np.isfinite(dt).all() and dt.item() > 0)):
            raise DamagedError("has a dt that is not a positive number")
        dense = from_npy(archive.read("frames.npy"))
        return frames.decode(dense, None if dt is None else float(dt.item()), archive.size), []
    raise _unknown(path, f"is a zip archive with {', '.join(sorted(members)) or 'nothing'}")


def _unknown(path: Path, what: str) -> InputError:
    return InputError(
        error(
            "RECORDING-UNKNOWN",
            f"{path} is not of a known format: it {what:.200}",
            why=f"known formats: {KNOWN}",
            fix="decode the file and save t, x, y, p with numpy.savez",
        )
    )
