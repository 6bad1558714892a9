"""Inputs of a slower scene: exact for a test, or as a camera would see it."""

from __future__ import annotations

import numpy as np

from nrf_deploy.ir.recording import Recording


def stuffed(recording: Recording, stretch: int) -> Recording:
    """Move step t to step `stretch` * t; the steps between are empty."""
    start = np.repeat(recording.start, stretch)[stretch - 1 :]
    return Recording(recording.shape, start, recording.index, recording.value, recording.dt)


def rebinned(recording: Recording, stretch: int, seed: int = 0) -> Recording:
    """Give each event a random time within its step, stretch the times and bin them again.

    It is for a recording without timestamps.
    """
    late = np.random.default_rng(seed).integers(0, stretch, len(recording.index))
    step = recording.step * stretch + late
    steps = recording.steps * stretch
    return Recording.from_events(
        step, recording.index, recording.value, recording.shape, steps, recording.dt
    )


def as_long(recording: Recording, steps: int) -> Recording:
    """Extend a recording to this many steps, without events."""
    if recording.steps >= steps:
        return recording.until(steps)
    more = np.full(steps - recording.steps, recording.start[-1])
    start = np.concatenate([recording.start, more])
    return Recording(recording.shape, start, recording.index, recording.value, recording.dt)
