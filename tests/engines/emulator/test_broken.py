"""Refusals and interruptions: the error is raised, nothing hangs, the next run is right."""

from __future__ import annotations

import dataclasses
import threading
from typing import Any

import numpy as np
import pytest

from nrf_deploy.diagnostics.findings import InputError, UsageError
from nrf_deploy.engines.emulator import golden
from nrf_deploy.engines.emulator.engine import Engine
from nrf_deploy.engines.emulator.stream import PlainStream, Stream
from nrf_deploy.engines.emulator.tuning import Tuning
from nrf_deploy.ir.program import Dense, Population, Port, Program
from nrf_deploy.ir.recording import Recording
from nrf_loihi.arithmetic.kernels import LoihiKernels
from nrf_loihi.arithmetic.rules import LoihiArithmetic

RNG = np.random.default_rng(5)
LINK = Dense(
    name="w",
    source="in",
    targets=("x",),
    weight=RNG.integers(-200, 255, (30, 20)),
    source_shape=(20,),
    target_shape=(30,),
    params={"num_message_bits": 24},
)
X = Population(name="x", shape=(30,), model="lif", params={"du": 3000, "dv": 200, "vth": 300})
PROGRAM = Program(
    arithmetic="loihi",
    ports=(Port(name="in", shape=(20,)),),
    synapses=(LINK,),
    populations=(X,),
    outputs=("x",),
)
GOOD = Recording.from_dense((RNG.random((40, 20)) < 0.3).astype(np.int64))
BAD = Recording((20,), np.array([0, 2]), np.array([2, 1]), np.array([1, 1]))


def engine() -> Engine:
    return Engine(PROGRAM, LoihiArithmetic(), LoihiKernels(), Tuning(chunk=5))


def right(made: Engine, threads: int = 1) -> bool:
    ours = made.run(GOOD, states=["x"], threads=threads)
    theirs = golden.run(PROGRAM, LoihiArithmetic(), GOOD, states=["x"])
    same = np.array_equal(ours.states["x"]["v"], theirs.states["x"]["v"])
    return same and ours.outputs["x"].same(theirs.outputs["x"])


@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize("place", [0, 3, 7])
def test_a_bad_recording_ends_a_batch_and_harms_no_other_run(place: int, threads: int) -> None:
    made, batch = engine(), [GOOD] * 8
    batch[place] = BAD
    before = threading.active_count()
    with pytest.raises(InputError, match="do not rise"):
        made.run_batch(batch, threads=threads)
    assert threading.active_count() == before
    assert right(made)
    assert made.run_batch([], threads=threads) == []


def stop_at(step: int) -> Any:
    """Return a progress that stops as ^C does."""

    def progress(done: int, of: int) -> None:
        if done >= step:
            raise KeyboardInterrupt

    return progress


@pytest.mark.parametrize("threads", [1, 3])
def test_after_a_run_that_broke_off_the_next_begins_anew(threads: int) -> None:
    made = engine()
    assert right(made, threads)
    with pytest.raises(KeyboardInterrupt):
        made.run(GOOD, states=["x"], threads=threads, progress=stop_at(10))
    assert right(made, threads)


@pytest.mark.parametrize("threads", [1, 3])
def test_a_stream_that_broke_off_takes_nothing_more(threads: int) -> None:
    stream = engine().stream(threads=threads)
    stream.feed(GOOD)
    with pytest.raises(InputError):
        stream.feed(BAD)
    stream.feed(GOOD)  # what was refused did not begin
    with pytest.raises(KeyboardInterrupt):
        stream.feed(GOOD, progress=stop_at(10))
    with pytest.raises(UsageError, match="an earlier chunk was interrupted"):
        stream.feed(GOOD)


@pytest.mark.parametrize("kind", [np.int8, np.int16, np.int32, np.uint8, np.uint64, np.float32])
def test_a_recording_means_the_same_in_any_kind_of_number(kind: type[np.number[Any]]) -> None:
    least = max(np.iinfo(kind).min, -(2**15)) if kind != np.float32 else -(2**15)
    value = np.full(len(GOOD.index), least or 255, kind)
    places = kind if np.issubdtype(kind, np.integer) and kind != np.int8 else np.int64
    spaced = [np.repeat(a, 2)[::2] for a in (GOOD.start, GOOD.index.astype(places), value)]
    theirs = Recording(GOOD.shape, GOOD.start, GOOD.index, value.astype(np.int64))
    ours = engine().run(Recording(GOOD.shape, *spaced), states=["x"])
    plain = golden.run(PROGRAM, LoihiArithmetic(), theirs, states=["x"])
    for variable in ("u", "v"):
        assert np.array_equal(ours.states["x"][variable], plain.states["x"][variable])


def test_a_stream_of_the_plain_emulator_takes_a_chunk_that_broke_off_again() -> None:
    far = dataclasses.replace(X, params={**X.params, "dv": 5000})  # a decay beyond 12 bits
    made = Engine(
        dataclasses.replace(PROGRAM, populations=(far,)), LoihiArithmetic(), LoihiKernels()
    )
    stream = made.stream()
    assert isinstance(stream, PlainStream)
    with pytest.raises(KeyboardInterrupt):
        stream.feed(GOOD, progress=stop_at(10))
    assert stream.feed(GOOD).outputs["x"].same(made.run(GOOD).outputs["x"])


def test_larger_values_that_a_plan_holds_lay_no_tables_anew() -> None:
    stream = engine().stream()
    assert isinstance(stream, Stream)
    laid, session = [], stream.session
    for largest in (1, 5, 6, 7, 3, 8):
        stream.feed(Recording(GOOD.shape, GOOD.start, GOOD.index, GOOD.value * largest))
        laid.append(stream.session is not session)
        session = stream.session
    assert laid == [False, True, False, False, False, True]


def test_a_program_without_populations_runs_again_and_again() -> None:
    none = Program(arithmetic="loihi", ports=PROGRAM.ports, synapses=(), populations=(), outputs=())
    made = Engine(none, LoihiArithmetic(), LoihiKernels())
    assert [made.run(GOOD).outputs for _ in range(3)] == [{}, {}, {}]
