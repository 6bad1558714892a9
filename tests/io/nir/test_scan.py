"""A hostile or damaged file is refused before its data is read."""

from __future__ import annotations

import contextlib
import os
import tracemalloc
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nrf_deploy.diagnostics.findings import InputError, UsageError
from nrf_deploy.io.nir import Limits, read, scan
from nrf_deploy.ir.network import Network
from tests.builders.nir_files import chain, codes, lif, linear, port, save


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    """Write a model that reads, for tests to damage."""
    nodes = (port("Input", 3), linear(2, 3), lif(2), port("Output", 2))
    return save(tmp_path / "sound.nir", chain(*nodes))


def scanned(path: Path) -> list[str]:
    return [f.code for f in scan(path)]


def test_a_sound_file_passes(sound: Path) -> None:
    assert scan(sound) == []
    assert len(read(sound)[0].nodes) == 4


def test_a_file_that_is_not_there_is_a_mistake_of_the_call(tmp_path: Path) -> None:
    for path in (tmp_path / "no.nir", tmp_path):
        with pytest.raises(UsageError) as e:
            read(path)
        assert (e.value.findings[0].code, e.value.exit_code) == ("INPUT-UNREADABLE", 2)


def test_a_file_without_content_or_of_text_is_no_hdf5(tmp_path: Path) -> None:
    path = tmp_path / "text.nir"
    for content in (b"", b"weights: 1 2 3\n" * 100):
        path.write_bytes(content)
        assert codes(path) == ["NIR-NOT-HDF5"]


@pytest.mark.parametrize("part", [0.2, 0.5, 0.99])
def test_a_truncated_file_is_damaged(sound: Path, part: float) -> None:
    data = sound.read_bytes()
    sound.write_bytes(data[: int(len(data) * part)])
    assert codes(sound) == ["NIR-DAMAGED"]


def test_hdf5_that_holds_no_model(tmp_path: Path) -> None:
    path = tmp_path / "other.h5"
    with h5py.File(path, "w") as file:
        file["temperature"] = np.arange(5)
    assert codes(path) == ["NIR-NOT-NIR"]


def test_a_dataset_of_16_terabytes_is_refused_without_memory(sound: Path) -> None:
    with h5py.File(sound, "a") as file:
        file.create_dataset("node/nodes/n1/bias", (1 << 42,), "f4", chunks=(1 << 20,))
    tracemalloc.start()
    assert scanned(sound) == ["NIR-TOO-LARGE"]
    assert tracemalloc.get_traced_memory()[1] < 10e6
    tracemalloc.stop()


def test_a_small_dataset_in_a_huge_chunk_counts_as_the_chunk(sound: Path) -> None:
    with h5py.File(sound, "a") as file:
        file.create_dataset("x", (1,), "f4", chunks=(1 << 29,), maxshape=(None,))
    assert "NIR-TOO-LARGE" in [f.code for f in scan(sound, Limits(size=1 << 30))]


def test_declared_but_never_written_is_refused(sound: Path) -> None:
    with h5py.File(sound, "a") as file:
        file.create_dataset("node/nodes/n1/bias", (1 << 24,), "f4", chunks=(1 << 16,))
        file.create_dataset("node/nodes/n1/empty", data=h5py.Empty("f4"))
    assert scanned(sound) == ["NIR-DATA-ABSENT"] * 2


def test_an_external_link_is_not_followed(sound: Path, tmp_path: Path) -> None:
    secret = save(tmp_path / "secret.nir", chain(port("Input", 1)))
    with h5py.File(sound, "a") as file:
        file["node/nodes/n9"] = h5py.ExternalLink(str(secret), "/node")
    assert codes(sound) == ["NIR-LINK"]


def test_external_raw_storage_is_not_read(sound: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"password")
    with h5py.File(sound, "a") as file:
        outside = [(str(tmp_path / "secret"), 0, 8)]
        file.create_dataset("node/nodes/n1/bias", (2,), "f4", external=outside)
    assert codes(sound) == ["NIR-EXTERNAL"]


def test_a_virtual_dataset_is_not_read(sound: Path, tmp_path: Path) -> None:
    layout = h5py.VirtualLayout((2,), "f4")
    layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "x", (2,))
    with h5py.File(sound, "a") as file:
        file["node/nodes/n1"].create_virtual_dataset("bias", layout)
    assert codes(sound) == ["NIR-VIRTUAL"]


