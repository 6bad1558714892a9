"""The origin of a camera's events: the first event, or t = 0 of the file's clock."""

from __future__ import annotations

import importlib.util
import itertools
import json
from pathlib import Path

import numpy as np
import pytest

import nrf_deploy as nd
from nrf_deploy.bundle.inputs import slower
from nrf_deploy.cli.main import main
from nrf_deploy.diagnostics.findings import InputError, UsageError
from nrf_deploy.io import nir
from nrf_deploy.io.recordings import read, write
from nrf_deploy.ir.network import IF, Flatten, Input, Linear, Network, Output
from nrf_deploy.ir.recording import Recording
from tests.builders.camera_files import WRITERS, dat
from tests.builders.cli_calls import USAGE, refusal, unwrapped

ROWS = [(52, 1, 2, 0), (980, 1, 2, 0), (1010, 0, 0, 1), (3500, 4, 3, 1), (7999, 2, 2, 0)]
"""t (us), x, y, p: the first event 52 us after t = 0, and one just before and after a bin's end."""
INPUT = {"shape": (2, 4, 5), "bin": 1e-3}
needs_faery = pytest.mark.skipif(
    importlib.util.find_spec("faery") is None, reason="faery reads these: pip install faery"
)


def npz(path: Path) -> None:
    np.savez(path, **dict(zip("txyp", np.array(ROWS).T, strict=True)))


def csv(path: Path) -> None:
    path.write_text("".join(f"{t},{x},{y},{p}\n" for t, x, y, p in ROWS))


def nmnist(path: Path) -> None:
    path.write_bytes(b"".join(bytes([x, y, p << 7]) + t.to_bytes(2, "big") for t, x, y, p in ROWS))


TABLES = {"e.npz": npz, "e.csv": csv, "e.bin": nmnist}
KINDS = [
    *TABLES,
    "e.dat",
    *(pytest.param(name, marks=needs_faery) for name in WRITERS if name != "e.dat"),
]


@pytest.fixture
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / request.param
    if path.name in TABLES:
        TABLES[path.name](path)
    else:
        path.write_bytes(WRITERS[path.name](ROWS))
    return path


def steps(times: list[int]) -> list[int]:
    return [t // 1000 for t in times]


@pytest.mark.parametrize("file", KINDS, indirect=True)
def test_every_kind_of_file_of_events_can_be_counted_from_either_origin(file: Path) -> None:
    times = [row[0] for row in ROWS]
    first, said = read(file, **INPUT)
    zero, said_zero = read(file, **INPUT, origin="zero")
    assert np.repeat(first.step, first.value).tolist() == steps([t - 52 for t in times])
    assert np.repeat(zero.step, zero.value).tolist() == steps(times)
    assert not first.same(zero), "an event falls into another step"
    assert read(file, **INPUT, origin="first")[0].same(first)
    assert first.made[1] == "origin first"
    assert zero.made[1] == "origin zero"
    (told,) = (f.what for f in said if f.code == "RECORDING-STEP")
    assert told == f"step 0 of {file} begins at its first event, at t = 52 us"
    (told,) = (f.what for f in said_zero if f.code == "RECORDING-STEP")
    assert told == f"step 0 of {file} begins at t = 0"


@pytest.mark.parametrize(
    ("origin", "begin", "taken"),
    [("first", 1052, [3500]), ("zero", 1000, [1010, 3500])],
)
@pytest.mark.parametrize("name", ["e.npz", "e.dat"])
def test_from_and_until_count_from_the_origin(
    name: str, origin: str, begin: int, taken: list[int], tmp_path: Path
) -> None:
    path = tmp_path / name
    npz(path) if name == "e.npz" else path.write_bytes(dat(ROWS))
    recording, said = read(path, **INPUT, origin=origin, start=1e-3, until=7e-3)
    assert np.repeat(recording.step, recording.value).tolist() == steps([t - begin for t in taken])
    (told,) = (f.what for f in said if f.code == "RECORDING-STEP")
    assert f"at t = {begin:,} us" in told


def test_a_time_before_the_origin_and_a_clock_far_from_zero_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "e.npz"
    late = [1_700_000_000_000_000, 1_700_000_000_002_000]
    np.savez(path, t=late, x=[0, 1], y=[0, 1], p=[0, 1])
    assert read(path, **INPUT)[0].steps == 3
    with pytest.raises(InputError, match="RECORDING-TOO-LONG") as refused:
        read(path, **INPUT, origin="zero")
    assert "--origin first" in refused.value.findings[0].fix
    assert read(path, **INPUT, origin="zero", start=1.7e9)[0].steps == 3
    with pytest.raises(InputError, match="RECORDING-ORIGIN"):
        read(path, **INPUT, origin=late[1])
    with pytest.raises(UsageError, match=r"origin is 'last'; expected first or zero"):
        read(path, **INPUT, origin="last")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="ARGUMENT-TYPE"):
        read(path, **INPUT, origin=0.5)  # type: ignore[arg-type]


