"""BatchNorm folds into the convolution beside it, borders right."""

from __future__ import annotations

import dataclasses

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from nrf_deploy.compiler.passes import FoldAffineConv
from nrf_deploy.ir.network import Input
from tests.builders.rewrite_cases import (
    batch_norm,
    chain,
    conv,
    convs,
    dyadic,
    graph,
    kinds,
    left,
    lif,
    rewritten,
    same,
    seeds,
    sizes,
)


@settings(max_examples=50, deadline=None)
@given(st.data(), sizes(), seeds)
def test_before_and_behind_any_convolution(
    data: st.DataObject, size: tuple[int, ...], seed: int
) -> None:
    w = data.draw(convs("w", (4, *size)))
    bn, nb = batch_norm("bn", w.input_shape, seed), batch_norm("nb", w.shape, seed + 2)
    network = chain(bn, w, nb, lif("p", w.shape))
    after = rewritten(FoldAffineConv(), network)
    assert kinds(after) == ["Input", "Conv", "LIF", "Output"]
    assert same(network, after)
    if w.weight.size > 4:  # else it may be as much of a BatchNorm as the others
        assert after["w"].groups == w.groups
        assert after["w"].weight.shape == w.weight.shape


@settings(max_examples=25, deadline=None)
@given(st.data(), seeds, st.sampled_from([1, 2, 4]))
def test_a_pointwise_convolution_that_mixes_channels(
    data: st.DataObject, seed: int, groups: int
) -> None:
    mix = conv("mix", dyadic((4, 4 // groups, 1), seed), (5,), groups=groups,
               bias=dyadic((4,), seed))  # fmt: skip
    w = data.draw(convs("w", (4, 5)))
    after_w = conv("after", dyadic((2, w.shape[0], 1), seed), w.shape[1:])
    for nodes in ((mix, w), (w, after_w)):
        network = chain(*nodes, lif("p", nodes[-1].shape))
        after = rewritten(FoldAffineConv(), network)
        assert kinds(after) == ["Input", "Conv", "LIF", "Output"]
        assert same(network, after)


def test_one_bias_a_channel_is_wrong_at_the_border_of_a_padded_convolution() -> None:
    bn = batch_norm("bn", (2, 5, 5), 1)
    w = conv("w", np.ones((3, 2, 3, 3)), (5, 5), padding=((1, 1), (1, 1)))
    network = chain(bn, w, lif("p", w.shape))
    after = rewritten(FoldAffineConv(), network)
    assert after["w"].bias.shape == w.shape
    middle = after["w"].bias[:, 2, 2]
    anyway = chain(dataclasses.replace(after["w"], bias=middle), lif("p", w.shape))
    assert not same(network, anyway)
    assert same(network, after)


def test_without_padding_one_bias_a_channel_is_enough() -> None:
    bn, w = batch_norm("bn", (2, 5, 5), 1), conv("w", dyadic((3, 2, 3, 3), 2), (5, 5))
    after = rewritten(FoldAffineConv(), chain(bn, w, lif("p", w.shape)))
    assert after["w"].bias.shape == (3,)


def test_padding_that_no_window_reads_does_not_make_a_map() -> None:
    w = conv("w", dyadic((3, 2, 2), 2), (4,), stride=(2,), padding=((0, 1),))
    after = rewritten(FoldAffineConv(), chain(batch_norm("bn", (2, 4), 1), w, lif("p", w.shape)))
    assert after["w"].bias.shape == (3,)


def test_a_norm_without_shift_adds_no_bias() -> None:
    bn = dataclasses.replace(batch_norm("bn", (2, 5), 1), bias=np.zeros(2))
    w = conv("w", dyadic((3, 2, 3), 2), (5,), padding=((1, 1),))
    after = rewritten(FoldAffineConv(), chain(bn, w, lif("p", w.shape)))
    assert after["w"].bias is None


def test_a_norm_with_several_targets_stays_for_those_that_need_it() -> None:
    bn, w = batch_norm("bn", (2, 5), 1), conv("w", dyadic((3, 2, 3), 2), (5,))
    nodes = (Input(name="in", port_shape=(2, 5)), bn, w, lif("p", w.shape), lif("q", bn.shape))
    network = graph(nodes, "in bn", "bn w", "w p", "bn q")
    after = rewritten(FoldAffineConv(), network)
    assert after["bn"] is bn
    assert after.sources("w") == ("in",)
    assert same(network, after)


def test_a_convolution_with_several_targets_stays_for_those_that_need_it() -> None:
    w = conv("w", dyadic((2, 2, 3), 2), (5,))
    bn = batch_norm("bn", w.shape, 1)
    nodes = (Input(name="in", port_shape=(2, 5)), w, bn, lif("p", w.shape), lif("q", w.shape))
    network = graph(nodes, "in w", "w bn", "bn p", "w q")
    after = rewritten(FoldAffineConv(), network)
    assert after["w"] is w
    assert after.sources("bn") == ("in",)
    assert after["bn"].kernel == (3,)
    assert same(network, after)


def test_a_convolution_with_several_sources_counts_its_bias_once() -> None:
    bn = batch_norm("bn", (2, 5), 1)
    w = conv("w", dyadic((3, 2, 3), 2), (5,), bias=dyadic((3,), 4))
    nodes = (Input(name="in", port_shape=(2, 5)), lif("q", (2, 5)), bn, w, lif("p", w.shape))
    network = graph(nodes, "in q", "in bn", "bn w", "q w", "w p")
    after = rewritten(FoldAffineConv(), network)
    assert after.sources("p") == ("w", "w.bn")
    assert same(network, after)


def test_two_larger_windows_are_not_its_affair() -> None:
    a = conv("a", dyadic((2, 2, 2), 1), (5,))
    b = conv("b", dyadic((2, 2, 2), 2), (4,))
    network = chain(a, b, lif("p", b.shape))
    after, findings = FoldAffineConv().apply(network)
    assert after is network
    assert not left(findings)
