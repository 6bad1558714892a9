"""Reading a .nir file: what it must state, what is repaired, and what is refused."""

from __future__ import annotations

import contextlib
import copy
import itertools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nrf_deploy.diagnostics.findings import Finding, InputError
from nrf_deploy.io.nir import read
from nrf_deploy.io.nir.scan import Limits
from nrf_deploy.ir.network import Conv, Network, Population, SumPool
from tests.builders.nir_files import (
    chain,
    codes,
    conv,
    flatten,
    graph,
    lif,
    linear,
    pool,
    port,
    refusal,
    save,
)

Tree = dict[str, Any]
UNKNOWN, UNSTATED = "NIR-METADATA-UNKNOWN", "NIR-RULE-UNSTATED"
DEFAULT_AND_PRODUCER = ["NIR-DEFAULT", "NIR-RULE-PRODUCER"]


def spiking(network: Network) -> Any:
    """Return the one population that spikes."""
    (node,) = (n for n in network.of(Population) if n.spikes)
    return node


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "model.nir"


def found(path: Any, dt: float | None = None) -> tuple[Network, list[str]]:
    network, findings = read(path, dt)
    return network, [f.code for f in findings]


def image(*nodes: Tree) -> Tree:
    """Build a chain from two channels of 8 x 8 pixels; the last node is an Output."""
    return chain(port("Input", 2, 8, 8), *nodes)


# --- files of others -------------------------------------------------------


def test_the_lif_of_the_nir_paper(shared: Path) -> None:
    network, findings = read(shared / "conformance/nir/lif_norse.nir", 1e-4, producer="nir")
    assert [n.kind for n in network.nodes] == ["Input", "Linear", "LIF", "Output"]
    assert (network.dt, [f.code for f in findings]) == (1e-4, DEFAULT_AND_PRODUCER)
    assert network["1"].membrane.tau == np.float32(0.0025)  # type: ignore[attr-defined]


def test_the_cnn_of_sinabs_in_units_of_steps(shared: Path) -> None:
    network, findings = read(shared / "conformance/nir/cnn_sinabs.nir", 1, producer="nir")
    assert [n.name for n in network.nodes] == ["input", *map(str, range(13)), "output"]
    assert [n.shape for n in network.of(Conv)] == [(16, 16, 16), (16, 16, 16), (8, 8, 8)]
    assert [n.shape for n in network.of(SumPool)] == [(16, 8, 8), (8, 4, 4)]
    assert network["8"].shape == (128,)
    assert all(
        (n.rule.reset_to == 0).all() and n.rule.reset == "value"  # type: ignore[attr-defined]
        for n in network.of(Population)
        if n.spikes
    )
    *defaults, rule = findings
    assert [(f.severity, f.code) for f in defaults] == [("info", "NIR-DEFAULT")] * 5
    assert (rule.severity, rule.code, rule.layer) == ("info", "NIR-RULE-PRODUCER", None)


def test_reading_imports_neither_nir_nor_torch(shared: Path) -> None:
    program = """if True:
        import sys
        from nrf_deploy.io.nir import read
        read(sys.argv[1], 1, producer='nir')
        assert not {"nir", "torch", "norse"} & set(sys.modules)"""
    command = [sys.executable, "-c", program, str(shared / "conformance/nir/cnn_sinabs.nir")]
    subprocess.run(command, check=True)


def nir_nodes() -> dict[str, Any]:
    """Build one node of every kind that nir can build, in a chain."""
    a: Any = np.full((4, 3, 3), 0.5, np.float32)
    b: Any = np.full(6, 0.5, np.float32)
    one: Any = np.array([1, 1])
    return {
        "input": nir.Input(np.array([2, 8, 8])),
        "conv": nir.Conv2d((8, 8), np.ones((4, 2, 3, 3), "f4"), 1, 0, 1, 1, np.zeros(4, "f4")),
        "sum": nir.SumPool2d(2 * one, 2 * one, 0 * one),
        "avg": nir.AvgPool2d(one, one, 0 * one),
        "scale": nir.Scale(a),
        "if": nir.IF(a, a),
        "threshold": nir.Threshold(a),
        "delay": nir.Delay(4 * a),
        "flatten": nir.Flatten(np.array([4, 3, 3]), 0, -1),
        "affine": nir.Affine(np.ones((6, 36), "f4"), np.ones(6, "f4")),
        "i": nir.I(b),
        "li": nir.LI(b, b, b),
        "lif": nir.LIF(b, b, b, b),
        "cubali": nir.CubaLI(b, b, b, b),
        "cubalif": nir.CubaLIF(b, b, b, b, b),
        "linear": nir.Linear(np.ones((6, 6), "f4")),
        "output": nir.Output(np.array([6])),
    }


