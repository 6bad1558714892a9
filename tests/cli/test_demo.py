"""The chips of the demo, its text where a model cannot go on one, and its pictures."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pytest

import nrf_deploy as nd
from nrf_deploy.api import shipped
from nrf_deploy.api.track_picture import Tracks, in_characters, svg
from nrf_deploy.bundle import pipeline
from nrf_deploy.compiler.target import targets
from nrf_deploy.diagnostics.findings import TargetError, error
from nrf_deploy.diagnostics.text import WIDTH
from nrf_deploy.io.labels import PlaceLabels, parse_labels
from nrf_deploy.io.model import Model
from nrf_deploy.ir.network import LI, LIF, Conv, Input, Network, Output
from nrf_deploy.ir.recording import Recording

SIDE, STEPS = 6, 40


def follower() -> Network:
    """Build a module of spikes and a last layer whose potential is a map of the place."""
    ones = np.ones((1, SIDE, SIDE))
    kernel = Conv(
        name="see",
        weight=np.full((1, 2, 3, 3), 0.4),
        input_size=(SIDE, SIDE),
        stride=(1, 1),
        padding=((1, 1), (1, 1)),
        dilation=(1, 1),
    )
    nodes = (
        Input(name="in", port_shape=(2, SIDE, SIDE)),
        kernel,
        LIF(
            name="cells",
            tau=ones / 200,
            r=5 * ones,
            v_leak=0 * ones,
            v_threshold=ones,
            v_reset=0 * ones,
        ),
        replace(kernel, name="gather", weight=np.full((1, 1, 3, 3), 0.7)),
        LI(name="map", tau=ones / 250, r=ones, v_leak=0 * ones),
        Output(name="out", port_shape=(1, SIDE, SIDE)),
    )
    names = [n.name for n in nodes]
    edges = tuple(itertools.pairwise(names))
    return Network(nodes, edges, dt=1e-3, readout={"kind": "dsnt", "sharpness": 9.0})


def scene(seed: int, steps: int) -> tuple[Recording, np.ndarray]:
    """Draw a block of events that crosses the sensor."""
    frames = np.zeros((steps, 2, SIDE, SIDE), np.int64)
    places = np.linspace(1, SIDE - 2, steps)
    for t, x in enumerate(places.round().astype(int)):
        frames[t, (t + seed) % 2, 2:5, x - 1 : x + 2] = 1
    truth = np.stack([places, np.full(steps, 3.0)], axis=-1)[:, None]
    return Recording.from_dense(frames, 1e-3), truth


def source(**more: object) -> SimpleNamespace:
    return SimpleNamespace(
        demo_truth=scene, demo_recording=lambda *given: scene(*given)[0], settled=10, **more
    )


@pytest.fixture
def small_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        import_module("nrf_deploy.api.demo"), "export", lambda name, path: Model(follower())
    )
    monkeypatch.setattr(shipped, "module", lambda name: source())


def test_every_target_shows_some_of_its_chips_and_no_board() -> None:
    for name, target in targets().items():
        assert target.shown, name
        assert all("board_of" not in target.chips[chip] for chip in target.shown)


@pytest.mark.usefixtures("small_model")
def test_the_demo_takes_the_chips_that_targets_show_and_says_why_one_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []

    def refuses(model: object, chip: str, *given: object, **named: object) -> None:
        tried.append(chip)
        raise TargetError(error("NO-ROOM", f"{chip} is full", fix="use less"))

    monkeypatch.setattr(pipeline, "compile", refuses)
    said: list[str] = []
    report = nd.demo(tmp_path / "out", steps=4, seed=0, say=said.append)
    shelf = targets().values()
    assert tried == [chip for target in shelf for chip in target.shown]
    assert not report["passed"]
    assert "NO-ROOM" in "".join(said)
    assert json.loads((tmp_path / "out" / "report.json").read_text())["runs"] == []


@pytest.mark.usefixtures("small_model")
def test_the_demo_writes_a_page_and_a_picture_for_each_chip_and_the_same_files_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole way for a small model, without a vendor's SDK."""
    monkeypatch.setattr(
        import_module("nrf_deploy.api.demo"), "status", lambda sdk: SimpleNamespace(installed=False)
    )
    written = []
    for folder in (tmp_path / "one", tmp_path / "two"):
        said: list[str] = []
        told = nd.demo(folder, steps=STEPS, seed=0, say=said.append)
        written.append({p.name: p.read_bytes() for p in folder.iterdir()})
    chips = [run["chip"] for run in told["runs"]]
    assert "loihi2" in chips
    assert {n for n in written[0] if n.startswith(("report.", "track."))} == {
        "report.json",
        *(f"report.{chip}.html" for chip in chips),
        *(f"track.{chip}.svg" for chip in chips),
    }
    for chip, run in zip(chips, told["runs"], strict=True):
        page = written[0][f"report.{chip}.html"].decode()
        assert page.startswith("<!doctype html>")
        assert f"emulator against reference on {chip}" in page
        assert run["verdict"] in page
        assert f"nrf-deploy demo --steps {STEPS} --seed 0" in page
        assert chip in written[0][f"track.{chip}.svg"].decode()
    text = "\n".join(said)
    assert "lava is not installed" in text
    assert [x for x in text.splitlines() if len(x) > WIDTH and str(tmp_path) not in x] == []
    assert written[0] == written[1]
    assert (tmp_path / "two" / "report.json").read_text() == json.dumps(told, indent=2) + "\n"
    labels = parse_labels(written[0]["truth.csv"].decode())
    assert isinstance(labels, PlaceLabels)
    assert np.allclose(labels.place, scene(0, STEPS)[1][10:], atol=1e-3)


