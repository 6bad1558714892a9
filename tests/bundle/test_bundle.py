"""A bundle is the same bytes for the same inputs, and nothing damaged or hostile gets in."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import os
import resource
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nrf_deploy.bundle import bundle as bundles
from nrf_deploy.bundle.bundle import Bundle, load, save
from nrf_deploy.bundle.tables import resource_table
from nrf_deploy.compiler.passes import Step
from nrf_deploy.compiler.place.placement import Piece, Placement
from nrf_deploy.compiler.quantize.scheme import ConnectionScheme, PopulationScheme, Scheme
from nrf_deploy.diagnostics.findings import InputError, UsageError, info, warning
from nrf_deploy.io.archive import write
from nrf_deploy.ir import network as net
from nrf_deploy.ir import program as prog


def made(extra: int = 0) -> Bundle:
    """Build a small bundle with every kind of object; two layers share one kernel."""
    kernel = np.arange(18, dtype=np.float32).reshape(1, 2, 3, 3)
    conv = {"input_size": (4, 5), "stride": (1, 1), "dilation": (1, 1)}
    shared = {"weight": kernel, "padding": ((1, 1), (1, 1)), **conv}
    neurons = {k: np.full((1, 4, 5), v) for k, v in (("tau", 0.02), ("r", 1.0), ("v_leak", 0.0))}
    network = net.Network(
        nodes=(
            net.Input(name="input", port_shape=(2, 4, 5)),
            net.Conv(name="a", **shared),
            net.Conv(name="b", bias=np.ones(1, ">f4"), **shared),
            net.LIF(
                name="lif", v_threshold=np.float64(1) * neurons["r"], v_reset=neurons["r"] * 0,
                reset="subtract", **neurons,
            ),
            net.Output(name="output", port_shape=(1, 4, 5)),
        ),
        edges=(("input", "a"), ("input", "b"), ("a", "lif"), ("b", "lif"), ("lif", "output")),
        dt=1e-4,
        readout={"kind": "coordinates", "sizes": [4, 5], "gain": 0.1},
    )  # fmt: skip
    weights = np.asfortranarray(np.arange(800, dtype=np.int8).reshape(20, 40))
    program = prog.Program(
        arithmetic="fixed",
        ports=(prog.Port(name="input", shape=(2, 4, 5)),),
        synapses=(
            prog.Conv(
                name="a", source="input", targets=("lif",), padding=((1, 1), (1, 1)), **conv,
                weight=np.arange(18, dtype=np.int16).reshape(1, 2, 3, 3), params={"graded": 0},
            ),
            prog.Dense(
                name="d", source="input", targets=("lif",), weight=weights,
                source_shape=(2, 4, 5), target_shape=(1, 4, 5),
            ),
            prog.Sparse(
                name="s", source="lif", targets=("lif",), source_shape=(1, 4, 5), delay=2,
                target_shape=(1, 4, 5), weight=np.array([1, -2]), row=np.array([3, 1]),
                column=np.array([0, 19]),
            ),
        ),
        populations=(
            prog.Population(
                name="lif", shape=(1, 4, 5), model="lif",
                params={"decay": 41, "vth": np.arange(20).reshape(1, 4, 5)},
            ),
        ),
        outputs=("lif",),
        origins=(
            prog.Origin(population="lif", node="lif", latency=1, scale={"v": np.array(64.0)}),
        ),
    )  # fmt: skip
    return Bundle(
        network=network,
        source_sha256="0" * 64,
        chip="chip2",
        target="emulator",
        steps=(Step("fold_scale(tolerance=0.1)", (info("FOLDED", "folded", layer="a"),)),),
        scheme=Scheme(
            {"a": ConnectionScheme(np.array([0.5]), np.array([[3, -3]]), 8)},
            {"lif": PopulationScheme({"decay": 41, "vth": np.arange(3)}, {"v": np.array(64.0)})},
        ),
        program=program,
        placement=Placement(
            "chip2",
            4,
            {"neurons": 10},
            (Piece(0, "lif", (0, 0, 0), (1, 4, 5), {"neurons": 20}),),
            2,
        ),
        findings=(warning("SILENT", "never spikes", layer="lif", neuron=(0, 1, 2), step=4),),
        tool_version="0.1.0",
        artefacts={"vendor/b.bin": b"\x00\xff", "a.json": b"{}", "big.bin": bytes(extra)},
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    save(made(), tmp_path / "b.nrfb")
    return tmp_path / "b.nrfb"


def saved(bundle: Bundle, folder: Path) -> bytes:
    save(bundle, folder / "again.nrfb")
    return (folder / "again.nrfb").read_bytes()


def refusal(path: Path, **options: int) -> tuple[str, str]:
    with pytest.raises(InputError) as caught:
        load(path, **options)
    (finding,) = caught.value.findings
    return finding.code, finding.what


# --- what goes in comes out -----------------------------------------------


def test_everything_comes_back(path, tmp_path):
    given_, back = made(), load(path)
    for name in ("source_sha256", "chip", "target", "steps", "placement", "findings",
                 "tool_version", "artefacts"):  # fmt: skip
        assert getattr(back, name) == getattr(given_, name)
    assert back.network.edges == given_.network.edges
    assert back.network.readout == given_.network.readout
    assert [type(n) for n in back.network.nodes] == [type(n) for n in given_.network.nodes]
    assert np.array_equal(back.network["a"].weight, given_.network["a"].weight)
    assert back.program.population("lif").params["decay"] == 41
    assert np.array_equal(back.program.synapses[1].weight, given_.program.synapses[1].weight)
    assert back.scheme.connections["a"].weight.tolist() == [[3, -3]]
    assert back.program.origins[0].scale["v"].shape == ()


def test_a_loaded_bundle_saves_as_the_same_bytes(path, tmp_path):
    assert saved(load(path), tmp_path) == path.read_bytes()


def test_shared_weights_stay_shared(path):
    network = load(path).network
    assert network["a"].weight is network["b"].weight


def test_arrays_come_back_in_the_machine_s_order_and_can_be_written(path):
    bias = load(path).network["b"].bias
    assert bias.dtype == np.float32
    bias[0] = 2.0
    assert bias.flags.c_contiguous


# --- byte for byte --------------------------------------------------------


def test_two_processes_in_two_folders_write_the_same_bytes(path, tmp_path):
    for seed in ("1", "2"):
        folder = tmp_path / seed
        folder.mkdir()
        environment = os.environ | {
            "PYTHONHASHSEED": seed,
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "TZ": f"UTC{seed}",
        }
        script = "import tests.bundle.test_bundle as t; t.save(t.made(), 'b.nrfb')"
        subprocess.run([sys.executable, "-c", script], check=True, cwd=folder, env=environment)
        assert (folder / "b.nrfb").read_bytes() == path.read_bytes()


def test_the_order_of_mappings_does_not_show(path, tmp_path):
    bundle = made()
    turned = dict(reversed(list(bundle.artefacts.items())))
    assert saved(dataclasses.replace(bundle, artefacts=turned), tmp_path) == path.read_bytes()


def test_the_layout_is_fixed(path):
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        manifest = json.loads(archive.read("manifest.json"))
        listed = {m.filename: hashlib.sha256(archive.read(m)).hexdigest() for m in members[1:]}
    assert [m.filename for m in members[:3]] == [
        "manifest.json", "content.json", "arrays/0000.npy",
    ]  # fmt: skip
    assert {m.date_time for m in members} == {(1980, 1, 1, 0, 0, 0)}
    assert {(m.create_system, m.external_attr, m.compress_type) for m in members} == {
        (3, 0o100644 << 16, zipfile.ZIP_STORED)
    }
    assert manifest["members"] == listed
    assert manifest["schema_version"] == "3"
    assert manifest["source_sha256"] == "0" * 64
    assert manifest["tool_version"] == "0.1.0"


def test_any_numpy_reads_the_arrays(path):
    with zipfile.ZipFile(path) as archive:
        names = [n for n in archive.namelist() if n.startswith("arrays/")]
        arrays = [np.load(io.BytesIO(archive.read(n)), allow_pickle=False) for n in names]
    assert all(a.flags.c_contiguous and a.dtype.byteorder in "=|<" for a in arrays)
    assert any(a.shape == (20, 40) and a.dtype == np.int8 for a in arrays)


@pytest.mark.parametrize(
    ("extreme", "stored"),
    [
        (127, np.int8), (-128, np.int8), (128, np.int16), (-32769, np.int32), (2**31, np.int64),
        (-(2**63), np.int64), (0, np.int8),
    ],
)  # fmt: skip
def test_integers_are_stored_narrow_and_read_wide(extreme, stored, tmp_path):
    bundle = made()
    synapses = bundle.program.synapses
    weight = np.zeros((20, 40), np.int64)
    weight[3, 4] = extreme
    dense = dataclasses.replace(synapses[1], weight=weight)
    program = dataclasses.replace(bundle.program, synapses=(synapses[0], dense, synapses[2]))
    path = tmp_path / "b.nrfb"
    save(dataclasses.replace(bundle, program=program), path)
    with zipfile.ZipFile(path) as archive:
        names = [n for n in archive.namelist() if n.startswith("arrays/")]
        arrays = [np.load(io.BytesIO(archive.read(n))) for n in names]
    assert [a.dtype for a in arrays if a.shape == (20, 40)] == [stored]
    back = load(path)
    held = back.program.synapses[1].weight
    assert held.dtype == np.int64
    assert np.array_equal(held, weight)
    assert saved(back, tmp_path) == path.read_bytes()


def test_the_limit_holds_for_integers_as_they_are_in_memory(path):
    many = ConnectionScheme(np.array([0.5]), np.ones(100_000, np.int64), 8)
    bundle = made()
    scheme = dataclasses.replace(bundle.scheme, connections={"a": many})
    save(dataclasses.replace(bundle, scheme=scheme), path)
    assert 100_000 < path.stat().st_size < 200_000
    assert refusal(path, limit=200_000)[0] == "BUNDLE-TOO-LARGE"
    assert len(load(path, limit=1_000_000).scheme.connections["a"].weight) == 100_000


def test_budgets_keep_the_order_in_which_people_read_them(tmp_path):
    bundle = made()
    limits = {"neurons": 10, "axons": 3, "words": 7}
    pieces = (Piece(0, "lif", (0, 0, 0), (1, 4, 5), dict.fromkeys(limits, 1)),)
    placement = Placement("chip2", 4, limits, pieces, 2)
    save(dataclasses.replace(bundle, placement=placement), tmp_path / "b.nrfb")
    back = load(tmp_path / "b.nrfb").placement
    assert back.budgets == ("neurons", "axons", "words")
    for by_core in (False, True):
        now, then = (resource_table(bundle.program, p, by_core) for p in (placement, back))
        assert now == then
        assert now.index("neurons") < now.index("axons") < now.index("words")


# --- damage ---------------------------------------------------------------


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> tuple[Path, bytes]:
    folder = tmp_path_factory.mktemp("whole")
    save(made(), folder / "b.nrfb")
    return folder, (folder / "b.nrfb").read_bytes()


def damaged_or_equal(folder: Path, whole: bytes, changed: bytes) -> bool:
    path = folder / "changed.nrfb"
    path.write_bytes(changed)
    try:
        bundle = load(path)
    except InputError as problem:
        (finding,) = problem.findings
        return finding.code == "BUNDLE-DAMAGED" and str(path) in finding.what
    return saved(bundle, folder) == whole


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_one_changed_byte_is_found_or_changes_nothing(whole, data):
    folder, content = whole
    at = data.draw(st.integers(0, len(content) - 1))
    byte = data.draw(st.integers(1, 255))
    changed = bytearray(content)
    changed[at] ^= byte
    assert damaged_or_equal(folder, content, bytes(changed))


def test_every_bit_of_the_first_and_last_bytes_is_looked_at(whole):
    """The headers of the archive, where no checksum reaches."""
    folder, content = whole
    for at in [*range(90), *range(len(content) - 90, len(content))]:
        for bit in (1, 8, 128):
            changed = bytearray(content)
            changed[at] ^= bit
            assert damaged_or_equal(folder, content, bytes(changed)), (at, bit)


@settings(max_examples=50, deadline=None)
@given(st.data())
@example(None)
def test_a_bundle_cut_short_is_damaged(whole, data):
    folder, content = whole
    length = 0 if data is None else data.draw(st.integers(0, len(content) - 1))
    (folder / "short.nrfb").write_bytes(content[:length])
    assert refusal(folder / "short.nrfb")[0] == "BUNDLE-DAMAGED"


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "is empty"), (b"\x89HDF\r\n\x1a\n" * 40, "not a zip archive"),
     (b"PK\x05\x06" + bytes(18), "does not begin with a manifest")],
)  # fmt: skip
def test_what_is_no_bundle_is_refused(tmp_path, content, reason):
    path = tmp_path / "b.nrfb"
    path.write_bytes(content)
    code, what = refusal(path)
    assert code == "BUNDLE-DAMAGED"
    assert reason in what


def test_a_file_that_is_missing_is_the_user_s_affair(tmp_path):
    with pytest.raises(UsageError) as caught:
        load(tmp_path / "missing.nrfb")
    assert caught.value.findings[0].code == "INPUT-UNREADABLE"


# --- hostility: archives whose checksums are all right ---------------------

Members = dict[str, bytes]


def forged(path: Path, change: Callable[[Members, dict], None], seal: bool = True) -> Path:
    """Write the bundle with other members, and a manifest that agrees with them if `seal`."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(members.pop("manifest.json"))
    change(members, manifest)
    if seal:
        manifest["members"] = {n: hashlib.sha256(m).hexdigest() for n, m in members.items()}
    members = {"manifest.json": json.dumps(manifest).encode()} | members
    with open(path, "wb") as stream:
        write(stream, [(name, (content,)) for name, content in members.items()])
    return path