def test_every_kind_of_node_as_nir_writes_it(file: Path) -> None:
    nodes = nir_nodes()
    names = list(nodes)
    model = nir.NIRGraph(nodes, list(itertools.pairwise(names)), {"dt": 0.5})
    nir.write(file, model)
    for source in (file, model):
        network, findings = read(source, producer="nir")
        assert [n.name for n in network.nodes] == [*names[:-1], f"{names[-2]}.value", names[-1]]
        assert {n.kind for n in network.nodes} >= {"Conv", "SumPool", "CubaLIF", "Delay", "I"}
        assert [f.code for f in findings] == ["NIR-RULE-PRODUCER", "NIR-READOUT"]


def test_a_binary_stream_is_read_like_a_path(file: Path) -> None:
    save(file, chain(port("Input", 2), lif(2), port("Output", 2)))
    with file.open("rb") as stream:
        assert [n.kind for n in read(stream)[0].nodes] == ["Input", "LIF", "Output"]


# --- the time step ---------------------------------------------------------

SMALL = (port("Input", 2), lif(2), port("Output", 2))


def test_without_dt_a_file_is_refused_with_the_way_out(file: Path) -> None:
    save(file, chain(*SMALL, dt=None))
    (problem,) = refusal(file).findings
    assert problem.code == "NIR-DT-MISSING"
    assert "--dt" in problem.fix
    assert read(file, 1e-3)[0].dt == 1e-3


def test_two_time_steps_must_agree(file: Path) -> None:
    save(file, chain(*SMALL, dt=1e-3))
    assert codes(file, 2e-3) == ["NIR-DT-CONFLICT"]
    assert read(file, 1e-3)[0].dt == 1e-3
    save(file, chain(*SMALL, dt=np.float32(1e-3)))  # type: ignore[arg-type]
    assert read(file, 1e-3)[0].dt == 1e-3, "float32 rounding of dt is not another dt"


@pytest.mark.parametrize("dt", [0.0, -1e-3, np.nan, np.inf])
def test_a_time_step_is_finite_and_positive(file: Path, dt: float) -> None:
    assert codes(save(file, chain(*SMALL, dt=dt))) == ["NIR-DT-INVALID"]
    assert codes(save(file, chain(*SMALL, dt=None)), dt) == ["NIR-DT-INVALID"]


def test_a_dt_that_is_no_number_is_told_as_it_stands(file: Path) -> None:
    """ "dt is nan" would be looked for in vain."""
    with pytest.raises(InputError, match="dt is '1e-3' according to the file"):
        read(save(file, chain(*SMALL, dt="1e-3")))


def test_tau_below_dt_names_layer_neuron_and_value(file: Path) -> None:
    tau = np.array([0.01, 0.0004], np.float32)
    save(file, chain(port("Input", 2), lif(2, tau=tau), port("Output", 2)))
    (problem,) = refusal(file).findings
    assert (problem.code, problem.layer, problem.neuron) == ("NIR-TAU-DT", "n1", (1,))
    assert "0.0004" in problem.what


def test_tau_equal_to_dt_but_for_float32_is_no_refusal(file: Path) -> None:
    save(file, chain(port("Input", 2), lif(2, tau=1e-4), port("Output", 2), dt=None))
    assert float(np.float32(1e-4)) < 1e-4
    assert read(file, 1e-4)[0].dt == 1e-4


# --- values ----------------------------------------------------------------


def affine(weight: Any, bias: Any) -> Tree:
    return {"type": "Affine", "weight": np.asarray(weight, "f4"), "bias": np.asarray(bias, "f4")}


