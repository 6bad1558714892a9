"""Files of event cameras: each event as its decoded twin has it, and files that are wrong."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nrf_deploy.cli.main import main
from nrf_deploy.diagnostics.findings import InputError, MissingError, UsageError
from nrf_deploy.io import nir
from nrf_deploy.io.recordings import Events, decode, decoder, read, write
from nrf_deploy.ir.recording import Recording
from tests.builders.camera_files import WRITERS, Row, dat, es, evt2, evt3, evt3_by_the_book

INPUT = {"shape": (2, 4, 5), "bin": 1e-3}


def rows_of(path: Path) -> tuple[np.ndarray, list[str]]:
    events, findings = decode(path)
    assert isinstance(events, Events)
    table = np.stack([events.t, events.x, events.y, events.p], axis=1)
    return table, [f.code for f in findings]


def some(n: int = 200, seed: int = 0) -> list[Row]:
    draw = np.random.default_rng(seed)
    t = np.sort(draw.integers(0, 100_000, n))
    columns = (t, draw.integers(0, 5, n), draw.integers(0, 4, n), draw.integers(0, 2, n))
    return [tuple(row) for row in np.stack(columns, axis=1).tolist()]


def refusal(path: Path, kind: type = InputError, **options: object) -> str:
    with pytest.raises(kind) as caught:
        read(path, **(INPUT | options))
    return str(caught.value)


# --- real recordings -------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "twin", "count"),
    [
        ("faery_evt2.raw", "faery_evt2.npz", 521_252),
        ("tonic_sample.aedat4", "tonic_sample.npz", 111_954),
        ("tonic_sample_ncars.dat", "tonic_sample_ncars.npz", 2009),
        ("tonic_sample_nmnist.bin", "nmnist_sample.npz", 4325),
    ],
)
def test_every_event_is_that_of_the_decoded_twin(shared, file, twin, count):
    found, said = rows_of(shared / "recordings" / file)
    with np.load(shared / "recordings" / twin) as arrays:
        wanted = np.stack([arrays[name].astype(np.int64) for name in "txyp"], axis=1)
    assert len(found) == count
    assert np.array_equal(found, wanted)
    assert said == []


def test_evt3_is_read_as_its_documentation_says(shared):
    path = shared / "recordings" / "expelliarmus_evt3_sample.raw"
    found, said = rows_of(path)
    assert np.array_equal(found, np.array(list(evt3_by_the_book(path, hold=True))))
    late = found[:, 0] - np.array(list(evt3_by_the_book(path, hold=False)))[:, 0]
    assert (np.count_nonzero(late), late.min(), late.max()) == (1455, 0, 11)
    assert said == ["RECORDING-CLOCK-HELD"]  # nine times, for those 1455 events
    assert len(found) == 219_596
    assert found[-1, 0] - found[0, 0] == 8811  # not the 53.9 ms of a decoder that leaps


def test_packets_give_the_recording_that_the_whole_table_gives(shared):
    """Streaming from the camera's file against binning its twin at once."""
    folder = shared / "recordings"
    options = {"shape": (2, 480, 640), "bin": 1e-3}
    one, _ = read(folder / "faery_evt2.raw", **options)
    other, _ = read(folder / "faery_evt2.npz", **options)
    assert one.same(other)
    assert one.value.sum() == 521_252


# --- written here ----------------------------------------------------------


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 2**31), st.integers(0, 60))
def test_what_a_camera_would_write_is_read_back(tmp_path_factory, seed, count):
    folder = tmp_path_factory.mktemp("camera")
    rows = some(count, seed)
    for name, writer in WRITERS.items():
        (folder / name).write_bytes(writer(rows))
        found, said = rows_of(folder / name)
        assert found.tolist() == [list(row) for row in rows], name
        assert said == []


@pytest.mark.parametrize(("name", "period"), [("e2.raw", 34), ("e3.raw", 24), ("e.dat", 32)])
def test_a_clock_that_wraps_goes_on(tmp_path, name, period, capsys):
    first = (1 << period) - 50_000
    rows = [(first + 20_000 * k, 1, 2, k % 2) for k in range(6)]
    (tmp_path / name).write_bytes(WRITERS[name](rows))
    found, said = rows_of(tmp_path / name)
    assert found.tolist() == [list(row) for row in rows]
    assert said == []
    assert main(["inspect", str(tmp_path / name)]) == 0
    assert "wraps of the clock                1" in capsys.readouterr().out


