"""Edge cases of the fast engine: rest, widths, layouts, bad input, no kernel, no cache."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from nrf_deploy.diagnostics.findings import InputError, TargetError
from nrf_deploy.engines.emulator.engine import Engine
from nrf_deploy.engines.emulator.plan import segments
from nrf_deploy.ir.network import Array, Shape
from nrf_deploy.ir.program import Conv, Dense, Population, Port, Program, Synapses
from nrf_deploy.ir.recording import Recording
from nrf_loihi.arithmetic.kernels import LoihiKernels
from nrf_loihi.arithmetic.rules import LoihiArithmetic
from tests.builders.loihi_programs import Case, first_difference, run_golden

RNG = np.random.default_rng(7)


def lif(name: str, shape: Shape, **more: Any) -> Population:
    params = {"du": 4095, "dv": 1024, "vth": 50} | more
    return Population(name=name, shape=shape, model="lif", params=params)


def dense(name: str, source: str, target: str, weight: Array, **more: Any) -> Dense:
    shapes = {"source_shape": (weight.shape[1],), "target_shape": (weight.shape[0],)}
    return Dense(name=name, source=source, targets=(target,), weight=weight, **shapes, **more)


def conv(name: str, source: str, target: str, size: Shape, channels: Shape, **more: Any) -> Conv:
    form = {"stride": (1, 1), "padding": ((1, 1), (1, 1)), "dilation": (1, 1)} | more
    weight = RNG.integers(-60, 90, (channels[1], channels[0], 3, 3))
    return Conv(name=name, source=source, targets=(target,), weight=weight, input_size=size, **form)


def program(
    port: Shape, synapses: list[Synapses], populations: list[Population], peak: int = 1
) -> Program:
    made = Program(
        arithmetic="loihi",
        ports=(Port(name="in", shape=port, peak=peak),),
        synapses=tuple(synapses),
        populations=tuple(populations),
        outputs=(populations[-1].name,),
    )
    assert list(made.faults()) == []
    return made


def events(shape: Shape, steps: int, density: float, silent: slice = slice(0)) -> Recording:
    frames = (RNG.random((steps, *shape)) < density).astype(np.int64)
    frames[silent] = 0
    return Recording.from_dense(frames)


def engine(made: Program) -> Engine:
    return Engine(made, LoihiArithmetic(), LoihiKernels())


def differs(made: Program, recording: Recording) -> str | None:
    every = [p.name for p in made.populations]
    ours = engine(made).run(recording, states=every)
    return first_difference(ours, run_golden(Case(made, recording)))


@pytest.mark.parametrize("density", [0.0, 0.001, 0.05, 0.5, 1.0])
@pytest.mark.parametrize("channels", [1, 2, 3, 11, 16, 24])
def test_many_blocks_and_channels_at_every_density(channels: int, density: float) -> None:
    size = (24, 20)
    first = conv("a", "in", "x", size, (2, channels))
    second = conv("b", "x", "y", size, (channels, 7), stride=(2, 2), padding=((2, 0), (0, 1)))
    made = program(
        (2, *size), [first, second], [lif("x", first.shape), lif("y", second.shape, du=300)]
    )
    assert differs(made, events((2, *size), 12, density)) is None


def test_what_rests_wakes_up_again() -> None:
    size = (40, 40)
    first = conv("a", "in", "x", size, (1, 4))
    bias = np.where(RNG.random(first.shape) < 0.01, 700, 0)
    made = program((1, *size), [first], [lif("x", first.shape, du=2000, bias_mant=bias)])
    assert differs(made, events((1, *size), 150, 0.02, silent=slice(20, 130))) is None


@pytest.mark.parametrize("vth", [0, 40, 2**17 - 2, 2**17 - 1])
def test_what_only_arrivals_move_is_right_where_nobody_looks(vth: int) -> None:
    link = dense("w", "in", "x", RNG.integers(-200, 255, (1100, 9)))
    start = RNG.integers(-(2**23), 2**23, 1100)
    made = program((9,), [link], [lif("x", (1100,), dv=0, vth=vth, v0=start)])
    recording, ready = events((9,), 600, 0.02), engine(made)
    plain = run_golden(Case(made, recording)).outputs["x"]
    assert all(ready.run(recording).outputs["x"].same(plain) for _ in range(2))
    assert differs(made, recording) is None


def test_sums_beyond_16_and_32_bits() -> None:
    for peak, weight in ((1, 255), (2**12, 255), (2**30, 255), (2**31 - 1, 255)):
        link = dense("w", "in", "x", np.full((3, 200), weight), params={"num_message_bits": 24})
        passed = Population(name="x", shape=(3,), model="pass", params={})
        made = program((200,), [link], [passed], peak)
        frames = RNG.integers(-peak, peak + 1, (5, 200))
        assert differs(made, Recording.from_dense(frames)) is None


def test_a_flat_population_between_convolutions_of_different_channels() -> None:
    first = conv("a", "in", "x", (6, 6), (1, 4))  # gives (4, 6, 6)
    second = conv("b", "x", "y", (12, 4), (3, 5))  # reads the same 144 as (3, 12, 4)
    made = program((1, 6, 6), [first, second], [lif("x", (144,)), lif("y", second.shape)])
    assert differs(made, events((1, 6, 6), 20, 0.3)) is None


def test_populations_on_one_synapse_share_its_sum_and_run_together() -> None:
    first = conv("a", "in", "x", (8, 8), (2, 4))
    shared = Conv(**{**vars(first), "targets": ("x", "y")})
    extra = Dense(
        name="e",
        source="in",
        targets=("y",),
        weight=RNG.integers(-50, 50, (256, 128)),
        source_shape=(2, 8, 8),
        target_shape=first.shape,
    )
    made = program((2, 8, 8), [shared, extra], [lif("x", first.shape), lif("y", first.shape, dv=9)])
    assert segments(made) == [["x", "y"]]
    assert differs(made, events((2, 8, 8), 20, 0.2)) is None


def test_segments_follow_their_sources_and_hold_loops_together() -> None:
    one = np.array([[60]])
    made = program(
        (1,),
        [
            dense("last", "b", "c", one),
            dense("there", "a", "b", one),
            dense("back", "b", "a", one),
            dense("in", "in", "a", one),
        ],
        [lif("c", (1,)), lif("a", (1,)), lif("b", (1,))],
    )
    assert segments(made) == [["a", "b"], ["c"]]
    assert differs(made, events((1,), 20, 0.5)) is None


def test_a_stream_takes_larger_values_than_its_port_promised() -> None:
    link = dense("w", "in", "x", RNG.integers(-99, 99, (5, 8)), params={"num_message_bits": 24})
    made = program((8,), [link], [lif("x", (5,), du=100)])
    chunks = [RNG.integers(-peak, peak + 1, (4, 8)) for peak in (1, 300, 2**20, 2)]
    stream = engine(made).stream(states=["x"])
    parts = [stream.feed(Recording.from_dense(chunk)).states["x"]["u"] for chunk in chunks]
    whole = run_golden(Case(made, Recording.from_dense(np.concatenate(chunks))))
    assert np.array_equal(np.concatenate(parts), whole.states["x"]["u"])


def test_an_empty_recording_gives_an_empty_trace() -> None:
    made = program((3,), [dense("w", "in", "x", np.ones((2, 3), int))], [lif("x", (2,))])
    trace = engine(made).run(events((3,), 0, 1.0), states=["x"])
    assert trace.outputs["x"].steps == 0
    assert trace.states["x"]["v"].shape == (0, 2)


def test_what_no_kernel_covers_runs_in_the_plain_emulator_and_says_so() -> None:
    link = dense("w", "in", "x", RNG.integers(-99, 99, (4, 6)))
    made = program((6,), [link], [lif("x", (4,), dv=5000)])  # a decay beyond 12 bits
    recording = events((6,), 20, 0.4)
    trace = engine(made).run(recording, states=["x"])
    assert "'x' (lif)" in trace.notes["plain emulator"]
    assert differs(made, recording) is None
    stream, frames = engine(made).stream(states=["x"]), recording.dense()
    parts = [stream.feed(Recording.from_dense(f)) for f in (frames[:7], frames[7:7], frames[7:])]
    joined = np.concatenate([p.states["x"]["v"] for p in parts])
    assert np.array_equal(joined, trace.states["x"]["v"])


def test_a_synapse_that_leads_back_without_a_delay_is_refused() -> None:
    loop = dense("loop", "x", "x", np.full((2, 2), 30), delay=0)
    made = program((2,), [dense("w", "in", "x", np.full((2, 2), 60))], [lif("x", (2,))])
    made = dataclasses.replace(made, synapses=(*made.synapses, loop))
    with pytest.raises(TargetError, match="'loop' have a delay of 0 and lead back from 'x'"):
        engine(made)


@pytest.mark.parametrize(
    ("index", "value", "code"),
    [
        ([2, 1], [1, 1], "EMULATOR-INPUT"),
        ([-1, 1], [1, 1], "EMULATOR-INPUT"),
        ([1, 3], [1, 1], "EMULATOR-INPUT"),
        ([0, 1], [1, 2**31], "EMULATOR-INPUT-VALUE"),
        ([0, 1], [1, -(2**63)], "EMULATOR-INPUT-VALUE"),
        ([0, 1], [1, 0.5], "EMULATOR-INPUT-VALUE"),
    ],
)
def test_a_bad_recording_is_refused(index: list[int], value: list[float], code: str) -> None:
    made = program((3,), [dense("w", "in", "x", np.ones((2, 3), int))], [lif("x", (2,))])
    recording = Recording((3,), np.array([0, 2]), np.array(index), np.array(value))
    for attempt in (engine(made).run, engine(made).stream().feed):
        with pytest.raises(InputError) as refusal:
            attempt(recording)
        assert [f.code for f in refusal.value.findings] == [code]


def test_a_recording_of_another_size_is_refused() -> None:
    made = program((3,), [dense("w", "in", "x", np.ones((2, 3), int))], [lif("x", (2,))])
    with pytest.raises(InputError, match="4 elements, the program's ports 3"):
        engine(made).run(events((4,), 2, 1.0))


def test_starting_the_command_line_does_not_start_numba() -> None:
    check = "import sys, nrf_deploy.cli.main, nrf_loihi; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
