"""The N-MNIST network of the NIR paper, on a recording of a camera; neither is shipped."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

from nrf_deploy.bundle.inputs import read_recording
from nrf_deploy.bundle.pipeline import compile
from nrf_deploy.diagnostics.findings import MissingError, error
from nrf_deploy.io.model import read
from nrf_deploy.testing.bench.case import Problem

from .build import to_problem

MODEL, RECORDING = "conformance/nir/cnn_sinabs.nir", "recordings/nmnist_sample.npz"
ALLOW = ("subtract-as-zero-reset",)
"""The network subtracts its threshold; all peers reset the potential to zero. Two events of a
pixel in a millisecond count as one, for peers whose inputs are spikes."""


def shared() -> Path:
    """Return the folder NRF_DEPLOY_SHARED, or shared/ beside the checkout."""
    return Path(os.environ.get("NRF_DEPLOY_SHARED") or Path.cwd().parent / "shared")


def problem() -> Problem:
    model, recording = shared() / MODEL, shared() / RECORDING
    missing = [str(p) for p in (model, recording) if not p.is_file()]
    if missing:
        raise MissingError(
            error(
                "BENCH-FILES-MISSING",
                f"{' and '.join(missing)}: no such file",
                why="the network and its recording belong to others and are not shipped",
                fix="set NRF_DEPLOY_SHARED to the folder that contains them",
            )
        )
    bundle = compile(read(model, dt=1, producer="nir"), "loihi2", allow=ALLOW)
    with warnings.catch_warnings(action="ignore"):
        events = read_recording(recording, bundle, bin=1e-3, clip=1)
    return to_problem(bundle.program, events)