def test_a_clock_of_evt3_that_goes_back_is_told(tmp_path):
    rows = [(9000, 1, 1, 0), (4000, 1, 1, 0), (9500, 1, 1, 1), (9400, 1, 1, 0)]
    (tmp_path / "e.raw").write_bytes(evt3(rows))
    recording, findings = read(tmp_path / "e.raw", **INPUT)
    _, back, held = findings
    assert (back.code, held.code) == ("RECORDING-CLOCK-BACK", "RECORDING-CLOCK-HELD")
    assert "goes back 1 times by 4096 us or more" in back.what
    assert "goes back 1 times, by up to 100 us" in held.what
    assert recording.value.sum() == 4


def test_a_clock_of_evt2_that_goes_back_is_refused(tmp_path):
    """The decoder would take it for a wrap, 4.8 hours long."""
    (tmp_path / "e.raw").write_bytes(evt2([(9000, 1, 1, 0), (6000, 1, 1, 0)]))
    assert "goes back 1 times" in refusal(tmp_path / "e.raw")


def test_a_late_row_of_evt2_is_told(tmp_path):
    (tmp_path / "e.raw").write_bytes(evt2([(64, 1, 1, 0), (90, 1, 1, 0), (70, 1, 1, 1)]))
    found, said = rows_of(tmp_path / "e.raw")
    assert found[:, 0].tolist() == [64, 90, 90]
    assert said == ["RECORDING-CLOCK-HELD"]


def test_times_of_a_dat_file_that_go_back_are_sorted_and_said(tmp_path):
    rows = [(9000, 1, 1, 0), (6000, 1, 1, 0), (9500, 1, 1, 1)]
    (tmp_path / "e.dat").write_bytes(dat(rows))
    recording, findings = read(tmp_path / "e.dat", **INPUT)
    assert [f.code for f in findings] == ["RECORDING-STEP", "RECORDING-UNSORTED"]
    assert recording.step.tolist() == [0, 3, 3]
    assert rows_of(tmp_path / "e.dat")[0][:, 0].tolist() == [6000, 9000, 9500]


def test_events_before_the_first_word_of_the_clock_are_left_out_and_said(tmp_path):
    whole = evt2(some())
    head = len(b"% evt 2.0\n")
    event = whole[head + 4 : head + 8]
    (tmp_path / "e.raw").write_bytes(whole[:head] + event * 3 + whole[head:])
    found, said = rows_of(tmp_path / "e.raw")
    assert said == ["RECORDING-CLOCK-UNKNOWN"]
    assert found.tolist() == [list(row) for row in some()]


def test_a_stated_sensor_is_shown_and_held_to(tmp_path, capsys):
    header = "% evt 2.0\n% geometry 5x4\n% end\n"
    (tmp_path / "e.raw").write_bytes(evt2(some(), header))
    assert main(["inspect", str(tmp_path / "e.raw")]) == 0
    shown = capsys.readouterr().out
    assert "5 x 4" in shown
    assert "EVT2" in shown
    assert "events a second" in shown
    assert "wraps of the clock                0" in shown
    (tmp_path / "e.raw").write_bytes(evt2([(1, 5, 0, 0)], header))
    assert "width=5" in refusal(tmp_path / "e.raw")
    (tmp_path / "e.dat").write_bytes(dat([(1, 5, 0, 0)], "% Version 2\n% Height 4\n% Width 5\n"))
    assert "x = 5; its sensor is 5 x 4" in refusal(tmp_path / "e.dat")


def test_bits_of_a_vector_beyond_the_sensor_are_not_dropped_in_silence(tmp_path):
    words = np.array([8 << 12 | 1, 6 << 12, 0, 3 << 12, 5 << 12 | 0b100001], "<u2").tobytes()
    (tmp_path / "e.raw").write_bytes(b"% evt 3.0\n% geometry 5x4\n% end\n" + words)
    text = refusal(tmp_path / "e.raw")
    assert "holds 2 events, and 1 could be decoded" in text


def test_a_clock_that_the_decoder_would_lose_is_refused(tmp_path):
    """The upper bits fall by more than half, not by all: words of the clock were lost."""
    before, after = evt3([(4090 << 12, 1, 1, 0)]), evt3([(5 << 12, 1, 1, 0)], "")
    (tmp_path / "e.raw").write_bytes(before + after)
    assert "has a clock that the decoder does not follow" in refusal(tmp_path / "e.raw")


# --- files that are wrong --------------------------------------------------

