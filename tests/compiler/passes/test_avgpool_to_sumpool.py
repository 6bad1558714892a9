"""A mean is a sum and a scale, at the border too."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from nrf_deploy.compiler.passes import AvgPoolToSumPool, FoldScale
from nrf_deploy.ir.network import AvgPool, Input, Network
from tests.builders.rewrite_cases import chain, graph, kinds, lif, pools, rewritten, same, sizes


@st.composite
def pooled_networks(draw: st.DrawFn) -> Network:
    pool = draw(pools("pool", (2, *draw(sizes())), AvgPool))
    return chain(pool, lif("p", pool.shape))


@settings(max_examples=40, deadline=None)
@given(pooled_networks())
def test_the_mean_stays_the_mean(network: Network) -> None:
    after = rewritten(AvgPoolToSumPool(), network)
    assert "AvgPool" not in kinds(after)
    assert after["pool"].kind == "SumPool"
    assert same(network, after)


@settings(max_examples=20, deadline=None)
@given(pooled_networks())
def test_before_a_population_no_scale_remains(network: Network) -> None:
    sums = rewritten(AvgPoolToSumPool(), network)
    if "Scale" in kinds(sums):
        sums = rewritten(FoldScale(), sums)
    assert kinds(sums) == ["Input", "SumPool", "LIF", "Output"]
    assert same(network, sums)


def test_every_target_of_a_shared_pool_gets_the_mean() -> None:
    pool = AvgPool(name="pool", pool_input=(1, 4), window=(2,), stride=(2,), padding=((0, 0),))
    nodes = (Input(name="in", port_shape=(1, 4)), pool, lif("p", (1, 2)), lif("q", (1, 2)))
    network = graph(nodes, "in pool", "pool p", "pool q")
    after = rewritten(AvgPoolToSumPool(), network)
    assert after.targets("pool.mean") == ("p", "q")
    assert same(network, after)


def test_a_name_that_is_taken_is_not_taken_twice() -> None:
    pool = AvgPool(name="pool", pool_input=(1, 4), window=(2,), stride=(2,), padding=((0, 0),))
    network = chain(pool, lif("pool.mean", (1, 2)))
    after = rewritten(AvgPoolToSumPool(), network)
    assert [n.name for n in after.nodes] == ["in", "pool", "pool.mean.2", "pool.mean", "out"]
    assert same(network, after)
