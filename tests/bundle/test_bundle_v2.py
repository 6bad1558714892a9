"""Bundles of schema 2, with a name for each kind of neurons, are read as they were meant.

schema_2.nrfb holds one population of every old name, compiled for emulator-float-like by
nrf-deploy at the last commit that wrote schema 2 (0c302cc).
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

import nrf_deploy as nd
from nrf_deploy.bundle.bundle import _codec
from nrf_deploy.bundle.codec import from_json, to_json
from nrf_deploy.diagnostics.findings import InputError
from nrf_deploy.ir.network import Population
from nrf_deploy.neurons import CurrentLeaky, Integrator, Leaky, Membrane
from tests.builders.crafted_bundles import Content, edited
from tests.builders.populations import around, populations
from tests.io.nir.test_rules import same

OLD = Path(__file__).with_name("schema_2.nrfb")
KINDS: dict[str, tuple[type[Membrane], bool, set[str]]] = {
    "if": (Integrator, True, {"reset=subtract", "fires=at"}),
    "lif": (Leaky, True, {"reset_to"}),
    "cubalif": (CurrentLeaky, True, {"reset=subtract"}),
    "rectified": (Leaky, False, {"rectified"}),
    "li": (Leaky, False, set()),
    "cubali": (CurrentLeaky, False, set()),
    "i": (Integrator, False, set()),
}
SPIKES = {"if": 33, "lif": 21, "cubalif": 6}
"""How many the version that wrote the file counted in `events`."""


def events() -> nd.Recording:
    dense = np.random.default_rng(1).random((40, 2)) < 0.3
    return nd.Recording.from_dense(dense.astype(np.int64), 1.0)


def content(path: Path) -> Content:
    with zipfile.ZipFile(path) as archive:
        pieces: Content = json.loads(archive.read("content.json"))["map"]
    return pieces


def test_every_old_name_is_read_as_its_membrane_and_its_rule() -> None:
    network = nd.load(OLD).network
    found = {
        n.name: (type(n.membrane), n.spikes, set(n.features))
        for n in network.nodes
        if type(n) is Population
    }
    assert found == KINDS
    assert network["lif"].rule.reset_to.tolist() == [0.25, 0.25]  # type: ignore[attr-defined]


def test_it_runs_and_verifies() -> None:
    bundle = nd.load(OLD)
    assert nd.verify(bundle, events()).passed
    sent = nd.run(bundle, events()).outputs
    assert {name: len(sent[name].value) for name in SPIKES} == SPIKES


def test_saved_again_it_differs_in_nothing_but_the_network(tmp_path: Path) -> None:
    nd.save(nd.load(OLD), tmp_path / "new.nrfb")
    with zipfile.ZipFile(OLD) as a, zipfile.ZipFile(tmp_path / "new.nrfb") as b:
        assert a.namelist() == b.namelist()
        differ = [n for n in a.namelist() if a.read(n) != b.read(n)]
    assert differ == ["manifest.json", "content.json"]
    old, new = content(OLD), content(tmp_path / "new.nrfb")
    assert [piece for piece in old if old[piece] != new[piece]] == ["network"]
    kinds = {n["type"] for n in new["network"]["nodes"]}
    assert kinds == {"network.Input", "network.Linear", "network.Output", "network.Population"}
    nd.save(nd.load(tmp_path / "new.nrfb"), tmp_path / "again.nrfb")
    assert (tmp_path / "again.nrfb").read_bytes() == (tmp_path / "new.nrfb").read_bytes()


def node(pieces: Content, name: str) -> dict[str, Any]:
    nodes = pieces["map"]["network"]["nodes"]
    (found,) = (n for n in nodes if n["name"] == name)
    return found  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda c: node(c, "lif").update(more=1), "does not have: more"),
        (lambda c: node(c, "lif").update(reset="late"), "unknown type 'network.LIF'"),
        (lambda c: node(c, "lif").update(membrane=node(c, "li")), "unknown type"),
        (lambda c: node(c, "lif").pop("tau"), "not a complete neurons.Leaky"),
        (lambda c: node(c, "if").pop("v_threshold"), "not a complete neurons.Spikes"),
        (
            lambda c: node(c, "li").update(v_threshold={"array": "0000"}),
            "does not have: v_threshold",
        ),
        (lambda c: node(c, "li").update(type="network.FlooredIF"), "unknown type"),
        (lambda c: c["map"]["network"].update(nodes={}), "not a stored form"),
        (lambda c: c["map"]["network"].update(nodes=[1]), "/nodes"),
        (lambda c: c["map"]["network"]["nodes"].append([]), "/nodes"),
        (lambda c: c["map"].update(network=[]), "does not hold the pieces"),
    ],
)
def test_what_an_older_version_could_not_have_written_is_refused(
    change: Callable[[Content], Any], reason: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=reason) as refused:
        nd.load(edited(OLD, tmp_path / "b.nrfb", change))
    assert {f.code for f in refused.value.findings} == {"BUNDLE-CONTENT"}


def test_an_old_name_in_a_new_bundle_is_refused(tmp_path: Path) -> None:
    path = edited(OLD, tmp_path / "b.nrfb", lambda content: None, schema_version="3")
    with pytest.raises(InputError, match=r"unknown type 'network\.IF'"):
        nd.load(path)


@settings(max_examples=50, deadline=None)
@given(populations())
def test_every_population_comes_back_from_a_bundle(given_: Population) -> None:
    tree, arrays = _codec().encode(around(given_))
    back = _codec().decode(from_json(to_json(tree)), arrays)["n"]
    assert type(back) is Population
    assert back.features == given_.features
    same(given_.membrane, back.membrane)
    same(given_.rule, back.rule)
