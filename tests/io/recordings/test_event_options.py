"""Options of a camera's events, by name: from, until, crop, downsample, merge, clip."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nrf_deploy.cli.main import main
from nrf_deploy.diagnostics.findings import UsageError
from nrf_deploy.io.recordings import Choice, binning, read, write
from nrf_deploy.ir.recording import Recording
from tests.builders.camera_files import dat


def table(n: int = 500, seed: int = 0) -> np.ndarray:
    draw = np.random.default_rng(seed)
    t = np.sort(draw.integers(1_000_000, 1_050_000, n))
    return np.stack([t, draw.integers(0, 40, n), draw.integers(0, 30, n), draw.integers(0, 2, n)])


@pytest.fixture
def camera(tmp_path: Path) -> Path:
    path = tmp_path / "e.dat"
    path.write_bytes(dat([tuple(row) for row in table().T.tolist()], "% Version 2\n"))
    return path


def expected(chosen: np.ndarray, begin: int, shape: tuple[int, int, int]) -> np.ndarray:
    """Compute the result the slow way, event by event."""
    steps = (chosen[0].max() - begin) // 1000 + 1 if chosen.size else 0
    frames = np.zeros((steps, *shape), np.int64)
    for t, x, y, p in chosen.T.tolist():
        frames[(t - begin) // 1000, p, y, x] += 1
    return frames


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 99),
    window=st.tuples(st.integers(0, 60), st.integers(1, 60)),
    corner=st.tuples(st.integers(0, 30), st.integers(0, 20)),
    by=st.integers(1, 3),
)
def test_each_event_goes_where_the_steps_say(tmp_path_factory, seed, window, corner, by):
    path = tmp_path_factory.mktemp("steps") / "e.npz"
    held = table(seed=seed)
    np.savez(path, **dict(zip("txyp", held, strict=True)))
    start, until = window[0], window[0] + window[1]
    left, top = corner
    recording, _ = read(
        path, shape=(2, 6 // by, 12 // by), bin=1e-3, start=start / 1e3, until=until / 1e3,
        crop=(left, top, 12 // by * by, 6 // by * by), downsample=by,
    )  # fmt: skip
    t, x, y, _ = held
    begin = int(t[0]) + start * 1000
    inside = (t >= begin) & (t < t[0] + until * 1000)
    inside &= (x >= left) & (x < left + 12 // by * by) & (y >= top) & (y < top + 6 // by * by)
    chosen = held[:, inside] - np.array([[0], [left], [top], [0]])
    chosen[1:3] //= by
    assert list(recording.faults()) == []
    wanted = expected(chosen, begin, (2, 6 // by, 12 // by))
    assert np.array_equal(recording.dense(), wanted)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 99), st.integers(0, 40), st.sampled_from([1, 7, 1000]), st.booleans())
def test_packets_that_are_brought_together_early_give_the_same(seed, swaps, packet, merged):
    """However small the room and the packets are, and where times fall between them."""
    draw = np.random.default_rng(seed)
    held = table(seed=seed)
    for a, b in draw.integers(0, held.shape[1], (swaps, 2)):
        held[:, [a, b]] = held[:, [b, a]]
    parts = [held[:, k : k + packet] for k in range(0, held.shape[1], packet)]
    shape, merge = ((1, 30, 40), "polarity") if merged else ((2, 30, 40), None)
    options = {"shape": shape, "bin": 5e-3, "merge": merge, "max_steps": 1000}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(binning, "ROOM", 3)
        found, _ = binning.binned(
            lambda: (dict(zip("txyp", part, strict=True)) for part in parts),
            "e", Choice(), **options,
        )  # fmt: skip
    first = int(held[0].min())
    frames = np.zeros((int((held[0].max() - first) // 5000) + 1, *shape), np.int64)
    channel = 0 * held[3] if merged else held[3]
    np.add.at(frames, ((held[0] - first) // 5000, channel, held[2], held[1]), 1)
    assert list(found.faults()) == []
    assert np.array_equal(found.dense(), frames)


def test_the_steps_are_recorded_in_what_comes_out(camera, tmp_path):
    recording, findings = read(
        camera, shape=(1, 10, 10), bin=1e-3, start=0.01, until=0.04, crop=(10, 10, 20, 20),
        downsample=2, merge="polarity", clip=1,
    )  # fmt: skip
    assert recording.made == (
        "decode DAT", "origin first", "from 10,000 us", "until 40,000 us", "crop 10,10,20,20",
        "downsample 2", "merge polarity", "bin 0.001 s", "clip 1",
    )  # fmt: skip
    said = {f.code: f.what for f in findings}
    t, x, y, _ = table()
    inside = (t >= t[0] + 10_000) & (t < t[0] + 40_000)
    inside &= (x >= 10) & (x < 30) & (y >= 10) & (y < 30)
    assert f"{np.count_nonzero(inside)} of the 500 events" in said["RECORDING-MADE"]  # one packet
    assert "crop 10,10,20,20, downsample 2, merge polarity" in said["RECORDING-MADE"]
    write(recording, tmp_path / "r.npz")
    assert read(tmp_path / "r.npz")[0].made == recording.made


def test_nothing_chosen_says_only_where_step_0_begins(camera):
    recording, findings = read(camera, shape=(2, 30, 40), bin=1e-3)
    assert [f.code for f in findings] == ["RECORDING-STEP"]
    assert recording.made == ("decode DAT", "origin first", "bin 0.001 s")


def test_a_damaged_list_of_steps_is_refused(tmp_path, camera):
    write(read(camera, shape=(2, 30, 40), bin=1e-3)[0], tmp_path / "r.npz")
    with np.load(tmp_path / "r.npz") as arrays:
        held = dict(arrays) | {"made": np.array("decode")}
    np.savez(tmp_path / "r.npz", **held)
    with pytest.raises(Exception, match="steps that are not a list"):
        read(tmp_path / "r.npz")


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"crop": (0, 0, 0, 4)}, "RECORDING-CROP"),
        ({"crop": (-1, 0, 4, 4)}, "RECORDING-CROP"),
        ({"crop": (0, 0, 5, 4), "downsample": 2}, "RECORDING-CROP"),
        ({"downsample": 0}, "RECORDING-DOWNSAMPLE"),
        ({"start": -1.0}, "RECORDING-WINDOW"),
        ({"start": float("nan")}, "RECORDING-WINDOW"),
        ({"until": float("inf")}, "RECORDING-WINDOW"),
        ({"until": 1e-7}, "RECORDING-WINDOW"),
        ({"start": 2.0, "until": 1.0}, "RECORDING-WINDOW"),
    ],
)
def test_a_choice_that_is_none_is_refused(camera, options, code):
    with pytest.raises(UsageError) as caught:
        read(camera, shape=(2, 30, 40), bin=1e-3, **options)
    assert {f.code for f in caught.value.findings} == {code}
    assert all(f.fix for f in caught.value.findings)


def test_all_that_is_wrong_with_a_choice_is_said_at_once(camera):
    with pytest.raises(UsageError) as caught:
        read(camera, shape=(2, 30, 40), bin=1e-3, crop=(0, 0, 0, 0), downsample=-1, start=-1.0)
    codes = [f.code for f in caught.value.findings]
    assert codes == ["RECORDING-CROP", "RECORDING-DOWNSAMPLE", "RECORDING-WINDOW"]


def test_a_window_beyond_a_stated_sensor_is_refused(tmp_path):
    path = tmp_path / "e.dat"
    path.write_bytes(dat([(0, 1, 1, 1)], "% Version 2\n% Height 30\n% Width 40\n"))
    with pytest.raises(UsageError, match="beyond the 40 x 30"):
        read(path, shape=(2, 10, 10), bin=1e-3, crop=(35, 0, 10, 10))


@pytest.mark.parametrize(
    "option", [{"crop": (0, 0, 2, 2)}, {"downsample": 2}, {"start": 1.0}, {"until": 1.0}]
)
def test_steps_are_not_chosen_from(tmp_path, option):
    write(Recording.from_dense(np.eye(3, dtype=np.int64), 1e-3), tmp_path / "r.npz")
    with pytest.raises(UsageError, match="already in steps"):
        read(tmp_path / "r.npz", **option)


def test_the_command_line_takes_them(camera, capsys):
    chosen = ["--crop", "10,10,20,20", "--downsample", "2", "--from", "0.01", "--until", "0.04"]
    assert main(["inspect", str(camera), *chosen, "--bin", "1e-3", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["steps"] == [
        "from 10,000 us", "until 40,000 us", "crop 10,10,20,20", "downsample 2",
    ]  # fmt: skip
    assert shown["recording"]["shape"] == [2, 10, 10]
    assert shown["format"] == "DAT"
    assert sum(shown["polarities"].values()) == shown["events"]
    assert [f["code"] for f in shown["findings"]] == ["RECORDING-STEP", "RECORDING-MADE"]


@pytest.mark.parametrize("window", ["1,2,3", "a,b,c,d", ""])
def test_a_window_that_is_none_is_a_usage_error(camera, capsys, window):
    assert main(["inspect", str(camera), "--crop", window]) == 2
    assert "X,Y,W,H" in capsys.readouterr().err


def test_events_at_one_place_and_time_are_counted_across_packets(tmp_path, capsys):
    """The packets of a .dat file end after 2^17 events; here in the midst of equal ones."""
    rows = np.zeros((2**17 + 3, 2), "<u4")
    rows[: 2**17 - 2, 0] = np.arange(2**17 - 2)
    rows[2**17 - 2 :, 0] = 2**17
    (tmp_path / "e.dat").write_bytes(dat([]) + rows.tobytes())
    assert main(["inspect", str(tmp_path / "e.dat"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["same_place_and_time"] == 4
