"""A witness in a .nir file: written, read back, opened by nir, and refused if it is unsound."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from nrf_deploy.diagnostics.findings import InputError, UsageError
from nrf_deploy.io import nir as nir_io
from nrf_deploy.io.model import model_of, read
from nrf_deploy.ir.network import Input, Network
from nrf_deploy.ir.recording import Recording
from nrf_deploy.ir.witness import Witness
from tests.builders.witnesses import two_layers, values, witness_of

GROUP = "node/metadata"
ABOUT = "nrf.witness.about"


@pytest.fixture
def written(tmp_path: Path) -> Path:
    network = two_layers()
    witness = witness_of(network, undecided=("layer 'n1': no neuron spiked twice in a row",))
    nir_io.write(network, tmp_path / "m.nir", witness)
    return tmp_path / "m.nir"


def same(a: Witness, b: Witness) -> bool:
    return nir_io.digest(a) == nir_io.digest(b)


def test_a_witness_is_read_back_as_it_was_written(written: Path) -> None:
    witness = read(written).witness
    assert witness is not None
    before = witness_of(two_layers())
    assert (witness.producer, witness.version) == ("snntorch", "1.0.0")
    assert witness.undecided == ("layer 'n1': no neuron spiked twice in a row",)
    assert witness.input.same(before.input)
    assert list(witness.outputs) == ["n1", "n2"]
    assert all(witness.outputs[n].same(before.outputs[n]) for n in ("n1", "n2"))
    assert all(np.array_equal(witness.potentials[n], before.potentials[n]) for n in ("n1", "n2"))
    assert witness.outputs["n1"].events


def test_values_are_read_back_as_float32(tmp_path: Path) -> None:
    network = two_layers(last=values(4))
    nir_io.write(network, tmp_path / "m.nir", before := witness_of(network))
    after = read(tmp_path / "m.nir").witness
    assert after is not None
    assert after.outputs["n2"].value.dtype == np.float32
    assert same(after, before)


def test_the_same_witness_gives_the_same_bytes() -> None:
    network = two_layers()
    first, again = (nir_io.checked(network, witness_of(network)) for _ in range(2))
    assert first == again
    assert first != nir_io.checked(network, witness_of(network, seed=2))


def test_a_file_without_a_witness_is_as_before(tmp_path: Path) -> None:
    network = two_layers()
    assert model_of(nir_io.checked(network)).witness is None
    nir_io.write(network, tmp_path / "m.nir")
    assert (tmp_path / "m.nir").read_bytes() == nir_io.checked(network)


def test_nir_itself_opens_a_file_with_a_witness_and_hands_it_on(written: Path) -> None:
    nir = pytest.importorskip("nir")
    graph = nir.read(written)
    assert set(graph.nodes) == {"in", "fc1", "n1", "fc2", "n2", "out"}
    handed, own = read(graph).witness, read(written).witness
    assert handed is not None
    assert own is not None
    assert same(handed, own)


def test_a_witness_of_another_network_is_not_written() -> None:
    other = Network(
        tuple(replace(n, port_shape=(6,)) if type(n) is Input else n for n in two_layers().nodes),
        two_layers().edges,
        1.0,
    )
    with pytest.raises(UsageError, match=r"the input has the shape \(5,\); expected \(6,\)"):
        nir_io.checked(other, witness_of(two_layers()))


def test_a_witness_of_too_many_steps_is_not_written() -> None:
    network = two_layers()
    silent = Recording.from_dense(np.zeros((5000, 5), np.int64))
    output = Recording.from_dense(np.zeros((5000, 8), np.int64))
    witness = Witness(producer="norse", version="1", input=silent, outputs={"n1": output})
    with pytest.raises(UsageError, match="5,000 steps; expected at most 4,096"):
        nir_io.checked(network, witness)


def about(file: h5py.File, **changes: Any) -> None:
    facts = json.loads(file[GROUP][ABOUT][()]) | changes
    renewed(file, "about", json.dumps({k: v for k, v in facts.items() if v is not ...}))


def renewed(file: h5py.File, key: str, value: Any) -> None:
    group = file[GROUP]
    if f"nrf.witness.{key}" in group:
        del group[f"nrf.witness.{key}"]
    kind = h5py.string_dtype() if isinstance(value, str) else None
    group.create_dataset(f"nrf.witness.{key}", data=value, dtype=kind)


def changed(file: h5py.File, key: str, change: Any) -> None:
    array = file[GROUP][f"nrf.witness.{key}"][()]
    renewed(file, key, change(array))


def put(at: Any, value: Any) -> Any:
    def change(array: Any) -> Any:
        array[at] = value
        return array

    return change


HOSTILE = {
    "another version": (lambda f: renewed(f, "version", "2"), "version is '2'"),
    "no version": (lambda f: f[GROUP].pop("nrf.witness.version"), "version is not stated"),
    "no facts": (lambda f: f[GROUP].pop(ABOUT), "about does not hold"),
    "facts that are not JSON": (lambda f: renewed(f, "about", "{"), "about is not JSON"),
    "a fact too many": (lambda f: about(f, more=1), "about does not hold exactly"),
    "a fact too few": (lambda f: about(f, steps=...), "about does not hold exactly"),
    "negative steps": (lambda f: about(f, steps=-1), "-1 steps; expected 1"),
    "no steps": (lambda f: about(f, steps=0), "0 steps; expected 1"),
    "huge steps": (lambda f: about(f, steps=10**12), "1,000,000,000,000 steps"),
    "steps as truth": (lambda f: about(f, steps=True), "its steps is True"),
    "other steps": (lambda f: about(f, steps=7), "start has the shape"),
    "an unknown layer": (lambda f: about(f, layers=["n1", "n9"]), "a layer 'n9', which"),
    "the input as a layer": (lambda f: about(f, layers=["n1", "in"]), "potential.1 has the shape"),
    "a layer twice": (lambda f: about(f, layers=["n1", "n1"]), "a layer 'n1', twice"),
    "another input": (lambda f: about(f, input=[6]), r"shape \(6,\); expected \(5,\)"),
    "an endless input": (lambda f: about(f, input=[10**15]), "expected"),
    "a negative input": (lambda f: about(f, input=[-5]), "expected"),
    "a dt of NaN": (lambda f: renewed(f, "about", '{"dt": NaN}'), "about is not JSON"),
    "a negative dt": (lambda f: about(f, dt=-1.0), "dt is -1.0"),
    "long texts": (lambda f: about(f, producer="x" * 1000), "texts are too long"),
    "no producer": (lambda f: about(f, producer=""), "not all printable"),
    "control characters": (lambda f: about(f, producer="a\x1b[2J"), "not all printable"),
    "many remarks": (lambda f: about(f, undecided=["x"] * 100), "texts are too long"),
    "fractions as counts": (lambda f: changed(f, "value", put(0, 0.5)), "not whole numbers"),
    "NaN as a count": (lambda f: changed(f, "value", put(0, np.nan)), "not whole numbers"),
    "huge counts": (lambda f: changed(f, "value", put(0, 1e300)), "above 2.53"),
    "spikes as values": (lambda f: about(f, whole=[True, False, False]), "not counts of spikes"),
    "negative spikes": (lambda f: changed(f, "value", put(-1, -1.0)), "negative number of spikes"),
    "spikes of value 0": (lambda f: changed(f, "value", put(-1, 0.0)), "a value is 0"),
    "an element outside": (lambda f: changed(f, "index", put(-1, 99)), "an index is outside"),
    "a negative element": (lambda f: changed(f, "index", put(0, -1)), "an index is outside"),
    "events without a step": (lambda f: changed(f, "index", lambda a: a[:-1]), "shapes"),
    "events of no layer": (
        lambda f: [changed(f, k, lambda a: np.append(a, a[:1])) for k in ("index", "value")],
        "belong to no signal",
    ),
    "falling steps": (lambda f: changed(f, "start", put((0, 1), 10**9)), "does not rise"),
    "a negative start": (lambda f: changed(f, "start", put((1, -1), -3)), "ends with -3"),
    "a start beyond the end": (lambda f: changed(f, "start", put((1, -1), 2**60)), "ends with"),
    "text for numbers": (lambda f: renewed(f, "index", "0"), "missing or of another type"),
    "NaN as a potential": (
        lambda f: changed(f, "potential.0", put((0, 0), np.nan)), "not all finite"
    ),
    "potentials of another shape": (
        lambda f: changed(f, "potential.0", lambda a: a[:, 1:]), "potential.0 has the shape"
    ),
    "potentials of no layer": (lambda f: renewed(f, "potential.7", [0.0]), "potential of layer"),
    "an unknown entry": (lambda f: renewed(f, "more", [0.0]), "unknown entries: more"),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_an_unsound_witness_is_refused_by_name(written: Path, case: str) -> None:
    change, text = HOSTILE[case]
    with h5py.File(written, "r+") as file:
        change(file)
    with pytest.raises(InputError, match=text) as refusal:
        read(written)
    assert {f.code for f in refusal.value.findings if f.severity == "error"} <= {
        "NIR-WITNESS", "NIR-WITNESS-VERSION",
    }  # fmt: skip
    assert len(str(refusal.value)) < 1500


def test_a_witness_in_a_node_is_refused(written: Path) -> None:
    with h5py.File(written, "r+") as file:
        file["node/nodes/n1/metadata"].create_dataset("nrf.witness.version", data="1")
    with pytest.raises(InputError):
        read(written)
