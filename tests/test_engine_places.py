"""Convolutions of many channels: the events of one place are added in one round.

How many events a place has, how wide its sums are, how many outputs lie side by side and
where they reach over an edge decide which instructions do it; the sums may not depend on that.
"""

from __future__ import annotations

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st
from loihi_programs import Case, first_difference, run_golden
from test_engine import TINY

from nrf_deploy.emulator.engine import Engine
from nrf_deploy.emulator.tuning import Tuning
from nrf_deploy.network import Array
from nrf_deploy.program import Conv, Population, Port, Program
from nrf_deploy.recording import Recording
from nrf_loihi.arithmetic import LoihiArithmetic
from nrf_loihi.kernels import LoihiKernels

EVENTS = (0, 0, 0, 1, 2, 15, 16, 17, 31, 32, 33, 999)
"""Of a place; 16 are looked at at once, and no more than there are channels come."""
LARGEST = {2: 9, 4: 2**14, 8: 2**40}
"""Weights that make sums of so many bytes."""


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
    """A population that passes on what arrives shows every sum."""
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


def grouped() -> Case:
    """Groups whose outputs fill whole vectors, of several inputs each."""
    rng = np.random.default_rng(3)
    form = {"stride": (1, 1), "padding": ((1, 1), (1, 1)), "dilation": (1, 1), "groups": 2}
    weight = rng.integers(-9, 9, (80, 20, 3, 3))
    link = Conv(name="w", source="in", targets=("x",), weight=weight, input_size=(6, 6), **form)  # type: ignore[arg-type]
    return case(link, frames(rng, link, steps=6))


@settings(max_examples=80, deadline=None, derandomize=True)
@example(grouped(), TINY, 1)
@given(convolutions(), st.sampled_from([Tuning(), TINY]), st.integers(1, 2))
def test_every_sum_of_every_place(case: Case, tuning: Tuning, threads: int) -> None:
    engine = Engine(case.program, LoihiArithmetic(), LoihiKernels(), tuning)
    assert engine.plain is None
    ours = engine.run(case.recording, states=["x"], threads=threads)
    assert first_difference(ours, run_golden(case)) is None