@pytest.mark.parametrize(
    ("spoiled", "code"),
    [
        (affine([[1, np.nan], [0, 1]], [0, 0]), "NIR-NOT-FINITE"),
        (affine([[1, 0], [0, 1]], [0, np.inf]), "NIR-NOT-FINITE"),
        (affine([[1, 0], [0, 1]], [0, 0, 0]), "NIR-BIAS-SHAPE"),
        (affine([1, 0], [0]), "NIR-WEIGHT-SHAPE"),
        (lif(2, tau=-0.01), "NIR-TAU"),
        (lif(2, tau=0.0), "NIR-TAU"),
        (lif(2, v_threshold=np.nan), "NIR-NOT-FINITE"),
        (lif(2, r=np.ones(3, "f4")), "NIR-PARAM-SHAPE"),
        ({"type": "Delay", "delay": np.full(2, 0.0015)}, "NIR-DELAY"),
        ({"type": "Delay", "delay": np.full(2, -0.001)}, "NIR-DELAY"),
        ({"type": "Conv3d"}, "NIR-KIND-UNKNOWN"),
        ({"shape": np.array([2])}, "NIR-KIND-MISSING"),
        ({"type": "Scale"}, "NIR-FIELD-MISSING"),
        ({"type": "Scale", "scale": "two"}, "NIR-FIELD-TYPE"),
        (lif(2) | {"metadata": {"reset": "sometimes"}}, "NIR-RESET"),
        (lif(2) | {"metadata": {"fires": "below"}}, "NIR-FIRES"),
    ],
)
def test_a_wrong_value_is_refused_and_its_layer_named(file: Path, spoiled: Tree, code: str) -> None:
    save(file, chain(port("Input", 2), spoiled, port("Output", 2)))
    problem = next(f for f in refusal(file).findings if f.severity == "error")
    assert (problem.code, problem.layer) == (code, "n1")


@pytest.mark.parametrize(
    ("spoiled", "code"),
    [
        (conv(4, 3, 3, 3), "NIR-CHANNELS"),
        (conv(4, 1, 3, 3, groups=4), "NIR-CHANNELS"),
        (conv(3, 1, 3, 3, groups=2), "NIR-GROUPS"),
        (conv(4, 2, 3, 3, bias=np.zeros(3)), "NIR-BIAS-SHAPE"),
        (conv(4, 2, 9, 9), "NIR-SIZE"),
        (conv(4, 2, 3, 3, stride=np.array([0, 1])), "NIR-FIELD-RANGE"),
        (conv(4, 2, 3, 3, stride=np.array([1, 1, 1])), "NIR-FIELD-SHAPE"),
        (conv(4, 2, 3, 3, stride=np.array([1.5, 1])), "NIR-FIELD-TYPE"),
        (conv(4, 2, 3, 3, padding=np.array([-1, 0])), "NIR-FIELD-RANGE"),
        (conv(4, 2, 3, 3, padding="reflect"), "NIR-PADDING"),
        (conv(4, 2, 3, 3, padding="same", stride=np.array([2, 2])), "NIR-PADDING"),
        (conv(4, 2, 3, 3, input_shape=np.array([9, 9])), "NIR-SHAPE"),
        (conv(4, 2, 3), "NIR-WEIGHT-SHAPE"),
        (pool(kernel_size=np.array([9, 9])), "NIR-SIZE"),
        (pool(stride=np.array([0, 0])), "NIR-FIELD-RANGE"),
        (flatten(2, 1), "NIR-FLATTEN"),
        (flatten(0, 5), "NIR-FLATTEN"),
        (flatten(0, -1, input_type=np.array([5, 8, 8])), "NIR-SHAPE"),
        (linear(3, 8), "NIR-SHAPE"),
        (lif((2, 8, 7)), "NIR-SHAPE"),
    ],
)
def test_a_wrong_shape_is_refused_and_its_layer_named(file: Path, spoiled: Tree, code: str) -> None:
    save(file, image(spoiled, port("Output", 1)))
    assert (code, "n1") in [(f.code, f.layer) for f in refusal(file).findings]


def test_all_problems_are_reported_at_once(file: Path) -> None:
    weights = linear(2, 3)
    weights["weight"][0, 0] = np.nan
    nodes = {
        "in": port("Input", 3),
        "a": weights,
        "b": lif(2, tau=-1.0),
        "c": {"type": "Mystery"},
        "d": linear(4, 9),
        "e": lif(3),
        "out": port("Output", 3),
    }
    names = list(nodes)
    edges = [*itertools.pairwise(names), ("e", "nobody")]
    assert set(codes(save(file, graph(nodes, edges)))) == {
        "NIR-DT-MISSING", "NIR-NOT-FINITE", "NIR-TAU", "NIR-KIND-UNKNOWN", "NIR-SHAPE",
        "NIR-EDGE-DANGLING",
    }  # fmt: skip


