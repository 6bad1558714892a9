"""Boards: the image that a board would receive for a bundle, and loading a board.

A target makes images and reaches boards (`Flashing`). This module does the rest for all targets:
it chooses the board, writes a file whole or not at all, and explains a missing board.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import BinaryIO

from nrf_deploy.compiler.abilities import Configuring, Flashed, Flashing, Image, NoBoard
from nrf_deploy.diagnostics.argument_types import demand, demand_number, demand_path
from nrf_deploy.diagnostics.findings import MissingError, UsageError, error
from nrf_deploy.io.files import write_atomically

from .bundle import Bundle
from .inputs import as_bundle
from .pipeline import target_of

JSON = ".json"


def image(bundle: Bundle | str | Path, suffix: str | None = None) -> Image:
    """Return what a board would receive for a bundle, without a board.

    Args:
        bundle: What `compile` returns, or the path of a .nrfb file.
        suffix: ".json" for the configuration as JSON, any other for the image. Default: the
            image, or the configuration where the chip has no other.

    Returns:
        The Image: its bytes, their form, counts, and which checks were made.

    Raises:
        MissingError: The chip has no way to a board here, or its SDK is missing.
        UsageError: A suffix that the chip has no form for (a ValueError).
        TargetError: A program that the board would not take.
    """
    bundle = as_bundle(bundle)
    if suffix is not None:
        demand(suffix, str, "a suffix", "pass '.json' or '.img', or leave suffix out")
    way = _way(bundle)
    wanted = _usual(bundle, way) if suffix is None else suffix.lower()
    if wanted != JSON:
        return way.image(bundle)
    if isinstance(way, Configuring):
        return way.configuration(bundle)
    what = f"{bundle.chip} has no configuration that is written as {JSON}"
    raise UsageError(error("FLASH-NO-JSON", what, fix="name the image .img"))


def _usual(bundle: Bundle, way: Flashing) -> str:
    """Return the suffix of the file that this chip has without a board."""
    bare = isinstance(way, Configuring) and not way.has_image(bundle.chip)
    return JSON if bare else ".img"


def write_image(bundle: Bundle | str | Path, path: str | os.PathLike[str]) -> Image:
    """Write the image of a bundle to a file, whole or not at all.

    Args:
        bundle: What `compile` returns, or the path of a .nrfb file.
        path: The file: .json for the configuration, any other suffix for the image.

    Returns:
        The Image that was written.

    Raises:
        MissingError: As in `image`.
        UsageError: As in `image`, or a file that cannot be written.
        TargetError: As in `image`.
    """
    demand_path(path)
    content = image(bundle, Path(path).suffix)
    write_atomically(path, lambda stream: _write(stream, content.data))
    return content


def flash(
    bundle: Bundle | str | Path, device: str | None = None, tick: float | None = None
) -> Flashed:
    """Load a board with a bundle, and read it back.

    Args:
        bundle: What `compile` returns, or the path of a .nrfb file.
        device: The name of the board. Default: the only one that is plugged in.
        tick: Seconds of one step, on a board that has a clock for its leak. Default: the
            model's dt.

    Returns:
        The Flashed: the data that was written, and the part that was read back and is equal;
        `sound` is False where they differ.

    Raises:
        MissingError: No way to a board, no board, or a vendor's tool that fails.
        UsageError: An unknown device, several boards and no device, or a tick that is not
            above 0.
        TargetError: A program that the board would not take.
    """
    bundle = as_bundle(bundle)
    if tick is not None:
        demand_number("tick", tick, "a number of seconds")
        if not (math.isfinite(tick) and tick > 0):
            what = f"tick is {tick}; expected a number of seconds above 0"
            raise UsageError(error("FLASH-TICK", what, fix="leave tick out to take the model's dt"))
    way = _way(bundle)
    return way.flash(bundle, _chosen(bundle, way, device), tick)


def _way(bundle: Bundle) -> Flashing:
    target = target_of(bundle)
    if isinstance(target, Flashing):
        return target
    none = f"the target {bundle.target!r} brings none"
    raise MissingError(
        error(
            "FLASH-NO-WAY",
            f"there is no way to a board of {bundle.chip} here",
            why=target.no_flash if isinstance(target, NoBoard) else none,
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
