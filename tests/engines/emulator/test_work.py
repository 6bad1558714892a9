"""Work that the engine avoids: work at rest, a repeated convolution, memory for silence.

No clock: the work is read from the plan and from the blocks that a step touched.
"""

from __future__ import annotations

import dataclasses
import tracemalloc
from typing import Any

import numpy as np
import pytest

from nrf_deploy.engines.emulator import golden
from nrf_deploy.engines.emulator.engine import Engine
from nrf_deploy.engines.emulator.stream import Stream
from nrf_deploy.engines.emulator.tuning import Tuning
from nrf_deploy.ir.network import Array, Shape
from nrf_deploy.ir.program import Conv, Dense, Population, Port, Program, Synapses
from nrf_deploy.ir.recording import Recording
from nrf_loihi.arithmetic.kernels import LoihiKernels
from nrf_loihi.arithmetic.rules import LoihiArithmetic

RNG = np.random.default_rng(11)


def lif(name: str, shape: Shape, **more: int) -> Population:
    params = {"du": 4095, "dv": 1024, "vth": 300} | more
    return Population(name=name, shape=shape, model="lif", params=params)


def conv(name: str, source: str, targets: tuple[str, ...], size: Shape, inputs: int) -> Conv:
    return Conv(
        name=name,
        source=source,
        targets=targets,
        weight=RNG.integers(-60, 90, (4, inputs, 3, 3)),
        input_size=size,
        stride=(1, 1),
        padding=((1, 1), (1, 1)),
        dilation=(1, 1),
    )


def dense(name: str, source: str, target: str, weight: Array, **more: Any) -> Dense:
    shapes = {"source_shape": (weight.shape[1],), "target_shape": (weight.shape[0],)}
    return Dense(name=name, source=source, targets=(target,), weight=weight, **shapes, **more)


def program(port: Shape, synapses: list[Synapses], populations: list[Population]) -> Program:
    made = Program(
        arithmetic="loihi",
        ports=(Port(name="in", shape=port),),
        synapses=tuple(synapses),
        populations=tuple(populations),
        outputs=(populations[-1].name,),
    )
    assert list(made.faults()) == []
    return made


def engine(made: Program, tuning: Tuning = Tuning()) -> Engine:  # noqa: B008
    return Engine(made, LoihiArithmetic(), LoihiKernels(), tuning)


def silence(shape: Shape, steps: int) -> Recording:
    none = np.zeros(0, np.int64)
    return Recording(shape, np.zeros(steps + 1, np.int64), none, none)


def stream_of(made: Program, tuning: Tuning = Tuning()) -> Stream:  # noqa: B008
    stream = engine(made, tuning).stream(record=())
    assert isinstance(stream, Stream)
    return stream