def test_a_scalar_that_would_stretch_over_an_absurd_shape_is_refused(file: Path) -> None:
    huge = conv(1, 2, 1, 1, padding=np.array([1 << 20, 1 << 20]))
    save(file, image(huge, lif(()), port("Output", 1)))
    assert "NIR-TOO-LARGE" in codes(file)


# --- structure -------------------------------------------------------------


def wired(*edges: tuple[str, str], **more: Tree) -> Tree:
    nodes = {"in": port("Input", 2), "a": lif(2), "out": port("Output", 2)}
    return graph(nodes | more, list(edges), dt=1e-3)


SOUND = (("in", "a"), ("a", "out"))


@pytest.mark.parametrize(
    ("tree", "code"),
    [
        (wired(*SOUND, ("a", "zz")), "NIR-EDGE-DANGLING"),
        (wired(*SOUND, ("a", "out")), "NIR-EDGE-DUPLICATE"),
        (wired(*SOUND, lost=lif(2)), "NIR-UNREACHED"),
        (wired(*SOUND, ("out", "a")), "NIR-EDGE-PORT"),
        (wired(*SOUND, ("a", "in")), "NIR-EDGE-PORT"),
        (wired(*SOUND, ("a", "s"), ("s", "s"), s=linear(2, 2)), "NIR-CYCLE"),
        (wired(), "NIR-UNREACHED"),
        (graph({"a": lif(2)}, [], dt=1.0), "NIR-NO-INPUT"),
        (graph({"in": port("Input", 2)}, [], dt=1.0), "NIR-NO-OUTPUT"),
        ({"type": "LIF"}, "NIR-NOT-GRAPH"),
        ({"type": "NIRGraph"}, "NIR-NOT-NIR"),
        (wired(*SOUND) | {"edges": np.arange(4).reshape(2, 2)}, "NIR-EDGES"),
    ],
)
def test_a_broken_graph_is_refused(file: Path, tree: Tree, code: str) -> None:
    assert code in codes(save(file, tree))


def test_of_a_part_that_no_input_reaches_only_the_beginning_is_named(file: Path) -> None:
    part = [("b", "c"), ("c", "out"), ("d", "e"), ("e", "d"), ("d", "out")]
    tree = wired(*SOUND, *part, **{name: lif(2) for name in "bcde"})
    assert [f.layer for f in refusal(save(file, tree)).findings] == ["b", "d"]


def test_a_node_that_leads_nowhere_is_kept_and_mentioned(file: Path) -> None:
    network, findings = read(save(file, wired(*SOUND, ("in", "b"), b=lif(2))))
    assert "b" in network
    assert [(f.code, f.layer, f.severity) for f in findings] == [("NIR-UNUSED", "b", "warning")]


def test_a_cycle_through_a_neuron_or_a_delay_is_sound(file: Path) -> None:
    wait = {"type": "Delay", "delay": np.full(2, 0.002)}
    edges = [*SOUND, ("a", "w"), ("w", "a"), ("in", "d"), ("d", "d"), ("d", "out")]
    network, _ = read(save(file, wired(*edges, w=linear(2, 2), d=wait)))
    assert network.back_edges == {("w", "a"), ("d", "d")}


def test_where_edges_meet_shapes_must_be_equal(file: Path) -> None:
    edges = [*SOUND, ("in", "b"), ("b", "out")]
    assert codes(save(file, wired(*edges, b=linear(3, 2)))) == ["NIR-SHAPE"]
    assert read(save(file, wired(*edges, b=linear(2, 2))))[0].sources("out") == ("a", "b")