@pytest.mark.usefixtures("small_model")
def test_what_the_chip_says_is_measured_against_the_truth(tmp_path: Path) -> None:
    said: list[str] = []
    nd.demo(tmp_path, steps=STEPS, seed=0, say=said.append)
    text = "\n".join(said)
    (line,) = (row for row in text.splitlines() if row.startswith("the float model"))
    assert 0 < float(line.split()[3]) < 2
    assert "from step 10 on" in text


# --- the pictures ---------------------------------------------------------


def given(shapes: int = 1) -> Tracks:
    events, truth = scene(0, STEPS)
    truth = np.repeat(truth, shapes, axis=1)
    return Tracks(
        events, {"true path": truth, "float": truth + 0.1, "chip": truth}, 10, "a <title>"
    )


@pytest.mark.parametrize("shapes", [1, 2])
def test_the_picture_has_every_track_in_every_snapshot_and_curve(shapes: int) -> None:
    root = ElementTree.fromstring(svg(given(shapes)))
    lines = [e for e in root if e.tag.endswith("polyline")]
    assert len(lines) == 3 + 3 * shapes * (4 + 2)  # a legend, snapshots, and x and y
    words = [e.text for e in root if e.tag.endswith("text")]
    assert {"a <title>", "true path", "float", "chip", "time, in steps"} <= set(words)


def test_a_terminal_shows_where_the_tracks_go() -> None:
    *field, legend = in_characters(given()).splitlines()
    assert legend == ". true path, o float, # chip"
    assert len({len(row) for row in field}) == 1
    (row,) = (r for r in field if "#" in r)
    assert row.count("#") == 3, "columns 2 to 4, after it has settled"


def test_a_wide_sensor_stays_within_the_width() -> None:
    events = Recording.from_dense(np.zeros((3, 2, 90, 200), np.int64), 1e-3)
    track = np.full((3, 1, 2), [199.0, 89.0])
    field = in_characters(Tracks(events, {"true path": track}, 0, ""))
    assert max(map(len, field.splitlines())) <= WIDTH
    assert ".|" in field
