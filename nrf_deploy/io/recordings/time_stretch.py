"""Events of a camera in front of a slower scene: all times are multiplied by a number.

The choice of events (a window, from and until) is that of the original events.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace

from nrf_deploy.diagnostics.findings import UsageError, error

from .binning import Packets
from .event_options import Choice
from .sensor import Columns

MOST = 512  # so that a time of 2^52 stays within 64 bits


def stretched(packets: Packets, by: int) -> Packets:
    def slow() -> Generator[Columns]:
        original = packets()
        try:
            for packet in original:
                yield {**packet, "t": packet["t"] * by}
        finally:
            original.close()

    return packets if by == 1 else slow


def chosen(choice: Choice, by: int) -> Choice:
    origin, end = (None if t is None else t * by for t in (choice.origin, choice.end))
    return replace(choice, origin=origin, begin=choice.begin * by, end=end)


def demand(by: int, name: str, in_steps: bool) -> None:
    """Refuse to stretch anything but timestamps, or by a number out of range."""
    if not 1 <= by <= MOST:
        what = f"time cannot be stretched by {by:.6g}; expected 1 to {MOST}"
        raise UsageError(error("RECORDING-STRETCH", what))
    if by > 1 and in_steps:
        what = f"{name} is already in steps: it has no timestamps to stretch"
        fix = "give a camera's file, or an .npz with t, x, y and p"
        raise UsageError(error("RECORDING-STRETCH", what, fix=fix))
