"""The schedule of a run: every piece once, nothing before what it reads, nothing overwritten."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nrf_deploy.engines.emulator.schedule import Schedule, Work


@st.composite
def works(draw: st.DrawFn) -> list[Work]:
    """Draw stages that are fed by earlier ones; the first has no source."""
    count = draw(st.integers(1, 6))
    sources = [
        frozenset(draw(st.sets(st.integers(0, k - 1), min_size=1))) if k else frozenset[int]()
        for k in range(count)
    ]
    return [
        Work(
            draw(st.integers(1, 3)),
            sources[k],
            frozenset(r for r in range(count) if k in sources[r]),
        )
        for k in range(count)
    ]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(works(), st.integers(0, 6), st.integers(1, 3), st.integers(1, 4))
def test_each_task_runs_once_after_what_it_reads_and_before_it_is_overwritten(
    stages: list[Work], chunks: int, slots: int, threads: int
) -> None:
    ran: list[tuple[int, int, int]] = []
    finished = [0] * len(stages)
    faults: list[str] = []

    def run(stage: int, piece: int, chunk: int) -> None:
        ran.append((stage, piece, chunk))
        if finished[stage] != chunk:
            faults.append(f"stage {stage} has not finished the chunk before {chunk}")
        if any(finished[s] <= chunk for s in stages[stage].sources):
            faults.append(f"a source of stage {stage} has not finished chunk {chunk}")
        if any(finished[r] <= chunk - slots for r in stages[stage].readers):
            faults.append(f"chunk {chunk} of stage {stage} overwrites what is still read")

    def finish(stage: int, chunk: int) -> None:
        finished[stage] = chunk + 1

    Schedule(stages, chunks, slots, run, finish).work(threads)
    assert faults == []
    everything = [
        (k, p, c) for k, s in enumerate(stages) for p in range(s.pieces) for c in range(chunks)
    ]
    assert sorted(ran) == everything


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_what_a_thread_raises_ends_all_of_them_and_is_raised(threads: int) -> None:
    stages = [Work(2, frozenset(), frozenset({1})), Work(2, frozenset({0}), frozenset())]

    def run(stage: int, piece: int, chunk: int) -> None:
        if (stage, chunk) == (1, 3):
            raise ZeroDivisionError

    before = threading.active_count()
    with pytest.raises(ZeroDivisionError):
        Schedule(stages, 100, 2, run, lambda stage, chunk: None).work(threads)
    assert threading.active_count() == before
