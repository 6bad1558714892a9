"""Options for files that hold several recordings, or do not state their layout."""

from __future__ import annotations

import re
from pathlib import Path

from nrf_deploy.diagnostics.findings import InputError, UsageError, error

from . import aedat, columns, hdf5
from .camera import AEDAT2, Camera, other_kind

LAYOUTS = f"x,y,t,p (or another order), {columns.FRAMES}, {', '.join(aedat.LAYOUTS)}"


def split(part: str | None) -> tuple[str, int | None]:
    """Return the name and the sample of a part: "node/spikes@3", "node" or "@3"."""
    if part is None:
        return "", None
    match = re.fullmatch(r"(.*?)(?:@([0-9]{1,9}))?", part, re.DOTALL)
    assert match is not None
    return match[1], None if match[2] is None else int(match[2])


def hdf5_camera(path: Path, part: str | None) -> Camera | None:
    """Return an HDF5 file of events as a camera's; None for NIR's own files."""
    content = hdf5.looked(path)
    if content["form"] == "nir":
        return None
    form = hdf5.WORDS.get(content["form"])
    if form is None:
        groups = ", ".join(map(str, content["groups"])) or "nothing"
        raise other_kind(path, f"HDF5 that holds {groups:.200}", hdf5.KNOWN)
    if form != hdf5.SHD:
        return Camera(path, form)
    name, sample = split(part)
    count = int(content["count"])
    if name or (sample is None and count != 1) or (sample or 0) >= count:
        raise UsageError(
            error(
                "RECORDING-PART",
                f"{path} holds {count:,} recordings"
                + (f", and none is called {part!r:.40}" if part else ""),
                fix=f"give --part @N, from @0 to @{count - 1}",
            )
        )
    return Camera(path, form, sample=sample or 0)


def demand_used(
    path: Path, head: bytes, camera: Camera | None, layout: str | None, part: str | None
) -> None:
    """Refuse a layout or a part that this file would not use."""
    array = head.startswith(b"\x93NUMPY")
    if layout is not None:
        known = columns.is_layout(layout) or layout in (columns.FRAMES, *aedat.LAYOUTS)
        if not known:
            what = f"there is no layout {layout!r:.40}"
            raise UsageError(error("RECORDING-LAYOUT", what, fix=f"expected {LAYOUTS}"))
        if not (camera and camera.form == AEDAT2) and not (array and layout not in aedat.LAYOUTS):
            raise unused("layout", path, "its format states the order of its events")
    several = head.startswith(b"\x89HDF") and (camera is None or camera.form == hdf5.SHD)
    if part is not None and not several:
        raise unused("part", path, "it holds one recording")


def unused(option: str, path: Path, why: str) -> UsageError:
    what = f"--{option} would change nothing for {path}"
    return UsageError(error("OPTION-UNUSED", what, why=why, fix=f"leave --{option} out"))


def chosen(names: list[str], part: str | None, path: Path) -> tuple[str, int | None]:
    """Return the one of these "node/observable" that a part names, and its sample."""
    name, sample = split(part)
    fitting = [n for n in names if name in ("", n, n.partition("/")[0], n.rpartition("/")[0])]
    if len(fitting) == 1:
        return fitting[0], sample
    listed = ", ".join(names) or "none"
    what = f"{path} holds {len(names)} recordings ({listed:.300})"
    if name:
        what += f", and {len(fitting) or 'none'} of the name {name!r:.40}"
    fix = "give --part NODE/OBSERVABLE, or --part NODE/OBSERVABLE@SAMPLE"
    raise (UsageError if names else InputError)(error("RECORDING-PART", what, fix=fix))
