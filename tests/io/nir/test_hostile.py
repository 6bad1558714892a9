"""HDF5 files whose lengths, addresses and counts promise more than the file holds.

Each of these took gigabytes, never ended or raised something else than a refusal.
"""

from __future__ import annotations

import contextlib
import io
import random
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from nrf_deploy.cli.main import main
from nrf_deploy.diagnostics.findings import InputError
from nrf_deploy.io.file_types import kind_of
from nrf_deploy.io.nir import read, read_data, write_data
from nrf_deploy.io.nir.attributes import numbers, text
from nrf_deploy.ir.network import Network
from nrf_deploy.ir.recording import MAX_STEPS, Recording
from tests.builders.cli_calls import INPUT, refusal
from tests.builders.nir_files import chain, codes, lif, linear, port, save

HEAP = b"GCOL\x01\0\0\0"
TYPE = "NIRGraphData"


def data_file(path: Path, **attributes: object) -> bytearray:
    """Write a NIRGraphData without nodes, for tests to damage."""
    with h5py.File(path, "w", libver="earliest") as file:
        file.attrs["__type__"] = TYPE
        file.attrs.update(attributes)
        file.create_group("nodes")
    return bytearray(path.read_bytes())


def observed(path: Path, **given: object) -> Path:
    """Write NIR data of one node, with `given` in place of its values."""
    recording = Recording.from_dense(np.eye(3, dtype=np.int64), 0.1)
    write_data({"n": recording}, path)
    with h5py.File(path, "a") as file:
        group = file["nodes/n/observables/spikes"]
        for key, value in given.items():
            if key in group:
                del group[key]
                group[key] = value
            else:
                group.attrs[key] = value
    return path


# --- texts: the heaps, and the pointers into them ------------------------------------


def endless(path: Path) -> None:
    """Set the free space of a heap to the size 0: libhdf5 walks it without end."""
    data = data_file(path)
    first = data.find(HEAP) + 16
    struct.pack_into("<Q", data, first + 16 + 16 + 8, 0)
    path.write_bytes(data)