def test_nested_graphs_are_undone(file: Path) -> None:
    inner = chain(port("Input", 2), lif(2), port("Output", 2), dt=None)
    inner["nodes"]["deep"] = chain(port("Input", 2), linear(2, 2), port("Output", 2), dt=None)
    inner["edges"] = np.array([("n0", "n1"), ("n1", "deep"), ("deep", "n2")], "S")
    network, findings = read(save(file, wired(("in", "g"), ("g", "a"), ("a", "out"), g=inner)))
    assert [n.name for n in network.nodes] == ["in", "g.n1", "g.deep.n1", "a", "out"]
    assert set(network.edges) == {
        ("in", "g.n1"), ("g.n1", "g.deep.n1"), ("g.deep.n1", "a"), ("a", "out"),
    }  # fmt: skip
    assert findings == []


def test_a_nested_graph_is_checked_like_any_other(file: Path) -> None:
    inner = chain(port("Input", 3), lif(2), port("Output", 2), dt=5e-4)
    tree = wired(("in", "g"), ("g", "a"), ("a", "out"), g=inner)
    assert set(codes(save(file, tree))) == {"NIR-SHAPE", "NIR-DT-CONFLICT"}
    inner = graph({"a": port("Input", 2), "b": port("Input", 2)}, [])
    assert "NIR-NESTED-PORTS" in codes(save(file, wired(*SOUND, ("in", "g"), g=inner)))


def test_names_that_clash_once_nesting_is_undone(file: Path) -> None:
    inner = chain(port("Input", 2), lif(2), port("Output", 2), dt=None)
    tree = wired(("in", "g"), ("g", "a"), ("a", "out"), **{"g": inner, "g.n1": lif(2)})
    assert "NIR-NAME-CLASH" in codes(save(file, tree))


# --- repairs: each leaves a finding ----------------------------------------


def test_a_depthwise_convolution_is_read(file: Path) -> None:
    size = np.array([8, 8])
    save(file, image(conv(2, 1, 3, 3, groups=2, input_shape=size), port("Output", 2, 6, 6)))
    with pytest.raises(ValueError, match="type mismatch"):
        nir.read(file)
    network, findings = found(file)
    assert network["n1"].shape == (2, 6, 6)
    assert findings == []


def test_a_kernel_that_is_not_square_is_read(file: Path) -> None:
    oblong = conv(4, 2, 3, 5, input_shape=np.array([8, 8]))
    save(file, image(oblong, lif((4, 6, 4)), port("Output", 4, 6, 4)))
    with pytest.raises(ValueError, match="type mismatch"):
        nir.read(file)
    assert found(file)[0]["n1"].shape == (4, 6, 4)


def test_a_convolution_that_does_not_say_its_input_takes_it_from_the_graph(file: Path) -> None:
    save(file, image(conv(4, 2, 3, 3), lif((4, 6, 6)), port("Output", 4, 6, 6)))
    with pytest.raises(TypeError, match="input_shape"):
        nir.read(file)
    network, findings = found(file)
    assert (network["n1"].shape, findings) == ((4, 6, 6), [])


def test_one_value_for_all_neurons_gets_the_full_shape(file: Path) -> None:
    save(file, image(conv(4, 2, 3, 3), lif(()), port("Output", 4, 6, 6)))
    network, findings = read(file)
    lif_node = spiking(network)
    assert lif_node.membrane.tau.shape == lif_node.rule.reset_to.shape == (4, 6, 6)
    assert [(f.code, f.severity) for f in findings] == [("NIR-BROADCAST", "info")]
    save(file, image(conv(4, 2, 3, 3), lif((4, 1, 1)), port("Output", 4, 6, 6)))
    assert [(f.code, f.severity) for f in read(file)[1]] == [("NIR-BROADCAST", "warning")]


def test_single_numbers_stand_for_both_axes(file: Path) -> None:
    one = {"stride": np.array([2]), "padding": 1, "dilation": np.array(1)}
    network, findings = found(save(file, image(conv(4, 2, 3, 3, **one), port("Output", 4, 4, 4))))
    node = next(network.of(Conv))
    assert (node.stride, node.padding, node.dilation) == ((2, 2), ((1, 1), (1, 1)), (1, 1))
    assert findings == []


@pytest.mark.parametrize(("word", "side"), [("same", 8), ("valid", 5)])
def test_padding_in_words(file: Path, word: str, side: int) -> None:
    save(file, image(conv(4, 2, 4, 4, padding=word), port("Output", 4, side, side)))
    node = next(read(file)[0].of(Conv))
    assert node.padding == (((1, 2), (1, 2)) if word == "same" else ((0, 0), (0, 0)))


