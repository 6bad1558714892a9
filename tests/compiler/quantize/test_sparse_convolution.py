"""The sums of a trial are those of the plain convolution."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from nrf_deploy.compiler.quantize.sparse_convolution import convolved
from nrf_deploy.engines.reference.connections import connection
from nrf_deploy.ir.network import Conv

SMALL = st.integers(1, 3)


@st.composite
def convolutions(draw: st.DrawFn) -> Conv:
    axes, groups = draw(st.sampled_from([1, 2])), draw(st.sampled_from([1, 1, 2]))
    pads = tuple((draw(st.integers(0, 2)), draw(st.integers(0, 2))) for _ in range(axes))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    shape = (groups * draw(SMALL), draw(SMALL), *(draw(SMALL) for _ in range(axes)))
    return Conv(
        name="c",
        weight=rng.integers(-127, 128, shape),
        input_size=tuple(draw(st.integers(6, 9)) for _ in range(axes)),
        stride=tuple(draw(SMALL) for _ in range(axes)),
        padding=pads,
        dilation=tuple(draw(st.integers(1, 2)) for _ in range(axes)),
        groups=groups,
    )


@given(convolutions(), st.floats(0, 1), st.integers(0, 99))
@settings(max_examples=150, deadline=None, derandomize=True)
def test_events_add_up_to_the_plain_convolution(node: Conv, density: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    frames = rng.integers(-9, 10, (4, *node.input_shape))
    frames[rng.random(frames.shape) > density] = 0
    assert np.array_equal(convolved(node, node.weight, frames), connection(node)(frames))
