"""Tests in time of a bundle: its ladders, both tests, causes and fixes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from nrf_deploy.bundle.bundle import Bundle
from nrf_deploy.bundle.pipeline import populations
from nrf_deploy.compiler.threshold_lint import thresholds
from nrf_deploy.diagnostics.findings import Finding, info
from nrf_deploy.diagnostics.progress import Progress
from nrf_deploy.ir.recording import Recording
from nrf_deploy.ir.temporal_channels import rungs

from . import variants as made
from .causes import caused
from .judge import judged, real_times
from .layer import Lowered
from .temporal import Slower, inputs, tested
from .types import CHIP, CHIP_EXACT, EXACT, Trial
from .variants import Stage

ZERO, REAL, BINNING = "zero-stuffing", "timestamps", "binning"
TITLES = {
    ZERO: "Zero-stuffing: time stretched by empty steps",
    REAL: "Real timestamps: times stretched and binned again",
}
ABOUT = {
    ZERO: "The share of the channel's spikes that is not where it should be in the next slower "
    "channel when empty steps stretch the input (for values: their relative distance). With "
    "exponential decay and in real arithmetic it is 0.",
    REAL: "The same if the timestamps are stretched and binned into the same steps; a spike "
    "is correct anywhere in its long step.",
}
NO_LADDER = info(
    "COVARIANCE-NO-LADDER",
    "no test in time: no two populations of this model are temporal channels of one another",
    why="they need the same weights, and time constants whose ratio is a whole number",
    fix="keep the time constants on a ladder (learn_time = false), share the weights",
)


def in_time(
    bundle: Bundle, recording: Recording, progress: Progress, slower: Slower | None
) -> tuple[tuple[Trial, Trial], list[Finding]]:
    names = set(populations(bundle))
    every = sorted(rungs(bundle.network), key=lambda r: (r.depth, r.faster))
    present = [r for r in every if {r.faster, r.slower} <= names]
    if not present:
        return (_test(ZERO, (), [NO_LADDER]), _test(REAL, (), [NO_LADDER])), []
    stages, messages = made.in_time(bundle, recording, progress)
    zero, real = tested(present, stages, inputs(recording, present, slower), progress)
    lowered = _lowered(bundle, stages)
    if lowered is not None:
        zero = caused(zero, [r.stretch for r in present], lowered, recording, progress)
    real = tuple(
        replace(row, causes={BINNING: row.errors[EXACT], **before.causes})
        for row, before in zip(real, zero, strict=True)
    )
    tests = (
        _test(ZERO, zero, judged(zero, bundle)),
        _test(REAL, real, real_times(real, zero, slower is not None)),
    )
    lost = {row.first: row.lost.get(CHIP, 0.0) for row in zero}
    return tests, [*messages, *thresholds(bundle.network, lost)]


def _lowered(bundle: Bundle, stages: Sequence[Stage]) -> Lowered | None:
    """Return the bundle with exponential decay, if there is one: Euler's step would hide errors."""
    mended = next((s.bundle for s in stages if s.name == CHIP_EXACT), None)
    if mended is None:
        return Lowered.of(bundle)
    return Lowered.of(mended, None if mended is bundle else bundle.network)


def _test(key: str, rows: Sequence[object], findings: Sequence[Finding]) -> Trial:
    return Trial(key, TITLES[key], ABOUT[key], tuple(rows), tuple(findings))  # type: ignore[arg-type]