GEOMETRY = "% geometry 5x4\n"


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("e.raw", evt2(some())[:-1], "a word takes 4 bytes, and 3 are left over"),
        ("e.raw", evt3(some())[:-1], "a word takes 2 bytes, and 1 are left over"),
        ("e.dat", dat(some())[:-3], "an event takes 8 bytes, and 5 are left over"),
        ("e.es", es(some())[:-2], "cut short"),
        ("e.raw", b"% evt 2.0\n" + bytes([0, 0, 0, 0x30] * 9), "9 of type 3"),
        ("e.raw", b"% evt 3.0\n" + b"\x00\x80" + bytes([0, 0x10] * 9), "9 of type 1"),
        ("e.raw", b"% camera x\n" + bytes(8), "names no version of EVT"),
        ("e.raw", b"% evt 2.0", "cut short in its header"),
        ("e.raw", b"% evt 2.0\n% geometry 0x4\n" + bytes(4), "states a sensor of"),
        ("e.raw", b"% evt 2.0\n% geometry 99999999999x4\n" + evt2(some(), ""), "sensor of"),
        ("e.dat", b"% Version 2\n\x00", "cut short after its header"),
        ("e.dat", b"% Version 3\n\x00\x08", "in version 3"),
        ("e.dat", b"% Date x\n\x00\x08", "in version none"),
        ("e.dat", dat(some(), kind=14), "events of type 14"),
        ("e.es", b"Event Stream", "cut short in its header"),
        ("e.es", es([(1, 5, 0, 0)]), "x overflow"),
        ("e.aedat4", b"#!AER-DAT3.1\r\n", "cut short in its header"),
        ("e.aedat4", b"#!AER-DAT4.0\r\n", "could not be decoded to its end"),
        ("e.aedat4", b"#!AER-DAT4.0\r\n\xff\xff\xff\xff" + bytes(64), "could not be decoded"),
        ("e.aedat4", b"#!AER-DAT4.0\r\n\x40\x00\x00\x00" + b"\x7f" * 64, "could not be decoded"),
    ],
)  # fmt: skip
def test_a_broken_file_is_refused_with_its_reason(tmp_path, capsys, name, content, reason):
    (tmp_path / name).write_bytes(content)
    text = refusal(tmp_path / name)
    assert "RECORDING-DAMAGED" in text
    assert reason in text
    assert main(["inspect", str(tmp_path / name)]) == 3
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("name", ["e.raw", "e.dat", "e.es", "e.aedat4"])
@pytest.mark.parametrize("content", [b"", bytes(range(200, 256)) * 9])
def test_garbage_under_a_camera_s_suffix_is_refused(tmp_path, capsys, name, content):
    (tmp_path / name).write_bytes(content)
    assert "RECORDING-UNKNOWN" in refusal(tmp_path / name)
    assert main(["inspect", str(tmp_path / name)]) == 3
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("name", sorted(WRITERS))
def test_a_header_alone_holds_no_event(tmp_path, name):
    (tmp_path / name).write_bytes(WRITERS[name]([]))
    recording, findings = read(tmp_path / name, **INPUT)
    assert [f.code for f in findings] == ["RECORDING-EMPTY"]
    assert recording.steps == 0
    assert main(["inspect", str(tmp_path / name)]) == 0


def test_a_damaged_aedat4_is_refused_and_takes_nothing_with_it(shared, tmp_path, capfd):
    """The decoder panics on some of these; our process continues, and prints nothing of it."""
    content = (shared / "recordings" / "tonic_sample.aedat4").read_bytes()
    for place, value in [(18, 250), (22, 251), (30, 200), (2334, 99), (2340, 255)]:
        damaged = bytearray(content[:100_000])
        damaged[place] = value
        (tmp_path / "e.aedat4").write_bytes(damaged)
        assert "RECORDING-DAMAGED" in refusal(tmp_path / "e.aedat4", shape=(2, 240, 320))
    assert capfd.readouterr() == ("", "")


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_a_changed_file_is_refused_or_reads(tmp_path_factory, data):
    """Whatever a byte of an EVT2 or DAT file becomes: sound columns or a refusal."""
    name = data.draw(st.sampled_from(["e2.raw", "e.dat"]))
    path = tmp_path_factory.mktemp("camera") / name
    content = bytearray(WRITERS[name](some(20)))
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    try:
        events, _ = decode(path)
    except (InputError, UsageError):
        return
    assert isinstance(events, Events)
    assert np.all(np.diff(events.t) >= 0)
    assert len({len(events.t), len(events.x), len(events.y), len(events.p)}) == 1


