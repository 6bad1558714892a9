"""The two tests in time: steps stuffed with empty ones, and timestamps that are stretched.

A network of temporal channels is covariant when the scene, S times slower, gives in the
channel with S times the time constant what the scene itself gives in this one. The Z-test
stretches by stuffing: step t of the input goes to step S t, and the steps between are
empty. In real arithmetic, with exponential decay, both runs are then equal to the last
bit, so every deviation that is seen is precision, or a wrong discretisation. The T-test
stretches timestamps and bins them again, as a camera in front of the slower scene would.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from ...ladders import Rung
from ...network import Network
from ...progress import Progress, part
from ...recording import Recording
from .deviation import Deviation, in_time
from .nouns import Row
from .stages import Run, Stage
from .stretch import as_long, rebinned, stuffed

Slower = Callable[[int], Recording]
"""The recording with its timestamps so many times as long, in the same steps."""


@dataclass(frozen=True, eq=False)
class Inputs:
    """The recording, and for each stretch the two longer ones."""

    recording: Recording
    stuffed: Mapping[int, Recording]
    slower: Mapping[int, Recording]


def inputs(recording: Recording, rungs: Iterable[Rung], slower: Slower | None) -> Inputs:
    stretches = sorted({r.stretch for r in rungs})
    steps = recording.steps
    real = slower or (lambda s: rebinned(recording, s))
    return Inputs(
        recording,
        {s: stuffed(recording, s) for s in stretches},
        {s: as_long(real(s), s * steps) for s in stretches},
    )


def tested(
    rungs: Iterable[Rung], stages: Iterable[Stage], given: Inputs, progress: Progress
) -> tuple[tuple[Row, ...], tuple[Row, ...]]:
    """The rows of the Z-test and of the T-test: the short input is run once for both."""
    rungs = sorted(rungs, key=lambda r: (r.depth, r.faster))
    names = [n for r in rungs for n in (r.faster, r.slower)]
    exact: dict[str, list[Deviation]] = {}
    real: dict[str, list[Deviation]] = {}
    for stage in stages:
        part(progress, f"covariance in time: {stage.name}")
        run = stage.runs(names, progress)
        short = run(given.recording)
        exact[stage.name] = deviations(stage.network, rungs, short, run, given.stuffed, False)
        real[stage.name] = deviations(stage.network, rungs, short, run, given.slower, True)
    return _rows(rungs, exact), _rows(rungs, real)


def deviations(
    network: Network,
    rungs: Iterable[Rung],
    short: Mapping[str, Recording],
    run: Run,
    longer: Mapping[int, Recording],
    within: bool,
) -> list[Deviation]:
    rungs = list(rungs)
    long = {s: run(longer[s]) for s in sorted({r.stretch for r in rungs})}
    return [
        in_time(
            network,
            (r.faster, r.slower),
            (short[r.faster], long[r.stretch][r.slower]),
            r.stretch,
            within=within,
        )
        for r in rungs
    ]


def _rows(rungs: Iterable[Rung], found: Mapping[str, list[Deviation]]) -> tuple[Row, ...]:
    return tuple(
        Row(
            first=rung.faster,
            second=rung.slower,
            transform=f"time x{rung.stretch}",
            depth=rung.depth,
            spikes=next(iter(found.values()))[k].spikes,
            errors={stage: ds[k].error for stage, ds in found.items()},
            lost={s: ds[k].lost for s, ds in found.items() if ds[k].spikes is not None},
        )
        for k, rung in enumerate(rungs)
    )
