"""Recordings, labels and options whose numbers ask for more than a file of their size may.

Each of these took gigabytes or ended in a traceback.
"""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import numpy as np
import pytest

from nrf_deploy.cli.main import main
from nrf_deploy.diagnostics.findings import InputError, UsageError
from nrf_deploy.io.archive import Archive, TooLargeError
from nrf_deploy.io.labels import parse_labels
from nrf_deploy.io.recordings import opened, read, read_states
from nrf_deploy.ir.recording import FREE_EVENTS, MAX_ELEMENTS, MAX_STEPS
from tests.builders.cli_calls import INPUT, USAGE, refusal

KIT = Path(__file__).parents[3] / "targets/nrf_loihi/kit/loihi.sparse"
EVENTS = {"t": np.arange(4), "x": np.arange(4), "y": np.zeros(4, int), "p": np.zeros(4, int)}


def codes(path: Path, **options: object) -> list[str]:
    with pytest.raises(InputError) as refused:
        read(path, **options)  # type: ignore[arg-type]
    return [f.code for f in refused.value.findings]


def ours(path: Path, **changed: object) -> Path:
    """Write a recording of ours with two steps and these changes."""
    arrays = {"shape": [4], "start": [0, 0, 0], "index": [], "value": []} | changed
    dtype = {"index": np.int64, "value": np.int64}
    held = {name: np.asarray(x, dtype.get(name)) for name, x in arrays.items()}
    np.savez_compressed(path, format=np.array("nrf-deploy recording 1"), **held)
    return path


# --- steps, elements, events -----------------------------------------------------


def test_silent_steps_are_bounded_in_our_own_recordings(tmp_path: Path) -> None:
    """50 million silent steps in 0.4 MB took 2.1 GB to run."""
    path = ours(tmp_path / "r.npz", start=np.zeros(MAX_STEPS + 2, np.int8))
    assert path.stat().st_size < 100_000
    assert codes(path) == ["RECORDING-TOO-LONG"]
    assert read(ours(tmp_path / "s.npz", start=np.zeros(MAX_STEPS + 1, np.int8)))[0].steps


@pytest.mark.parametrize("shape", [[1 << 40], [1 << 20, 1 << 20], [2] * 64, [MAX_ELEMENTS + 1]])
def test_elements_are_bounded_in_our_own_recordings(shape: list[int], tmp_path: Path) -> None:
    assert codes(ours(tmp_path / "r.npz", shape=shape)) == ["RECORDING-TOO-LARGE"]


@pytest.mark.parametrize("name", ["format", "shape", "dt", "made"])
def test_members_that_are_small_are_small(name: str, tmp_path: Path) -> None:
    path = ours(tmp_path / "r.npz", **({} if name == "format" else {name: np.zeros(1 << 20)}))
    if name == "format":
        long = io.BytesIO()
        np.save(long, np.array("x" * (1 << 20)))
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("format.npy", long.getvalue())
    assert codes(path) == ["RECORDING-TOO-LARGE"]


@pytest.mark.parametrize(
    ("shape", "code"),
    [
        ((MAX_STEPS + 1, 1), "RECORDING-TOO-LONG"),
        ((1, MAX_ELEMENTS + 1), "RECORDING-TOO-LARGE"),
        ((1 << 40, 0), "RECORDING-DAMAGED"),
        ((0, 1 << 40), "RECORDING-DAMAGED"),
    ],
)
def test_frames_are_bounded(shape: tuple[int, ...], code: str, tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "f.npz", frames=np.zeros(shape, np.int8))
    np.save(tmp_path / "f.npy", np.zeros(shape, np.int8))
    assert codes(tmp_path / "f.npz") == codes(tmp_path / "f.npy") == [code]


def test_an_event_takes_a_byte_at_least(tmp_path: Path) -> None:
    count = FREE_EVENTS + (1 << 20)
    np.savez_compressed(tmp_path / "f.npz", frames=np.ones((count >> 10, 1 << 10), np.int8))
    assert codes(tmp_path / "f.npz") == ["RECORDING-TOO-LARGE"]
    zeros = np.zeros(count, np.uint8)
    np.savez_compressed(tmp_path / "e.npz", t=zeros, x=zeros, y=zeros, p=zeros)
    assert codes(tmp_path / "e.npz") == ["RECORDING-TOO-LARGE"]