def test_without_the_decoder_it_says_how_to_get_it(tmp_path, monkeypatch):
    (tmp_path / "e.raw").write_bytes(evt2(some()))
    (tmp_path / "e.dat").write_bytes(dat(some()))
    monkeypatch.setattr(decoder.importlib.util, "find_spec", lambda name: None)
    text = refusal(tmp_path / "e.raw", MissingError)
    assert "RECORDING-DECODER-MISSING" in text
    assert "nrf-deploy[recordings]" in text
    assert read(tmp_path / "e.dat", **INPUT)[0].value.sum() == 200


# --- files larger than memory ----------------------------------------------

READING = """
import resource, sys
from nrf_deploy.io.recordings import read
held = int(next(l for l in open("/proc/self/status") if l.startswith("VmSize")).split()[1]) * 1024
resource.setrlimit(resource.RLIMIT_AS, (held + (96 << 20), resource.RLIM_INFINITY))
try:
    bytearray(128 << 20)
except MemoryError:
    recording, _ = read(sys.argv[1], shape=(2, 4, 5), bin=1e-3)
    print(recording.value.sum(), recording.steps)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is bounded by Linux's RLIMIT_AS")
@pytest.mark.parametrize("name", ["e.dat", "e2.raw"])
def test_a_file_larger_than_memory_is_read(tmp_path, name):
    """4 million events would be 128 MB of columns; 96 MB are there."""
    draw, n, each = np.random.default_rng(0), 4_000_000, 2560
    t = np.arange(n) // 40
    x, y, p = (draw.integers(0, most, n) for most in (5, 4, 2))
    if name == "e.dat":
        words = np.stack([t, p << 28 | y << 14 | x], axis=1).astype("<u4")[: n - n % each]
    else:
        events = (p << 28 | (t & 63) << 22 | x << 11 | y)[: n - n % each].reshape(-1, each)
        words = np.insert(events, 0, 8 << 28 | np.arange(len(events)), axis=1).astype("<u4")
    (tmp_path / name).write_bytes(WRITERS[name]([]) + words.tobytes())
    done = subprocess.run(
        [sys.executable, "-c", READING, str(tmp_path / name)],
        capture_output=True, text=True, timeout=120, env={"OPENBLAS_NUM_THREADS": "1"},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == ["3998720", "100"]


# --- NIR data --------------------------------------------------------------


def test_nir_data_is_a_recording(tmp_path, capsys):
    frames = np.random.default_rng(0).integers(0, 3, (30, 2, 4, 5))
    recording = Recording.from_dense(frames, 1e-3)
    nir.write_data({"lif": recording}, tmp_path / "r.nir")
    back, said = read(tmp_path / "r.nir", shape=(2, 4, 5))
    assert back.same(recording)
    assert back.dt == 1e-3
    assert said == []
    assert main(["inspect", str(tmp_path / "r.nir")]) == 0
    assert "2x4x5" in capsys.readouterr().out


def test_nir_data_of_several_nodes_is_not_guessed_from(tmp_path):
    recording = Recording.from_dense(np.eye(3, dtype=np.int64), 1e-3)
    nir.write_data({"a": recording, "b": recording}, tmp_path / "r.nir")
    with pytest.raises(UsageError) as refused:
        read(tmp_path / "r.nir", shape=(3,))
    assert "holds 2 recordings (a/spikes, b/spikes)" in refused.value.findings[0].what


def test_neurons_without_a_shape_take_the_model_s(tmp_path):
    recording = Recording.from_dense(np.ones((3, 40), np.int64), 1e-3)
    nir.write_data({"a": recording}, tmp_path / "r.nir")
    assert read(tmp_path / "r.nir", shape=(2, 4, 5))[0].shape == (2, 4, 5)


def test_a_recording_is_written_as_nir_data(tmp_path):
    frames = np.random.default_rng(0).integers(0, 3, (30, 2, 4, 5))
    write(Recording.from_dense(frames, 1e-3), tmp_path / "r.nir")
    back, _ = read(tmp_path / "r.nir")
    assert back.same(Recording.from_dense(frames))
    with pytest.raises(UsageError, match="NIR-DT-MISSING"):
        write(Recording.from_dense(frames), tmp_path / "other.nir")


def test_what_a_run_gives_goes_into_nir_data(bundle, events, tmp_path):
    out = tmp_path / "spikes.nir"
    assert main(["run", str(bundle), "--input", str(events), "-o", str(out)]) == 0
    assert main(["run", str(bundle), "--input", str(events), "-o", str(tmp_path / "s.npz")]) == 0
    assert read(out)[0].same(read(tmp_path / "s.npz")[0])
