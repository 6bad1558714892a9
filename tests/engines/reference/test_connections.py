"""Connections in the reference: convolutions, sums, pools, element by element."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nrf_deploy.ir.network import AvgPool, Conv, Flatten, Linear, Scale, SumPool, Threshold
from tests.builders.random_networks import random_network

from .test_run import full, through


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=50, deadline=None)
def test_a_convolution_is_the_sum_that_its_definition_says(seed: int) -> None:
    network = random_network(seed, 1, connections=("Conv",), readout=("",))
    conv: Conv = next(network.of(Conv))
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(2, *conv.input_shape)).astype(np.float32)
    padded = np.pad(x.astype(np.float64), ((0, 0), (0, 0), *conv.padding))
    expected = np.zeros((2, *conv.shape))
    per_group = conv.shape[0] // conv.groups
    for place in np.ndindex(*conv.shape):
        channel, *position = place
        first = channel // per_group * conv.weight.shape[1]
        for tap in np.ndindex(*conv.weight.shape[1:]):
            spot = (
                p * s + k * d
                for p, s, k, d in zip(position, conv.stride, tap[1:], conv.dilation, strict=True)
            )
            expected[:, *place] += (
                float(conv.weight[channel, *tap]) * padded[:, first + tap[0], *spot]
            )
    if conv.bias is not None:
        expected += conv.bias.reshape(*conv.bias.shape, *(1,) * (len(conv.shape) - conv.bias.ndim))
    np.testing.assert_allclose(through(conv, x), expected, rtol=1e-6, atol=1e-6)


def test_a_large_convolution_is_the_same_in_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    conv = Conv(
        name="conv",
        weight=rng.normal(size=(4, 2, 3, 3)),
        input_size=(11, 7),
        stride=(2, 1),
        padding=((1, 1), (0, 2)),
        dilation=(1, 2),
    )
    x = rng.normal(size=(1, *conv.input_shape)).astype(np.float32)
    whole = through(conv, x)
    monkeypatch.setattr("nrf_deploy.engines.reference.connections.PATCHES", 1)
    np.testing.assert_array_equal(through(conv, x), whole)


def test_a_sum_is_rounded_once() -> None:
    """1e8 + 1 - 1e8 is 1; adding up in float32 would give 0."""
    linear = Linear(name="y", weight=np.array([[1e8, 1.0, -1e8]], np.float32), bias=full(0.5, 1))
    assert through(linear, full(1.0, 1, 3)).item() == 1.5


def test_pools_sum_or_average_the_whole_window_and_leave_the_rest() -> None:
    x = np.arange(1.0, 26.0, dtype=np.float32).reshape(1, 1, 5, 5)
    shape: dict[str, Any] = {"pool_input": (1, 5, 5), "window": (2, 2), "stride": (2, 2)}
    plain = SumPool(name="y", padding=((0, 0), (0, 0)), **shape)
    np.testing.assert_array_equal(through(plain, x)[0, 0], [[16, 24], [56, 64]])
    padded = AvgPool(name="y", padding=((1, 0), (1, 0)), **shape)
    expected = [[0.25, 1.25, 2.25], [4.25, 10, 12], [9.25, 20, 22]]
    np.testing.assert_array_equal(through(padded, x)[0, 0], expected)


def test_flatten_scale_and_threshold() -> None:
    x = np.arange(6, dtype=np.float32).reshape(1, 1, 2, 3)
    flat = Flatten(name="y", flat_input=(1, 2, 3), start=0, end=-1)
    np.testing.assert_array_equal(through(flat, x), [np.arange(6)])
    scale = Scale(name="y", scale=full(0.5, 1, 2, 3))
    np.testing.assert_array_equal(through(scale, x), 0.5 * x)
    threshold = Threshold(name="y", threshold=full(3.0, 1, 2, 3))
    spikes = through(threshold, x)
    assert spikes.dtype == np.int64
    np.testing.assert_array_equal(spikes.ravel(), [0, 0, 0, 0, 1, 1])


def test_a_bias_acts_in_silence_too() -> None:
    linear = Linear(name="y", weight=full(1, 2, 1), bias=np.array([0.5, -0.5], np.float32))
    expected = [[0.5, -0.5], [1.5, 0.5], [0.5, -0.5]]
    np.testing.assert_array_equal(through(linear, np.array([[0], [1], [0]])), expected)
