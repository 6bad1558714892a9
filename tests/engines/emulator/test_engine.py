"""The fast engine gives the bits of the plain emulator: every state, every output, every step."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nrf_deploy.engines.emulator.engine import Engine
from nrf_deploy.engines.emulator.tuning import Tuning
from nrf_deploy.ir.recording import Recording, Trace
from nrf_loihi.arithmetic.kernels import LoihiKernels
from nrf_loihi.arithmetic.rules import LoihiArithmetic
from tests.builders.loihi_programs import Case, cases, first_difference, run_golden

few = settings(max_examples=50, deadline=None)
many = settings(max_examples=1500, deadline=None)

TINY = Tuning(chunk=3, cache=1, narrowest=1, shared_out=1, turns=9, shortest=1, dense=0.3)
"""Cuts even the smallest network into pieces, and its run into chunks."""

tunings = st.builds(
    Tuning,
    chunk=st.sampled_from([1, 2, 7, 256]),
    cache=st.sampled_from([1, 64, 2**19]),
    narrowest=st.sampled_from([1, 8]),
    shared_out=st.sampled_from([1, 2048]),
    dense=st.sampled_from([0.0, 0.2, 0.6, 2.0]),
    turns=st.integers(1, 9),
    shortest=st.integers(1, 4),
)
threads = st.integers(1, 3)


def engine(case: Case, tuning: Tuning = TINY) -> Engine:
    made = Engine(case.program, LoihiArithmetic(), LoihiKernels(), tuning)
    assert made.plain is None
    return made


def every(case: Case) -> list[str]:
    return [p.name for p in case.program.populations]


def joined(parts: Sequence[Trace]) -> Trace:
    """Join these chunks into one trace."""

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


def holds_on(case: Case, tuning: Tuning, threads: int) -> None:
    ours = engine(case, tuning).run(case.recording, states=every(case), threads=threads)
    assert first_difference(ours, run_golden(case)) is None
    for recording in ours.outputs.values():
        assert list(recording.faults()) == []
    fired = {name: len(r.index) for name, r in ours.outputs.items()}
    silent = engine(case, tuning).run(case.recording, record=(), threads=threads)
    assert silent.notes["events"] == fired


def holds_however_cut(case: Case, at: list[int], tuning: Tuning, threads: int) -> None:
    stream = engine(case, tuning).stream(states=every(case), threads=threads)
    parts = [stream.feed(chunk) for chunk in cut(case.recording, at)]
    assert first_difference(joined(parts), run_golden(case)) is None


@few
@given(cases(), threads)
def test_every_state_and_output_is_that_of_the_plain_emulator(case: Case, threads: int) -> None:
    holds_on(case, Tuning(), threads)


@few
@given(cases(), tunings, threads)
def test_and_so_it_is_in_whatever_pieces_and_chunks(
    case: Case, tuning: Tuning, threads: int
) -> None:
    holds_on(case, tuning, threads)


def repeats_itself(case: Case, tuning: Tuning, threads: int) -> None:
    """Check that an engine keeps its tables between runs, and no data of the runs."""
    made, plain = engine(case, tuning), run_golden(case)
    for recording in (case.recording, case.recording.until(2), case.recording):
        ours = made.run(recording, states=every(case), threads=threads)
        if recording is case.recording:
            assert first_difference(ours, plain) is None
    (kept,) = made._idle
    assert kept.session.threads == threads


@few
@given(cases(), tunings, threads)
def test_a_run_leaves_nothing_behind_for_the_next(case: Case, tuning: Tuning, threads: int) -> None:
    repeats_itself(case, tuning, threads)


edges = st.lists(st.integers(0, 20), max_size=5)


@few
@given(cases(), edges, tunings, threads)
def test_however_the_input_is_cut_the_chunks_joined_are_one_run(
    case: Case, at: list[int], tuning: Tuning, threads: int
) -> None:
    holds_however_cut(case, at, tuning, threads)


@pytest.mark.conformance
@many
@given(cases(), tunings, threads)
def test_many_networks_in_many_pieces(case: Case, tuning: Tuning, threads: int) -> None:
    holds_on(case, tuning, threads)


@pytest.mark.conformance
@many
@given(cases(), edges, tunings, threads)
def test_many_streams(case: Case, at: list[int], tuning: Tuning, threads: int) -> None:
    holds_however_cut(case, at, tuning, threads)


@settings(max_examples=15, deadline=None)
@given(cases(), st.integers(1, 3))
def test_a_batch_on_any_number_of_threads_is_each_run_alone(case: Case, threads: int) -> None:
    frames = case.recording.dense()
    batch = [case.recording, Recording.from_dense(frames[::-1]), Recording.from_dense(frames[:1])]
    traces = engine(case).run_batch(batch, states=every(case), threads=threads)
    for recording, trace in zip(batch, traces, strict=True):
        alone = run_golden(dataclasses.replace(case, recording=recording))
        assert first_difference(trace, alone) is None
