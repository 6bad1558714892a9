"""The first value of an edge that closes a cycle: its connections' bias, or zero."""

from __future__ import annotations

import hashlib
import itertools
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nrf_deploy as nd
from nrf_deploy.bundle.bundle import _json
from nrf_deploy.bundle.codec import to_json
from nrf_deploy.diagnostics.findings import InputError
from nrf_deploy.engines.reference import run
from nrf_deploy.io import nir
from nrf_deploy.io.archive import write
from nrf_deploy.ir.layer_view import layers
from nrf_deploy.ir.network import (
    IF,
    LIF,
    Array,
    CubaLIF,
    Edge,
    Input,
    Linear,
    LoopStart,
    Network,
    Node,
    Output,
    Population,
    Scale,
)
from nrf_deploy.ir.recording import Recording
from tests.builders.nir_files import chain, graph, lif, port, save
from tests.targets.emulator.test_target import WIDE, full, some_input, verified

STARTS: tuple[LoopStart, ...] = ("bias", "zero")


def spikes(network: Network, frames: Array, name: str, **how: Any) -> Array:
    trace = run(network, Recording.from_dense(frames.astype(np.int64)), **how)
    return trace.outputs[name].dense()


def looped(cell: Node, *back: Node, start: LoopStart = "bias") -> Network:
    """Build two inputs -> w -> cell -> out, and from the cell through `back` to the cell."""
    nodes: tuple[Node, ...] = (
        Input(name="in", port_shape=(2,)),
        Linear(name="w", weight=np.array([[0.75, -0.25], [0.5, 0.375]], np.float32)),
        cell,
        Output(name="out", port_shape=(2,)),
    )
    names = ("n", *(b.name for b in back), "n")
    edges: tuple[Edge, ...] = (("in", "w"), ("w", "n"), ("n", "out"))
    way = tuple(itertools.pairwise(names))
    return Network((*nodes, *back), (*edges, *way), 1.0, loop_start=start)


