"""Events that reach a neuron, derived from the recordings, sum to those of the emulator."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nrf_deploy.compare.comparison import Arrival, Divergence
from nrf_deploy.compiler.target import BaseArithmetic
from nrf_deploy.engines.emulator import golden
from nrf_deploy.engines.emulator.parameters import Declared
from nrf_deploy.ir.network import Array
from nrf_deploy.ir.program import Conv, Dense, Population, Port, Program, Sparse
from nrf_deploy.ir.recording import Recording
from nrf_deploy.verification import arrivals
from nrf_deploy.verification.attribution.incoming_events import sentences

IN = (4, 5, 6)


class Plain(BaseArithmetic):
    """An arithmetic without any: a neuron gives what arrives."""

    name = "plain"
    states: Mapping[str, tuple[str, ...]] = {"sum": ()}
    parameters: Mapping[str, Declared] = {"sum": {}}

    def start(self, population: Population) -> dict[str, Array]:
        return {}

    def step(
        self, population: Population, state: dict[str, Array], arriving: Array, t: int
    ) -> tuple[Array, dict[str, Array]]:
        return arriving, state


def program(seed: int, groups: int, stride: int, dilation: int, padding: int) -> Program:
    """Build a convolution, then a dense layer with delays, a sparse one and a loop back."""
    rng = np.random.default_rng(seed)
    conv = Conv(
        name="conv",
        source="in",
        targets=("middle",),
        weight=rng.integers(-3, 4, (4, 4 // groups, 2, 3)),
        input_size=IN[1:],
        stride=(stride, 1),
        padding=((padding, 0), (0, padding)),
        dilation=(1, dilation),
        groups=groups,
    )
    middle, last = conv.shape, (3,)
    size = int(np.prod(middle))
    dense = Dense(
        name="dense",
        source="middle",
        targets=("last",),
        weight=rng.integers(-2, 3, (3, size)),
        source_shape=middle,
        target_shape=last,
        delay=2,
        delays=rng.integers(0, 3, (3, size)),
    )
    sparse = Sparse(
        name="sparse",
        source="side",
        targets=("last",),
        weight=rng.integers(-2, 3, 5),
        source_shape=(2,),
        target_shape=last,
        row=rng.integers(0, 3, 5),
        column=rng.integers(0, 2, 5),
    )
    back = Dense(
        name="back",
        source="last",
        targets=("last",),
        weight=np.eye(3, dtype=np.int64),
        source_shape=last,
        target_shape=last,
    )
    return Program(
        arithmetic="plain",
        ports=(Port(name="in", shape=IN), Port(name="side", shape=(2,))),
        synapses=(conv, dense, sparse, back),
        populations=(
            Population(name="middle", shape=middle, model="sum", params={}),
            Population(name="last", shape=last, model="sum", params={}),
        ),
        outputs=("last",),
    )


def events(seed: int, program: Program, steps: int = 5) -> Recording:
    size = sum(int(np.prod(p.shape)) for p in program.ports)
    rng = np.random.default_rng(seed)
    return Recording.from_dense(
        rng.integers(-1, 3, (steps, size)) * (rng.random((steps, size)) < 0.3)
    )


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 1000),
    groups=st.sampled_from([1, 2, 4]),
    stride=st.integers(1, 2),
    dilation=st.integers(1, 2),
    padding=st.integers(0, 2),
)
def test_what_arrived_adds_up_to_what_was_delivered(
    seed: int, groups: int, stride: int, dilation: int, padding: int
) -> None:
    p = program(seed, groups, stride, dilation, padding)
    given_ = events(seed, p)
    trace = golden.run(p, Plain(), given_, steps=8)
    inputs = arrivals(p, given_, trace)
    rng = np.random.default_rng(seed)
    for layer, delivered in trace.outputs.items():
        for t in range(8):
            neuron = tuple(int(rng.integers(n)) for n in delivered.shape)
            told = inputs(layer, neuron, t)
            assert sum(a.value * a.weight for a in told) == delivered.frame(t)[neuron]


def test_an_event_is_told_with_its_source_its_time_and_its_weight() -> None:
    p = program(1, 1, 1, 1, 0)
    side = np.zeros((4, 122), np.int64)
    side[1, 121] = 5
    recording = Recording.from_dense(side)
    sparse = p.synapses[2]
    assert isinstance(sparse, Sparse)
    k = int(np.flatnonzero((sparse.column == 1) & (sparse.weight != 0))[0])
    neuron = (int(sparse.row[k]),)
    told = arrivals(p, recording, golden.run(p, Plain(), recording))("last", neuron, 2)
    assert Arrival("side", (1,), 1, 5, int(sparse.weight[k])) in told


def test_a_source_that_was_not_recorded_is_named() -> None:
    p = program(1, 1, 1, 1, 0)
    recording = events(1, p)
    trace = golden.run(p, Plain(), recording, record=["last"])
    unknown = [a for a in arrivals(p, recording, trace)("last", (0,), 4) if a.value is None]
    assert {a.source for a in unknown} == {"middle"}


@pytest.mark.parametrize("step", [0, 50])
def test_before_and_after_the_recording_nothing_arrives(step: int) -> None:
    p = program(1, 1, 1, 1, 0)
    recording = events(1, p)
    trace = golden.run(p, Plain(), recording)
    assert arrivals(p, recording, trace)("middle", (0, 0, 0), step) == []


def test_what_joins_the_inputs_of_a_layer_is_not_called_unrecorded() -> None:
    """No option can record it, because it is not a layer of the model."""
    joined = Arrival("6.in", (), 100, None)
    other = Arrival("5", (), 99, None)
    told = list(sentences(Divergence("6", (0,), 100, 100, 100, "output", (), (joined, other))))
    assert told[0].startswith(
        "What came through '6.in' is not listed: it joins the inputs of layer"
    )
    assert told[1] == "What '5' sent there at step 99 was not recorded."
