"""Two tests in time: steps stuffed with empty ones, and stretched timestamps.

A network of temporal channels is covariant if the channel with S times the time constant
responds to the scene, S times slower, as this channel responds to the scene. The Z-test
stretches by stuffing: step t of the input moves to step S t, and the steps between are empty. In
real arithmetic, with exponential decay, both runs are then equal to the last bit, so every
deviation is due to precision or a wrong discretisation. The T-test stretches timestamps and bins
them again, like a camera in front of the slower scene.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from nrf_deploy.diagnostics.progress import Progress, part
from nrf_deploy.ir.network import Network
from nrf_deploy.ir.recording import Recording
from nrf_deploy.ir.temporal_channels import Rung

from .deviation import Deviation, in_time
from .stretch import as_long, rebinned, stuffed
from .types import Row
from .variants import Run, Stage

Slower = Callable[[int], Recording]
"""Function from a stretch to the recording with stretched timestamps, in the same steps."""


@dataclass(frozen=True, eq=False)
class Inputs:
    """Inputs of the tests: the recording, and for each stretch the two longer ones."""

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
    rungs: Iterable[Rung], stages: Iterable[Stage], all_inputs: Inputs, progress: Progress
) -> tuple[tuple[Row, ...], tuple[Row, ...]]:
    """Return the rows of the Z-test and of the T-test; the short input is run once for both."""
    rungs = sorted(rungs, key=lambda r: (r.depth, r.faster))
    names = [n for r in rungs for n in (r.faster, r.slower)]
    exact: dict[str, list[Deviation]] = {}
    real: dict[str, list[Deviation]] = {}
    for stage in stages:
        part(progress, f"covariance in time: {stage.name}")
        run = stage.runs(names, progress)
        short = run(all_inputs.recording)
        exact[stage.name] = deviations(stage.network, rungs, short, run, all_inputs.stuffed, False)
        real[stage.name] = deviations(stage.network, rungs, short, run, all_inputs.slower, True)
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


def _rows(rungs: Iterable[Rung], by_stage: Mapping[str, list[Deviation]]) -> tuple[Row, ...]:
    return tuple(
        Row(
            first=rung.faster,
            second=rung.slower,
            transform=f"time x{rung.stretch}",
            depth=rung.depth,
            spikes=next(iter(by_stage.values()))[k].spikes,
            errors={stage: ds[k].error for stage, ds in by_stage.items()},
            lost={s: ds[k].lost for s, ds in by_stage.items() if ds[k].spikes is not None},
        )
        for k, rung in enumerate(rungs)
    )
