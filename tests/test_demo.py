"""Which chips the demo takes, and what it says where a model cannot go on one."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from cli_calls import small

from nrf_deploy import demo, pipeline, shipped
from nrf_deploy.findings import TargetError, error
from nrf_deploy.recording import Recording
from nrf_deploy.target import targets


def test_every_target_shows_some_of_its_chips_and_no_board() -> None:
    for name, target in targets().items():
        assert target.shown, name
        assert all("board_of" not in target.chips[chip] for chip in target.shown)


def test_the_demo_takes_the_chips_that_targets_show_and_says_why_one_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []

    def refuses(model: object, chip: str, *given: object, **named: object) -> None:
        tried.append(chip)
        raise TargetError(error("NO-ROOM", f"{chip} is full", fix="use less"))

    recording = Recording.from_dense(np.zeros((4, 3), np.int64), 1e-3)
    monkeypatch.setattr(pipeline, "compile", refuses)
    monkeypatch.setattr(shipped, "export", lambda name, path: pipeline.Model(small()))
    monkeypatch.setattr(
        shipped, "module", lambda name: SimpleNamespace(demo_recording=lambda *_: recording)
    )
    said: list[str] = []
    report = demo.run_demo(tmp_path / "out", steps=4, seed=0, say=said.append)
    shelf = targets().values()
    assert tried == [chip for target in shelf for chip in target.shown]
    assert not report["passed"]
    assert "NO-ROOM" in "".join(said)
    assert json.loads((tmp_path / "out" / "report.json").read_text())["runs"] == []
