"""Limits of recordings in files, checked before an array of a declared size is allocated."""

from __future__ import annotations

import math
from collections.abc import Sequence

from nrf_deploy.ir.recording import FREE_EVENTS, MAX_ELEMENTS, MAX_STEPS

from ..archive import TooLargeError, TooLongError


def demand_steps(steps: int) -> None:
    if steps > MAX_STEPS:
        raise TooLongError(f"has {steps:,} steps; the limit is {MAX_STEPS:,}")


def demand_elements(shape: Sequence[int]) -> None:
    if math.prod(shape) > MAX_ELEMENTS:
        raise TooLargeError(f"has steps of {tuple(shape)}; the limit is {MAX_ELEMENTS:,} elements")


def demand_events(events: int, stored: int) -> None:
    """Refuse more events than bytes in the file: an unpacked event takes at least one."""
    if events > FREE_EVENTS + stored:
        raise TooLargeError(
            f"holds {events:,} events in {stored:,} bytes; the limit is {FREE_EVENTS + stored:,}"
        )
