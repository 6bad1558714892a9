"""Networks that others trained, on a recording that others made: the whole way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import nrf_deploy as nd
from nrf_deploy.bundle.pipeline import compile
from nrf_deploy.engines.sdk.environments import status
from nrf_deploy.io.model import read
from nrf_deploy.io.recordings import read as read_recording
from nrf_loihi.lava import engine as lava


@pytest.fixture
def digits(shared: Path) -> nd.Recording:
    path = shared / "recordings" / "nmnist_sample.npz"
    recording, _ = read_recording(path, shape=(2, 34, 34), bin=1e-3)
    assert len(recording.start) == 312
    return recording


@pytest.fixture
def nmnist(shared: Path) -> nd.Bundle:
    return compile(
        read(shared / "conformance" / "nir" / "cnn_sinabs.nir", dt=1.0, producer="nir"), "loihi2"
    )


def test_the_nmnist_network_keeps_its_spike_counts(nmnist: nd.Bundle, digits: nd.Recording) -> None:
    report = nd.verify(nmnist, digits)
    assert report.passed, report.text()
    assert all(
        layer.cosine is not None and layer.cosine > 0.97 for layer in report.comparison.layers
    )


def test_the_nmnist_network_names_the_same_digit(nmnist: nd.Bundle, digits: nd.Recording) -> None:
    winners = [
        int(np.argmax(nd.run(nmnist, digits, engine).outputs["12"].counts()))
        for engine in ("reference", "emulator")
    ]
    assert winners[0] == winners[1]


def test_the_nmnist_network_equals_lava_in_every_state(
    nmnist: nd.Bundle, digits: nd.Recording
) -> None:
    if not status(lava.sdk).installed:
        pytest.skip(f"Lava is not installed: {status(lava.sdk).todo}")
    report = nd.verify(nmnist, digits, "emulator", "lava")
    assert report.comparison.exact, report.text()
    assert all(set(layer.state_mismatches) == {"u", "v"} for layer in report.comparison.layers), (
        "the states were not compared"
    )


def test_the_papers_lif_spikes_where_its_float_model_does(shared: Path) -> None:
    bundle = compile(
        read(shared / "conformance" / "nir" / "lif_norse.nir", dt=1e-4, producer="nir"), "loihi2"
    )
    silicon = np.load(shared / "conformance" / "silicon" / "nir_paper_01_lif.npz")
    recording = nd.Recording.from_dense(silicon["input"].reshape(-1, 1))
    report = nd.verify(bundle, recording)
    assert report.comparison.exact, report.text()


def test_the_same_file_elsewhere_gives_the_same_bundle(shared: Path, tmp_path: Path) -> None:
    source = (shared / "conformance" / "nir" / "cnn_sinabs.nir").read_bytes()
    made = []
    for folder in (tmp_path / "a", tmp_path / "deeper" / "b"):
        folder.mkdir(parents=True)
        (folder / f"{folder.name}.nir").write_bytes(source)
        model = read(folder / f"{folder.name}.nir", dt=1.0, producer="nir")
        nd.save(compile(model, "loihi2"), folder / "m.nrfb")
        made.append((folder / "m.nrfb").read_bytes())
    assert made[0] == made[1]
