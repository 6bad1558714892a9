"""From a bundle to a board: the image that a board would receive, and the way there.

What an image is and how a board is reached is the target's affair (`Flashing`); here is what
is alike for all: which board is meant, that a file is written whole or not at all, and what is
said where there is no board, or no way to one.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol, runtime_checkable

from .bundle import Bundle
from .files import write_atomically
from .findings import Finding, MissingError, UsageError, error
from .given import as_bundle
from .pipeline import target_of

JSON = ".json"


@dataclass(frozen=True)
class Image:
    """Byte for byte what goes to a board, or the configuration that says it; counts by name."""

    data: bytes
    form: str
    """How to read the bytes: "20-bit words, 4 bytes each, the low byte first"."""
    counts: Mapping[str, int]
    checks: tuple[str, ...] = ()
    """What was made sure of, in words."""
    unchecked: tuple[str, ...] = ()
    """Sentences on what cannot be judged here."""
    suffix: str = ".img"
    """Suffix of a file that holds the image."""

    def as_json(self) -> dict[str, Any]:
        return {
            "bytes": len(self.data),
            "sha256": hashlib.sha256(self.data).hexdigest(),
            "form": self.form,
            "counts": dict(self.counts),
            "checks": list(self.checks),
            "unchecked": list(self.unchecked),
        }


@dataclass(frozen=True)
class Boards:
    """`suiting` boards can take the bundle; `others` were found too."""

    suiting: tuple[str, ...]
    others: tuple[str, ...]
    looked: str
    """What was looked for, and by what."""


@dataclass(frozen=True)
class Flashed:
    """`written` counts what went to the board, `read` what of it was read back and found equal."""

    board: str
    written: Mapping[str, int]
    read: Mapping[str, int]
    findings: tuple[Finding, ...] = ()

    @property
    def sound(self) -> bool:
        return not any(f.severity == "error" for f in self.findings)


@runtime_checkable
class Flashing(Protocol):
    """A target that has a way to its boards."""

    def image(self, bundle: Bundle) -> Image: ...

    def boards(self, bundle: Bundle) -> Boards: ...

    def flash(self, bundle: Bundle, board: str, tick: float | None) -> Flashed:
        """Loads the board and reads back. `tick` is the length of a step in seconds, where the
        chip needs a clock and the model's own dt is not meant."""
        ...


@runtime_checkable
class Configuring(Protocol):
    """A target that can write as JSON what a board is told, also where it has no image."""

    def configuration(self, bundle: Bundle) -> Image: ...

    def has_image(self, chip: str) -> bool:
        """Can `image` be made without a board of this chip?"""
        ...


def image(bundle: Bundle | str | Path, suffix: str | None = None) -> Image:
    """The configuration for a file that ends in `suffix` .json, else the image.

    Without a suffix: the image, or the configuration where the chip has no other.
    """
    bundle = as_bundle(bundle)
    way = _way(bundle)
    wanted = _usual(bundle, way) if suffix is None else suffix.lower()
    if wanted != JSON:
        return way.image(bundle)
    if isinstance(way, Configuring):
        return way.configuration(bundle)
    what = f"{bundle.chip} has no configuration that is written as {JSON}"
    raise UsageError(error("FLASH-NO-JSON", what, fix="name the image .img"))


def _usual(bundle: Bundle, way: Flashing) -> str:
    """The suffix of what is made for this chip without a board."""
    bare = isinstance(way, Configuring) and not way.has_image(bundle.chip)
    return JSON if bare else ".img"


def write_image(bundle: Bundle | str | Path, path: str | os.PathLike[str]) -> Image:
    """The whole image, or configuration (.json), in one file, or no file."""
    made = image(bundle, Path(path).suffix)
    write_atomically(path, lambda stream: _write(stream, made.data))
    return made


def flash(
    bundle: Bundle | str | Path, device: str | None = None, tick: float | None = None
) -> Flashed:
    """Onto the one board that is there, or the one named `device`."""
    bundle = as_bundle(bundle)
    way = _way(bundle)
    return way.flash(bundle, _chosen(bundle, way, device), tick)


def _way(bundle: Bundle) -> Flashing:
    target = target_of(bundle)
    if isinstance(target, Flashing):
        return target
    raise MissingError(
        error(
            "FLASH-NO-WAY",
            f"there is no way to a board of {bundle.chip} here",
            why=getattr(target, "no_flash", f"the target {bundle.target!r} brings none"),
            fix="run the bundle on the emulator: nrf-deploy run",
        )
    )


def _chosen(bundle: Bundle, way: Flashing, device: str | None) -> str:
    boards = way.boards(bundle)
    beside = f"; also plugged in: {', '.join(boards.others)}" if boards.others else ""
    if not boards.suiting:
        raise MissingError(
            error(
                "FLASH-NO-BOARD",
                f"no board for {bundle.chip} is plugged in",
                why=f"looked for {boards.looked}{beside}",
                fix="plug it in (and see that you may use the USB device); --dry-run --image "
                f"F{_usual(bundle, way)} writes what it would receive",
            )
        )
    if device is not None and device not in boards.suiting:
        raise UsageError(
            error(
                "FLASH-BOARD-UNKNOWN",
                f"there is no board {device!r} for {bundle.chip}",
                why=f"looked for {boards.looked}{beside}",
                fix=f"choose one of: {', '.join(boards.suiting)}",
            )
        )
    if device is None and len(boards.suiting) > 1:
        raise UsageError(
            error(
                "FLASH-BOARD-MANY",
                f"{len(boards.suiting)} boards for {bundle.chip} are plugged in",
                fix=f"choose one by --device: {', '.join(boards.suiting)}",
            )
        )
    return device or boards.suiting[0]


def _write(stream: BinaryIO, data: bytes) -> None:
    stream.write(data)