def test_soft_links_are_refused_loops_among_them(sound: Path) -> None:
    with h5py.File(sound, "a") as file:
        file["node/nodes/n8"] = h5py.SoftLink("/node/nodes/n8")
        file["node/nodes/n9"] = h5py.SoftLink("/node")
    assert codes(sound) == ["NIR-LINK"] * 2


def test_a_loop_of_hard_links_is_refused(sound: Path) -> None:
    with h5py.File(sound, "a") as file:
        file["node/nodes/n9"] = file["node"]
    assert codes(sound) == ["NIR-LOOP"]


def test_deep_nesting_is_refused(sound: Path) -> None:
    with h5py.File(sound, "a") as file:
        file.create_group("/".join(["node"] + ["nodes"] * 3000))
    assert codes(sound) == ["NIR-TOO-DEEP"]


def test_too_many_objects_are_refused(sound: Path) -> None:
    assert [f.code for f in scan(sound, Limits(objects=5))] == ["NIR-TOO-MANY"]


@pytest.mark.parametrize(
    ("dtype", "what"),
    [
        ("c8", "compound"),
        (h5py.ref_dtype, "references"),
        (h5py.vlen_dtype(np.float32), "lists"),
        (h5py.opaque_dtype(np.dtype("V5")), "opaque"),
        (h5py.enum_dtype({"a": 1}), "enumeration"),
        (np.dtype(("f4", (3,))), "arrays"),
    ],
)
def test_only_numbers_and_text_are_data(sound: Path, dtype: np.dtype, what: str) -> None:
    with h5py.File(sound, "a") as file:
        kind = h5py.h5t.py_create(np.dtype(dtype), logical=True)
        space = h5py.h5s.create_simple((2,))
        h5py.h5d.create(file["node"].id, b"odd", kind, space)
    (found,) = scan(sound)
    assert found.code == "NIR-TYPE"
    assert what in found.what


def test_booleans_are_numbers(sound: Path) -> None:
    with h5py.File(sound, "a") as file:
        file["node/flag"] = True
    assert scan(sound) == []


def test_an_unknown_filter_loads_no_plugin(sound: Path) -> None:
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_chunk((2,))
    plan.set_filter(32_015, h5py.h5z.FLAG_OPTIONAL, ())
    with h5py.File(sound, "a") as file:
        kind, space = h5py.h5t.IEEE_F32LE, h5py.h5s.create_simple((2,))
        h5py.h5d.create(file["node"].id, b"odd", kind, space, plan)
    assert "NIR-FILTER" in scanned(sound)


def test_a_stored_datatype_is_no_part_of_a_model(sound: Path) -> None:
    with h5py.File(sound, "a") as file:
        file["node/kind"] = np.dtype("f4")
    assert scanned(sound) == ["NIR-OBJECT"]


def test_many_names_that_share_one_long_text_do_not_multiply_it(sound: Path) -> None:
    """A text of HDF5 is a pointer; 20,000 of them can point at one megabyte."""
    with h5py.File(sound, "a") as file:
        heap = file.create_dataset("node/long", (20_000,), h5py.string_dtype())
        heap[0] = "x" * 1_000_000
        heap[1:] = "y"
        at, size = heap.id.get_offset(), 16
    data = bytearray(sound.read_bytes())
    data[at : at + 20_000 * size] = bytes(data[at : at + size]) * 20_000
    sound.write_bytes(data)
    assert codes(sound) == ["NIR-TOO-LARGE"]


def test_a_name_with_control_characters_is_refused(sound: Path) -> None:
    with h5py.File(sound, "a") as file:
        file["node/nodes"].create_group("\x1b[2J")
    assert codes(sound) == ["NIR-NAME"]


def test_all_hostile_places_are_reported_at_once(sound: Path) -> None:
    with h5py.File(sound, "a") as file:
        file["a"] = h5py.SoftLink("/b")
        file["c"] = h5py.ExternalLink("other.h5", "/")
        file["node/kind"] = np.dtype("f4")
    assert sorted(codes(sound)) == ["NIR-LINK", "NIR-LINK", "NIR-OBJECT"]


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_flipped_bytes_give_a_refusal_or_a_network(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    nodes = (port("Input", 3), linear(2, 3), lif(2), port("Output", 2))
    path = save(tmp_path_factory.mktemp("flip") / "a.nir", chain(*nodes))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    outcome: object = None
    with contextlib.suppress(InputError):
        outcome = read(path)[0]
    assert outcome is None or isinstance(outcome, Network)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything; run as another user")
def test_a_file_that_may_not_be_read_is_a_mistake_of_the_call(sound: Path) -> None:
    sound.chmod(0)
    with pytest.raises(UsageError):
        read(sound)
