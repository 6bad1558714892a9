"""A max pool of spikes on Loihi: neurons without memory that spike where any of a window does."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from nrf_deploy.bundle import pipeline
from nrf_deploy.ir.network import LIF, Conv, Input, MaxPool, Network, Output, Population
from nrf_deploy.ir.recording import Recording
from nrf_loihi.lava import engine
from tests.builders.loihi_programs import Case, first_difference, run_golden
from tests.targets.loihi.test_lava import missing_lava

SIZE = (3, 7, 7)


def neurons(name: str, shape: tuple[int, ...]) -> Population:
    ones = np.ones(shape)
    return LIF(name=name, tau=4e-3 * ones, r=4 * ones, v_leak=0 * ones, v_threshold=ones)


def conv() -> Conv:
    weight = np.random.default_rng(0).normal(0.3, 0.5, (3, 2, 3, 3))
    return Conv(
        name="c",
        weight=weight,
        input_size=SIZE[1:],
        stride=(1, 1),
        padding=((1, 1), (1, 1)),
        dilation=(1, 1),
        groups=1,
    )


def pool(window: int, stride: int, padding: int) -> MaxPool:
    pads = ((padding, padding),) * 2
    return MaxPool(
        name="p", pool_input=SIZE, window=(window,) * 2, stride=(stride,) * 2, padding=pads
    )


def network(*nodes: Conv | MaxPool | Population) -> Network:
    x, y = Input(name="x", port_shape=(2, 7, 7)), Output(name="y", port_shape=nodes[-1].shape)
    every = (x, *nodes, y)
    return Network(every, tuple((a.name, b.name) for a, b in pairwise(every)), 1e-3)


def compiled(maximum: MaxPool) -> Case:
    model = network(conv(), neurons("a", SIZE), maximum, neurons("b", maximum.shape))
    frames = (np.random.default_rng(1).random((40, 2, 7, 7)) < 0.15).astype(np.int64)
    return Case(pipeline.compile(model, "loihi2").program, Recording.from_dense(frames, 1e-3))


KINDS = [(2, 2, 0), (3, 2, 1), (3, 1, 1)]
"""Window, stride and padding."""


@pytest.mark.parametrize(("window", "stride", "padding"), KINDS)
def test_a_window_spikes_where_any_of_its_neurons_did(
    window: int, stride: int, padding: int
) -> None:
    maximum = pool(window, stride, padding)
    case = compiled(maximum)
    golden = run_golden(case)
    before = np.pad(golden.outputs["a"].dense(), [(0, 0), (0, 0), *maximum.padding])
    (name,) = {s.source for s in case.program.into("b")}
    windows = np.lib.stride_tricks.sliding_window_view(before, (window, window), (2, 3))
    expected = windows[:, :, ::stride, ::stride].max(axis=(-1, -2))
    got = golden.outputs[name].dense()
    assert expected.mean() > 0.02
    assert np.array_equal(got[1:], expected[:-1])


@pytest.mark.conformance
def test_lava_pools_alike_in_every_state() -> None:
    if missing_lava():
        pytest.skip(missing_lava())
    cases = [compiled(pool(*kind)) for kind in KINDS]
    traces = engine.run_many([(case.program, case.recording) for case in cases])
    for case, trace in zip(cases, traces, strict=True):
        assert first_difference(run_golden(case), trace) is None


def test_a_max_pool_of_currents_is_refused_with_the_way_out() -> None:
    maximum = pool(2, 2, 0)
    model = network(conv(), maximum, neurons("b", maximum.shape))
    errors = [f for f in pipeline.check(model, "loihi2").findings if f.severity == "error"]
    assert [f.code for f in errors] == ["LOIHI-KIND"]
    assert "behind the neurons" in errors[0].fix