def test_an_input_with_a_batch_of_one_loses_it(file: Path) -> None:
    nodes = (port("Input", 1, 2, 8, 8), conv(4, 2, 3, 3), flatten(1, -1), linear(3, 144))
    network, findings = found(save(file, chain(*nodes, port("Output", 1, 3))))
    assert network["n0"].shape == (2, 8, 8)
    assert network["n2"].shape == (144,)
    assert findings == ["NIR-INPUT-BATCH", "NIR-FLATTEN-BATCH", "NIR-OUTPUT-BATCH"]


def test_a_larger_batch_must_reach_from_the_input_to_the_output(file: Path) -> None:
    network, findings = read(
        save(file, chain(port("Input", 7, 3), linear(2, 3), port("Output", 7, 2)))
    )
    assert (network["n0"].shape, network["n2"].shape) == ((3,), (2,))
    assert [f.severity for f in findings] == ["warning", "info"]
    save(file, chain(port("Input", 7, 3), linear(2, 3), port("Output", 2)))
    assert codes(file) == ["NIR-SHAPE"], "a missing Flatten is not a batch"


def test_flatten_counts_without_a_batch_as_nir_says_unless_only_the_other_way_fits(
    file: Path,
) -> None:
    network, findings = found(save(file, image(flatten(1, -1), port("Output", 2, 64))))
    assert (network["n1"].shape, findings) == ((2, 64), [])
    network, findings = found(save(file, image(flatten(1, -1), linear(3, 128), port("Output", 3))))
    assert (network["n1"].shape, findings) == ((128,), ["NIR-FLATTEN-BATCH"])


def test_repairs_do_not_hide_other_problems(file: Path) -> None:
    save(file, chain(port("Input", 1, 2, 8, 8), conv(4, 3, 3, 3), port("Output", 4, 6, 6)))
    assert set(codes(file)) <= {"NIR-DIMENSIONS", "NIR-CHANNELS"}


def test_integers_become_floats_and_precision_is_kept(file: Path) -> None:
    weights = {"type": "Linear", "weight": np.array([[1, -2], [3, 4]], np.int8)}
    doubles = lif(2, tau=np.full(2, 0.1, np.float64))
    network, _ = read(save(file, chain(port("Input", 2), weights, doubles, port("Output", 2))))
    assert network["n1"].weight.dtype == np.float32  # type: ignore[attr-defined]
    assert network["n2"].membrane.tau.dtype == np.float64  # type: ignore[attr-defined]


def in_a_row(node: Tree, **metadata: Any) -> Tree:
    tree = chain(port("Input", 2), node, port("Output", 2))
    return tree | {"metadata": {"dt": 1e-3} | metadata}


def test_an_unknown_field_of_a_node_is_refused(file: Path) -> None:
    tree = in_a_row(lif(2) | {"refractory": np.ones(2)})
    assert codes(save(file, tree)) == ["NIR-FIELD-UNKNOWN"]


def test_shapes_that_nir_keeps_beside_a_node_are_mentioned(file: Path) -> None:
    _, findings = read(save(file, in_a_row(lif(2) | {"input_type": np.array([2])})))
    assert [(f.severity, f.code, f.layer) for f in findings] == [
        ("warning", "NIR-FIELD-UNKNOWN", "n1")
    ]


@pytest.mark.parametrize(
    ("node", "metadata", "expected"),
    [
        (lif(2), {"reset": "value", "fires": "above", "reset_delay": "1"}, {UNKNOWN}),
        (lif(2), {"Reset": "subtract", "fires": "above"}, {UNKNOWN, UNSTATED}),
        (lif(2), {"reset": "value", "fires": "above", "rectify": "yes"}, {UNKNOWN}),
        (linear(2, 2), {"reset": "subtract"}, {UNKNOWN}),
        (lif(2), "reset=subtract", {"NIR-METADATA", UNSTATED}),
    ],
)
def test_unknown_metadata_of_a_node_are_refused(
    file: Path, node: Tree, metadata: Any, expected: set[str]
) -> None:
    assert set(codes(save(file, in_a_row(node | {"metadata": metadata})))) == expected