def test_packed_members_stand_in_proportion_to_the_file(tmp_path: Path) -> None:
    """t, x, y and p of zeros, 1 GB in all and 1 MB in the file, took more than 1.4 GB."""
    path = tmp_path / "e.npz"
    column = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        column, {"descr": "<i8", "fortran_order": False, "shape": (1 << 24,)}
    )
    part = bytes(1 << 20)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name in "txyp":
            with archive.open(f"{name}.npy", "w") as member:
                member.write(column.getvalue())
                for _ in range(128):
                    member.write(part)
    assert path.stat().st_size < 3 << 20
    assert codes(path) == ["RECORDING-TOO-LARGE"]
    with pytest.raises(InputError, match="RECORDING-TOO-LARGE"):
        read_states(path)


def test_a_list_of_members_is_bounded_before_it_is_read() -> None:
    size = 17 << 20
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, size, 0, 0)
    long = struct.pack("<4sLQL", b"PK\x06\x07", 0, 0, 1)
    for tail in (bytes(size) + end, long + end):
        with pytest.raises(TooLargeError, match="list of members"):
            Archive(io.BytesIO(b"PK\x03\x04" + tail))


@pytest.mark.parametrize("suffix", [".csv", ".bin"])
def test_tables_are_bounded_by_their_size(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"e{suffix}"
    path.touch()
    os.truncate(path, (128 << 20) + 1)
    assert codes(path) == ["RECORDING-TOO-LARGE"]


# --- values ----------------------------------------------------------------------


@pytest.mark.parametrize("name", list("txyp"))
@pytest.mark.parametrize("value", [2**63 - 1, -(2**63)])
@pytest.mark.parametrize("merge", [None, "polarity", "all"])
def test_values_beyond_every_sensor_are_refused(
    name: str, value: int, merge: str | None, tmp_path: Path
) -> None:
    np.savez(tmp_path / "e.npz", **EVENTS | {name: np.full(4, value)})
    words = ["inspect", str(tmp_path / "e.npz"), "--bin", "1e-3"]
    assert main([*words, *(["--merge", merge] if merge else [])]) == INPUT


def test_a_shape_that_follows_from_values_is_bounded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "e.npz", **EVENTS | {name: np.full(4, 2**31 - 1) for name in "xyp"})
    assert main(["inspect", str(tmp_path / "e.npz"), "--bin", "1e-3"]) == INPUT
    assert "RECORDING-TOO-LARGE" in refusal(capsys)


