"""Measurement of covariance: all tests of a bundle, in their order."""

from __future__ import annotations

from pathlib import Path

from nrf_deploy.bundle.bundle import Bundle
from nrf_deploy.bundle.inputs import as_bundle, as_recording
from nrf_deploy.bundle.pipeline import populations
from nrf_deploy.diagnostics.findings import Finding, UsageError, warning
from nrf_deploy.diagnostics.progress import Progress, quiet
from nrf_deploy.ir.recording import Recording

from . import variants
from .fields import seen
from .in_motion import in_motion
from .in_space import in_space
from .in_time import in_time
from .temporal import Slower
from .types import Covariance


def covariance(
    bundle: Bundle | str | Path,
    recording: Recording,
    progress: Progress = quiet,
    slower: Slower | None = None,
) -> Covariance:
    """Run every test that the model allows, and report why the others cannot run.

    `slower` returns the recording with its timestamps stretched, if it has any (given.slower);
    without it each event gets a random time within its step.
    """
    bundle, recording = as_bundle(bundle), as_recording(recording)
    temporal, messages = in_time(bundle, recording, progress, slower)
    described, wrong = seen(bundle.network)
    held_there = set(populations(bundle))
    wrong += [_left_out(one.layer) for one in described if one.layer not in held_there]
    described = [one for one in described if one.layer in held_there]
    space_stages, refused = (
        variants.in_space(bundle, recording, progress) if described else ([], [])
    )
    space = in_space(bundle, recording, described, space_stages, progress)
    trials = (*temporal, space, in_motion(recording, described, space_stages, progress))
    tests = {test.key: test for test in trials}
    messages += [*wrong, *refused]
    if not any(test.rows for test in tests.values()):
        reasons = dict.fromkeys(f for test in tests.values() for f in test.said)
        raise UsageError([Finding("error", f.code, f.what, f.why, f.fix) for f in reasons])
    return Covariance(bundle.chip, tests, tuple(messages))


def _left_out(layer: str) -> Finding:
    what = "its receptive fields are not tested: the program has no such population"
    return warning("COVARIANCE-NOT-HELD", what, why="a rewrite took its place", layer=layer)
