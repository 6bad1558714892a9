"""Recordings in files: real ones, generated ones, and those that are wrong."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from nrf_deploy.diagnostics.findings import InputError, NrfError, UsageError
from nrf_deploy.io.recordings import Events, decode, read, write
from nrf_deploy.ir.recording import Recording


def columns(n: int, seed: int = 0, height: int = 4, width: int = 5) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(seed)
    return {
        "t": np.sort(draw.integers(0, 100_000, n)),
        "x": draw.integers(0, width, n).astype(np.uint16),
        "y": draw.integers(0, height, n).astype(np.uint16),
        "p": draw.integers(0, 2, n).astype(np.uint8),
    }


def events_file(folder: Path, **changed: Any) -> Path:
    path = folder / "events.npz"
    held = columns(200) | {k: np.asarray(v) for k, v in changed.items()}
    np.savez(path, **{k: v for k, v in held.items() if v.dtype != object})
    return path


def codes(findings: Iterable[Any]) -> list[str]:
    """Return the codes without the info on step 0 that every file of events has."""
    return [f.code for f in findings if not f.what.startswith("step 0 of ")]


def refused(kind: type[NrfError], path: Path, **options: Any) -> tuple[list[str], str]:
    with pytest.raises(kind) as caught:
        read(path, **options)
    assert all(f.fix for f in caught.value.findings)
    return codes(caught.value.findings), str(caught.value)


INPUT = {"shape": (2, 4, 5), "bin": 1e-3}

# --- our own files ---------------------------------------------------------

recordings = st.builds(
    Recording.from_dense,
    npst.arrays(
        st.sampled_from([np.int64, np.float32]),
        npst.array_shapes(min_dims=2, max_dims=4, max_side=4),
        elements=st.integers(-3, 3),
    ),
    st.none() | st.floats(1e-9, 1e3),
)


@settings(max_examples=50, deadline=None)
@given(recordings)
def test_what_is_written_is_read_back_exactly(tmp_path_factory, recording):
    path = tmp_path_factory.mktemp("r") / "r.npz"
    write(recording, path)
    back, findings = read(path)
    assert back.same(recording)
    assert back.dt == recording.dt
    assert back.value.dtype == recording.value.dtype
    assert codes(findings) == ([] if len(recording.index) else ["RECORDING-EMPTY"])
    first = path.read_bytes()
    write(back, path)
    assert path.read_bytes() == first


def test_numpy_reads_what_was_written(tmp_path):
    write(Recording.from_dense(np.eye(3, dtype=np.int64), 1e-3), tmp_path / "r.npz")
    with np.load(tmp_path / "r.npz", allow_pickle=False) as arrays:
        assert str(arrays["format"]) == "nrf-deploy recording 1"
        assert arrays["index"].tolist() == [0, 1, 2]
        assert arrays["dt"] == 1e-3


def test_a_recording_that_could_not_be_read_back_is_not_written(tmp_path):
    broken = Recording((2,), np.array([0, 1]), np.array([2]), np.array([1]))
    with pytest.raises(UsageError, match=r"outside 0\.\.1"):
        write(broken, tmp_path / "r.npz")
    with pytest.raises(UsageError, match=r"\.npz"):
        write(Recording.from_dense(np.eye(2)), tmp_path / "r.txt")
    assert os.listdir(tmp_path) == []


def changed_file(folder: Path, **changed: Any) -> Path:
    path = folder / "r.npz"
    write(Recording.from_dense(np.eye(3, dtype=np.int64), 1e-3), path)
    with np.load(path) as arrays:
        held = dict(arrays) | {k: np.asarray(v) for k, v in changed.items() if v is not None}
    np.savez(path, **{k: v for k, v in held.items() if changed.get(k, v) is not None})
    return path


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"index": [0, 1, 3]}, "outside 0..2"),
        ({"index": [0.0, 1.0, 2.0]}, "index that are not integers"),
        ({"value": [1.0, np.nan, 1.0]}, "NaN"),
        ({"value": ["a", "b", "c"]}, "not of plain numbers"),
        ({"start": [0, 1, 2, 4]}, "start does not rise"),
        ({"shape": 3}, "not a list of sizes"),
        ({"shape": [-3]}, "holds nothing"),
        ({"dt": [1.0, 2.0]}, "several dt"),
        ({"dt": np.nan}, "dt is nan"),
        ({"start": None}, "start.npy"),
        ({"extra": 1}, "extra.npy"),
        ({"format": "nrf-deploy recording 2"}, "version 2"),
        ({"format": "other 1"}, "unknown format"),
        ({"format": 1}, "not of plain numbers"),
    ],
)
def test_a_changed_recording_is_refused(tmp_path, changed, reason):
    found, text = refused(InputError, changed_file(tmp_path, **changed))
    assert found == ["RECORDING-DAMAGED"]
    assert reason in text


# --- real recordings -------------------------------------------------------


def test_n_mnist_reads_as_its_decoded_twin(shared):
    raw, _ = decode(shared / "recordings" / "tonic_sample_nmnist.bin")
    twin, _ = decode(shared / "recordings" / "nmnist_sample.npz")
    assert isinstance(raw, Events)
    assert isinstance(twin, Events)
    assert len(raw.t) == 4325
    for name in ("t", "x", "y", "p"):
        assert np.array_equal(getattr(raw, name), getattr(twin, name))


def test_n_mnist_in_steps_of_a_millisecond(shared):
    path = shared / "recordings" / "nmnist_sample.npz"
    recording, findings = read(path, shape=(2, 34, 34), bin=1e-3, dt=1e-3)
    assert codes(findings) == []
    assert (recording.steps, recording.dt) == (311, 1e-3)
    assert recording.value.sum() == 4325
    with np.load(path) as twin:
        expected = np.zeros((311, 2, 34, 34), np.int64)
        step = (twin["t"] - twin["t"][0]) // 1000
        np.add.at(expected, (step, twin["p"], twin["y"], twin["x"]), 1)
    assert np.array_equal(recording.dense(), expected)


def test_other_cameras(shared):
    folder = shared / "recordings"
    cars, _ = read(folder / "tonic_sample_ncars.npz", shape=(2, 100, 120), bin=1e-3)
    assert (cars.steps, cars.value.sum()) == (100, 2009)
    davis, _ = read(folder / "tonic_sample.npz", shape=(1,), bin=1e-3, merge="all")
    assert (davis.steps, davis.value.sum()) == (590, 111_954)
    gen3, _ = read(folder / "faery_evt2.npz", shape=(480, 640), bin=1e-3, merge="polarity")
    assert (gen3.steps, gen3.value.sum()) == (96, 521_252)


# --- binning ---------------------------------------------------------------


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 10**6), st.integers(0, 4), st.integers(0, 3), st.integers(0, 1)
        )
    ),
    st.sampled_from([1e-6, 2.55e-4, 1e-3, 0.1, 1 / 30, float(np.float32(1e-4))]),
    st.sampled_from([(None, (2, 4, 5)), ("polarity", (1, 4, 5)), ("all", (1,))]),
    st.booleans(),
)  # fmt: skip
def test_every_event_is_counted_once_in_its_step(tmp_path_factory, events, bin, form, origin):
    merge, shape = form
    path = tmp_path_factory.mktemp("r") / "e.npz"
    table = np.array(sorted(events), np.int64).reshape(-1, 4)
    np.savez(path, **dict(zip("txyp", table.T, strict=True)))
    options = {"origin": 0} if origin else {}
    recording, _ = read(path, shape=shape, bin=bin, merge=merge, **options)
    assert list(recording.faults()) == []
    first = 0 if origin or not len(table) else int(table[0, 0])
    width = Fraction(repr(bin)) * 10**6
    expected: dict[tuple[int, int], int] = {}
    for t, x, y, p in table.tolist():
        index = {"all": 0, "polarity": y * 5 + x, None: (p * 4 + y) * 5 + x}[merge]
        step = int((t - first) // width)
        expected[step, index] = expected.get((step, index), 0) + 1
    found = zip(recording.step.tolist(), recording.index.tolist(), strict=True)
    assert dict(zip(found, recording.value.tolist(), strict=True)) == expected
    assert recording.steps == max((step + 1 for step, _ in expected), default=0)


def test_a_step_begins_exactly_where_its_bin_does(tmp_path):
    """0.000255 * 1e6 is 255.00000000000003 in floats; the event at 255 is in step 1 yet."""
    path = events_file(tmp_path, t=[0, 254, 255, 510], x=[0] * 4, y=[0] * 4, p=[0] * 4)
    recording, _ = read(path, shape=(2, 4, 5), bin=0.000255)
    assert recording.step.tolist() == [0, 1, 2]
    assert recording.value.tolist() == [2, 1, 1]


def test_the_origin_shifts_the_steps_and_may_not_lose_events(tmp_path):
    path = events_file(tmp_path, t=[2500, 2600], x=[0] * 2, y=[0] * 2, p=[0] * 2)
    assert read(path, **INPUT)[0].step.tolist() == [0]
    assert read(path, **INPUT, origin=0)[0].step.tolist() == [2]
    found, text = refused(InputError, path, **INPUT, origin=2501)
    assert found == ["RECORDING-ORIGIN"]
    assert "at most 2500" in text


def test_a_million_events_are_all_binned(tmp_path):
    path = tmp_path / "e.npz"
    np.savez(path, **columns(1_000_000, height=480, width=640))
    recording, _ = read(path, shape=(2, 480, 640), bin=1e-3)
    assert recording.value.sum() == 1_000_000


# --- what binning needs ----------------------------------------------------


def test_a_missing_bin_is_not_guessed(tmp_path):
    found, text = refused(UsageError, events_file(tmp_path), shape=(2, 4, 5), dt=1e-3)
    assert found == ["RECORDING-BIN-MISSING"]
    assert "bin=0.001" in text


@pytest.mark.parametrize("bin", [0.0, -1e-3, float("nan"), float("inf")])
def test_a_bin_that_is_no_length_is_refused(tmp_path, bin):
    assert refused(UsageError, events_file(tmp_path), shape=(2, 4, 5), bin=bin)[0] == [
        "RECORDING-BIN"
    ]


def test_all_that_is_missing_is_said_at_once(tmp_path):
    found, _ = refused(UsageError, events_file(tmp_path))
    assert found == ["RECORDING-BIN-MISSING", "RECORDING-SHAPE-MISSING"]


@pytest.mark.parametrize(
    ("shape", "merge"),
    [
        ((4, 5), None),
        ((40,), None),
        ((2, 4, 5), "polarity"),
        ((1, 4, 5), "all"),
        ((5,), "polarity"),
    ],
)
def test_a_shape_that_events_do_not_go_into_is_refused(tmp_path, shape, merge):
    found, text = refused(UsageError, events_file(tmp_path), shape=shape, bin=1e-3, merge=merge)
    assert found == ["RECORDING-SHAPE"]
    assert str(shape) in text


def test_an_unknown_way_to_merge_is_refused(tmp_path):
    assert refused(UsageError, events_file(tmp_path), **INPUT, merge="both")[0] == [
        "RECORDING-MERGE"
    ]


# --- events that are wrong -------------------------------------------------


def test_everything_outside_is_counted_and_said_at_once(tmp_path):
    held = columns(200)
    held["x"][:3], held["y"][:2], held["p"][:1] = 5, 7, 2
    found, text = refused(InputError, events_file(tmp_path, **held), **INPUT)
    assert found == ["RECORDING-OUTSIDE"] * 3
    assert "3 of 200 events" in text
    assert "x outside 0..4" in text
    assert "2 of 200" in text
    assert "y outside 0..3" in text
    assert "polarity outside 0..1: it goes from 0 to 2" in text


def test_a_polarity_of_minus_one_is_refused_and_can_be_merged_away(tmp_path):
    path = events_file(tmp_path, p=np.where(columns(200)["p"] == 0, -1, 1).astype(np.int8))
    found, text = refused(InputError, path, **INPUT)
    assert found == ["RECORDING-OUTSIDE"]
    assert "0 and 1" in text
    recording, _ = read(path, shape=(1, 4, 5), bin=1e-3, merge="polarity")
    assert recording.value.sum() == 200


def test_boolean_polarities_are_fine(tmp_path):
    plain, _ = read(events_file(tmp_path), **INPUT)
    boolean, _ = read(events_file(tmp_path, p=columns(200)["p"].astype(bool)), **INPUT)
    assert boolean.same(plain)


def test_whole_floats_are_fine_and_fractions_are_not(tmp_path):
    plain, _ = read(events_file(tmp_path), **INPUT)
    whole, _ = read(events_file(tmp_path, t=columns(200)["t"].astype(float)), **INPUT)
    assert whole.same(plain)
    found, text = refused(InputError, events_file(tmp_path, t=columns(200)["t"] * 1e-6), **INPUT)
    assert found == ["RECORDING-VALUES"]
    assert "microseconds" in text


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"t": np.full(200, np.nan), "x": np.full(200, np.inf)}, "RECORDING-VALUES"),
        ({"t": np.full(200, 1e300)}, "RECORDING-VALUES"),
        ({"t": np.full(200, 2**64 - 1, np.uint64)}, "RECORDING-VALUES"),
        ({"t": np.arange(-1, 199)}, "RECORDING-TIME-NEGATIVE"),
        ({"t": np.array([0] * 199 + [2**51])}, "RECORDING-TOO-LONG"),
        ({"t": np.array([0] * 199 + [2**62])}, "RECORDING-VALUES"),
        ({"x": np.full(200, 2**63 - 1)}, "RECORDING-VALUES"),
        ({"p": np.full(200, -(2**31))}, "RECORDING-VALUES"),
        ({"t": np.arange(199)}, "RECORDING-DAMAGED"),
        ({"t": np.arange(200).reshape(2, 100)}, "RECORDING-DAMAGED"),
        ({"t": np.full(200, 1j)}, "RECORDING-DAMAGED"),
        ({"t": np.full(200, "1")}, "RECORDING-DAMAGED"),
    ],
)
def test_values_that_no_camera_gives_are_refused(tmp_path, changed, code):
    found, _ = refused(InputError, events_file(tmp_path, **changed), **INPUT)
    assert set(found) == {code}


def test_times_that_go_back_are_sorted_and_said(tmp_path):
    held = columns(200)
    order = np.random.default_rng(1).permutation(200)
    turned = events_file(tmp_path, **{k: v[order] for k, v in held.items()})
    recording, findings = read(turned, **INPUT)
    assert codes(findings) == ["RECORDING-UNSORTED"]
    assert recording.same(read(events_file(tmp_path), **INPUT)[0])


def test_no_event_is_a_warning(tmp_path):
    nothing = {k: np.zeros(0, np.int64) for k in "txyp"}
    recording, findings = read(events_file(tmp_path, **nothing), **INPUT)
    assert recording.steps == 0
    assert codes(findings) == ["RECORDING-EMPTY"]
    (tmp_path / "e.bin").write_bytes(b"")
    assert codes(read(tmp_path / "e.bin", **INPUT)[1]) == ["RECORDING-EMPTY"]


def test_steps_other_than_the_model_s_are_warned_of(tmp_path):
    _, findings = read(events_file(tmp_path), **INPUT, dt=1e-4)
    assert codes(findings) == ["RECORDING-BIN-DIFFERS"]
    assert "0.001 s" in findings[-1].what
    assert "0.0001" in findings[-1].what
    assert "--bin 0.0001" in findings[-1].fix


@pytest.mark.parametrize(("dt", "said"), [(1.0, ["RECORDING-STEP"]), (1e-3 * (1 + 1e-7), [])])
def test_a_model_that_counts_in_steps_takes_any_bin(tmp_path, dt, said):
    _, findings = read(events_file(tmp_path), **INPUT, dt=dt)
    assert codes(findings) == said
    assert all(f.severity == "info" for f in findings)


def test_a_bin_is_not_taken_in_silence_for_the_length_of_steps_that_state_none(tmp_path):
    write(Recording.from_dense(np.ones((3, 2), np.int64)), tmp_path / "r.npz")
    recording, findings = read(tmp_path / "r.npz", bin=1e-3)
    assert codes(findings) == ["RECORDING-BIN-UNUSED"]
    assert recording.dt == 1e-3


def test_clipping_counts_the_places_it_changes(tmp_path):
    frames = np.array([[0, 1, 2], [3, 0, 1]])
    write(Recording.from_dense(frames), tmp_path / "r.npz")
    recording, (said,) = read(tmp_path / "r.npz", clip=1)
    assert recording.dense().tolist() == [[0, 1, 1], [1, 0, 1]]
    assert said.code == "RECORDING-CLIPPED"
    assert "2 of 4 values" in said.what
    assert "the largest was 3" in said.what
    assert read(tmp_path / "r.npz", clip=3)[1] == []
    assert refused(UsageError, tmp_path / "r.npz", clip=0)[0] == ["RECORDING-CLIP"]


@pytest.mark.parametrize(
    ("shape", "merge", "fix"),
    [
        ((2, 4, 5), "all", "leave --merge out"),
        ((2, 4, 5), "polarity", "leave --merge out"),
        ((4, 5), None, "--merge polarity"),
        ((1, 4, 5), "all", "--merge polarity"),
        ((1,), None, "--merge all"),
        ((7,), None, "frames"),
    ],
)
def test_a_shape_that_does_not_fit_names_the_option_that_does(tmp_path, shape, merge, fix):
    with pytest.raises(UsageError) as e:
        read(events_file(tmp_path), shape=shape, bin=1e-3, merge=merge)
    assert fix in e.value.findings[0].fix


# --- other formats ---------------------------------------------------------


def as_nmnist(held: dict[str, np.ndarray]) -> bytes:
    t, x, y, p = (held[k].astype(np.int64) for k in "txyp")
    packed = [x, y, p << 7 | t >> 16, t >> 8 & 255, t & 255]
    return np.stack(packed, axis=1).astype(np.uint8).tobytes()


@pytest.mark.parametrize("header", ["", "t,x,y,p\n", "# x, y, p, t\n"])
def test_the_same_events_in_every_format(tmp_path, header):
    held = columns(200)
    expected, _ = read(events_file(tmp_path), **INPUT)
    (tmp_path / "e.bin").write_bytes(as_nmnist(held))
    names = "xypt" if "x, y" in header else "txyp"
    rows = zip(*(held[k].tolist() for k in names), strict=True)
    lines = "".join(",".join(map(str, row)) + "\n" for row in rows)
    (tmp_path / "e.csv").write_text(header + lines)
    for name in ("e.bin", "e.csv"):
        recording, findings = read(tmp_path / name, **INPUT)
        assert codes(findings) == []
        assert recording.same(expected)


def test_an_n_mnist_overflow_moves_the_clock(tmp_path):
    one = bytes([1, 2, 128, 0, 9])
    (tmp_path / "e.bin").write_bytes(one + bytes([0, 240, 0, 0, 0]) + one)
    events, _ = decode(tmp_path / "e.bin")
    assert isinstance(events, Events)
    assert events.t.tolist() == [9, 9 + 2**13]
    assert events.p.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("e.bin", bytes(13), "3 are left over"),
        ("e.csv", b"a,b,c,d\n1,2,3,4\n", "the columns 'a,b,c,d'"),
        ("e.csv", b"1,2,3\n", "3 columns"),
        ("e.csv", b"1,2,3,4\n1,2\n", "not a table"),
        ("e.csv", b"1,2,3,z\n", "columns"),
        ("e.csv", b"t,x,y,p\n1,2,3,z\n", "not a table"),
        ("e.csv", b"t,x,y,p\n1,2,3,\xff\n", "not a table"),
    ],
)
def test_broken_files_are_refused(tmp_path, name, content, reason):
    (tmp_path / name).write_bytes(content)
    found, text = refused(InputError, tmp_path / name, **INPUT)
    assert found == ["RECORDING-DAMAGED"]
    assert reason in text


def test_an_empty_table_holds_no_events(tmp_path):
    (tmp_path / "e.csv").write_text("t,x,y,p\n")
    assert codes(read(tmp_path / "e.csv", **INPUT)[1]) == ["RECORDING-EMPTY"]


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float16, np.float32, np.float64])
def test_dense_frames(tmp_path, dtype):
    frames = np.random.default_rng(0).integers(0, 2, (6, 2, 4, 5)).astype(dtype)
    np.save(tmp_path / "f.npy", frames)
    np.savez_compressed(tmp_path / "f.npz", frames=np.asfortranarray(frames), dt=1e-3)
    bare, _ = read(tmp_path / "f.npy", shape=(2, 4, 5), dt=1e-3)
    full, _ = read(tmp_path / "f.npz", shape=(2, 4, 5))
    assert bare.dt == full.dt == 1e-3
    assert bare.same(full)
    assert np.array_equal(bare.dense(), frames)
    assert bare.value.dtype == (np.float32 if np.dtype(dtype).kind == "f" else np.int64)


@pytest.mark.parametrize(
    ("frames", "reason"),
    [
        (np.full((2, 3), np.nan), "NaN or infinite"),
        (np.full((2, 3), 1e300), "float32 cannot hold"),
        (np.full((2, 3), 1e-300), "float32 cannot hold"),
        (np.full((2, 3), 2**63, np.uint64), "beyond 64 bits"),
        (np.zeros(3), "not (steps, *shape)"),
        (np.zeros((2, 3), complex), "not of plain numbers"),
    ],
)
def test_frames_that_would_change_are_refused(tmp_path, frames, reason):
    np.save(tmp_path / "f.npy", frames)
    found, text = refused(InputError, tmp_path / "f.npy")
    assert found == ["RECORDING-DAMAGED"]
    assert reason in text


def test_nothing_may_be_asked_of_steps_that_would_change_them(tmp_path):
    path = tmp_path / "r.npz"
    write(Recording.from_dense(np.eye(3, dtype=np.int64), 1e-3), path)
    assert read(path, bin=1e-3)[1] == []
    assert refused(UsageError, path, bin=2e-3)[0] == ["RECORDING-BIN"]
    assert refused(UsageError, path, merge="all")[0] == ["RECORDING-OPTION"]
    assert refused(UsageError, path, origin=0)[0] == ["RECORDING-OPTION"]
    assert refused(InputError, path, shape=(1, 3))[0] == ["RECORDING-SHAPE"]


# --- hostility -------------------------------------------------------------


def test_pickled_objects_are_never_loaded(tmp_path):
    np.savez(tmp_path / "e.npz", **columns(3) | {"t": np.array([{}] * 3)})
    np.save(tmp_path / "f.npy", np.array([[{}]]))
    for name in ("e.npz", "f.npy"):
        found, text = refused(InputError, tmp_path / name, **INPUT)
        assert found == ["RECORDING-DAMAGED"]
        assert "pickle" in text


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path):
    np.savez_compressed(tmp_path / "e.npz", frames=np.zeros((1000, 10_000), np.uint8))
    assert os.path.getsize(tmp_path / "e.npz") < 100_000
    found, text = refused(InputError, tmp_path / "e.npz", limit=1_000_000)
    assert found == ["RECORDING-TOO-LARGE"]
    assert "1,000,000" in text
    np.save(tmp_path / "f.npy", np.zeros(1000))
    assert refused(InputError, tmp_path / "f.npy", limit=1000)[0] == ["RECORDING-TOO-LARGE"]


def test_a_header_that_promises_more_than_there_is_allocates_nothing(tmp_path):
    stream = io.BytesIO()
    promise = {"descr": "<f8", "fortran_order": False, "shape": (2**40, 2)}
    np.lib.format.write_array_header_1_0(stream, promise)
    (tmp_path / "f.npy").write_bytes(stream.getvalue())
    assert "declares an array" in refused(InputError, tmp_path / "f.npy")[1]


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_cut_or_changed_file_is_refused_or_reads(tmp_path_factory, data):
    """Nothing but a refusal or a sound recording comes out."""
    folder = tmp_path_factory.mktemp("r")
    path = folder / "e.npz"
    np.savez_compressed(path, **columns(20))
    content = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content) - 1))]
        path.write_bytes(content)
        with pytest.raises(InputError):
            read(path, **INPUT)
        return
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    try:
        recording, _ = read(path, **INPUT)
    except InputError:
        return
    assert recording.value.sum() == 20


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("e.raw", b"evt 3.0\n", "begins with"),
        ("e.npz", b"", "is empty"),
        ("e.aedat4", b"AER-DAT4.0\r\n", "begins with"),
    ],
)
def test_what_is_unknown_is_said_with_what_is_known(tmp_path, name, content, what):
    (tmp_path / name).write_bytes(content)
    found, text = refused(InputError, tmp_path / name, **INPUT)
    assert found == ["RECORDING-UNKNOWN"]
    assert what in text
    assert "N-MNIST" in text
    assert "numpy.savez" in text


def test_an_archive_of_something_else_is_unknown(tmp_path):
    with zipfile.ZipFile(tmp_path / "e.npz", "w") as archive:
        archive.writestr("readme.txt", "hello")
    found, text = refused(InputError, tmp_path / "e.npz", **INPUT)
    assert found == ["RECORDING-UNKNOWN"]
    assert "readme.txt" in text
