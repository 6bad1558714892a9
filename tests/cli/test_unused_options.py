"""An option that would change nothing in a call is refused by its name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nrf_deploy.cli.main import main
from tests.builders.cli_calls import USAGE, refusal, unwrapped

READING = [
    ["--bin", "1e-3"],
    ["--merge", "all"],
    ["--clip", "1"],
    ["--crop", "0,0,1,1"],
    ["--downsample", "2"],
    ["--origin", "first"],
    ["--from", "0"],
    ["--until", "1"],
]
COMPILING = [
    ["compile", "{model}", "--target", "loihi2", "-o", "{out}.nrfb"],
    ["check", "{model}", "--target", "loihi2"],
    ["export", "{model}", "--target", "loihi2", "--as", "lava", "{out}"],
    ["export", "a.module:build", "--target", "loihi2", "-o", "{out}.nir"],
]


@pytest.mark.parametrize("option", READING, ids=lambda o: o[0])
@pytest.mark.parametrize("words", COMPILING, ids=["compile", "check", "graph", "torch"])
def test_nothing_is_asked_of_a_calibration_that_is_not_given(
    words: list[str],
    option: list[str],
    model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = sorted(tmp_path.iterdir())
    given = [w.format(model=model, out=tmp_path / "out") for w in words]
    assert main([*given, *option]) == USAGE
    said = unwrapped(refusal(capsys))
    assert f"error[OPTION-UNUSED] {option[0]} would change nothing here" in said
    assert "give --calibrate REC too" in said
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("words", "named", "why"),
    [
        (["inspect", "{model}", "--bin", "1e-3", "--origin", "first"], "--bin, --origin", "NIR"),
        (["inspect", "{model}", "--from", "0"], "--from", "is a NIR graph"),
        (["inspect", "{events}", "--dt", "1e-3"], "--dt", "is a recording"),
        (["inspect", "{camera}", "--dt", "1e-3"], "--dt", "is a recording"),
        (["inspect", "{camera}", "--merge", "all"], "--merge", "give --bin too"),
        (["inspect", "{camera}", "--clip", "1"], "--clip", "give --bin too"),
        (["inspect", "{bundle}", "--dt", "1e-3"], "--dt", "is a bundle"),
        (["inspect", "{bundle}", "--bin", "1e-3"], "--bin", "is a bundle"),
        (["inspect", "{states}", "--bin", "1e-3"], "--bin", "holds states"),
        (["export", "{bundle}", "--as", "lava", "{out}", "--bin", "1"], "--bin", "a bundle"),
        (["export", "a.module:build", "-o", "{out}.nir", "--from", "0"], "--from", "--target too"),
        (["flash", "{bundle}", "--dry-run", "--device", "D"], "--device", "does not use a board"),
        (["flash", "{bundle}", "--dry-run", "--tick", "1e-3"], "--tick", "does not use a board"),
        (["bench", "yardstick", "--rounds", "3"], "--rounds", "give --peers too"),
    ],
)
def test_an_option_that_nothing_reads_is_refused_by_its_name(
    words: list[str],
    named: str,
    why: str,
    model: Path,
    bundle: Path,
    events: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    camera, states = tmp_path / "camera.npz", tmp_path / "s.states.npz"
    np.savez(camera, t=[1, 2], x=[0, 1], y=[0, 0], p=[0, 1])
    np.savez(states, v=np.zeros((3, 2)))
    places = {
        "model": model, "bundle": bundle, "events": events, "camera": camera, "states": states,
        "out": tmp_path / "out",
    }  # fmt: skip
    capsys.readouterr()
    assert main([w.format(**places) for w in words]) == USAGE
    said = unwrapped(refusal(capsys))
    assert named in said
    assert why in said


def test_what_is_read_is_taken(
    model: Path, events: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    camera = tmp_path / "camera.npz"
    np.savez(camera, t=[1, 2], x=[0, 1], y=[0, 0], p=[0, 1])
    words = ["check", str(model), "--target", "loihi2", "--calibrate", str(events)]
    assert main([*words, "--bin", "1e-3", "--clip", "1"]) == 0
    assert main(["inspect", str(camera), "--bin", "1e-3", "--merge", "polarity"]) == 0
    assert main(["inspect", str(events), "--clip", "1"]) == 0
    assert main(["inspect", str(model), "--dt", "1e-3"]) == 0
