"""Recordings of others: structured arrays, (N, 4) arrays, AEDAT 2.0 and 3.1, HDF5, NIR data."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from nrf_deploy.diagnostics.findings import InputError, NrfError, UsageError
from nrf_deploy.io import file_types
from nrf_deploy.io.nir.data import write_data
from nrf_deploy.io.recordings import decode, opened, read, summary
from nrf_deploy.ir.recording import Recording

N = 500
SHAPE = (2, 30, 40)


def events(seed: int = 1) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {
        "t": np.sort(rng.integers(50_000, 100_000, N)),
        "x": rng.integers(0, 40, N),
        "y": rng.integers(0, 30, N),
        "p": rng.integers(0, 2, N),
    }


def counted(path: Path, **options: Any) -> Any:
    """Return the dense steps of a file."""
    recording, _ = read(path, shape=SHAPE, bin=1e-3, **options)
    return recording.dense()


def by_hand(columns: dict[str, Any]) -> Any:
    t = columns["t"] - columns["t"].min()
    frames = np.zeros((int(t.max()) // 1000 + 1, *SHAPE), np.int64)
    np.add.at(frames, (t // 1000, columns["p"], columns["y"], columns["x"]), 1)
    return frames


def refused(path: Path, **options: Any) -> str:
    with pytest.raises(NrfError) as refusal:
        read(path, shape=SHAPE, bin=1e-3, **options)
    (finding,) = refusal.value.findings
    return finding.code


# --- numpy ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "names",
    [("t", "x", "y", "p"), ("x", "y", "t", "p"), ("timestamp", "x", "y", "polarity"),
     ("t", "x", "y", "on"), ("ts", "x", "y", "p")],
)  # fmt: skip
def test_a_structured_array_is_read_by_its_names(names: tuple[str, ...], tmp_path: Path) -> None:
    ours = {"timestamp": "t", "ts": "t", "polarity": "p", "on": "p"}
    types = {"t": "<i8", "x": "<u2", "y": "<u2", "p": "?"}
    columns = events()
    array = np.zeros(N, [(n, types[ours.get(n, n)]) for n in names])
    for name in names:
        array[name] = columns[ours.get(name, name)]
    np.save(tmp_path / "e.npy", array)
    assert np.array_equal(counted(tmp_path / "e.npy"), by_hand(columns))
    assert file_types.kind_of(tmp_path / "e.npy") == "recording"


def test_a_structured_array_of_other_fields_is_refused_by_name(tmp_path: Path) -> None:
    np.save(tmp_path / "e.npy", np.zeros(5, [("t", "i8"), ("x", "i2"), ("y", "i2"), ("z", "i2")]))
    assert refused(tmp_path / "e.npy") == "RECORDING-COLUMNS"
    np.save(tmp_path / "n.npy", np.zeros(5, [("t", "i8"), ("x", [("a", "i2")])]))
    assert refused(tmp_path / "n.npy") == "RECORDING-DAMAGED"
    np.save(tmp_path / "e.npy", np.zeros(5, [(n, "i8") for n in "txyp"]))
    assert refused(tmp_path / "e.npy", layout="x,y,t,p") == "OPTION-UNUSED"


@pytest.mark.parametrize("layout", ["x,y,t,p", "t,x,y,p", "p,t,y,x"])
def test_a_table_of_four_columns_needs_its_layout(layout: str, tmp_path: Path) -> None:
    columns = events()
    np.save(tmp_path / "e.npy", np.stack([columns[n] for n in layout.split(",")], axis=1))
    assert refused(tmp_path / "e.npy") == "RECORDING-AMBIGUOUS"
    assert np.array_equal(counted(tmp_path / "e.npy", layout=layout), by_hand(columns))
    frames, _ = read(tmp_path / "e.npy", shape=(4,), layout="frames")
    assert frames.steps == N


def test_steps_of_four_values_are_read_as_before(tmp_path: Path) -> None:
    values = np.random.default_rng(2).integers(0, 9, (50, 4))
    np.save(tmp_path / "f.npy", values)
    assert np.array_equal(read(tmp_path / "f.npy", shape=(4,))[0].dense(), values)
    assert refused(tmp_path / "f.npy", layout="a,b,c,d") == "RECORDING-LAYOUT"
    assert refused(tmp_path / "f.npy", layout="dvs128") == "OPTION-UNUSED"
    assert refused(tmp_path / "f.npy", part="a") == "OPTION-UNUSED"


# --- AEDAT --------------------------------------------------------------------------


HEAD2 = b"#!AER-DAT2.0\r\n# This is a raw AE data file\r\n# Timestamps tick is 1 us\r\n"


def aedat2(columns: dict[str, Any], chip: str, head: bytes = HEAD2) -> bytes:
    x, y, p = (columns[n].astype(np.int64) for n in "xyp")
    if chip == "dvs128":
        address = (127 - x) << 1 | y << 8 | (1 - p)
    else:
        width = {"davis240": 240, "davis346": 346}[chip]
        address = (width - 1 - x) << 12 | y << 22 | p << 11
    words = np.stack([address, columns["t"] & 0xFFFFFFFF], axis=1).astype(">u4")
    return head + words.tobytes()


@pytest.mark.parametrize("chip", ["dvs128", "davis240", "davis346"])
def test_aedat_2_is_read_in_the_layout_of_its_chip(chip: str, tmp_path: Path) -> None:
    columns = events()
    (tmp_path / "e.aedat").write_bytes(aedat2(columns, chip))
    assert refused(tmp_path / "e.aedat") == "RECORDING-LAYOUT-MISSING"
    assert refused(tmp_path / "e.aedat", layout="x,y,t,p") == "RECORDING-LAYOUT"
    assert np.array_equal(counted(tmp_path / "e.aedat", layout=chip), by_hand(columns))
    said = HEAD2 + f"# AEChip: eu.seebetter.ini.chips.{chip.upper()}B\r\n".encode()
    (tmp_path / "s.aedat").write_bytes(aedat2(columns, chip, said))
    assert np.array_equal(counted(tmp_path / "s.aedat"), by_hand(columns))


def test_aedat_2_of_another_chip_is_refused_and_other_events_are_counted(tmp_path: Path) -> None:
    columns = events()
    (tmp_path / "e.aedat").write_bytes(aedat2(columns, "davis346"))
    assert refused(tmp_path / "e.aedat", layout="davis240") == "RECORDING-DAMAGED"
    (tmp_path / "t.aedat").write_bytes(aedat2(columns, "dvs128")[:-3])
    assert refused(tmp_path / "t.aedat", layout="dvs128") == "RECORDING-DAMAGED"
    frame = struct.pack(">II", 1 << 31, 60_000)
    (tmp_path / "f.aedat").write_bytes(aedat2(columns, "davis346") + 3 * frame)
    recording, findings = read(tmp_path / "f.aedat", shape=SHAPE, bin=1e-3, layout="davis346")
    assert int(recording.value.sum()) == N
    assert ["3 special" in f.what for f in findings if f.code == "RECORDING-OTHER-EVENTS"] == [True]


def test_the_clock_of_aedat_2_wraps(tmp_path: Path) -> None:
    columns = events()
    columns["t"] = columns["t"] + (1 << 32) - 75_000
    (tmp_path / "e.aedat").write_bytes(aedat2(columns, "dvs128"))
    assert np.array_equal(counted(tmp_path / "e.aedat", layout="dvs128"), by_hand(columns))


HEAD3 = b"#!AER-DAT3.1\r\n#Format: RAW\r\n#Source 1: DVS128\r\n#!END-HEADER\r\n"


def packet(kind: int, body: bytes, size: int, turns: int = 0) -> bytes:
    number = len(body) // size
    return struct.pack("<HHIIIIII", kind, 1, size, 4, turns, number, number, number) + body


def polarity(columns: dict[str, Any], part: slice, valid: int = 1) -> bytes:
    t, x, y, p = (columns[n][part].astype(np.int64) for n in "txyp")
    data = x << 17 | y << 2 | p << 1 | valid
    return np.stack([data, t & 0x7FFFFFFF], axis=1).astype("<u4").tobytes()


def test_aedat_3_is_read_packet_by_packet(tmp_path: Path) -> None:
    columns = events()
    a, b = slice(0, 200), slice(200, N)
    body = packet(1, polarity(columns, a), 8) + packet(0, bytes(16), 8)
    body += packet(1, polarity(columns, b), 8) + packet(1, polarity(columns, a, 0), 8)
    (tmp_path / "e.aedat").write_bytes(HEAD3 + body)
    recording, findings = read(tmp_path / "e.aedat", shape=SHAPE, bin=1e-3)
    assert np.array_equal(recording.dense(), by_hand(columns))
    (left,) = (f.what for f in findings if f.code == "RECORDING-OTHER-EVENTS")
    assert "200 invalid" in left
    assert "2 special" in left
    content, _ = opened(tmp_path / "e.aedat")
    assert not isinstance(content, Recording)
    assert summary.summarise(content.packets, summary.choice()).events == N


@pytest.mark.parametrize("cut", [1, 9, 30, 200])
def test_aedat_3_cut_short_is_damaged(cut: int, tmp_path: Path) -> None:
    whole = HEAD3 + packet(1, polarity(events(), slice(0, N)), 8)
    (tmp_path / "e.aedat").write_bytes(whole[:-cut])
    assert refused(tmp_path / "e.aedat") == "RECORDING-DAMAGED"
    huge = struct.pack("<HHIIIIII", 1, 1, 8, 4, 0, 1 << 31, 1 << 31, 1 << 31)
    (tmp_path / "h.aedat").write_bytes(HEAD3 + huge)
    assert refused(tmp_path / "h.aedat") == "RECORDING-DAMAGED"


def test_a_whole_file_of_another_version_is_not_called_damaged(tmp_path: Path) -> None:
    (tmp_path / "e.aedat").write_bytes(b"#!AER-DAT1.0\r\n" + bytes(60))
    assert refused(tmp_path / "e.aedat") == "RECORDING-UNKNOWN"
    (tmp_path / "e.es").write_bytes(b"Event Stream\x02\x00\x00\x04" + bytes(60))
    assert refused(tmp_path / "e.es") == "RECORDING-UNKNOWN"
    (tmp_path / "e.raw").write_bytes(b"% evt 2.1\n% end\n" + bytes(64))
    assert refused(tmp_path / "e.raw") == "RECORDING-UNKNOWN"


# --- HDF5 -----------------------------------------------------------------------------


def test_dsec_and_prophesee(tmp_path: Path) -> None:
    columns = events()
    with h5py.File(tmp_path / "dsec.h5", "w") as file:
        for name in "txyp":
            kind = {"t": "u4", "x": "u2", "y": "u2", "p": "u1"}[name]
            values = columns[name] - (50_000 if name == "t" else 0)
            file.create_dataset(f"events/{name}", data=values.astype(kind), compression="gzip")
        file["t_offset"] = np.int64(50_000)
        file["ms_to_idx"] = np.zeros(10, np.int64)
    assert np.array_equal(counted(tmp_path / "dsec.h5"), by_hand(columns))
    assert file_types.kind_of(tmp_path / "dsec.h5") == "recording"
    read_, _ = decode(tmp_path / "dsec.h5")
    assert not isinstance(read_, Recording)
    assert int(read_.t[0]) == int(columns["t"][0])
    table = np.zeros(N, [("x", "<u2"), ("y", "<u2"), ("p", "<i2"), ("t", "<i8")])
    for name in "txyp":
        table[name] = columns[name]
    with h5py.File(tmp_path / "p.hdf5", "w") as file:
        file.create_dataset("CD/events", data=table)
        file.create_dataset("EXT_TRIGGER/events", data=table[:2])
    assert np.array_equal(counted(tmp_path / "p.hdf5"), by_hand(columns))


def shd(path: Path, count: int) -> list[tuple[Any, Any]]:
    rng = np.random.default_rng(3)
    lists = []
    with h5py.File(path, "w") as file:
        times = file.create_dataset("spikes/times", (count,), h5py.vlen_dtype(np.float16))
        units = file.create_dataset("spikes/units", (count,), h5py.vlen_dtype(np.uint16))
        for i in range(count):
            t = np.sort(rng.random(40)).astype(np.float16)
            x = rng.integers(0, 700, 40).astype(np.uint16)
            times[i], units[i] = t, x
            lists.append((t, x))
        file["labels"] = np.arange(count)
    return lists


def test_shd_one_recording_by_its_number(tmp_path: Path) -> None:
    lists = shd(tmp_path / "shd.h5", 3)
    with pytest.raises(UsageError, match="holds 3 recordings") as refusal:
        read(tmp_path / "shd.h5", shape=(700,), bin=1e-3)
    assert refusal.value.findings[0].code == "RECORDING-PART"
    for part in ("@3", "a@1", "a"):
        with pytest.raises(UsageError):
            read(tmp_path / "shd.h5", shape=(700,), bin=1e-3, part=part)
    for i, (t, x) in enumerate(lists):
        ours, _ = read(tmp_path / "shd.h5", shape=(700,), bin=1e-3, part=f"@{i}", origin="zero")
        step = np.floor(t.astype(np.float64) * 1e6).astype(np.int64) // 1000
        wanted = np.zeros((int(step.max()) + 1, 700), np.int64)
        np.add.at(wanted, (step, x.astype(np.int64)), 1)
        assert np.array_equal(ours.dense(), wanted)
    with pytest.raises(InputError) as refusal:
        read(tmp_path / "shd.h5", shape=(300,), bin=1e-3, part="@0")  # type: ignore[assignment]
    assert refusal.value.findings[0].code == "RECORDING-OUTSIDE"


def test_hdf5_of_another_kind_says_what_it_holds(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "o.h5", "w") as file:
        file["weights/a"] = np.zeros(3)
    assert refused(tmp_path / "o.h5") == "RECORDING-UNKNOWN"


def test_hostile_hdf5_of_events(tmp_path: Path) -> None:
    def write(name: str, **columns: Any) -> Path:
        path = tmp_path / f"{name}.h5"
        with h5py.File(path, "w") as file:
            for key, value in columns.items():
                file[f"events/{key}"] = value
        return path

    ones = np.ones(4, np.int64)
    assert refused(write("short", t=ones, x=ones, y=ones, p=ones[:2])) == "RECORDING-DAMAGED"
    assert refused(write("text", t=ones, x=ones, y=ones, p=b"abcd")) == "RECORDING-DAMAGED"
    assert refused(write("low", t=ones, x=-ones, y=ones, p=ones)) == "RECORDING-DAMAGED"
    assert refused(write("late", t=ones << 60, x=ones, y=ones, p=ones)) == "RECORDING-DAMAGED"
    assert refused(
        write("far", t=ones, x=h5py.ExternalLink("low.h5", "events/t"), y=ones, p=ones)
    ) == ("RECORDING-UNKNOWN")
    whole = write("cut", t=ones, x=ones, y=ones, p=ones).read_bytes()
    (tmp_path / "cut.h5").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(NrfError):
        read(tmp_path / "cut.h5", shape=SHAPE, bin=1e-3)


# --- NIR data ---------------------------------------------------------------------------


def test_one_recording_of_nir_data_by_name(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    made = {n: Recording.from_dense(rng.integers(0, 2, (20, 6)), 1e-3) for n in ("in", "out")}
    write_data(made, tmp_path / "d.nir")
    with pytest.raises(UsageError, match="holds 2 recordings") as refusal:
        read(tmp_path / "d.nir", shape=(6,))
    assert "--part" in refusal.value.findings[0].fix
    for name in made:
        for part in (name, f"{name}/spikes", f"{name}@0"):
            ours, _ = read(tmp_path / "d.nir", shape=(6,), part=part)
            assert np.array_equal(ours.dense(), made[name].dense())
    for part in ("other", "in/values", "in@1"):
        with pytest.raises(NrfError):
            read(tmp_path / "d.nir", shape=(6,), part=part)


def test_a_sample_of_nir_data_by_number(tmp_path: Path) -> None:
    frames = np.random.default_rng(5).integers(0, 2, (3, 20, 6))
    write_data({"in": Recording.from_dense(frames[0], 1e-3)}, tmp_path / "d.nir")
    with h5py.File(tmp_path / "d.nir", "a") as file:
        group = file["nodes/in/observables/spikes"]
        for key in list(group):
            del group[key]
        group.attrs["__type__"] = "TimeGriddedData"
        group["data"] = frames
    with pytest.raises(InputError, match="there are 3 samples"):
        read(tmp_path / "d.nir", shape=(6,))
    for i in range(3):
        ours, _ = read(tmp_path / "d.nir", shape=(6,), part=f"@{i}")
        assert np.array_equal(ours.dense(), frames[i])