@pytest.mark.parametrize("origin", ["first", "zero"])
def test_a_recording_without_timestamps_refuses_an_origin(tmp_path: Path, origin: str) -> None:
    frames = np.eye(3, dtype=np.int64)
    write(Recording.from_dense(frames, 1e-3), tmp_path / "ours.npz")
    np.savez(tmp_path / "frames.npz", frames=frames)
    np.save(tmp_path / "frames.npy", frames)
    nir.write_data({"a": Recording.from_dense(frames, 1e-3)}, tmp_path / "r.nir")
    for path in tmp_path.iterdir():
        with pytest.raises(UsageError, match="RECORDING-OPTION") as refused:
            read(path, origin=origin)
        assert "--origin" in refused.value.findings[0].fix
        assert main(["inspect", str(path), "--origin", origin]) == USAGE


# --- what is said of it -----------------------------------------------------------


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a bundle that takes events of 4 x 5 pixels, and such events, to a folder."""
    weight, two = np.full((2, 40), 3.0), np.ones(2)
    nodes = (
        Input(name="in", port_shape=(2, 4, 5)),
        Flatten(name="flat", flat_input=(2, 4, 5), start=0, end=-1),
        Linear(name="w", weight=weight),
        IF(name="n", r=two * 1000, v_threshold=two, v_reset=two * 0),
        Output(name="out", port_shape=(2,)),
    )
    names = [n.name for n in nodes]
    edges = tuple(itertools.pairwise(names))
    monkeypatch.chdir(tmp_path)
    nd.save(nd.compile(Network(nodes, edges, dt=1e-3), "emulator"), "m.nrfb")
    npz(tmp_path / "e.npz")
    return tmp_path


@pytest.mark.parametrize(
    ("origin", "said"),
    [([], "its first event, at t = 52 us"), (["--origin", "zero"], "begins at t = 0")],
)
def test_every_verb_names_the_origin(
    made: Path, origin: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--bin", "1e-3", *origin]
    assert main(["inspect", "e.npz", *options]) == 0
    assert said in unwrapped(capsys.readouterr().out)
    for verb in (["run", "-o", "o.npz"], ["verify", "--report", "r.json"]):
        main([verb[0], "m.nrfb", "--input", "e.npz", *verb[1:], *options])
        assert said in unwrapped(capsys.readouterr().out)
    kind = origin[-1] if origin else "first"
    report = json.loads((made / "r.json").read_text())
    assert f"origin {kind}" in report["context"]["input_made"]
    words = ["--input", "e.npz", "--engine", "all", "--report", "all.json", *options]
    main(["verify", "m.nrfb", *words])
    assert said in unwrapped(capsys.readouterr().out)
    assert f"origin {kind}" in json.loads((made / "all.json").read_text())["input_made"]


def test_python_and_the_command_line_count_alike(made: Path) -> None:
    bundle = nd.load(made / "m.nrfb")
    zero = nd.read_recording(made / "e.npz", bundle, bin=1e-3, origin="zero")
    assert np.repeat(zero.step, zero.value).tolist() == steps([row[0] for row in ROWS])
    slow = slower(bundle.network, made / "e.npz", bin=1e-3, origin="zero")
    assert slow is not None
    three = slow(3)
    assert np.repeat(three.step, three.value).tolist() == steps([row[0] * 3 for row in ROWS])


def test_another_word_is_a_usage_error(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "e.npz", "--bin", "1e-3", "--origin", "zeor"]) == USAGE
    assert "did you mean zero?" in refusal(capsys)
