"""Convolutions of many channels: the events of one place are added in one round.

How many events a place has, how wide its sums are, how many outputs lie side by side and
where they reach over an edge decide which instructions do it; the sums may not depend on that.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nrf_deploy.engines.emulator.engine import Engine
from nrf_deploy.engines.emulator.tuning import Tuning
from nrf_deploy.ir.network import Array
from nrf_deploy.ir.program import Conv, Population, Port, Program
from nrf_deploy.ir.recording import Recording
from nrf_loihi.arithmetic.kernels import LoihiKernels
from nrf_loihi.arithmetic.rules import LoihiArithmetic
from tests.builders.loihi_programs import Case, first_difference, run_golden

from .test_engine import TINY

EVENTS = (0, 0, 0, 1, 2, 15, 16, 17, 31, 32, 33, 999)
"""Of a place; 16 are looked at at once, and no more than there are channels come."""
LARGEST = {2: 9, 4: 2**14, 8: 2**40}
"""Weights whose sums have this many bytes."""


@st.composite
def convolutions(draw: st.DrawFn) -> Case:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    inputs, outputs = (draw(st.integers(1, 40)) for _ in range(2))
    height, width = draw(st.sampled_from([(1, 12), (12, 1), (5, 7), (9, 3), (12, 11)]))
    pads = [(draw(st.integers(0, 4)), draw(st.integers(0, 4))) for _ in range(2)]
    dilation = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    room = height + sum(pads[0]), width + sum(pads[1])
    most = [min(9, (r - 1) // d + 1) for r, d in zip(room, dilation, strict=True)]
    kernel = tuple(draw(st.integers(1, m)) for m in most)
    largest = LARGEST[draw(st.sampled_from([2, 2, 4, 8]))]
    link = Conv(
        name="w",
        source="in",
        targets=("x",),
        weight=rng.integers(-largest, largest, (groups * outputs, inputs, *kernel)),
        input_size=(height, width),
        stride=(draw(st.integers(1, 3)), draw(st.integers(1, 3))),
        padding=(pads[0], pads[1]),
        dilation=dilation,
        groups=groups,
        params={"num_message_bits": draw(st.sampled_from([0, 0, 0, 8]))},
        delay=draw(st.integers(0, 2)),
    )
    return case(link, frames(rng, link, steps=4))


def case(link: Conv, given: Array) -> Case:
    """Build a population that passes its input on, so that every sum is visible."""
    x = Population(name="x", shape=link.shape, model="pass", params={})
    ports = (Port(name="in", shape=link.input_shape),)
    made = Program(
        arithmetic="loihi", ports=ports, synapses=(link,), populations=(x,), outputs=("x",)
    )
    assert list(made.faults()) == []
    return Case(made, Recording.from_dense(given))


def frames(rng: np.random.Generator, link: Conv, steps: int) -> Array:
    channels, height, width = link.input_shape
    many = rng.choice(EVENTS, (steps, 1, height, width))
    rank = rng.permuted(np.broadcast_to(np.arange(channels), (*many.shape, channels)), axis=-1)
    return (np.moveaxis(rank[:, 0], -1, 1) < many).astype(np.int64)


def one_by_one(link: Conv, steps: int) -> Array:
    """Draw one event for each step, at changing places."""
    size = math.prod(link.input_shape)
    alone = np.arange(size) == (np.arange(steps) * 7919 % size)[:, None]
    return alone.reshape(steps, *link.input_shape).astype(np.int64)


RNG = np.random.default_rng(3)


def conv(channels: tuple[int, int], size: tuple[int, int], **form: Any) -> Conv:
    kernel = form.pop("kernel", (3, 3))
    usual = {"stride": (1, 1), "padding": ((1, 1), (1, 1)), "dilation": (1, 1), "groups": 1}
    weight = RNG.integers(-9, 9, (*channels, *kernel))
    return Conv(
        name="w", source="in", targets=("x",), weight=weight, input_size=size, **usual | form
    )


GROUPS = conv((80, 20), (6, 6), groups=2)
"""Outputs that fill whole vectors, of several inputs each."""
FALLING = conv((8, 20), (8, 3), kernel=(2, 2), dilation=(1, 2))
"""A place's runs do not rise, and the zeros behind one lie upon another."""
BLOCKS = conv((24, 20), (26, 22), stride=(1, 2))
"""Blocks of neurons, enough for one at each place."""


def engine(case: Case, tuning: Tuning) -> Engine:
    made = Engine(case.program, LoihiArithmetic(), LoihiKernels(), tuning)
    assert made.plain is None
    return made


@settings(max_examples=200, deadline=None, derandomize=True)
@example(case(GROUPS, frames(RNG, GROUPS, 6)), TINY, 1)
@example(case(FALLING, frames(RNG, FALLING, 6)), Tuning(), 1)
@example(case(BLOCKS, one_by_one(BLOCKS, 26 * 22)), Tuning(), 1)
@given(convolutions(), st.sampled_from([Tuning(), TINY]), st.integers(1, 2))
def test_every_sum_of_every_place(case: Case, tuning: Tuning, threads: int) -> None:
    ours = engine(case, tuning).run(case.recording, states=["x"], threads=threads)
    assert first_difference(ours, run_golden(case)) is None


@settings(max_examples=40, deadline=None, derandomize=True)
@given(convolutions(), st.sampled_from([Tuning(), TINY]))
def test_no_run_reaches_beyond_its_sum_or_its_weights(case: Case, tuning: Tuning) -> None:
    """The compiled code asks nothing."""
    (stage,) = engine(case, tuning).plans.up_to([1]).stages
    for wire in (w for piece in stage.pieces for w in piece.wires):
        tables, total = wire.tables, wire.total
        if tables is None or not len(tables.runs):
            continue
        ends = tables.runs.max(axis=0) + tables.row
        assert ends[0] + tables.channel_at.max() <= total.size + total.slack
        assert ends[1] + tables.row * (len(tables.channel_at) - 1) <= tables.weight.size
        assert np.all(tables.group_end > np.arange(len(tables.channel_at)))
