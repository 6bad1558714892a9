"""Recordings in NIR's own format keep every event."""

from __future__ import annotations

from pathlib import Path

import h5py
import nir
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nrf_deploy.diagnostics.findings import InputError, UsageError
from nrf_deploy.io.nir import read_data, write_data
from nrf_deploy.ir.recording import Recording


def random_recording(seed: int, dt: float, most: int = 1, kind: str = "i") -> Recording:
    rng = np.random.default_rng(seed)
    frames = rng.integers(0, most + 1, (40, 2, 3, 2)).astype("i8" if kind == "i" else "f4")
    return Recording.from_dense(frames * (rng.random(frames.shape) < 0.3), dt)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "spikes.h5"


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.floats(1e-6, 10),
    st.integers(1, 5),
    st.sampled_from("if"),
)
def test_a_recording_comes_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, seed: int, dt: float, most: int, kind: str
) -> None:
    path = tmp_path_factory.mktemp("data") / "a.h5"
    recording = random_recording(seed, dt, most, kind)
    write_data({"lif": recording}, path)
    back = read_data(path)["lif"]["spikes"]
    assert back.same(recording)
    assert (back.dt, back.value.dtype) == (dt, recording.value.dtype)


@pytest.mark.parametrize("dt", [0.1, 1e-3, 1 / 3, 0.7])
def test_nir_puts_our_events_into_the_same_steps(file: Path, dt: float) -> None:
    recording = random_recording(3, dt)
    write_data({"lif": recording}, file)
    grid = nir.read_data(file).nodes["lif"].observables["spikes"].to_time_gridded(dt)
    assert np.array_equal(grid.data[0], recording.dense().reshape(40, -1).astype(bool))


@pytest.mark.parametrize("shift", [0.0, 0.5])
@pytest.mark.parametrize("dt", [0.1, 1e-3, 1 / 3])
def test_events_of_nir_are_all_kept_even_on_the_border_of_a_step(
    file: Path, dt: float, shift: float
) -> None:
    recording = random_recording(5, dt)
    frames = recording.dense().reshape(1, 40, -1).astype(bool)
    grid = nir.TimeGriddedData(frames, dt)
    events = grid.to_event(1000, time_shift=shift * dt)
    node = nir.NIRNodeData({"grid": grid, "events": events})
    nir.write_data(file, nir.NIRGraphData({"lif": node}))
    back = read_data(file, dt)["lif"]
    assert np.array_equal(back["events"].dense(), frames[0])
    assert np.array_equal(back["grid"].dense(), frames[0])


def write_events(file: Path, idx: object, time: object, t_max: float = 1.0) -> Path:
    data = nir.EventData(np.array(idx), np.array(time, float), 4, t_max)
    nir.write_data(file, nir.NIRGraphData({"n": nir.NIRNodeData({"s": data})}))
    return file


def test_events_of_one_neuron_in_one_step_add_up(file: Path) -> None:
    write_events(file, [[2, 2, 1, -1]], [[0.11, 0.12, 0.5, np.inf]])
    assert read_data(file, 0.1)["n"]["s"].dense().sum(0).tolist() == [0, 1, 2, 0]


@pytest.mark.parametrize(
    ("idx", "time", "dt", "code"),
    [
        ([[0]], [[0.1]], None, "NIR-DT-MISSING"),
        ([[4]], [[0.1]], 0.1, "NIR-DATA-RANGE"),
        ([[-2]], [[0.1]], 0.1, "NIR-DATA-RANGE"),
        ([[0]], [[-0.1]], 0.1, "NIR-DATA-RANGE"),
        ([[0]], [[1.5]], 0.1, "NIR-DATA-RANGE"),
        ([[0]], [[np.nan]], 0.1, "NIR-DATA-RANGE"),
        ([[0]], [[0.1]], 1e-12, "NIR-DATA-RANGE"),
        ([[0], [1]], [[0.1], [0.1]], 0.1, "NIR-DATA-SAMPLES"),
    ],
)
def test_what_cannot_be_placed_is_refused(
    file: Path, idx: object, time: object, dt: float | None, code: str
) -> None:
    with pytest.raises(InputError) as e:
        read_data(write_events(file, idx, time), dt)
    assert [(f.code, f.layer) for f in e.value.findings] == [(code, "n/s")]


def test_one_of_several_samples_can_be_named(file: Path) -> None:
    write_events(file, [[0], [3]], [[0.1], [0.2]])
    assert read_data(file, 0.1, sample=1)["n"]["s"].counts().tolist() == [0, 0, 0, 1]


def test_a_grid_keeps_its_step(file: Path) -> None:
    grid = nir.TimeGriddedData(np.ones((1, 3, 2)), 0.5)
    nir.write_data(file, nir.NIRGraphData({"n": nir.NIRNodeData({"v": grid})}))
    assert read_data(file)["n"]["v"].dt == 0.5
    with pytest.raises(InputError, match="NIR-DT-CONFLICT"):
        read_data(file, 0.1)


def test_a_file_of_something_else_is_refused(file: Path) -> None:
    with h5py.File(file, "w") as other:
        other["x"] = 1
    with pytest.raises(InputError, match="NIR-NOT-DATA"):
        read_data(file)


def test_a_recording_without_dt_is_not_written(file: Path) -> None:
    with pytest.raises(UsageError, match="NIR-DT-MISSING"):
        write_data({"n": Recording.from_dense(np.ones((3, 2)))}, file)
    assert not file.exists()
