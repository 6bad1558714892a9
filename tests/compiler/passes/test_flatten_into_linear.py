"""One Flatten directly before a Linear, or none."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nrf_deploy.compiler.passes import EXACT, FlattenIntoLinear, apply_all
from nrf_deploy.compiler.passes.flatten_into_linear import axes_between
from nrf_deploy.ir.network import AvgPool, Flatten, Input, Linear, Scale
from tests.builders.rewrite_cases import (
    chain,
    dyadic,
    flatten,
    graph,
    kinds,
    left,
    lif,
    rewritten,
    same,
)


def test_a_flatten_that_changes_nothing_goes() -> None:
    network = chain(flatten("f", (3,)), Linear(name="w", weight=dyadic((2, 3), 1)), lif("p", (2,)))
    after = rewritten(FlattenIntoLinear(), network)
    assert kinds(after) == ["Input", "Linear", "LIF", "Output"]
    assert same(network, after)


def test_a_flatten_that_changes_the_shape_before_a_linear_stays() -> None:
    network = chain(flatten("f", (3, 1)), Linear(name="w", weight=dyadic((2, 3), 1)))
    assert FlattenIntoLinear().apply(network) == (network, [])


def test_two_flattens_are_one() -> None:
    first = Flatten(name="a", flat_input=(2, 3, 4), start=1, end=2)
    network = chain(first, flatten("b", first.shape), Linear(name="w", weight=dyadic((2, 24), 1)))
    after = rewritten(FlattenIntoLinear(), network)
    assert [n.name for n in after.nodes] == ["in", "b", "w", "out"]
    assert after["b"].input_shape == (2, 3, 4)
    assert same(network, after)


def test_two_separate_groups_of_axes_stay_two() -> None:
    first = Flatten(name="a", flat_input=(2, 3, 4, 5), start=0, end=1)
    second = Flatten(name="b", flat_input=(6, 4, 5), start=1, end=2)
    after, findings = FlattenIntoLinear().apply(network := chain(first, second))
    assert after is network
    assert "two separate groups" in left(findings)["a"]


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple), st.data())
@settings(max_examples=50, deadline=None)
def test_axes_are_found_for_every_flatten(shape: tuple[int, ...], data: st.DataObject) -> None:
    pairs = list(itertools.combinations_with_replacement(range(len(shape)), 2))
    start, end = data.draw(st.sampled_from(pairs))
    flat = Flatten(name="f", flat_input=shape, start=start, end=end).shape
    found = axes_between(shape, flat)
    assert found is not None
    assert Flatten(name="f", flat_input=shape, start=found[0], end=found[1]).shape == flat


def test_a_flatten_beside_a_direct_way_to_the_same_neurons_stays() -> None:
    """Without it there would be one edge where there were two, and half of the signal."""
    nodes = (Input(name="in", port_shape=(3,)), flatten("f", (3,)), lif("p", (3,)))
    network = graph(nodes, "in f", "f p", "in p")
    after, findings = FlattenIntoLinear().apply(network)
    assert after is network
    assert "two edges" in left(findings)["f"]
    assert not same(network, graph((nodes[0], nodes[2]), "in p"))


@pytest.mark.parametrize("order", ["pool scale flat", "scale pool flat", "flat scale"])
def test_chains_end_as_flatten_and_linear(order: str) -> None:
    shape = (2, 4, 6)
    pool = AvgPool(name="pool", pool_input=shape, window=(2, 2), stride=(2, 2),
                   padding=((0, 0), (0, 0)))  # fmt: skip
    steps, here = [], shape
    for word in order.split():
        if word == "pool":
            steps.append(pool)
        elif word == "scale":
            factor = np.array([0.5, 2.0]).repeat(np.prod(here) // 2).reshape(here)
            steps.append(Scale(name="scale", scale=factor))
        else:
            steps.append(flatten("flat", here))
        here = steps[-1].shape
    network = chain(*steps, Linear(name="w", weight=dyadic((3, *here), 1)), lif("p", (3,)))
    after, _ = apply_all(network, EXACT)
    assert [n.name for n in after.nodes] == ["in", "flat", "w", "p", "out"]
    assert same(network, after)
