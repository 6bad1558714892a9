"""Spreading cores over chips: within their capacity, and with little traffic between them."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from nrf_deploy.compiler.place.assign import Edges, assign


def shuffled_chain(count: int, seed: int) -> tuple[Edges, np.ndarray]:
    """Return items each of which sends to the next of a hidden order."""
    hidden = np.random.default_rng(seed).permutation(count)
    return Edges(hidden[:-1], hidden[1:], np.ones(count - 1)), hidden


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 60), st.integers(1, 20), st.integers(0, 2**32 - 1))
def test_no_chip_holds_more_than_it_can_and_no_chip_too_many_is_taken(
    count: int, capacity: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    ends = rng.integers(0, count, (2, 3 * count))
    edges = Edges(ends[0], ends[1], rng.integers(1, 9, 3 * count).astype(float))
    order = np.arange(count)
    chip = assign([order], edges, capacity)
    assert np.bincount(chip).max() <= capacity
    assert chip.max() + 1 <= -(-count // capacity)
    assert np.array_equal(chip, assign([order], edges, capacity))

    chips = -(-count // capacity)
    filled_in_order = np.arange(count) * chips // count
    assert edges.between(chip) <= edges.between(filled_in_order)


def test_a_good_order_among_bad_ones_is_found() -> None:
    edges, hidden = shuffled_chain(64, seed=1)
    chip = assign([np.arange(64), hidden], edges, capacity=16)
    assert edges.between(chip) == 3


def test_refining_saves_most_of_the_traffic_of_a_bad_order() -> None:
    edges, _ = shuffled_chain(64, seed=2)
    chip = assign([np.arange(64)], edges, capacity=16)
    rng = np.random.default_rng(0)
    chance = np.mean([edges.between(rng.permutation(64) // 16) for _ in range(20)])
    assert edges.between(chip) < chance / 2


def test_an_item_moves_alone_where_there_is_room() -> None:
    """Three and three, one of them on the wrong side: 4 fit on a chip."""
    edges = Edges(np.array([0, 1, 3, 4, 2]), np.array([1, 0, 4, 5, 3]), np.full(5, 1.0))
    chip = assign([np.arange(6)], edges, capacity=4)
    assert edges.between(chip) == 0
