"""The fast engine gives the bits of the plain emulator: every state, every output, every step."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from loihi_programs import Case, cases, first_difference, run_golden
from nrf_loihi.arithmetic import LoihiArithmetic
from nrf_loihi.kernels import LoihiKernels

from nrf_deploy.emulator.engine import Engine
from nrf_deploy.recording import Recording, Trace

few = settings(max_examples=50, deadline=None)


def engine(case: Case) -> Engine:
    made = Engine(case.program, LoihiArithmetic(), LoihiKernels())
    assert made.plain is None
    return made


def every(case: Case) -> list[str]:
    return [p.name for p in case.program.populations]


def joined(parts: Sequence[Trace]) -> Trace:
    """The trace whose chunks these are."""

    def all_of(recordings: list[Recording]) -> Recording:
        dense = np.concatenate([r.dense() for r in recordings])
        return Recording.from_dense(dense)

    first = parts[0]
    return Trace(
        "joined",
        {n: all_of([p.outputs[n] for p in parts]) for n in first.outputs},
        {
            n: {v: np.concatenate([p.states[n][v] for p in parts]) for v in states}
            for n, states in first.states.items()
        },
        {},
    )


def cut(recording: Recording, at: list[int]) -> list[Recording]:
    frames = recording.dense()
    edges = [0, *sorted({min(k, recording.steps) for k in at}), recording.steps]
    return [Recording.from_dense(frames[a:b]) for a, b in pairwise(edges)]


@few
@given(cases())
def test_every_state_and_output_is_that_of_the_plain_emulator(case: Case) -> None:
    ours = engine(case).run(case.recording, states=every(case))
    assert first_difference(ours, run_golden(case)) is None
    for recording in ours.outputs.values():
        assert list(recording.faults()) == []


@few
@given(cases(), st.lists(st.integers(0, 20), max_size=5))
def test_however_the_input_is_cut_the_chunks_joined_are_one_run(case: Case, at: list[int]) -> None:
    stream = engine(case).stream(states=every(case))
    parts = [stream.feed(chunk) for chunk in cut(case.recording, at)]
    assert first_difference(joined(parts), run_golden(case)) is None


@settings(max_examples=15, deadline=None)
@given(cases(), st.integers(1, 3))
def test_a_batch_on_any_number_of_threads_is_each_run_alone(case: Case, threads: int) -> None:
    frames = case.recording.dense()
    batch = [case.recording, Recording.from_dense(frames[::-1]), Recording.from_dense(frames[:1])]
    traces = engine(case).run_batch(batch, states=every(case), threads=threads)
    for recording, trace in zip(batch, traces, strict=True):
        alone = run_golden(dataclasses.replace(case, recording=recording))
        assert first_difference(trace, alone) is None
