"""Kinds of files: recognised by content when read, by suffix when written."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from nrf_deploy.diagnostics.findings import UsageError, error, refuse

from .archive import Archive, DamagedError
from .files import demand_writable, reading
from .recordings.camera import is_camera
from .recordings.nir import is_data

Kind = Literal["graph", "bundle", "recording"]

NAMES: dict[Kind, str] = {
    "graph": "a NIR graph",
    "bundle": "a bundle",
    "recording": "a recording",
}
SUFFIXES = {
    "a NIR graph": (".nir",),
    "a bundle": (".nrfb",),
    "a recording": (
        ".npz",
        ".npy",
        ".bin",
        ".csv",
        ".raw",
        ".dat",
        ".aedat",
        ".aedat4",
        ".es",
        ".h5",
        ".hdf5",
        ".nir",
    ),
    "a report": (".json", ".html"),
    "a JUnit file": (".xml",),
    "a scheme": (".toml",),
    "a chip image": (".img",),
    "a chip configuration": (".json",),
    "Python": (".py",),
    "weights": (".pt", ".pth", ".safetensors"),
}


def kind_of(path: str | os.PathLike[str]) -> Kind | None:
    """Return the kind of a file by its first bytes; None if they do not show it.

    An HDF5 file must be opened for that: an unsound one is refused here.
    """
    with reading(path) as stream:
        head = stream.read(16)
        if head.startswith(b"\x89HDF"):
            return "recording" if is_data(Path(path)) else "graph"
        if head.startswith(b"PK"):
            return "bundle" if _has_manifest(path) else "recording"
    if head.startswith(b"\x93NUMPY") or Path(path).suffix.lower() in (".bin", ".csv"):
        return "recording"
    return "recording" if is_camera(head, Path(path).suffix) else None


def _has_manifest(path: str | os.PathLike[str]) -> bool:
    try:
        with reading(path) as stream:
            return "manifest.json" in Archive(stream).sizes
    except DamagedError:  # its reader reports it
        return Path(path).suffix == ".nrfb"


WAYS: dict[tuple[Kind, Kind], str] = {
    ("bundle", "graph"): "compile it first: nrf-deploy compile {path} --target CHIP -o FILE.nrfb",
    (
        "graph",
        "bundle",
    ): "give the .nir that it was compiled from; nrf-deploy inspect shows the bundle",
    ("graph", "recording"): "give a .nir file here, and the recording with --input or --calibrate",
    ("bundle", "recording"): "give a bundle here, and the recording with --input",
    ("recording", "graph"): "give a recording here; the model is before the options",
    ("recording", "bundle"): "give a recording here; the bundle is before the options",
}


def demand_kind(path: str | os.PathLike[str], wanted: Kind) -> None:
    """Refuse a sound file of another kind with a fix, not as a damaged one of this kind."""
    kind = kind_of(path)
    if kind in (None, wanted):
        return
    assert kind is not None
    raise UsageError(
        error(
            "FILE-OTHER-KIND",
            f"{os.fspath(path)} is {NAMES[kind]}, not {NAMES[wanted]}",
            fix=WAYS[wanted, kind].format(path=os.fspath(path)),
        )
    )


def demand_output(
    path: str | os.PathLike[str], kind: str, inputs: Iterable[str | os.PathLike[str] | None]
) -> None:
    """Refuse an output of a `kind` that cannot be written, before long work starts.

    It may not be one of the inputs, have the suffix of another kind, or be in a folder in which
    nothing can be written.
    """
    findings = [
        error(
            "OUTPUT-IS-INPUT",
            f"{os.fspath(path)} is read and would be overwritten",
            fix=f"write to another file, such as {_other(path, kind)}",
        )
        for source in inputs
        if source is not None and _same(source, path)
    ]
    suffix = Path(path).suffix.lower()
    taken = next((k for k, ends in SUFFIXES.items() if suffix in ends), kind)
    if not findings and taken != kind and suffix not in SUFFIXES.get(kind, ()):
        findings.append(
            error(
                "OUTPUT-SUFFIX",
                f"{os.fspath(path)} would hold {kind}, but {suffix} is the suffix of {taken}",
                fix=f"name it {_other(path, kind)}",
            )
        )
    refuse(findings, UsageError)
    demand_writable(path)


def demand_outputs(
    outputs: Sequence[tuple[str | os.PathLike[str], str]],
    inputs: Iterable[str | os.PathLike[str] | None],
) -> None:
    """Refuse each output (path, kind) that `demand_output` refuses, and two that are one file."""
    read = list(inputs)
    for path, kind in outputs:
        demand_output(path, kind, read)
    twice = [
        error(
            "OUTPUT-TWICE",
            f"{os.fspath(one)} and {os.fspath(other)} are the same file: the second would "
            "overwrite the first",
            fix=f"write one of them to another file, such as {_other(other, kind)}",
        )
        for (one, _), (other, kind) in itertools.combinations(outputs, 2)
        if _same(one, other)
    ]
    refuse(twice, UsageError)


def _same(one: str | os.PathLike[str], other: str | os.PathLike[str]) -> bool:
    try:
        return os.path.samefile(one, other)
    except (OSError, ValueError):
        return os.path.realpath(one) == os.path.realpath(other)


def _other(path: str | os.PathLike[str], kind: str) -> str:
    """Return a name like that of a path with a suffix of the kind."""
    suffix = SUFFIXES[kind][0]
    stem = Path(path).stem
    return f"{stem}{suffix}" if Path(path).suffix != suffix else f"{stem}-new{suffix}"
