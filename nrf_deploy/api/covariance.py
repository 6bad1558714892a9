"""Covariance of a bundle, from a recording or from a file with timestamps."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Unpack

from nrf_deploy.bundle.bundle import Bundle
from nrf_deploy.bundle.inputs import as_bundle, as_recording, demand_options, read_recording, slower
from nrf_deploy.diagnostics.progress import Progress, quiet
from nrf_deploy.io.recordings import Options
from nrf_deploy.ir.recording import Recording
from nrf_deploy.verification.covariance import Covariance
from nrf_deploy.verification.covariance import covariance as measured


def covariance(
    bundle: Bundle | str | Path,
    input: Recording | str | Path,
    *,
    progress: Progress = quiet,
    **options: Unpack[Options],
) -> Covariance:
    """Measure how covariant a bundle is in time, in space and under motion.

    Args:
        bundle: What `compile` returns, or the path of a .nrfb file.
        input: The path of a recording: the timestamps of its events are stretched as they
            are. Or what `read_recording` returns: each event is placed at random within its
            step, since a Recording has no timestamps.
        progress: Called as progress(done, of). Default: silent.
        options: Of a path: how it is read, as in `read_recording`. Default: none of them.

    Returns:
        The Covariance: the errors of each test (docs/covariance.md), of the float model and
        of the chip, and their causes.

    Raises:
        UsageError: A model that allows no test, or an option that does not fit.
        InputError: A file that cannot be read, or a recording that does not fit.
    """
    bundle = as_bundle(bundle)
    demand_options("covariance", options)
    if not isinstance(input, str | os.PathLike):
        demand_options("covariance of a Recording", dict.fromkeys(options))
        return measured(bundle, as_recording(input), progress)
    recording = read_recording(input, bundle, **options)
    return measured(bundle, recording, progress, slower(bundle.network, input, **options))