def long_text(path: Path, length: int = 0xFFFFFFFF) -> None:
    """Set the length of a text of 12 bytes too large: libhdf5 allocates that."""
    data = data_file(path)
    at = data.find(struct.pack("<IQI", len(TYPE), data.find(HEAP), 1))
    assert at > 0
    struct.pack_into("<I", data, at, length)
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (endless, ["inspect", "{file}"]),
        (endless, ["compile", "{file}", "--target", "loihi2", "-o", "{out}"]),
        (endless, ["check", "{file}", "--target", "speck2b"]),
        (endless, ["run", "{bundle}", "--input", "{file}", "-o", "{out}.npz"]),
        (endless, ["verify", "{bundle}", "--input", "{file}"]),
        (long_text, ["inspect", "{file}"]),
        (long_text, ["run", "{bundle}", "--input", "{file}", "-o", "{out}.npz"]),
        (long_text, ["verify", "{bundle}", "--input", "{file}"]),
    ],
)
def test_every_verb_refuses_what_libhdf5_would_follow(
    spoil: Callable[[Path], None],
    words: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path, out = tmp_path / "a.nir", tmp_path / "out"
    spoil(path)
    bundle = Path(__file__).parents[3] / "targets/nrf_loihi/kit/loihi.sparse/program.nrfb"
    names = {"file": path, "out": out, "bundle": bundle}
    assert main([word.format(**names) for word in words]) == INPUT
    assert "NIR-DAMAGED" in refusal(capsys)
    assert not list(tmp_path.glob("out*"))


@pytest.mark.parametrize("length", [13, 1 << 20, 1 << 30, 0xFFFFFFFF])
def test_a_text_is_no_longer_than_its_place_in_the_heap(length: int, tmp_path: Path) -> None:
    long_text(tmp_path / "a.nir", length)
    with pytest.raises(InputError, match="NIR-DAMAGED"):
        read_data(tmp_path / "a.nir")


def test_heaps_that_overlap_are_not_walked_again_and_again(tmp_path: Path) -> None:
    """20,000 heads of heaps, each with all that follow as its objects: 2 * 10^8 steps."""
    data = data_file(tmp_path / "a.nir")
    count, at = 20_000, -(-len(data) // 8) * 8
    data += bytes(at - len(data))
    for k in range(count):
        data += HEAP + struct.pack("<Q", 32 * (count - k) + 16)
        data += struct.pack("<HHIQ", 1 + k, 0, 0, 16)
    data += bytes(16)
    (tmp_path / "a.nir").write_bytes(data)
    with pytest.raises(InputError, match="more texts than there is room for"):
        kind_of(tmp_path / "a.nir")


# --- attributes ----------------------------------------------------------------------


@pytest.mark.parametrize("version", ["earliest", "v108", "latest"])
@pytest.mark.parametrize("order", [False, True])
def test_attributes_are_found_in_every_kind_of_header(version: str, order: bool) -> None:
    stream = io.BytesIO()
    with h5py.File(stream, "w", libver=version) as file:
        group = file.create_group("g", track_order=order)
        for k in range(3):
            group.attrs[f"text{k}"] = f"é{k}"
        group.attrs["fixed"] = np.bytes_("abc")
        group.attrs["list"] = [2, 3]
        group.attrs["half"] = 0.5
    data = stream.getvalue()
    with h5py.File(io.BytesIO(data), "r") as file:
        group = file["g"]
        assert [text(group, f"text{k}", data) for k in range(3)] == ["é0", "é1", "é2"]
        assert text(group, "fixed", data) == "abc"
        assert (numbers(group, "list", 2), numbers(group, "half")) == ([2, 3], [0.5])
        assert numbers(group, "list") == numbers(group, "text0") == numbers(group, "absent") == []
        assert text(group, "list", data) is text(group, "absent", data) is None


@pytest.mark.parametrize(
    "value", [1, np.arange(5), np.zeros((30, 30)), h5py.Empty("f4"), ["a", "b"], b"\xff"]
)
def test_a_type_that_is_no_text_is_refused(value: object, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.nir", "w") as file:
        file.attrs["__type__"] = value
        file.create_group("nodes")
    assert kind_of(tmp_path / "a.nir") == "recording"
    with pytest.raises(InputError, match=r"NIR-NOT-DATA|NIR-DAMAGED"):
        read_data(tmp_path / "a.nir")


@pytest.mark.parametrize("key", ["dt", "n_neurons", "t_max"])
@pytest.mark.parametrize("value", ["0.1", [0.1, 0.1], np.zeros(1 << 12), h5py.Empty("f8"), True])
def test_what_is_no_number_is_refused(key: str, value: object, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"NIR-DT-MISSING|NIR-DATA-RANGE"):
        read_data(observed(tmp_path / "a.nir", **{key: value}))


# --- counts ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "given",
    [
        {"t_max": 2.6e5, "dt": 1e-3},
        {"t_max": 1e300},
        {"dt": 5e-324},
        {"n_neurons": np.uint64(1 << 63)},
        {"n_neurons": 1 << 31},
        {"n_neurons": 1e300},
    ],
)
def test_steps_and_neurons_are_bounded_before_arrays_are_made(
    given: dict[str, object], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="NIR-DATA-RANGE"):
        read_data(observed(tmp_path / "a.nir", **given))


@pytest.mark.parametrize("shape", [(1, MAX_STEPS + 1, 1), (1, 1 << 40, 0), (1, 0, 1 << 40)])
def test_the_steps_of_a_grid_are_bounded(shape: tuple[int, ...], tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.nir", "w") as file:
        file.attrs["__type__"] = TYPE
        group = file.create_group("nodes/n/observables/v")
        group.attrs.update({"__type__": "TimeGriddedData", "dt": 0.1})
        if np.prod(shape):
            group.create_dataset("data", data=np.zeros(shape, np.uint8), compression="gzip")
        else:
            group.create_dataset("data", shape, "u1")
    with pytest.raises(InputError, match="NIR-DATA-RANGE"):
        read_data(tmp_path / "a.nir")


def test_many_recordings_count_together(tmp_path: Path) -> None:
    path = observed(tmp_path / "a.nir", t_max=0.9e6)
    with h5py.File(path, "a") as file:
        for k in range(5):
            file.copy("nodes/n", f"nodes/m{k}")
    with pytest.raises(InputError, match="NIR-TOO-LARGE"):
        read_data(path)


def test_packed_data_stand_in_proportion_to_the_file(tmp_path: Path) -> None:
    """24 datasets of 64 MB of zeros, below the limit of all data: 1.8 GB from 1.6 MB."""
    path = save(tmp_path / "a.nir", chain(port("Input", 3), linear(2, 3), port("Output", 2)))
    size = 1 << 24
    packed = zlib.compress(bytes(4 * size), 1)
    with h5py.File(path, "a") as file:
        for k in range(12):
            data = file.create_dataset(
                f"node/x{k}", (size,), "f4", chunks=(size,), compression="gzip"
            )
            data.id.write_direct_chunk((0,), packed)
    assert path.stat().st_size < 5e6
    assert codes(path) == ["NIR-TOO-LARGE"]


def test_text_costs_more_than_its_bytes(tmp_path: Path) -> None:
    path = save(tmp_path / "a.nir", chain(port("Input", 3), linear(2, 3), port("Output", 2)))
    with h5py.File(path, "a") as file:
        file.create_dataset("node/x", data=np.full(1 << 21, b"a", "S1"), compression="gzip")
    assert codes(path) == ["NIR-TOO-LARGE"]


def test_the_elements_of_all_layers_are_bounded(tmp_path: Path) -> None:
    """One number stands for all neurons, so that a few bytes could ask for gigabytes."""
    shape = (2, 1 << 12, 1 << 12)
    nodes = (port("Input", *shape), lif(()), port("Output", *shape))
    assert "NIR-TOO-LARGE" in codes(save(tmp_path / "a.nir", chain(*nodes)))


def test_a_network_of_common_size_is_read(tmp_path: Path) -> None:
    shape = (2, 128, 128)
    nodes = (port("Input", *shape), lif(()), port("Output", *shape))
    assert isinstance(read(save(tmp_path / "a.nir", chain(*nodes)))[0], Network)


# --- addresses -------------------------------------------------------------------


def test_addresses_beyond_63_bits_are_damage(tmp_path: Path) -> None:
    """h5py answers some of them with an OverflowError: 4 of the first 532 tries."""
    path = save(tmp_path / "a.nir", chain(port("Input", 1), lif(1), port("Output", 1)))
    sound, chance = path.read_bytes(), random.Random(1)
    places = np.flatnonzero(np.frombuffer(sound, np.uint8)).tolist()
    for _ in range(600):
        data = bytearray(sound)
        for _ in range(chance.choice([1, 1, 2])):
            at = chance.choice(places) + chance.randrange(-7, 8)
            data[min(max(at, 0), len(data) - 1)] = chance.choice([0x80, 0xFF, 0x7F])
        with contextlib.suppress(InputError):
            assert isinstance(read(io.BytesIO(bytes(data)))[0], Network)
