"""A shipped model comes with a recording to try it on, and with what the recording shows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.builders.cli_calls import answer

pytest.importorskip("torch", reason="torch is absent: pip install '.[models]'")

from nrf_deploy.api import shipped
from nrf_deploy.api.export import SAMPLE_STEPS, sample
from nrf_deploy.cli.main import main
from nrf_deploy.io.labels import PlaceLabels, parse_labels
from nrf_deploy.io.recordings import read


def test_a_tracker_comes_with_a_recording_and_its_true_places(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, scene = tmp_path / "m.nir", tmp_path / "scene.npz"
    words = ["export", "lif-tracker", "-o", str(model), "--sample", str(scene)]
    assert main(words) == 0
    assert f"wrote {scene}\nwrote {tmp_path / 'scene.csv'}" in capsys.readouterr().out
    tracker = shipped.module("lif-tracker")
    expected, truth = tracker.demo_truth(0, SAMPLE_STEPS)
    recording, _ = read(scene, shape=(2, 64, 64), dt=1e-3)
    assert recording.same(expected)
    labels = parse_labels((tmp_path / "scene.csv").read_text())
    assert isinstance(labels, PlaceLabels)
    assert labels.steps(None)[0] == tracker.settled
    np.testing.assert_allclose(labels.place, truth[tracker.settled :], atol=5e-4)


def test_where_nothing_is_tracked_there_is_a_recording_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scene = tmp_path / "scene.npz"
    words = ["export", "covariant-frontend", "-o", str(tmp_path / "m.nir"), "--json"]
    assert main([*words, "--sample", str(scene)]) == 0
    told = answer(capsys)
    assert (told["sample"], told["truth"]) == (str(scene), None)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.nir", "scene.npz"]


def test_every_shipped_model_has_one() -> None:
    for name in shipped.names():
        recording, _ = sample(name)
        assert len(recording.index)
