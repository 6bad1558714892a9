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


def test_the_demo_writes_a_page_for_each_chip_and_the_same_files_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole way for a small model, without a vendor's SDK."""
    frames = (np.random.default_rng(0).random((60, 3)) < 0.4).astype(np.int64)
    recording = Recording.from_dense(frames, 1e-3)
    monkeypatch.setattr(shipped, "export", lambda name, path: pipeline.Model(small()))
    monkeypatch.setattr(
        shipped, "module", lambda name: SimpleNamespace(demo_recording=lambda *_: recording)
    )
    monkeypatch.setattr(demo, "status", lambda sdk: SimpleNamespace(installed=False))
    written = []
    for folder in (tmp_path / "one", tmp_path / "two"):
        said: list[str] = []
        told = demo.run_demo(folder, steps=60, seed=0, say=said.append)
        written.append({p.name: p.read_bytes() for p in folder.iterdir()})
    chips = [run["chip"] for run in told["runs"]]
    assert "loihi2" in chips
    assert {n for n in written[0] if n.startswith("report.")} == {
        "report.json", *(f"report.{chip}.html" for chip in chips),
    }  # fmt: skip
    for chip, run in zip(chips, told["runs"], strict=True):
        page = written[0][f"report.{chip}.html"].decode()
        assert page.startswith("<!doctype html>")
        assert f"emulator against reference on {chip}" in page
        assert run["verdict"] in page
        assert "nrf-deploy demo --steps 60 --seed 0" in page
    assert "lava is not installed" in "\n".join(said)
    assert written[0] == written[1]
    assert (tmp_path / "two" / "report.json").read_text() == json.dumps(told, indent=2) + "\n"
