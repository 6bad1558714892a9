"""Fixtures that several test files share."""

from __future__ import annotations

import signal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

SHARED = Path(__file__).resolve().parents[2] / "shared"

# A suite that was started in the background ignores signals, and its children would inherit that;
# a handler of Python's is not inherited.
for ignored in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(ignored) is signal.SIG_IGN:
        signal.signal(ignored, lambda *_: None)

# Property tests draw the same examples in every run and never look at the clock.
# `pytest --hypothesis-profile search` draws new ones.
unhurried = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow], "print_blob": True}
settings.register_profile("suite", derandomize=True, **unhurried)
settings.register_profile("search", **unhurried)
settings.load_profile("suite")


@pytest.fixture
def shared() -> Path:
    """Return the folder of recordings and conformance data that we cannot ship."""
    if not SHARED.is_dir():
        pytest.skip(f"the folder {SHARED.name}/ beside the checkout is absent: it holds recordings")
    return SHARED


# --- a small model as the command line's tests use it ------------------------


@pytest.fixture
def model(tmp_path: Path) -> Path:
    from nrf_deploy.io import nir

    from .builders.cli_calls import small

    nir.write(small(), tmp_path / "small.nir")
    return tmp_path / "small.nir"


@pytest.fixture
def events(tmp_path: Path) -> Path:
    from nrf_deploy.io.recordings import write
    from nrf_deploy.ir.recording import Recording

    frames = (np.random.default_rng(1).random((50, 3)) < 0.4).astype(np.int64)
    write(Recording.from_dense(frames, 1e-3), tmp_path / "events.npz")
    return tmp_path / "events.npz"


@pytest.fixture
def bundle(model: Path, tmp_path: Path) -> Path:
    from nrf_deploy.cli.main import main

    path = tmp_path / "small.nrfb"
    assert main(["compile", str(model), "--target", "loihi2", "-o", str(path)]) == 0
    return path