def resting(stream: Stream) -> dict[str, float]:
    """Return the share of each population's blocks that the next silent step skips."""
    pieces = [piece for stage in stream.session.stages for piece in stage.pieces]
    found: dict[str, list[Array]] = {}
    for piece in pieces:
        for name, rest in piece.rest.items():
            blocks = -(-piece.states[name].shape[1] // 1024)
            found.setdefault(name, []).append(rest[:blocks])
    return {name: float(np.concatenate(rest).mean()) for name, rest in found.items()}


def test_where_nothing_comes_nothing_is_computed_and_it_wakes_up_exactly() -> None:
    """A state written into a population at rest stays: no kernel runs there."""
    made = program((1, 64, 64), [conv("a", "in", ("x",), (64, 64), 1)], [lif("x", (4, 64, 64))])
    stream = stream_of(made)
    stream.feed(silence((1, 64, 64), 1))
    assert resting(stream) == {"x": 1.0}
    piece = stream.session.stages[0].pieces[0]
    piece.states["x"][1] = 5  # would leak away if any kernel ran
    stream.feed(silence((1, 64, 64), 100))
    assert np.all(piece.states["x"][1] == 5)
    piece.states["x"][1] = 0
    corner = Recording((1, 64, 64), np.array([0, 1]), np.array([0]), np.array([1]))
    stream.feed(corner)
    stream.feed(silence((1, 64, 64), 1))
    assert 0.5 < resting(stream)["x"] < 1.0
    stream.feed(silence((1, 64, 64), 100))
    assert resting(stream) == {"x": 1.0}


def test_four_populations_on_one_convolution_add_each_event_once() -> None:
    names = ("a", "b", "c", "d")
    shared = conv("w", "in", names, (32, 32), 2)
    shape = shared.shape
    made = program((2, 32, 32), [shared], [lif(n, shape, dv=100 * k) for k, n in enumerate(names)])
    (stage,) = engine(made).plans.up_to([1]).stages
    for piece in stage.pieces:
        assert len(piece.wires) == 1
        assert len({n.total for n in piece.neurons}) == 1
        assert [n.clear for n in piece.neurons] == [False, False, False, True]
    apart = [dataclasses.replace(shared, name=f"w{n}", targets=(n,)) for n in names]
    four = engine(dataclasses.replace(made, synapses=tuple(apart))).plans.up_to([1])
    assert sum(len(p.wires) for stage in four.stages for p in stage.pieces) == 4


def test_a_loop_runs_step_by_step_and_the_rest_a_whole_chunk_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from nrf_deploy.engines.emulator import machine

    weight = RNG.integers(-80, 100, (40, 40))
    loop = [
        dense("there", "a", "b", weight),
        dense("back", "b", "a", weight, delay=2),
    ]
    ends = [dense("first", "in", "before", weight), dense("in", "before", "a", weight)]
    after = [dense("out", "b", "after", weight)]
    names = ("before", "a", "b", "after")
    made = program((40,), [*ends, *loop, *after], [lif(n, (40,)) for n in names])
    calls: list[tuple[int, int]] = []
    advance = machine.advance

    def counted(*args: Any) -> tuple[int, int]:
        calls.append(args[5:7])
        return advance(*args)

    monkeypatch.setattr(machine, "advance", counted)
    recording = Recording.from_dense((RNG.random((200, 40)) < 0.2).astype(np.int64))
    ready = engine(made)
    ours = ready.run(recording, states=names)
    stages = ready.plans.up_to([1]).stages
    assert [len(s.pieces[0].neurons) for s in stages] == [1, 2, 1]  # the loop, as one
    assert [piece for piece, _ in calls] == sorted(piece for piece, _ in calls)
    assert len(calls) < 30  # not a call a step
    calls.clear()
    ready.run(recording, states=names)
    assert calls == [(0, 0)]  # with room for all events, one call
    theirs = golden.run(made, LoihiArithmetic(), recording, states=names)
    for name in names:
        assert ours.outputs[name].same(theirs.outputs[name])
        assert np.array_equal(ours.states[name]["v"], theirs.states[name]["v"])


def test_the_sums_are_as_narrow_as_what_can_arrive_allows() -> None:
    def width(largest: int, fan_in: int) -> int:
        weight = np.full((8, fan_in), largest)
        made = program((fan_in,), [dense("w", "in", "x", weight)], [lif("x", (8,))])
        (stage,) = engine(made).plans.up_to([1]).stages
        return stage.pieces[0].wires[0].total.width

    assert width(254, 129) == 2  # 32766
    assert width(254, 130) == 4  # 33020


@pytest.mark.parametrize("density", [0.0, 0.05, 0.29, 0.31, 0.7, 1.0])
def test_dense_activity_is_multiplied_and_sparse_activity_added(density: float) -> None:
    weight = RNG.integers(-100, 100, (96, 200))
    made = program((200,), [dense("w", "in", "x", weight)], [lif("x", (96,))])
    recording = Recording.from_dense((RNG.random((50, 200)) < density).astype(np.int64))
    stream = engine(made).stream(states=["x"])
    assert isinstance(stream, Stream)
    ours = stream.feed(recording)
    (piece,) = stream.session.stages[0].pieces
    assert bool(piece.wires["matrix"][0]) == (recording.counts().mean() / 50 >= 0.3)
    theirs = golden.run(made, LoihiArithmetic(), recording, states=["x"])
    for variable in ("u", "v"):
        assert np.array_equal(ours.states["x"][variable], theirs.states["x"][variable])


def test_a_run_of_many_steps_needs_no_more_memory_than_one_of_few() -> None:
    first = conv("a", "in", ("x",), (48, 48), 1)
    second = conv("b", "x", ("y",), (48, 48), 4)
    made = program((1, 48, 48), [first, second], [lif("x", first.shape), lif("y", second.shape)])
    ready = engine(made)

    def peak(steps: int) -> int:
        recording = Recording(
            (1, 48, 48),
            np.arange(steps + 1),
            RNG.integers(0, 48 * 48, steps),
            np.ones(steps, np.int64),
        )
        ready.run(recording, record=())
        tracemalloc.start()
        ready.run(recording, record=())
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    few, many = peak(300), peak(6000)
    assert many - few < 6000 * 64  # a dense time axis would take 18432 neurons a step


def test_targets_of_one_synapse_that_are_shaped_differently() -> None:
    shared = conv("w", "in", ("x", "y"), (6, 6), 1)
    made = program((1, 6, 6), [shared], [lif("x", (4, 6, 6)), lif("y", (6, 4, 6))])
    recording = Recording.from_dense((RNG.random((20, 1, 6, 6)) < 0.4).astype(np.int64))
    ours = engine(made).run(recording, states=["y"])
    theirs = golden.run(made, LoihiArithmetic(), recording, states=["y"])
    assert np.array_equal(ours.states["y"]["v"], theirs.states["y"]["v"])
