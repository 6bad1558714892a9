"""Deviation of two responses, where each element of one corresponds to one of the other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nrf_deploy.ir.network import Array, Network
from nrf_deploy.ir.recording import Recording
from nrf_deploy.ir.temporal_channels import gain


@dataclass(frozen=True)
class Deviation:
    """A deviation: for spikes the share that is missing, extra or moved, for values their
    relative distance (root mean square)."""

    spikes: int | None  # of the first; None if values are compared
    error: float
    lost: float = 0.0  # of the first's spikes


def of_spikes(first: Array, second: Array) -> Deviation:
    """Compare two lists of keys (element and time), in any order, with repeated keys."""
    ours, here = np.unique(first, return_counts=True)
    theirs, there = np.unique(second, return_counts=True)
    _, left, right = np.intersect1d(ours, theirs, assume_unique=True, return_indices=True)
    matched = int(np.minimum(here[left], there[right]).sum())
    count = len(first)
    differ = count + len(second) - 2 * matched
    lost = (count - len(second)) / count if count else 0.0
    return Deviation(count, differ / count if count else float(differ > 0), lost)


def of_values(first: Array, second: Array) -> Deviation:
    size, away = float(np.linalg.norm(first)), float(np.linalg.norm(second - first))
    return Deviation(None, away / size if size else float(away > 0))


def in_time(
    network: Network,
    pair: tuple[str, str],
    answers: tuple[Recording, Recording],
    stretch: int,
    *,
    within: bool,
) -> Deviation:
    """Compare two responses, of which the second is `stretch` times as long.

    Its spikes are expected at `stretch` times the step, or anywhere `within` the long step; its
    values at the first, or the last, step of a long step.
    """
    short, long = answers
    if network[pair[0]].spikes:  # type: ignore[attr-defined]
        step = long.step - long.step % stretch if within else long.step
        size = short.size
        return of_spikes(short.step * stretch * size + short.index, step * size + long.index)
    at = stretch - 1 if within else 0
    ours = short.dense().reshape(short.steps, -1) / gain(network, pair[0])
    theirs = long.dense().reshape(long.steps, -1)[at::stretch] / gain(network, pair[1])
    steps = min(len(ours), len(theirs))
    return of_values(ours[:steps], theirs[:steps])
