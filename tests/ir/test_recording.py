"""The noun: events in compressed rows."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from nrf_deploy.ir.recording import Recording

frames = npst.arrays(
    np.int64,
    npst.array_shapes(min_dims=2, max_dims=4, max_side=4),
    elements=st.integers(-3, 3),
)


@settings(max_examples=50, deadline=None)
@given(frames)
def test_dense_and_events_say_the_same(dense):
    recording = Recording.from_dense(dense, 0.5)
    assert list(recording.faults()) == []
    assert np.array_equal(recording.dense(), dense)
    assert np.array_equal(recording.counts(), (dense != 0).sum(axis=0))
    assert all(np.array_equal(recording.frame(t), dense[t]) for t in range(recording.steps))


def test_lists_are_taken_as_arrays():
    dense = [[0, 2], [1, 0]]
    recording = Recording.from_events([1, 0], [0, 1], [1, 2], (2,), 2)
    assert recording.same(Recording.from_dense(dense))
    assert recording.dense().tolist() == dense


@settings(max_examples=50, deadline=None)
@given(frames, st.randoms(use_true_random=False))
def test_events_in_any_order_add_up(dense, random):
    """Every value is given as several events that sum to it, shuffled."""
    step, index = np.nonzero(dense.reshape(len(dense), -1))
    value = dense.reshape(len(dense), -1)[step, index]
    events = [
        (s, i, part)
        for s, i, v in zip(step, index, value, strict=True)
        for part in (5, v - 5, 1, -1)
    ]
    random.shuffle(events)
    columns = np.array(events, np.int64).reshape(-1, 3).T
    recording = Recording.from_events(*columns, dense.shape[1:], len(dense), 0.5)
    assert recording.same(Recording.from_dense(dense, 0.5))


def test_events_outside_are_refused_not_wrapped():
    one = np.array([1])
    for step, index in ((0, 6), (0, -1), (3, 0), (-1, 0)):
        with pytest.raises(ValueError, match="outside 3 steps"):
            Recording.from_events(np.array([step]), np.array([index]), one, (2, 3), 3)


def test_silence_is_a_recording():
    nothing = np.zeros(0, np.int64)
    silent = Recording.from_events(nothing, nothing, nothing, (2, 3), 4)
    assert silent.steps == 4
    assert not silent.dense().any()
    assert list(silent.faults()) == []
    empty = Recording.from_events(nothing, nothing, nothing, (2, 3), 0)
    assert empty.steps == 0
    assert empty.dense().shape == (0, 2, 3)
    assert list(empty.faults()) == []


def test_an_earlier_view_drops_what_came_before():
    dense = np.arange(12).reshape(4, 3)
    recording = Recording.from_dense(dense)
    assert np.array_equal(recording.shifted(1).dense(), dense[1:])
    assert recording.shifted(9).steps == 0


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"start": [1, 2, 3]}, "start does not rise"),
        ({"start": [0, 3, 2]}, "start does not rise"),
        ({"start": [0, 4, 3]}, "start does not rise"),
        ({"start": []}, "start does not rise"),
        ({"start": np.array([0, 4, 3], np.uint64)}, "start does not rise"),
        ({"start": [0, 1.5, 3]}, "not whole numbers"),
        ({"index": [0.5, 1.5, 2.5]}, "not whole numbers"),
        ({"index": np.array([2, 1, 2], np.uint8)}, "do not rise"),
        ({"start": [[0, 3]]}, "not three lists"),
        ({"value": [1, 1]}, "not three lists"),
        ({"index": [0, 1, 9]}, "outside 0..3"),
        ({"index": [-1, 1, 2]}, "outside 0..3"),
        ({"index": [1, 1, 2]}, "do not rise"),
        ({"index": [2, 1, 2]}, "do not rise"),
        ({"value": [1, 0, 1]}, "a value is 0"),
        ({"value": [1.0, np.nan, 1.0]}, "NaN"),
        ({"shape": (0, 4)}, "holds nothing"),
        ({"dt": -1.0}, "dt is -1.0"),
        ({"dt": np.inf}, "dt is inf"),
    ],
)
def test_faults_are_named(change, fault):
    sound = Recording((2, 2), np.array([0, 2, 3]), np.array([0, 1, 2]), np.array([1, 1, 1]), 0.1)
    assert list(sound.faults()) == []
    arrays = {k: np.array(v) if isinstance(v, list) else v for k, v in change.items()}
    assert any(fault in f for f in dataclasses.replace(sound, **arrays).faults())
