"""Sum pooling folds into the window beside it, where the border allows."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from nrf_deploy.compiler.passes import FoldPool
from nrf_deploy.compiler.passes.composition import as_conv, border, compose
from nrf_deploy.ir.network import Input, Linear, Network, Node, SumPool
from tests.builders.rewrite_cases import (
    chain,
    conv,
    convolved,
    convs,
    dyadic,
    flatten,
    graph,
    kinds,
    left,
    lif,
    pools,
    rewritten,
    same,
    seeds,
    sizes,
)


def pool2(name: str, shape: tuple[int, ...], side: int = 2) -> SumPool:
    axes = len(shape) - 1
    return SumPool(name=name, pool_input=shape, window=(side,) * axes, stride=(side,) * axes,
                   padding=((0, 0),) * axes)  # fmt: skip


def test_the_textbook_case_is_a_kronecker_product() -> None:
    pool = pool2("pool", (2, 8, 8))
    w = conv("w", dyadic((3, 2, 3, 3), 1), (4, 4), padding=((1, 1), (1, 1)), stride=(2, 2))
    network = chain(pool, w, lif("p", w.shape))
    after = rewritten(FoldPool(), network)
    folded = after["w"]
    np.testing.assert_array_equal(folded.weight, np.kron(w.weight, np.ones((1, 1, 2, 2))))
    assert (folded.stride, folded.padding, folded.dilation) == ((4, 4), ((2, 2), (2, 2)), (1, 1))
    assert same(network, after)


def test_a_dilated_convolution_is_no_kronecker_product() -> None:
    w = conv("w", dyadic((1, 1, 2), 1), (4,), dilation=(2,))
    network = chain(pool2("pool", (1, 8)), w, lif("p", w.shape))
    after = rewritten(FoldPool(), network)
    a, b = w.weight[0, 0]
    assert after["w"].weight[0, 0].tolist() == [a, a, 0, 0, b, b]
    assert same(network, after)
    kron = np.kron(w.weight, np.ones(2))
    anyway = conv("w", kron, (8,), stride=(2,), dilation=(2,))
    assert anyway.shape != w.shape or not same(network, chain(anyway, lif("p", w.shape)))


@settings(max_examples=80, deadline=None)
@given(st.data(), sizes(4, 9), st.booleans())
def test_exact_or_left_with_a_reason(
    data: st.DataObject, size: tuple[int, ...], pool_first: bool
) -> None:
    """If the pool is left, the single convolution that the algebra gives is wrong."""
    shape = (2, *size)
    if pool_first:
        first: Node = data.draw(pools("pool", shape))
        second: Node = data.draw(convs("w", first.shape))
    else:
        first = data.draw(convs("w", shape))
        second = data.draw(pools("pool", first.shape))
    first_conv, second_conv = (
        dataclasses.replace(as_conv(n), weight=abs(as_conv(n).weight) + 1, bias=None)
        for n in (first, second)
    )
    network = chain(first, second, lif("p", second.shape))
    after, findings = FoldPool().apply(network)
    assert same(network, after)
    if not left(findings):
        assert kinds(after) == ["Input", "Conv", "LIF", "Output"]
        assert "w" in after
        return
    assert after is network
    network = chain(first_conv, second_conv, lif("p", second.shape))  # nothing cancels
    anyway = compose(first_conv, second_conv)
    ones = np.ones((1, *shape))
    assume(anyway.shape == second.shape and convolved(anyway, ones[0]).any())
    assert not same(network, chain(anyway, lif("p", second.shape)), ones)


def test_rows_that_the_pool_drops_must_not_come_back() -> None:
    pool = pool2("pool", (1, 5))
    w = conv("w", np.ones((1, 1, 3)), (2,), padding=((1, 1),))
    network = chain(pool, w, lif("p", w.shape))
    after, findings = FoldPool().apply(network)
    assert after is network
    assert left(findings) == {
        "pool": "'w' is padded and reads position 2 of 'pool' (axis 0, 2 long) as 0, where "
        "folding would let it see position 4 of the 5 that 'pool' takes"
    }
    anyway = conv("w", np.ones((1, 1, 6)), (5,), stride=(2,), padding=((2, 2),))
    assert anyway.shape == w.shape
    assert not same(network, chain(anyway, lif("p", w.shape)))


def test_dropped_rows_do_not_matter_to_an_unpadded_convolution() -> None:
    w = conv("w", dyadic((1, 1, 2), 1), (3,))
    network = chain(pool2("pool", (1, 7)), w, lif("p", w.shape))
    after = rewritten(FoldPool(), network)
    assert after["w"].padding == ((0, 0),)
    assert same(network, after)


def test_dropped_rows_that_a_stride_steps_over_do_not_matter() -> None:
    w = conv("w", dyadic((1, 1, 2), 1), (3,), stride=(2,), padding=((1, 1),))
    network = chain(pool2("pool", (1, 7)), w, lif("p", w.shape))
    assert w.shape == (1, 2)
    assert same(network, rewritten(FoldPool(), network))


def test_padding_is_symmetric_where_that_changes_nothing() -> None:
    w = conv("w", dyadic((1, 1, 3), 1), (4,), stride=(2,), padding=((1, 0),))
    network = chain(pool2("pool", (1, 8)), w, lif("p", w.shape))
    after = rewritten(FoldPool(), network)
    assert after["w"].padding == ((2, 2),)
    assert same(network, after)


def test_a_padded_pool_before_a_padded_convolution_is_left() -> None:
    pool = SumPool(name="pool", pool_input=(1, 4), window=(3,), stride=(1,), padding=((1, 1),))
    w = conv("w", np.ones((1, 1, 3)), (4,), padding=((1, 1),))
    network = chain(pool, w, lif("p", w.shape))
    after, findings = FoldPool().apply(network)
    assert after is network
    assert "position -1" in left(findings)["pool"]
    anyway = compose(as_conv(pool), w)
    assert not same(network, chain(anyway, lif("p", w.shape)))


@settings(max_examples=30, deadline=None)
@given(st.data(), sizes(4, 9))
def test_a_pool_of_a_pool(data: st.DataObject, size: tuple[int, ...]) -> None:
    a = data.draw(pools("a", (2, *size)))
    b = data.draw(pools("b", a.shape))
    assume(border(as_conv(a), as_conv(b)) is None)
    network = chain(a, b, lif("p", b.shape))
    after = rewritten(FoldPool(), network)
    assert len(after.nodes) == 4
    assert same(network, after)


def test_pools_that_tile_make_a_pool_and_pools_that_overlap_a_convolution() -> None:
    a, b = pool2("a", (2, 12)), pool2("b", (2, 6), 3)
    after = rewritten(FoldPool(), chain(a, b, lif("p", b.shape)))
    assert isinstance(after["b"], SumPool)
    assert after["b"].window == after["b"].stride == (6,)
    close = SumPool(name="b", pool_input=(2, 11), window=(2,), stride=(1,), padding=((0, 0),))
    overlapping = dataclasses.replace(close, name="a", pool_input=(2, 12))
    after = rewritten(FoldPool(), chain(overlapping, close, lif("p", close.shape)))
    assert after["b"].weight[0, 0].tolist() == [1, 2, 1]


@settings(max_examples=30, deadline=None)
@given(st.data(), sizes(), seeds)
def test_into_a_linear_through_a_flatten(
    data: st.DataObject, size: tuple[int, ...], seed: int
) -> None:
    pool = data.draw(pools("pool", (2, *size)))
    flat = flatten("flat", pool.shape)
    w = Linear(name="w", weight=dyadic((3, *flat.shape), seed), bias=dyadic((3,), seed))
    network = chain(pool, flat, w, lif("p", (3,)))
    after = rewritten(FoldPool(), network)
    assert kinds(after) == ["Input", "Flatten", "Linear", "LIF", "Output"]
    assert same(network, after)


def test_the_price_of_a_linear_is_named_and_bounded() -> None:
    pool, flat = pool2("pool", (1, 4, 4)), flatten("flat", (1, 2, 2))
    w = Linear(name="w", weight=dyadic((3, 4), 1))
    network = chain(pool, flat, w, lif("p", (3,)))
    _, (finding,) = FoldPool(max_growth=4).apply(network)
    assert finding.what == "folded through 'flat' into 'w': 12 weights became 48"
    after, findings = FoldPool(max_growth=3).apply(network)
    assert after is network
    assert "max_growth=3" in left(findings)["pool"]


def test_several_linears_behind_one_flatten() -> None:
    pool, flat = pool2("pool", (1, 4)), flatten("flat", (1, 2))
    a = Linear(name="a", weight=dyadic((3, 2), 1))
    b = Linear(name="b", weight=dyadic((2, 2), 2))
    nodes = (Input(name="in", port_shape=(1, 4)), pool, flat, a, b, lif("p", (3,)), lif("q", (2,)))
    network = graph(nodes, "in pool", "pool flat", "flat a", "flat b", "a p", "b q")
    after = rewritten(FoldPool(), network)
    assert "SumPool" not in kinds(after)
    assert same(network, after)


def test_a_flatten_that_neurons_read_too_keeps_its_pool() -> None:
    pool, flat = pool2("pool", (1, 4)), flatten("flat", (1, 2))
    a = Linear(name="a", weight=dyadic((3, 2), 1))
    nodes = (Input(name="in", port_shape=(1, 4)), pool, flat, a, lif("p", (3,)), lif("q", (2,)))
    network = graph(nodes, "in pool", "pool flat", "flat a", "flat q", "a p")
    after, findings = FoldPool().apply(network)
    assert after is network
    assert "feeds more than Linears" in left(findings)["pool"]


def residual(with_population: bool) -> Network:
    """Build Input -> pool -> w and Input -> c -> (q ->) w: two ways meet before a convolution."""
    pool = pool2("pool", (1, 6))
    c = conv("c", dyadic((1, 1, 2), 3), (6,), stride=(2,))
    w = conv("w", dyadic((2, 1, 2), 1), (3,), bias=dyadic((2,), 2))
    nodes = (Input(name="in", port_shape=(1, 6)), pool, c, lif("q", c.shape), w, lif("p", w.shape))
    ways = ("c q", "q w") if with_population else ("c w", "c q")
    return graph(nodes, "in pool", "in c", "pool w", *ways, "w p")


@pytest.mark.parametrize("with_population", [True, False])
def test_where_ways_meet_each_gets_weights_of_its_own(with_population: bool) -> None:
    network = residual(with_population)
    after = rewritten(FoldPool(), network)
    assert "SumPool" not in kinds(after)
    assert after["w"].bias is not None
    assert after["w.pool"].bias is None
    assert same(network, after)


def test_a_pool_stays_for_the_neurons_that_read_it() -> None:
    pool, w = pool2("pool", (1, 6)), conv("w", dyadic((2, 1, 2), 1), (3,))
    nodes = (Input(name="in", port_shape=(1, 6)), pool, w, lif("p", w.shape), lif("q", pool.shape))
    network = graph(nodes, "in pool", "pool w", "w p", "pool q")
    after = rewritten(FoldPool(), network)
    assert after["pool"] is pool
    assert after.sources("w") == ("in",)
    assert same(network, after)