def test_a_field_of_a_rule_without_its_prefix_is_hinted_at(file: Path) -> None:
    node = lif(2)
    node["metadata"] = node["metadata"] | {"refractory": 2}
    (finding,) = refusal(save(file, in_a_row(node))).findings
    assert (finding.code, finding.layer) == ("NIR-METADATA-UNKNOWN", "n1")
    assert finding.fix == "write it as nrf.refractory, and nrf.version = '1' beside it"


@pytest.mark.parametrize("word", ["absent", "perhaps"])
def test_a_bias_is_absent_only_where_it_is_zero(file: Path, word: str) -> None:
    bias = np.full(2, 1 if word == "absent" else 0, np.float32)
    node = conv(2, 2, 3, 3, bias=bias, metadata={"bias": word})
    tree = chain(port("Input", 2, 4, 4), node, port("Output", 2, 2, 2))
    assert codes(save(file, tree)) == ["NIR-BIAS"]


@pytest.mark.parametrize("key", ["reset", "fires", "rectify"])
def test_a_word_of_nodes_is_refused_in_the_metadata_of_a_graph(file: Path, key: str) -> None:
    """It was dropped, and the neurons were read as if nobody had stated it."""
    assert codes(save(file, in_a_row(lif(2), **{key: "subtract"}))) == ["NIR-METADATA-UNKNOWN"]


def test_remarks_of_a_graph_are_mentioned(file: Path) -> None:
    _, findings = read(save(file, in_a_row(lif(2), author="A. Turing")))
    assert [(f.severity, f.code) for f in findings] == [("warning", "NIR-METADATA-UNREAD")]
    assert "author" in findings[0].what


def test_the_start_of_loops_is_not_read_of_a_nested_graph(file: Path) -> None:
    inner = in_a_row(lif(2), node_order="[]")
    tree = chain(port("Input", 2), inner, port("Output", 2))
    _, findings = read(save(file, tree))
    assert findings == []
    inner["metadata"]["loop_start"] = "zero"
    assert codes(save(file, tree)) == ["NIR-METADATA-UNKNOWN"]


def test_defaults_of_nir(file: Path) -> None:
    node = lif(2)
    del node["v_reset"]
    network, findings = found(save(file, chain(port("Input", 2), node, port("Output", 2))))
    assert (spiking(network).rule.reset_to == 0).all()
    assert findings == ["NIR-DEFAULT"]


def test_a_reset_by_subtraction_needs_no_value(file: Path) -> None:
    node = lif(2) | {"metadata": {"reset": "subtract", "fires": "at"}}
    del node["v_reset"]
    network, findings = found(save(file, chain(port("Input", 2), node, port("Output", 2))))
    neurons = spiking(network)
    assert (neurons.rule.reset, neurons.rule.fires, findings) == ("subtract", "at", [])


def test_a_threshold_not_above_the_reset_is_mentioned(file: Path) -> None:
    node = lif(2, v_reset=np.array([0.0, 0.5], "f4"))
    _, findings = read(save(file, chain(port("Input", 2), node, port("Output", 2))))
    assert [(f.code, f.neuron) for f in findings] == [("NIR-THRESHOLD-RESET", (1,))]


@pytest.mark.parametrize(
    ("version", "expected"),
    [("0.2.0", []), ("1.0.8", []), (None, ["NIR-VERSION"]), ("latest", ["NIR-VERSION"])],
)
def test_versions(file: Path, version: str | None, expected: list[str]) -> None:
    assert found(save(file, chain(*SMALL), version))[1] == expected


def test_a_version_after_ours_is_refused(file: Path) -> None:
    assert codes(save(file, chain(*SMALL), "2.0.0")) == ["NIR-VERSION-NEW"]


# --- order and metadata ----------------------------------------------------


def test_without_a_stored_order_nodes_follow_the_edges_then_natural_names(file: Path) -> None:
    names = ["z_in", *(str(i) for i in range(12)), "out"]
    nodes = {n: lif(2) for n in names} | {"z_in": port("Input", 2), "out": port("Output", 2)}
    edges = [("z_in", n) for n in names[1:-1]] + [(n, "out") for n in names[1:-1]]
    network, _ = read(save(file, graph(nodes, edges, dt=1e-3)))
    assert [n.name for n in network.nodes] == names