def npy(array: np.ndarray, **options: bool) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, **options)
    return stream.getvalue()


def member(name: str, content: bytes) -> Callable[[Members, dict], None]:
    return lambda members, manifest: members.update({name: content})


def header(text: str, content: bytes = b"") -> bytes:
    text += " " * (117 - len(text)) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode() + content


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (member("extra.bin", b""), "no bundle has"),
        (member("../out", b""), "no bundle has"),
        (member("artefacts/../../out", b""), "no bundle has"),
        (member("artefacts//etc/passwd", b""), "no bundle has"),
        (member("artefacts/a\\..\\b", b""), "no bundle has"),
        (member("/artefacts/a", b""), "no bundle has"),
        (member("artefacts/a\n", b""), "no bundle has"),
        (lambda members, manifest: members.pop("content.json"), "no content.json"),
        (member("content.json", b"{"), "not JSON"),
        (member("arrays/0000.npy", b"\x93NUMPY"), "not a sound .npy"),
        (member("arrays/0000.npy", npy(np.array([{}]), allow_pickle=True)), "pickle"),
        (member("arrays/0000.npy", npy(np.array([1j]))), "not of plain numbers"),
        (member("arrays/0000.npy", npy(np.zeros(2, "i4,f8"))), "not of plain numbers"),
        (member("arrays/0000.npy", npy(np.zeros(4))[:-1]), "declares an array"),
        (
            member("arrays/0000.npy",
                   header("{'descr': '<f8', 'fortran_order': False, 'shape': (1099511627776,)}")),
            "declares an array",
        ),
        (
            member("arrays/0000.npy",
                   header("{'descr': '<f8', 'fortran_order': False, 'shape': (-1, -1)}", bytes(8))),
            "declares an array",
        ),
        (member("arrays/0000.npy", header("__import__('os').abort()")), "not a sound .npy"),
        (member("arrays/0000.npy", header("(" * 100)), "not a sound .npy"),
        (lambda members, manifest: manifest.update(format="other"), "manifest has another format"),
        (lambda members, manifest: manifest.pop("chip"), "without its tool, chip or target"),
        (lambda members, manifest: manifest.update(source_sha256=3), "source_sha256"),
    ],
)  # fmt: skip
def test_hostile_members_are_refused(path, change, reason):
    code, what = refusal(forged(path, change))
    assert code == "BUNDLE-DAMAGED"
    assert reason in what


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (member("artefacts/new", b""), "differ in their members: artefacts/new"),
        (lambda members, manifest: members.pop("artefacts/a.json"), "differ in their members"),
        (member("artefacts/a.json", b"{ }"), "artefacts/a.json is not what was written"),
        (lambda members, manifest: manifest.update(members=[]), "does not list its members"),
    ],
)
def test_members_that_the_manifest_does_not_vouch_for_are_refused(path, change, reason):
    code, what = refusal(forged(path, change, seal=False))
    assert code == "BUNDLE-DAMAGED"
    assert reason in what


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        (b'"program.Dense"', b'"os.system"', "BUNDLE-CONTENT"),
        (b'"delay": 2', b'"delay": "2"', "BUNDLE-CONTENT"),
        (b'"dt": 0.0001', b'"dt": 1e999', "BUNDLE-DAMAGED"),
        (b'"findings": [{', b'"findings": [1, {', "BUNDLE-CONTENT"),
        (b'"network": {', b'"other": {', "BUNDLE-CONTENT"),
        (b'"delay": 2', b'"delay": -2', "BUNDLE-UNSOUND"),
        (b'"stop": [1, 4, 5]', b'"stop": [1, 4, 6]', "BUNDLE-UNSOUND"),
        (b'"stop": [1, 4, 5]', b'"stop": [20]', "BUNDLE-UNSOUND"),
        (b'["input", "a"]', b'["input", "z"]', "BUNDLE-UNSOUND"),
        (b'"stride": [1, 1]', b'"stride": [0, 1]', "BUNDLE-UNSOUND"),
    ],
)
def test_a_content_that_makes_no_sense_is_refused(path, old, new, code):
    def change(members: Members, manifest: dict) -> None:
        before = members["content.json"]
        members["content.json"] = before.replace(old, new)
        assert members["content.json"] != before

    with pytest.raises(InputError) as caught:
        load(forged(path, change))
    assert {finding.code for finding in caught.value.findings} == {code}