def cell(**more: Any) -> Population:
    values = {"tau": 4.0, "r": 4.0, "v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0}
    return LIF(name="n", **{k: full(v, 2) for k, v in values.items()}, **more)


def back(bias: float = 0.625) -> Linear:
    weight = np.array([[0.25, -0.5], [0.5, -0.75]], np.float32)
    return Linear(name="back", weight=weight, bias=np.array([bias, -bias / 2], np.float32))


def frames(steps: int = 40) -> Array:
    return np.random.default_rng(3).random((steps, 2)) < 0.6


# --- the float reference ---------------------------------------------------------------------


def rsynaptic(network: Network, x: Array) -> tuple[Array, Array]:
    """Step snnTorch's RSynaptic and Synaptic, reset to zero without delay, by their equations.

    i = alpha i + W x + b + W_rec s + b_rec;  v = beta v + i;  s = v > 1;  v = v (1 - s)
    """
    first, second = (network[n] for n in ("lif1.lif", "lif2"))
    fc1, rec, fc2 = (network[n] for n in ("fc1", "lif1.w_rec", "fc2"))
    assert first.kind == second.kind == "CubaLIF"
    membranes = [n.membrane for n in (first, second)]  # type: ignore[attr-defined]
    decays = [[1 - 1e-4 / t.astype(float) for t in (m.tau_syn, m.tau_mem)] for m in membranes]
    state = [[np.zeros(n.shape) for _ in range(2)] for n in (first, second)]
    out: tuple[list[Array], list[Array]] = ([], [])
    s = np.zeros(first.shape)
    for frame in x:
        drive: Any = affine(fc1, frame) + affine(rec, s)
        for k in (0, 1):
            (alpha, beta), (i, v) = decays[k], state[k]
            i = alpha * i + drive
            v = beta * v + i
            assert np.abs(v - 1).min() > 1e-6  # so that the order of sums cannot decide
            fired = (v > 1).astype(float)
            state[k] = [i, v * (1 - fired)]
            out[k].append(fired)
            if k == 0:
                s, drive = fired, affine(fc2, fired)
    return np.array(out[0]), np.array(out[1])


def affine(node: Node, x: Array) -> Array:
    assert isinstance(node, Linear)
    assert node.bias is not None
    return node.weight.astype(float) @ x + node.bias


def test_the_recurrent_braille_reader_is_spike_for_spike_as_snntorch_runs_it(shared: Path) -> None:
    path = shared / "conformance/nir/braille_noDelay_bias_zero.nir"
    network = nd.read(path, dt=1e-4, reset="value", fires="above").network
    x = np.random.default_rng(0).random((256, 12)) < 0.02
    hidden, readout = rsynaptic(network, x)
    assert hidden.sum() > 200
    assert readout.sum() > 500
    np.testing.assert_array_equal(spikes(network, x, "lif1.lif"), hidden)
    np.testing.assert_array_equal(spikes(network, x, "lif2"), readout)
    from_zero = replace(network, loop_start="zero")
    assert (spikes(from_zero, x, "lif2") != readout).any()


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("decay", ["euler", "exact"])
def test_a_small_loop_is_as_its_equations(start: LoopStart, decay: Any) -> None:
    network, x = looped(cell(), back(), start=start), frames()
    w, rec = network["w"], network["back"]
    assert isinstance(w, Linear)
    assert isinstance(rec, Linear)
    assert rec.bias is not None
    kept = np.exp(-0.25) if decay == "exact" else 0.75
    v, s, expected = np.zeros(2), np.zeros(2), []
    for t, frame in enumerate(x):
        way_back = rec.weight @ s + rec.bias * (start == "bias" or t > 0)
        v = kept * v + (1 - kept) * 4 * (w.weight @ frame + way_back)
        assert np.abs(v - 1).min() > 1e-6
        s = (v > 1).astype(float)
        v = v * (1 - s)
        expected.append(s)
    np.testing.assert_array_equal(spikes(network, x, "n", decay=decay), expected)


def test_what_the_first_step_gets_in_a_way_of_several_connections() -> None:
    first = Linear(name="a", weight=np.zeros((3, 2), np.float32), bias=np.ones(3, np.float32))
    second = Scale(name="b", scale=np.full(3, 2.0, np.float32))
    third = Linear(name="c", weight=np.ones((2, 3), np.float32), bias=np.ones(2, np.float32))
    network = looped(cell(), first, second, third)
    assert network.back_edges == {("c", "n")}
    trace = run(network, Recording.from_dense(np.zeros((1, 2), np.int64)), states=["n"])
    assert trace.outputs["n"].dense().tolist() == [[1, 1]]  # 1*2*3 + 1 = 7 at once
    trace = run(
        replace(network, loop_start="zero"),
        Recording.from_dense(np.zeros((2, 2), np.int64)),
    )
    assert trace.outputs["n"].dense().tolist() == [[0, 0], [1, 1]]


# --- chips, rewrites and causes ----------------------------------------------------------------


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("chip", [WIDE, f"{WIDE}:latency=1"])
@pytest.mark.parametrize("current", [False, True])
def test_the_emulated_machine_is_equal(start: LoopStart, chip: str, current: bool) -> None:
    filtered = CubaLIF(
        name="n", tau_syn=full(2.0, 2), tau_mem=full(4.0, 2), r=full(4.0, 2), w_in=full(2.0, 2),
        v_leak=full(0.0, 2), v_threshold=full(1.0, 2), v_reset=full(0.0, 2),
    )  # fmt: skip
    network = looped(filtered if current else cell(), back(), start=start)
    report = verified(network, chip)
    assert report.comparison.exact, report.text()


@pytest.mark.parametrize("start", STARTS)
def test_loihi_has_the_bias_in_the_model_s_step(start: LoopStart) -> None:
    threshold = {"v_threshold": full(1.0, 2), "v_reset": full(0.0, 2)}
    network = looped(IF(name="n", r=full(1.0, 2), **threshold), back(), start=start)
    bundle = nd.compile(network, "loihi2")
    x = Recording.from_dense(frames().astype(np.int64))
    first = [nd.run(bundle, x, e, layer=["n"]).outputs["n"] for e in ("reference", "emulator")]
    late = bundle.program.origin("n").latency
    assert len(first[0].index) > 20
    np.testing.assert_array_equal(first[0].dense(), first[1].dense()[late:])


@pytest.mark.parametrize("start", STARTS)
def test_no_cause_is_found_where_there_is_no_error(start: LoopStart) -> None:
    network = looped(cell(), back(), start=start)
    bundle = nd.compile(network, WIDE)
    report = nd.verify(bundle, some_input(network), attribute=True)
    assert report.attribution is not None
    assert {k: v for x in report.attribution.layers for k, v in x.causes.items() if v} == {}


def test_links_know_whether_a_bias_misses_the_first_step() -> None:
    for start, late in (("bias", 0), ("zero", 1)):
        network = looped(cell(), back(), start=start)  # type: ignore[arg-type]
        assert [k.late for k in layers(network).links if k.back] == [late]


# --- files -----------------------------------------------------------------------------------


def test_a_nir_file_keeps_what_is_not_the_default(tmp_path: Path) -> None:
    for start in STARTS:
        network = looped(cell(), back(), start=start)
        nir.write(network, tmp_path / "m.nir")
        read, findings = nir.read(tmp_path / "m.nir")
        assert (read.loop_start, findings) == (start, [])


def test_a_nir_file_of_others_starts_its_loops_with_the_bias(tmp_path: Path) -> None:
    tree = chain(port("Input", 2), lif(2), port("Output", 2))
    assert nir.read(save(tmp_path / "m.nir", tree))[0].loop_start == "bias"


def test_another_word_in_the_file_is_refused(tmp_path: Path) -> None:
    nodes = {"in": port("Input", 2), "n": lif(2), "out": port("Output", 2)}
    edges = [("in", "n"), ("n", "out")]
    tree = graph(nodes, edges, dt=1e-3, loop_start="late")
    with pytest.raises(InputError, match=r"NIR-LOOP-START.*'late'; expected 'bias' or 'zero'"):
        nir.read(save(tmp_path / "m.nir", tree))


def content(path: Path) -> Any:
    with zipfile.ZipFile(path) as archive:
        return _json(archive.read("content.json"), "content.json")["map"]["network"]


@pytest.mark.parametrize("start", STARTS)
def test_a_bundle_keeps_it_where_it_matters(tmp_path: Path, start: LoopStart) -> None:
    path = tmp_path / "b.nrfb"
    nd.save(nd.compile(looped(cell(), back(), start=start), WIDE), path)
    assert content(path)["loop_start"] == start
    assert nd.load(path).network.loop_start == start


@pytest.mark.parametrize("bias", [0.0, 0.625])
def test_bundles_without_the_field_are_read_as_they_were_compiled(
    tmp_path: Path, bias: float
) -> None:
    """Version 0.1.0 started every loop at zero. Without a bias on the way back nothing changes."""
    path = tmp_path / "b.nrfb"
    network = looped(cell(), back(bias), start="zero")
    nd.save(nd.compile(network, WIDE), path)
    if bias:
        without(path, "loop_start")
    assert "loop_start" not in content(path)
    bundle = nd.load(path)
    assert bundle.network.loop_start == ("zero" if bias else "bias")
    assert nd.verify(bundle, some_input(network)).comparison.exact


def without(path: Path, field: str) -> None:
    """Return the bundle as an older version without this field of a network wrote it."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    tree = _json(members["content.json"], "content.json")
    del tree["map"]["network"][field]
    members["content.json"] = to_json(tree)
    manifest = _json(members["manifest.json"], "manifest.json")
    manifest["members"]["content.json"] = hashlib.sha256(members["content.json"]).hexdigest()
    members["manifest.json"] = to_json(manifest, indent=1)
    with path.open("wb") as stream:
        write(stream, [(name, (data,)) for name, data in members.items()])
