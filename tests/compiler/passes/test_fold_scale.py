"""A factor goes into the weights or the neurons beside it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nrf_deploy.compiler.passes import FoldScale, ScaleToWeights
from nrf_deploy.engines.reference import run
from nrf_deploy.ir.network import Delay, Input, Linear, Network, Population, Scale, Threshold
from nrf_deploy.ir.recording import Recording
from tests.builders.rewrite_cases import (
    POPULATIONS,
    chain,
    conv,
    convs,
    dyadic,
    flatten,
    graph,
    kinds,
    left,
    lif,
    pools,
    population,
    rewritten,
    same,
    scale_for,
    seeds,
    sizes,
)


def scale(name: str, shape: tuple[int, ...], seed: int = 1, everywhere: bool = False) -> Scale:
    return Scale(name=name, scale=scale_for(shape, seed, everywhere))


@settings(max_examples=40, deadline=None)
@given(st.data(), sizes(), seeds)
def test_a_factor_a_channel_folds_into_the_convolution_beside_it(
    data: st.DataObject, size: tuple[int, ...], seed: int
) -> None:
    shape = (4, *size)
    w = data.draw(convs("w", shape))
    before = chain(scale("s", shape, seed), w, lif("p", w.shape))
    behind = chain(w, scale("s", w.shape, seed), lif("p", w.shape))
    for network in (before, behind):
        after = rewritten(FoldScale(), network)
        assert kinds(after) == ["Input", "Conv", "LIF", "Output"]
        assert same(network, after)


@settings(max_examples=25, deadline=None)
@given(seeds, st.booleans(), st.booleans())
def test_a_factor_an_element_folds_into_a_linear(seed: int, first: bool, biased: bool) -> None:
    bias = dyadic((3,), seed) if biased else None
    w = Linear(name="w", weight=dyadic((3, 5), seed), bias=bias)
    s = scale("s", (5,) if first else (3,), seed, everywhere=True)
    network = chain(*((s, w) if first else (w, s)), lif("p", (3,)))
    after = rewritten(FoldScale(), network)
    assert kinds(after) == ["Input", "Linear", "LIF", "Output"]
    assert same(network, after)


@pytest.mark.parametrize("kind", POPULATIONS)
def test_a_factor_folds_into_the_input_of_neurons(kind: Callable[..., Population]) -> None:
    network = chain(scale("s", (2, 3, 3), 5, everywhere=True), population(kind, "p", (2, 3, 3)))
    after = rewritten(FoldScale(), network)
    assert kinds(after) == ["Input", kind.__name__, "Output"]
    assert same(network, after)
    recording = Recording.from_dense(np.random.default_rng(0).integers(0, 3, (6, 2, 3, 3)))
    a = run(network, recording, states=["p"])
    b = run(after, recording, states=["p"])
    assert a.outputs["p"].same(b.outputs["p"])
    assert a.outputs["p"].index.size
    for name, values in a.states["p"].items():
        np.testing.assert_array_equal(values, b.states["p"][name])


@settings(max_examples=25, deadline=None)
@given(st.data(), sizes(), seeds)
def test_a_factor_a_channel_passes_a_pool(
    data: st.DataObject, size: tuple[int, ...], seed: int
) -> None:
    pool = data.draw(pools("pool", (2, *size)))
    network = chain(scale("s", (2, *size), seed), pool, lif("p", pool.shape))
    after = rewritten(FoldScale(), network)
    assert kinds(after) == ["Input", "SumPool", "LIF", "Output"]
    assert same(network, after)


def test_any_factor_passes_a_flatten_and_a_delay() -> None:
    s = scale("s", (2, 2, 3), 3, everywhere=True)
    late = Delay(name="late", delay=np.full((2, 2, 3), 2.0))
    w = Linear(name="w", weight=dyadic((3, 12), 1))
    network = chain(s, late, flatten("f", s.shape), w, lif("p", (3,)))
    after = rewritten(FoldScale(), network)
    assert kinds(after) == ["Input", "Delay", "Flatten", "Linear", "LIF", "Output"]
    assert same(network, after)


def test_scales_meet() -> None:
    network = chain(scale("a", (2, 3), 1), scale("b", (2, 3), 2, everywhere=True))
    after = rewritten(FoldScale(), network)
    assert kinds(after) == ["Input", "Scale", "Output"]
    assert same(network, after)


def test_a_scale_that_only_an_output_reads_stays() -> None:
    network = chain(lif("p", (2, 3)), scale("s", (2, 3)))
    assert FoldScale().apply(network) == (network, [])
    assert ScaleToWeights().apply(network) == (network, [])


def test_a_positive_factor_folds_into_a_threshold_and_no_other() -> None:
    up = Scale(name="s", scale=np.array([0.5, 2.0]))
    step = Threshold(name="t", threshold=np.array([0.25, 1.0]))
    network = chain(up, step)
    after = rewritten(FoldScale(), network)
    assert kinds(after) == ["Input", "Threshold", "Output"]
    assert same(network, after)
    down = chain(Scale(name="s", scale=np.array([0.5, -2.0])), step)
    same_network, findings = FoldScale().apply(down)
    assert same_network is down
    assert "comparison" in left(findings)["s"]


def test_a_factor_that_differs_from_place_to_place_cannot_enter_a_convolution() -> None:
    s = scale("s", (1, 4), 2, everywhere=True)
    w = conv("w", dyadic((1, 1, 2), 1), (4,))
    network = chain(s, w, lif("p", w.shape))
    after, findings = FoldScale().apply(network)
    assert after is network
    assert "depends on the position" in left(findings)["s"]
    for factor in s.scale[0]:
        anyway = chain(dataclasses.replace(w, weight=w.weight * factor), lif("p", w.shape))
        assert not same(network, anyway)


def test_neurons_that_take_other_signals_are_not_rescaled() -> None:
    nodes = (
        Input(name="in", port_shape=(2, 3)),
        scale("s", (2, 3)),
        lif("p", (2, 3)),
    )
    network = graph(nodes, "in s", "s p", "in p")
    after, findings = FoldScale().apply(network)
    assert after is network
    assert "other signals" in left(findings)["s"]
    anyway = graph((nodes[0], lif("p", (2, 3), r=nodes[1].scale)), "in p")
    assert not same(network, anyway)
    assert same(network, rewritten(ScaleToWeights(), network))


@pytest.mark.parametrize("shape", [(3,), (3, 4), (3, 2, 2)])
def test_a_factor_that_nothing_takes_becomes_weights(shape: tuple[int, ...]) -> None:
    nodes = (Input(name="in", port_shape=shape), scale("s", shape), lif("p", shape))
    network = graph(nodes, "in s", "s p", "in p")
    after = rewritten(ScaleToWeights(), network)
    assert after["s"].kind == ("Linear" if len(shape) == 1 else "Conv")
    assert same(network, after)


def test_a_long_diagonal_is_not_made() -> None:
    network = chain(scale("s", (9,), everywhere=True), lif("p", (9,)))
    after, findings = ScaleToWeights(max_size=8).apply(network)
    assert after is network
    assert "max_size=8" in left(findings)["s"]


def test_a_connection_with_other_sources_keeps_them_unscaled() -> None:
    w = Linear(name="w", weight=dyadic((3, 2), 1), bias=dyadic((3,), 2))
    nodes = (Input(name="in", port_shape=(2,)), lif("q", (2,)), scale("s", (2,)), w, lif("p", (3,)))
    network = graph(nodes, "in q", "in s", "s w", "q w", "w p")
    after = rewritten(FoldScale(), network)
    assert after.sources("p") == ("w", "w.s")
    assert after["w.s"].bias is None
    assert same(network, after)
    anyway = graph((*nodes[:2], dataclasses.replace(w, weight=w.weight * nodes[2].scale), nodes[4]),
                   "in q", "in w", "q w", "w p")  # fmt: skip
    assert not same(network, anyway)


def test_a_source_with_other_targets_keeps_its_weights() -> None:
    w = conv("w", dyadic((2, 1, 2), 1), (4,))
    nodes = (Input(name="in", port_shape=(1, 4)), w, scale("s", w.shape), lif("p", w.shape),
             lif("q", w.shape))  # fmt: skip
    network = graph(nodes, "in w", "w s", "s p", "w q")
    after = rewritten(FoldScale(), network)
    assert after["w"] is w
    assert not np.array_equal(after["p"].membrane.r, after["q"].membrane.r)
    assert same(network, after)


def test_weights_that_two_nodes_share_change_in_one_of_them_only() -> None:
    shared = dyadic((2, 3), 1)
    nodes = (
        Input(name="in", port_shape=(3,)),
        scale("s", (3,), everywhere=True),
        Linear(name="a", weight=shared),
        Linear(name="b", weight=shared),
        lif("p", (2,)),
        lif("q", (2,)),
    )
    network = graph(nodes, "in s", "s a", "a p", "in b", "b q")
    after, (finding,) = FoldScale().apply(network)
    assert after["b"].weight is shared
    assert "no longer shares with 'b'" in finding.what
    assert same(network, after)


def test_a_network_is_not_changed_in_place() -> None:
    w = Linear(name="w", weight=dyadic((2, 3), 1), bias=dyadic((2,), 2))
    network: Network = chain(w, scale("s", (2,), everywhere=True), lif("p", (2,)))
    weight, bias = w.weight.copy(), w.bias.copy()  # type: ignore[union-attr]
    rewritten(FoldScale(), network)
    np.testing.assert_array_equal(w.weight, weight)
    np.testing.assert_array_equal(w.bias, bias)  # type: ignore[arg-type]