def test_two_members_of_one_name_are_refused(path):
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("content.json", b"{}")
    assert "two members of the same name" in refusal(path)[1]


def test_a_compressed_member_is_refused_before_it_is_read(path):
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("artefacts/bomb", bytes(10_000_000))
    assert "not plainly stored" in refusal(path)[1]


def test_a_bundle_above_the_limit_is_not_read(path):
    code, what = refusal(path, limit=1000)
    assert code == "BUNDLE-TOO-LARGE"
    assert "1,000" in what


def test_a_newer_schema_is_named(path):
    code, what = refusal(forged(path, lambda _, manifest: manifest.update(schema_version="4")))
    assert code == "BUNDLE-SCHEMA"
    assert "'4'" in what
    assert "0.1.0" in what


# --- writing --------------------------------------------------------------


@pytest.mark.parametrize("name", ["../out", "/out", "a/../../b", "a//b", "", ".", "a\\b", "a\n"])
def test_an_artefact_may_not_leave_its_folder(tmp_path, name):
    bundle = dataclasses.replace(made(), artefacts={name: b""})
    with pytest.raises(UsageError) as caught:
        save(bundle, tmp_path / "b.nrfb")
    assert caught.value.findings[0].code == "BUNDLE-UNSOUND"
    assert os.listdir(tmp_path) == []


def test_pieces_of_the_wrong_type_are_our_bug(tmp_path):
    with pytest.raises(TypeError):
        save(dataclasses.replace(made(), steps=[]), tmp_path / "b.nrfb")  # type: ignore[arg-type]


def test_a_disk_that_fills_up_leaves_the_old_bundle(path):
    before = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(UsageError) as caught:
            save(made(extra=1_000_000), path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.findings[0].code == "OUTPUT-UNWRITABLE"
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


def test_ctrl_c_leaves_the_old_bundle(path, monkeypatch):
    before = path.read_bytes()

    def interrupted(stream: io.BytesIO, members: object) -> None:
        stream.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(bundles, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save(made(), path)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


def test_fifty_megabytes_of_weights_come_back(tmp_path):
    bundle = made()
    weight = np.random.default_rng(0).integers(0, 9, (1250, 5000))
    big = Scheme({"a": ConnectionScheme(np.array([0.5]), weight, 8)})
    save(dataclasses.replace(bundle, scheme=big), tmp_path / "b.nrfb")
    back = load(tmp_path / "b.nrfb")
    assert np.array_equal(back.scheme.connections["a"].weight, weight)
