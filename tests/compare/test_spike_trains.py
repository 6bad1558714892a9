"""Distances between spike trains, against the definitions written out."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from nrf_deploy.compare.alignment import window
from nrf_deploy.compare.spike_trains import (
    COST,
    CROWD,
    REACH,
    TAU,
    Timing,
    differences,
    timing,
    van_rossum,
    victor_purpura,
)
from nrf_deploy.ir.network import Array
from nrf_deploy.ir.recording import Recording


def windows(a: Array, b: Array) -> tuple:
    return tuple(window(Recording.from_dense(x), 0, len(x)) for x in (a, b))


def change(a: Array, b: Array):  # type: ignore[no-untyped-def]
    left, right = windows(a, b)
    return differences(left, right)


def by_van_rossum(a: list[int], b: list[int], tau: float) -> float:
    """Return the squared distance as elephant's van_rossum_distance defines it, pair by pair."""

    def product(x: list[int], y: list[int]) -> float:
        return sum(math.exp(-abs(s - t) / tau) for s in x for t in y)

    return product(a, a) + product(b, b) - 2 * product(a, b)


def by_victor_purpura(a: list[int], b: list[int], cost: float) -> float:
    """Return the edit distance of 1996, cell by cell."""
    table = [[float(i + j) for j in range(len(b) + 1)] for i in range(len(a) + 1)]
    for i, s in enumerate(a, 1):
        for j, t in enumerate(b, 1):
            moved = table[i - 1][j - 1] + cost * abs(s - t)
            table[i][j] = min(table[i - 1][j] + 1, table[i][j - 1] + 1, moved)
    return table[-1][-1]


trains = arrays(np.int64, (25, 3), elements=st.integers(0, 1))
crowded = arrays(np.int64, (12, 2), elements=st.sampled_from([0, 0, 1, 2, 7]))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(a=trains, b=trains, cost=st.sampled_from([0.1, 0.5, 0.7, 2.0, 5.0]))
def test_the_distances_are_those_of_the_definitions(a: Array, b: Array, cost: float) -> None:
    times = [[np.flatnonzero(x[:, n]).tolist() for n in range(3)] for x in (a, b)]
    pairs = list(zip(*times, strict=True))
    told = change(a, b)
    assert van_rossum(told, 4.0) == pytest.approx(sum(by_van_rossum(*p, 4.0) for p in pairs))
    expected = sum(by_victor_purpura(*p, cost) for p in pairs)
    assert victor_purpura(told, cost) == pytest.approx(expected)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(a=crowded, b=crowded, cost=st.sampled_from([0.05, 0.3, 0.5, 1.1, 3.0]))
def test_several_spikes_of_a_neuron_in_a_step_are_as_many(a: Array, b: Array, cost: float) -> None:
    times = [[np.repeat(np.arange(len(x)), x[:, n]).tolist() for n in range(2)] for x in (a, b)]
    expected = sum(by_victor_purpura(*p, cost) for p in zip(*times, strict=True))
    assert victor_purpura(change(a, b), cost) == pytest.approx(expected)


def test_a_crowd_beyond_count_costs_at_most_what_giving_up_costs() -> None:
    a, b = np.zeros((2, 10, 1), np.int64)
    a[3], b[4] = 3 * CROWD, 3 * CROWD
    assert victor_purpura(change(a, b)) == CROWD * COST + 2 * (3 * CROWD - CROWD)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(a=trains, b=trains)
def test_offsets_are_those_of_the_nearest_counterparts(a: Array, b: Array) -> None:
    t = timing(*windows(a, b))
    offsets = dict.fromkeys(range(-REACH, REACH + 1), 0)
    alone = 0
    for neuron in range(a.shape[1]):
        others = np.flatnonzero(b[:, neuron])
        for step in np.flatnonzero(a[:, neuron]):
            near = sorted((step - others).tolist(), key=lambda d: (abs(d), d))
            if near and abs(near[0]) <= REACH:
                offsets[near[0]] += 1
            else:
                alone += 1
    assert (dict(t.offsets), t.alone) == (offsets, alone)


def moved(by: int) -> Timing:
    a, b = np.zeros((2, 20, 4), np.int64)
    a[8 + by, 2] = b[8, 2] = a[3, 0] = b[3, 0] = 1
    return timing(*windows(a, b))


@pytest.mark.parametrize("by", [-2, 0, 1, 3])
def test_a_moved_spike_costs_by_how_far(by: int) -> None:
    t = moved(by)
    assert t.victor_purpura == pytest.approx(min(abs(by) * COST, 2) / 2)
    assert t.van_rossum == pytest.approx(math.sqrt((2 - 2 * math.exp(-abs(by) / TAU)) / 2))
    assert {k: n for k, n in t.offsets.items() if n} == ({0: 2} if by == 0 else {0: 1, by: 1})
    assert t.alone == 0


def test_a_spike_without_a_counterpart_is_alone() -> None:
    t = moved(7)
    assert t.alone == 1
    assert t.victor_purpura == 1


def test_nothing_costs_nothing_and_silence_costs_every_spike() -> None:
    a = (np.random.default_rng(1).random((30, 5)) < 0.01).astype(np.int64)
    none = np.zeros_like(a)
    assert timing(*windows(none, none)).victor_purpura == 0
    assert timing(*windows(none, a)).victor_purpura == 1
    assert sum(timing(*windows(none, a)).offsets.values()) == 0


def test_each_of_five_million_unlike_spikes_is_counted_once() -> None:
    rng = np.random.default_rng(1)
    a, b = (rng.random((500, 40_000)) < 0.125 for _ in range(2))
    pair = windows(a.astype(np.int8), b.astype(np.int8))
    t = timing(*pair)
    assert sum(t.offsets.values()) + t.alone == a.sum()
