"""Written files are read back unchanged, by us and, if it can, by nir."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import io
import itertools
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nrf_deploy.diagnostics.findings import InputError, UsageError
from nrf_deploy.io.nir import read, write
from nrf_deploy.io.nir.write import encode
from nrf_deploy.ir.network import (
    LIF,
    AvgPool,
    Conv,
    Delay,
    Input,
    Linear,
    Network,
    Node,
    Output,
    Population,
    Threshold,
)
from nrf_deploy.neurons import Part
from tests.builders.random_networks import CONNECTIONS, GRADED, SPIKING, random_network


def assert_same(a: Network, b: Network) -> None:
    """Assert equality of every name, order, edge, kind, field, value and type."""
    assert (a.edges, a.dt, dict(a.readout)) == (b.edges, b.dt, dict(b.readout))
    assert [(n.name, type(n)) for n in a.nodes] == [(n.name, type(n)) for n in b.nodes]
    for ours, theirs in zip(a.nodes, b.nodes, strict=True):
        assert_same_fields(ours, theirs, ours.name)


def assert_same_fields(ours: Any, theirs: Any, name: str) -> None:
    assert type(ours) is type(theirs)
    for field in dataclasses.fields(ours):
        x, y = getattr(ours, field.name), getattr(theirs, field.name)
        if isinstance(x, np.ndarray):
            assert (x.dtype, x.shape) == (y.dtype, y.shape), (name, field.name)
            assert x.tobytes() == y.tobytes(), (name, field.name)
        elif isinstance(x, Part):
            assert_same_fields(x, y, name)
        else:
            assert x == y, (name, field.name)


def line(*nodes: Node, dt: float = 1e-3, **more: Any) -> Network:
    """Build Input, the nodes and Output in a row."""
    ends = (
        Input(name="input", port_shape=nodes[0].input_shape),
        Output(name="output", port_shape=nodes[-1].shape),
    )
    row = (ends[0], *nodes, ends[1])
    edges = tuple((a.name, b.name) for a, b in itertools.pairwise(row))
    return Network(row, edges, dt, **more)


def ramp(*shape: int) -> Any:
    return np.linspace(-1, 1, int(np.prod(shape)), dtype=np.float32).reshape(shape)


def conv(**more: Any) -> Conv:
    fields: dict[str, Any] = {
        "name": "conv",
        "weight": ramp(4, 2, 3, 3),
        "bias": ramp(4),
        "input_size": (8, 8),
        "stride": (1, 1),
        "padding": ((0, 0), (0, 0)),
        "dilation": (1, 1),
    }
    return Conv(**fields | more)


def lif(*shape: int, name: str = "lif", **more: Any) -> Population:
    one = np.ones(shape, np.float32)
    fields = {
        "tau": 0.01 * one,
        "r": one,
        "v_leak": 0 * one,
        "v_threshold": one,
        "v_reset": 0 * one,
    }
    return LIF(name=name, **fields | more)


def sayable(node: Node) -> bool:
    if isinstance(node, Conv):
        even = all(a == b for a, b in node.padding)
        return even and (node.bias is None or node.bias.ndim == 1)
    return not node.kind.endswith("Pool") or len(node.shape) == 3


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_a_network_comes_back_as_it_was(seed: int, layers: int) -> None:
    network = random_network(
        seed, layers, neurons=SPIKING + GRADED, connections=CONNECTIONS, dt=0.00125
    )
    if all(map(sayable, network.nodes)):
        back, findings = read(io.BytesIO(encode(network)))
        assert_same(network, back)
        assert [f for f in findings if f.code != "NIR-THRESHOLD-RESET"] == []
    else:
        with pytest.raises(UsageError) as e:
            encode(network)
        assert {f.code for f in e.value.findings} == {"NIR-UNSAYABLE"}


@pytest.mark.parametrize(
    "node",
    [
        conv(),
        conv(bias=None),
        conv(bias=np.zeros(4, np.float32)),
        conv(weight=ramp(4, 1, 3, 3), groups=2),
        conv(weight=ramp(4, 2, 3, 5), stride=(2, 1), padding=((1, 1), (2, 2)), dilation=(1, 2)),
        conv(weight=ramp(4, 2, 4, 4), padding=((1, 2), (1, 2))),
        conv(weight=ramp(4, 2, 3), input_size=(9,), stride=(2,), padding=((1, 1),), dilation=(1,)),
        AvgPool(
            name="p", pool_input=(2, 7, 8), window=(3, 2), stride=(2, 1), padding=((1, 1),) * 2
        ),
        Linear(name="l", weight=ramp(3, 4).astype(np.float64), bias=ramp(3)),
        Threshold(name="t", threshold=ramp(2, 3)),
        Delay(name="d", delay=np.array([0.0, 0.001, 0.025])),
        lif(2, 3, reset="subtract"),
        lif(2, 3, fires="at"),
    ],
    ids=lambda n: n.kind,
)
def test_a_node_comes_back_as_it_was(node: Node) -> None:
    network = line(node)
    back, findings = read(io.BytesIO(encode(network)))
    assert_same(network, back)
    assert findings == []


def test_order_readout_and_dt_survive(tmp_path: Path) -> None:
    readout = {"kind": "classes", "names": ["links", "größer"], "scale": [0.5, None]}
    network = line(lif(3, name="z"), lif(3, name="a"), dt=(0.1 + 0.2) / 1000, readout=readout)
    network = dataclasses.replace(network, nodes=network.nodes[::-1], edges=network.edges[::-1])
    write(network, tmp_path / "a.nir")
    assert_same(network, read(tmp_path / "a.nir")[0])


def test_shared_weights_are_stored_once_and_come_back_shared(tmp_path: Path) -> None:
    weight = np.random.default_rng(1).normal(size=(200, 200))
    layers = [Linear(name=f"l{i}", weight=weight) for i in range(4)]
    network = line(*layers)
    write(network, tmp_path / "a.nir")
    back, _ = read(tmp_path / "a.nir")
    assert_same(network, back)
    assert len({id(n.weight) for n in back.of(Linear)}) == 1
    assert (tmp_path / "a.nir").stat().st_size < 2 * weight.nbytes


# --- nir reads it ----------------------------------------------------------


def test_nir_reads_what_we_write(tmp_path: Path) -> None:
    network = line(conv(), lif(4, 6, 6, reset="subtract"))
    write(network, tmp_path / "a.nir")
    graph = nir.read(tmp_path / "a.nir")
    assert set(graph.nodes) == {"input", "conv", "lif", "output"}
    assert set(graph.edges) == set(network.edges)
    assert np.array_equal(graph.nodes["conv"].weight, network["conv"].weight)  # type: ignore[attr-defined]
    assert graph.nodes["lif"].tau.shape == (4, 6, 6)
    assert graph.nodes["lif"].metadata["reset"] == "subtract"
    assert graph.metadata["dt"] == network.dt
    assert nir.serialization.read_version(tmp_path / "a.nir") == nir.version


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_nir_reads_random_networks_without_its_type_check(seed: int) -> None:
    network = random_network(seed, neurons=SPIKING + GRADED)
    if not all(map(sayable, network.nodes)):
        return
    buffer = io.BytesIO(encode(network))
    graph = nir.read(buffer, type_check=False)
    assert set(graph.edges) == set(network.edges)
    assert_same(network, read(io.BytesIO(resaved(graph)))[0])


def resaved(graph: nir.NIRGraph) -> bytes:
    """Return the graph as nir writes it."""
    buffer = io.BytesIO()
    nir.write(buffer, graph)
    return buffer.getvalue()


# --- refusals --------------------------------------------------------------


def test_what_nir_cannot_say_is_refused_all_at_once(tmp_path: Path) -> None:
    network = line(
        conv(name="map", bias=ramp(4, 6, 6)),
        conv(name="oblique", weight=ramp(4, 4, 3, 3), input_size=(6, 6), padding=((0, 1), (0, 0))),
        conv(name="a/b", weight=ramp(4, 4, 1, 1), input_size=(5, 4)),
    )
    with pytest.raises(UsageError) as e:
        write(network, tmp_path / "a.nir")
    assert [(f.code, f.layer) for f in e.value.findings] == [
        ("NIR-UNSAYABLE", "map"),
        ("NIR-UNSAYABLE", "oblique"),
        ("NIR-NAME", "a/b"),
    ]
    assert list(tmp_path.iterdir()) == []


def test_what_we_would_refuse_to_read_is_not_written(tmp_path: Path) -> None:
    bad = lif(3, tau=np.array([0.01, np.nan, 0.01]))
    with pytest.raises(InputError) as e:
        write(line(bad, Linear(name="l", weight=ramp(2, 4))), tmp_path / "a.nir")
    assert [f.code for f in e.value.findings] == ["NIR-NOT-FINITE"]
    with pytest.raises(InputError) as e:
        write(line(lif(3), Linear(name="l", weight=ramp(2, 4))), tmp_path / "a.nir")
    assert [(f.code, f.layer) for f in e.value.findings] == [("NIR-SHAPE", "l")]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("field", ["reset", "fires", "per_step"])
def test_a_rule_that_no_file_can_hold_is_not_written(tmp_path: Path, field: str) -> None:
    """A reset of None was left out of the file, and read back as a reset to a value."""
    node = lif(3).with_(**{field: None})
    with pytest.raises(UsageError, match="NETWORK-FAULT") as refused:
        write(line(node), tmp_path / "m.nir")
    assert f"{field} of Spikes is None" in str(refused.value)
    assert not (tmp_path / "m.nir").exists()


def test_a_folder_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as e:
        write(line(lif(2)), tmp_path / "no" / "a.nir")
    assert (e.value.findings[0].code, e.value.exit_code) == ("OUTPUT-UNWRITABLE", 2)


def test_a_full_disk_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.nir"
    path.write_bytes(b"old")

    def full(fd: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UsageError, match="No space left") as e:
        write(line(lif(2)), path)
    assert e.value.findings[0].code == "OUTPUT-UNWRITABLE"
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("a.nir", b"old")]


# --- the bytes -------------------------------------------------------------


def test_the_same_network_gives_the_same_bytes_in_another_process(tmp_path: Path) -> None:
    program = """if True:
        import hashlib, sys
        sys.path.insert(0, sys.argv[1])
        from tests.builders.random_networks import random_network
        from nrf_deploy.io.nir.write import encode
        network = random_network(7, connections=["Linear"])
        print(hashlib.sha256(encode(network)).hexdigest())"""
    command = [sys.executable, "-c", program, str(Path(__file__).parents[3])]
    there = subprocess.check_output(command, text=True, cwd=tmp_path).strip()
    here = encode(random_network(7, connections=["Linear"]))
    assert hashlib.sha256(here).hexdigest() == there


def test_parameters_are_stored_in_full_and_packed() -> None:
    data = encode(line(lif(4, 50, 50)))
    with h5py.File(io.BytesIO(data)) as file:
        assert file["node/nodes/lif/tau"].shape == (4, 50, 50)
        assert file["node/nodes/lif/tau"].compression == "gzip"
    assert len(data) < 4 * 10_000 * 5