def test_order_reset_and_readout_come_from_the_metadata(file: Path) -> None:
    tree = wired(*SOUND)
    tree["nodes"]["a"]["metadata"] = {"reset": "subtract"}
    readout = {"classes": ["left", "right"]}
    tree["metadata"] |= {
        "node_order": json.dumps(["out", "a", "in"]),
        "readout": json.dumps(readout),
    }
    network, findings = read(save(file, tree), fires="above")
    assert [n.name for n in network.nodes] == ["out", "a", "in"]
    assert spiking(network).rule.reset == "subtract"
    assert network.readout == readout
    assert [f.code for f in findings] == ["NIR-RULE-OPTION"]


@pytest.mark.parametrize("order", ['["in"]', "nonsense", "[" * 99_999, '[["in"], "a", "out"]'])
def test_an_order_that_does_not_fit_is_mentioned_and_left_aside(file: Path, order: str) -> None:
    tree = wired(*SOUND)
    tree["metadata"]["node_order"] = order
    network, findings = found(save(file, tree))
    assert [n.name for n in network.nodes] == ["in", "a", "out"]
    assert findings == ["NIR-ORDER"]


@pytest.mark.parametrize("key", ["readout", "receptive_fields"])
def test_data_that_is_no_json_object_is_refused(file: Path, key: str) -> None:
    tree = wired(*SOUND)
    tree["metadata"][key] = "[1, 2]"
    assert codes(save(file, tree)) == [f"NIR-{key.upper().replace('_', '-')}"]


def test_every_refusal_says_what_and_where(file: Path) -> None:
    problems: list[Finding] = []
    for node in (lif(2, tau=-1.0), {"type": "Mystery"}, linear(3, 9), affine([[1]], [np.nan])):
        save(file, chain(port("Input", 2), node, port("Output", 2)))
        problems += refusal(file).findings
    assert all(p.what and p.layer and (p.why or p.fix) for p in problems)


ODD: list[Any] = [
    np.array(-1), np.array(1 << 62), np.array([]), np.array(np.nan), np.array([1, 2, 3, 4]),
    np.array([1e300]), np.zeros((1, 1, 1, 1)), np.array([[b"a", b"b"]]), np.array(True), "text",
    {}, {"type": "LIF"}, lif(6), flatten(), port("Output", 3),
]  # fmt: skip


def spots(tree: Tree) -> list[tuple[Tree, str]]:
    """Yield every place of a tree, as (dictionary, key)."""
    inside = [spots(v) for v in tree.values() if isinstance(v, dict)]
    return [(tree, k) for k in tree] + [spot for part in inside for spot in part]


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_whatever_stands_in_a_field_the_answer_is_a_refusal_or_a_network(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    nodes = (conv(4, 2, 3, 3), lif((4, 6, 6)), pool(), flatten(), linear(6, 36), lif(6))
    tree = copy.deepcopy(image(*nodes, port("Output", 6)))
    for _ in range(data.draw(st.integers(1, 3))):
        place, key = data.draw(st.sampled_from(spots(tree)))
        if odd := data.draw(st.sampled_from([None, *range(len(ODD))])):
            place[key] = copy.deepcopy(ODD[odd])
        else:
            del place[key]
    path = save(tmp_path_factory.mktemp("odd") / "a.nir", tree)
    outcome: object = None
    with contextlib.suppress(InputError):
        outcome = read(path)[0]
    assert outcome is None or isinstance(outcome, Network)


def test_elements_are_bounded_by_what_the_file_holds(tmp_path: Path) -> None:
    """A layer of one parameter each neuron may be larger than one of a single number."""
    limits = Limits(neurons=100)
    one, many = (np.ones(n, np.float32) for n in (1, 60))
    for parameter, refused in ((many, False), (one, True)):
        node = nir.LIF(parameter, parameter, 0 * parameter, parameter, v_reset=0 * parameter)
        nodes = {"x": nir.Input(np.array([60])), "n": node, "y": nir.Output(np.array([60]))}
        path = tmp_path / f"{len(parameter)}.nir"
        nir.write(path, nir.NIRGraph(nodes, [("x", "n"), ("n", "y")], type_check=False))
        if refused:
            with pytest.raises(InputError, match="NIR-TOO-LARGE"):
                read(path, 0.1, limits=limits, producer="nir")
        else:
            assert read(path, 0.1, limits=limits, producer="nir")[0]["n"].shape == (60,)
