"""Connections with no neurons between them are one."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from nrf_deploy.compiler.passes import MergeLinear
from nrf_deploy.compiler.passes.composition import compose
from nrf_deploy.ir.network import Input, Linear
from tests.builders.rewrite_cases import (
    chain,
    conv,
    convs,
    dyadic,
    flatten,
    graph,
    kinds,
    left,
    lif,
    rewritten,
    same,
    seeds,
    sizes,
)


@settings(max_examples=25, deadline=None)
@given(seeds, st.lists(st.integers(1, 5), min_size=3, max_size=5), st.integers(0, 3))
def test_a_chain_of_linears_is_one(seed: int, widths: list[int], biased: int) -> None:
    nodes = [
        Linear(name=f"w{k}", weight=dyadic((b, a), seed + k),
               bias=dyadic((b,), seed) if k == biased else None)
        for k, (a, b) in enumerate(pairwise(widths))
    ]  # fmt: skip
    network = chain(*nodes, lif("p", (widths[-1],)))
    after = rewritten(MergeLinear(), network)
    assert [n.name for n in after.nodes] == ["in", nodes[-1].name, "p", "out"]
    assert (after[nodes[-1].name].bias is None) == (biased >= len(nodes))
    assert same(network, after)


@settings(max_examples=40, deadline=None)
@given(st.data(), sizes(5, 9))
def test_an_unpadded_convolution_merges_with_any_before_it(
    data: st.DataObject, size: tuple[int, ...]
) -> None:
    a = data.draw(convs("a", (4, *size)))
    b = data.draw(convs("b", a.shape, padded=False))
    network = chain(a, b, lif("p", b.shape))
    after = rewritten(MergeLinear(), network)
    assert kinds(after) == ["Input", "Conv", "LIF", "Output"]
    assert after["b"].groups == np.gcd(a.groups, b.groups)
    assert same(network, after)


@settings(max_examples=60, deadline=None)
@given(st.data(), sizes(4, 8))
def test_exact_or_left_with_a_reason(data: st.DataObject, size: tuple[int, ...]) -> None:
    a = data.draw(convs("a", (2, *size)))
    b = data.draw(convs("b", a.shape))
    network = chain(a, b, lif("p", b.shape))
    after, findings = MergeLinear().apply(network)
    assert same(network, after)
    assert (len(after.nodes) == 4) == (not left(findings))


def test_two_padded_convolutions_stay_two() -> None:
    """The first one's values beyond its border are 0 for the second, but would not be in one."""
    a = conv("a", np.ones((1, 1, 3)), (4,), padding=((1, 1),))
    b = conv("b", np.ones((1, 1, 3)), (4,), padding=((1, 1),))
    network = chain(a, b, lif("p", b.shape))
    after, findings = MergeLinear().apply(network)
    assert after is network
    assert left(findings) == {
        "a": "'b' is padded and reads position -1 of 'a' (axis 0, 4 long) as 0, where "
        "folding would let it see position 0 of the 4 that 'a' takes"
    }
    anyway = compose(a, b)
    assert anyway.shape == b.shape
    assert not same(network, chain(anyway, lif("p", b.shape)))


def test_convolutions_spaced_apart_keep_their_dilation() -> None:
    a = conv("a", dyadic((1, 1, 2), 1), (9,), dilation=(2,))
    b = conv("b", dyadic((1, 1, 2), 2), (7,), dilation=(2,))
    after = rewritten(MergeLinear(), chain(a, b, lif("p", b.shape)))
    assert (after["b"].kernel, after["b"].dilation) == ((3,), (2,))


@settings(max_examples=30, deadline=None)
@given(st.data(), sizes(), seeds)
def test_a_convolution_before_flatten_and_linear(
    data: st.DataObject, size: tuple[int, ...], seed: int
) -> None:
    a = data.draw(convs("a", (2, *size)))
    flat = flatten("flat", a.shape)
    w = Linear(name="w", weight=dyadic((2, *flat.shape), seed), bias=dyadic((2,), seed))
    network = chain(a, flat, w, lif("p", (2,)))
    after = rewritten(MergeLinear(), network)
    assert kinds(after) == ["Input", "Flatten", "Linear", "LIF", "Output"]
    assert same(network, after)


def test_a_linear_that_would_blow_up_is_left() -> None:
    a = conv("a", dyadic((1, 1, 1, 1), 1), (8, 8), stride=(4, 4))
    w = Linear(name="w", weight=dyadic((10, 4), 1))
    network = chain(a, flatten("flat", a.shape), w, lif("p", (10,)))
    after, findings = MergeLinear(max_growth=4).apply(network)
    assert after is network
    assert left(findings) == {
        "a": "folding it through 'flat' would make 640 weights of 41, "
        "more than max_growth=4 times as many"
    }
    assert same(network, rewritten(MergeLinear(max_growth=16), network))


def test_a_linear_that_others_read_stays_for_them() -> None:
    a = Linear(name="a", weight=dyadic((3, 2), 1), bias=dyadic((3,), 2))
    b = Linear(name="b", weight=dyadic((2, 3), 3))
    nodes = (Input(name="in", port_shape=(2,)), a, b, lif("p", (2,)), lif("q", (3,)))
    network = graph(nodes, "in a", "a b", "b p", "a q")
    after = rewritten(MergeLinear(), network)
    assert after["a"] is a
    assert after.sources("b") == ("in",)
    assert same(network, after)


def test_a_linear_with_another_source_counts_its_bias_once() -> None:
    a = Linear(name="a", weight=dyadic((3, 2), 1), bias=dyadic((3,), 2))
    b = Linear(name="b", weight=dyadic((2, 3), 3), bias=dyadic((2,), 4))
    nodes = (Input(name="in", port_shape=(2,)), a, b, lif("p", (2,)), lif("q", (3,)))
    network = graph(nodes, "in a", "a q", "a b", "q b", "b p")
    after = rewritten(MergeLinear(), network)
    assert after.sources("p") == ("b", "b.a")
    assert same(network, after)


def test_weights_stay_in_double_precision() -> None:
    """1 + 2^-40 is lost in float32: rounding is for the reference and the quantiser."""
    a = Linear(name="a", weight=np.array([[1.0], [2.0**-20]], np.float32))
    b = Linear(name="b", weight=np.array([[1.0, 2.0**-20]], np.float32))
    after = rewritten(MergeLinear(), chain(a, b, lif("p", (1,))))
    assert after["b"].weight[0, 0] == 1 + 2.0**-40
