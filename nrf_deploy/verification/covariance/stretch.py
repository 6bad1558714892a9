"""Is a stretch of time a stretch of the response? The test behind `verify --covariance`.

A network of temporal channels is covariant when the scene, S times slower, gives in the
channel with S times the time constant what the scene itself gives in this one. The Z-test
stretches by stuffing: step t of the input goes to step S t, and the steps between are
empty. In real arithmetic, with exponential decay, both runs are then equal to the last
bit, so every deviation that is seen is precision, or a wrong discretisation. The T-test
stretches timestamps and bins them again, as a camera in front of the slower scene would.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from ...network import LI, Array, CubaLI, CubaLIF, Network
from ...recording import Recording
from .ladders import Rung

Run = Callable[[Recording], dict[str, Recording]]
"""From an input to the outputs of all populations, at the model's own steps."""


@dataclass(frozen=True)
class Deviation:
    """How far a rung is from covariant: for spikes the part that is missing, too many or
    moved, for values their relative distance (root mean square)."""

    rung: Rung
    spikes: int | None  # in the faster channel; None where values are compared
    error: float


def stuffed(recording: Recording, stretch: int) -> Recording:
    """Step t goes to step `stretch` * t; the steps between are empty."""
    start = np.repeat(recording.start, stretch)[stretch - 1 :]
    return Recording(recording.shape, start, recording.index, recording.value, recording.dt)


def rebinned(recording: Recording, stretch: int, seed: int = 0) -> Recording:
    """Each event at a random time within its step, all times `stretch` times as long, and
    binned again into the same steps."""
    late = np.random.default_rng(seed).integers(0, stretch, len(recording.index))
    step = recording.step * stretch + late
    flat = step * recording.size + recording.index
    order = np.argsort(flat, kind="stable")
    start = np.searchsorted(step[order], np.arange(recording.steps * stretch + 1))
    index, value = recording.index[order], recording.value[order]
    return Recording(recording.shape, start.astype(np.int64), index, value, recording.dt)


def z_test(
    network: Network, rungs: Iterable[Rung], recording: Recording, run: Run
) -> list[Deviation]:
    """Rung by rung: the faster channel on the recording, the slower on the stuffed one."""
    return _tested(network, rungs, recording, run, stuffed, 0)


def t_test(
    network: Network, rungs: Iterable[Rung], recording: Recording, run: Run
) -> list[Deviation]:
    """The same with times that are binned again: compared at the end of each long step, and
    spikes by their number in it."""
    return _tested(network, rungs, recording, run, rebinned, -1)


def _tested(
    network: Network,
    rungs: Iterable[Rung],
    recording: Recording,
    run: Run,
    stretched: Callable[[Recording, int], Recording],
    at: int,
) -> list[Deviation]:
    rungs = list(rungs)
    short = run(recording)
    found: list[Deviation] = []
    for stretch in sorted({r.stretch for r in rungs}):
        long = run(stretched(recording, stretch))
        for rung in (r for r in rungs if r.stretch == stretch):
            pair = short[rung.faster], long[rung.slower]
            if network[rung.faster].spikes:  # type: ignore[attr-defined]
                found.append(_spikes(rung, *pair, within=at < 0))
            else:
                gains = (_gain(network, rung.faster), _gain(network, rung.slower))
                found.append(_values(rung, *pair, gains, at % stretch))
    return sorted(found, key=lambda d: (d.rung.depth, d.rung.faster))


def _spikes(rung: Rung, short: Recording, long: Recording, *, within: bool) -> Deviation:
    """Spikes that one of them lacks, over those of the faster channel; `within` a long step
    they may stand anywhere."""
    size, stretch = short.size, rung.stretch
    first = short.step * stretch * size + short.index
    step = long.step - long.step % stretch if within else long.step
    second = step * size + long.index
    ours, here = np.unique(first, return_counts=True)
    theirs, there = np.unique(second, return_counts=True)
    _, left, right = np.intersect1d(ours, theirs, assume_unique=True, return_indices=True)
    matched = int(np.minimum(here[left], there[right]).sum())
    differ = len(first) + len(second) - 2 * matched
    return Deviation(rung, len(first), differ / len(first) if len(first) else float(differ > 0))


def _values(
    rung: Rung, short: Recording, long: Recording, gains: tuple[Array, Array], at: int
) -> Deviation:
    ours = short.dense().reshape(short.steps, -1) / gains[0]
    theirs = long.dense().reshape(long.steps, -1)[at :: rung.stretch][: len(ours)] / gains[1]
    size = float(np.linalg.norm(ours))
    away = float(np.linalg.norm(theirs - ours[: len(theirs)]))
    return Deviation(rung, None, away / size if size else float(away > 0))


def _gain(network: Network, name: str) -> Array:
    """What one event adds to the value."""
    node = network[name]
    if isinstance(node, LI):
        return np.ravel(node.r * network.dt / node.tau)
    assert isinstance(node, CubaLI | CubaLIF)
    return np.ravel(node.r * node.w_in * network.dt**2 / (node.tau_mem * node.tau_syn))
