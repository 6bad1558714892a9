"""Other people's models on the machine that a user describes, by the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nrf_deploy.cli.main import main
from nrf_deploy.io.recordings import write
from nrf_deploy.ir.recording import Recording


def verified(
    shared: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    model: str,
    given: list[str],
    chip: str,
) -> Any:
    source, bundle = str(shared / "conformance" / "nir" / model), str(tmp_path / "m.nrfb")
    dt = "1" if "sinabs" in model else "1e-4"
    how = ["--dt", dt, "--producer", "nir", "--target", chip]
    assert main(["check", source, *how]) == 0
    assert main(["compile", source, *how, "-o", bundle]) == 0
    output = str(tmp_path / "out.npz")
    assert main(["run", bundle, "--input", *given, "-o", output]) == 0
    capsys.readouterr()
    main(["verify", bundle, "--input", *given, "--json"])
    return json.loads(capsys.readouterr().out)["report"]


@pytest.mark.parametrize(
    ("chip", "exact"),
    [("emulator", False), ("emulator-4bit", False), ("emulator-float-like", True)],
)
def test_the_digit_network_of_sinabs(
    shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], chip: str, exact: bool
) -> None:
    given = [str(shared / "recordings" / "nmnist_sample.npz"), "--bin", "1e-3"]
    report = verified(shared, tmp_path, capsys, "cnn_sinabs.nir", given, chip)
    assert report["exact"] == exact
    assert report["passed"]


@pytest.mark.parametrize("chip", ["emulator", "emulator-float-like"])
def test_the_neuron_of_norse(
    shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], chip: str
) -> None:
    frames = (np.random.default_rng(0).random((300, 1)) < 0.4).astype(np.int64)
    write(Recording.from_dense(frames, 1e-4), tmp_path / "in.npz")
    given = [str(tmp_path / "in.npz")]
    report = verified(shared, tmp_path, capsys, "lif_norse.nir", given, chip)
    assert report["exact"]