def test_tables_come_in_packets_and_say_the_same(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    count = (1 << 20) + 5000
    columns = {
        "t": np.sort(rng.integers(0, 10**6, count)),
        "x": rng.integers(0, 4, count),
        "y": rng.integers(0, 4, count),
        "p": rng.integers(0, 2, count),
    }
    np.savez(tmp_path / "e.npz", **columns)
    recording, _ = read(tmp_path / "e.npz", shape=(2, 4, 4), bin=1e-2)
    frames = np.zeros((100, 2, 4, 4), np.int64)
    since = columns["t"] - columns["t"][0]
    np.add.at(frames, (since // 10**4, *(columns[name] for name in "pyx")), 1)
    assert np.array_equal(recording.dense(), frames[: recording.steps])
    assert recording.steps >= 99


@pytest.mark.parametrize("size", ["9" * 5000 + "x10", "10x" + "9" * 5000, "٣" * 20 + "x3"])
@pytest.mark.parametrize("suffix", [".raw", ".dat"])
def test_a_geometry_of_5000_digits_is_refused(size: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"e{suffix}"
    path.write_text(f"% evt 3.0\n% geometry {size}\n% Version 2\n% end\n", "utf-8")
    with pytest.raises(InputError, match="RECORDING-DAMAGED"):
        opened(path)


# --- options ---------------------------------------------------------------------

HUGE = "1" + 40 * "0"


@pytest.mark.parametrize(
    "words",
    [
        ["--from", "1e300"],
        ["--until", "1e300"],
        ["--downsample", HUGE],
        ["--crop", f"{HUGE},0,{HUGE},4"],
        ["--crop", f"0,0,4,{HUGE}"],
        ["--clip", HUGE],
        ["--clip", str(2**63)],
    ],
)
def test_options_beyond_64_bits_are_refused(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "e.npz", **EVENTS)
    path = str(tmp_path / "e.npz")
    assert main(["inspect", path, "--bin", "1e-3", *words]) == USAGE
    assert "error[" in refusal(capsys)


@pytest.mark.parametrize("given", [{"origin": 2**62}, {"origin": -(10**40)}, {"stretch": 10**40}])
def test_arguments_beyond_64_bits_are_refused(given: dict[str, int], tmp_path: Path) -> None:
    np.savez(tmp_path / "e.npz", **EVENTS)
    with pytest.raises(UsageError):
        read(tmp_path / "e.npz", shape=(1, 1, 4), bin=1e-3, **given)  # type: ignore[arg-type]


@pytest.mark.parametrize("bin", ["1e-300", "5e-324", "1e300", "1e308"])
def test_steps_of_any_length_are_counted_or_refused(bin: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "e.npz", **EVENTS)
    assert main(["inspect", str(tmp_path / "e.npz"), "--bin", bin]) in (0, INPUT)


# --- labels ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "step,x,y\n0," + 200_000 * "1" + ",2\n",
        'step,x,y\n0,"1\r2",2\n',
        "step,x,y\n0,1\r2,2\n",
        b"step,x,y\n0,\xff,2\n",
        "step,x,y\n1e300,1,2\n",
        "t,x,y\n0,1e300,2\n",
    ],
)
def test_fields_that_no_csv_has_are_refused(text: bytes | str) -> None:
    with pytest.raises(InputError, match="LABELS-MALFORMED"):
        parse_labels(text)


def test_a_file_of_wrong_lines_has_a_bounded_answer() -> None:
    with pytest.raises(InputError) as refused:
        parse_labels("step,x,y\n" + 10_000 * "a,b,c\n")
    assert len(refused.value.findings) == 21
    assert "more than 20 lines" in refused.value.findings[-1].what


def test_labels_beyond_every_recording_count_as_beyond() -> None:
    labels = parse_labels("t,x,y\n1e15,1,2\n")
    assert labels.steps(5e-324).tolist() == [2**62]  # type: ignore[union-attr]


@pytest.mark.parametrize("option", ["--labels", "--limits"])
def test_a_file_longer_than_its_limit_is_not_read_in_part(
    option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "file"
    path.write_text("step,x,y\n0,1,1\n" if option == "--labels" else "exact = true\n")
    os.truncate(path, 9 << 20)
    words = ["verify", str(KIT / "program.nrfb"), "--input", str(KIT / "input.npz")]
    assert main([*words, option, str(path)]) == INPUT
    assert "INPUT-TOO-LARGE" in refusal(capsys)


# --- files that cannot be read, and memory ------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        ["inspect", "{file}"],
        ["compile", "{file}", "--target", "loihi2", "-o", "{out}"],
        ["compile", "{file}", "--target", "{file}", "-o", "{out}"],
        ["run", "{bundle}", "--input", "{file}", "-o", "{out}"],
        ["verify", "{bundle}", "--input", "{input}", "--labels", "{file}"],
        ["verify", "{bundle}", "--input", "{input}", "--limits", "{file}"],
        ["verify", "{bundle}", "--input", "{input}", "--against", "{file}"],
        ["conformance", "{file}"],
    ],
)
@pytest.mark.parametrize("file", ["/proc/self/maps", "/proc/self/mem"])
def test_a_file_that_fails_while_it_is_read_is_refused(
    words: list[str], file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if not os.path.isfile(file):
        pytest.skip(f"this system has no {file}")
    names = {
        "file": file,
        "out": tmp_path / "out.npz",
        "bundle": KIT / "program.nrfb",
        "input": KIT / "input.npz",
    }
    assert main([word.format(**names) for word in words]) in (USAGE, INPUT)
    assert "error[" in refusal(capsys)
    assert not list(tmp_path.iterdir())


def test_more_memory_than_there_is_is_a_refusal(tmp_path: Path) -> None:
    """A .npy of frames is read as a whole: with little memory, that is the end of it."""
    np.save(tmp_path / "f.npy", np.zeros((1 << 10, 1 << 19), np.uint8))
    script = f"""
        import resource, sys
        from nrf_deploy.cli import main as cli
        from nrf_deploy.api import inspection as look
        limit = 800 << 20
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        sys.exit(cli.main(["inspect", {str(tmp_path / "f.npy")!r}]))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (INPUT, "")
    assert "TOO-LARGE" in done.stderr
    assert "f.npy" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_verb_that_runs_out_of_memory_says_what_it_read(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(args: object) -> int:
        raise MemoryError

    monkeypatch.setattr("nrf_deploy.cli.run.run", run)
    bundle = str(KIT / "program.nrfb")
    assert main(["run", bundle, "--input", str(KIT / "input.npz"), "-o", "o.npz"]) == INPUT
    said = refusal(capsys)
    assert "error[TOO-LARGE]" in said
    assert "program.nrfb" in said
