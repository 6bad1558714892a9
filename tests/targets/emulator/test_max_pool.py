"""Max pools on a machine that a user describes: of currents exactly, of spikes as an OR."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import nrf_deploy as nd
from nrf_deploy.engines import reference
from nrf_deploy.engines.emulator import golden
from nrf_deploy.engines.emulator.engine import Engine
from nrf_deploy.engines.reference.connections import window_taps
from nrf_deploy.ir.network import Conv, Flatten, Input, Linear, MaxPool, Network, Output, Population
from nrf_deploy.ir.recording import Recording
from nrf_deploy.neurons import Leaky, Spikes
from nrf_emulator.arithmetic.kernels import FixedKernels
from nrf_emulator.arithmetic.rules import FixedArithmetic

RNG = np.random.default_rng(0)
EIGHTHS = RNG.integers(-6, 7, (3, 2, 3, 3)).astype(np.float32) / 8
EVENTS = Recording.from_dense((RNG.random((40, 2, 6, 7)) < 0.3).astype(np.int64), 1.0)
NONE = ((0, 0), (0, 0))


def neurons(name: str, shape: tuple[int, ...], **rule: Any) -> Population:
    def full(x: float) -> Any:
        return np.full(shape, x, np.float32)

    leak = Leaky(tau=full(4), r=full(4), v_leak=full(0), order="scaled")
    spikes = Spikes(threshold=full(15 / 16), **{"reset": "late", **rule})
    return Population(name=name, membrane=leak, rule=spikes)


def conv(bias: Any = None) -> Conv:
    return Conv(
        name="conv", weight=EIGHTHS, bias=bias, input_size=(6, 7), stride=(1, 1),
        padding=((1, 1), (1, 1)), dilation=(1, 1),
    )  # fmt: skip


def pool(source: Any, window: Any = (2, 2), stride: Any = (2, 2), padding: Any = NONE) -> MaxPool:
    return MaxPool(
        name="pool", pool_input=source.shape, window=window, stride=stride, padding=padding
    )


def chain(*nodes: Any) -> Network:
    ends = (
        Input(name="x", port_shape=nodes[0].input_shape), *nodes,
        Output(name="y", port_shape=nodes[-1].shape),
    )  # fmt: skip
    return Network(ends, tuple(pairwise(n.name for n in ends)), 1.0)


def spikes(network: Network) -> Any:
    return reference.run(network, EVENTS, record=["n"]).outputs["n"].dense()


def flat(node: MaxPool) -> Flatten:
    return Flatten(name="flat", flat_input=node.shape, start=0, end=-1)


BIAS = np.array([1, -2, 3], np.float32) / 8
WAYS = {
    "halves": ((2, 2), (2, 2), NONE, BIAS),
    "overlaps, padded": ((3, 3), (2, 2), ((1, 1), (1, 1)), None),
    "uneven": ((2, 3), (1, 2), ((0, 1), (2, 0)), BIAS),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("chip", ["emulator-float-like", "emulator-float-like:latency=1"])
def test_the_largest_current_is_taken_exactly(way: str, chip: str) -> None:
    window, stride, padding, bias = WAYS[way]
    pooled = pool(conv(bias), window, stride, padding)
    made = chain(conv(bias), pooled, neurons("n", pooled.shape))
    bundle = nd.compile(made, chip, EVENTS)
    late = bundle.program.latency
    trace = golden.run(bundle.program, FixedArithmetic(), EVENTS, record=["n"], steps=40 + late)
    assert np.array_equal(trace.outputs["n"].shifted(late).dense(), spikes(made))
    assert spikes(made).any()
    engine = Engine(bundle.program, FixedArithmetic(), FixedKernels())
    assert engine.plain is None
    fast = engine.run(EVENTS, record=["n"], steps=40 + late)
    assert fast.outputs["n"].same(trace.outputs["n"])


def test_negative_currents_are_no_zeros() -> None:
    """A sum in the padding, and a sum that no event reaches, would be 0 and not the largest."""
    below = conv(np.full(3, -0.5, np.float32))
    pooled = pool(below, (3, 3), (2, 2), ((1, 1), (1, 1)))
    made = chain(below, pooled, neurons("n", pooled.shape))
    bundle = nd.compile(made, "emulator-float-like")
    v = golden.run(bundle.program, FixedArithmetic(), EVENTS, states=["n"]).states["n"]["v"]
    wanted = reference.run(made, EVENTS, states=["n"]).states["n"]["v"]
    assert np.allclose(v / bundle.program.origin("n").scale["v"], wanted, atol=1e-3)
    assert wanted.min() < 0


def test_neurons_in_a_row_take_a_pool_too() -> None:
    pooled = pool(conv(BIAS))
    made = chain(conv(BIAS), pooled, flat(pooled), neurons("n", flat(pooled).shape))
    bundle = nd.compile(made, "emulator-float-like", EVENTS)
    report = nd.verify(bundle, EVENTS, attribute=True)
    assert report.passed
    assert [c.mismatches for c in report.comparison.layers] == [0]


def test_a_pool_of_spikes_is_an_or() -> None:
    first = neurons("n", conv().shape)
    pooled = pool(first)
    weights = Linear(name="w", weight=np.full((2, flat(pooled).shape[0]), 1 / 8, np.float32))
    made = chain(conv(), first, pooled, flat(pooled), weights, neurons("m", (2,)))
    bundle = nd.compile(made, "emulator-float-like", EVENTS)
    assert "max_pool_as_or" in [step.rewrite for step in bundle.steps]
    assert {c.mismatches for c in nd.verify(bundle, EVENTS).comparison.layers} == {0}


@pytest.mark.parametrize("chip", ["emulator", "emulator-4bit"])
def test_a_pool_of_several_spikes_a_step_is_refused_by_name(chip: str) -> None:
    counts = {"reset": "subtract", "fires": "at", "per_step": "many"}
    first = neurons("n", conv().shape, **counts)
    pooled = pool(first)
    weights = Linear(name="w", weight=np.full((2, flat(pooled).shape[0]), 1 / 8, np.float32))
    made = chain(conv(), first, pooled, flat(pooled), weights, neurons("m", (2,)))
    with pytest.raises(nd.TargetError, match="EMULATOR-MAX-POOL"):
        nd.compile(made, chip)


def test_a_pool_between_two_connections_is_refused_by_name() -> None:
    pooled = pool(conv())
    weights = Linear(name="w", weight=np.full((2, flat(pooled).shape[0]), 1 / 8, np.float32))
    made = chain(conv(), pooled, flat(pooled), weights, neurons("n", (2,)))
    with pytest.raises(nd.TargetError, match="EMULATOR-MAX-POOL"):
        nd.compile(made, "emulator")


def test_a_place_in_the_padding_is_replaced_by_an_element_of_its_window() -> None:
    taps = window_taps((1, 3), (2,), (2,), ((1, 0),))
    assert taps.tolist() == [[0, 0], [1, 2]]
