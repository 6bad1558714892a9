"""Our Loihi arithmetic is Lava's, in every bit of every state of every step.

The judge is the vendor's own runtime in its own environment. `make test` compares some
dozens of random programs, `make conformance` at least 500.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from itertools import islice

import hypothesis
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nrf_deploy.diagnostics.findings import TargetError
from nrf_deploy.engines.sdk import environments
from nrf_deploy.ir.program import Conv, Dense, Population, Port, Program, Sparse
from nrf_deploy.ir.recording import Recording
from nrf_loihi.lava import engine
from nrf_loihi.lava.window import with_equal_padding
from tests.builders.loihi_programs import Case, cases, describe, first_difference, run_golden

BATCH = 50
"""Programs for one start of the worker."""


@cache
def missing_lava() -> str:
    there = environments.status(engine.sdk)
    return "" if there.installed else f"Lava is not installed: {there.todo}"


@pytest.fixture
def needs_lava() -> None:
    if missing_lava():
        pytest.skip(missing_lava())


def judge(batch: Sequence[Case]) -> list[str | None]:
    """Return the first difference between our run and Lava's, for each program."""
    traces = engine.run_many([(case.program, case.recording) for case in batch])
    return [first_difference(run_golden(c), t) for c, t in zip(batch, traces, strict=True)]


def draw(programs: int, seed: int, each: Callable[[Case], None]) -> None:
    """Call `each` with programs that hypothesis draws; it shrinks one that fails."""

    @hypothesis.seed(seed)
    @settings(
        max_examples=programs,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(cases())
    def every(case: Case) -> None:
        each(case)

    every()


def compare(programs: int, seed: int) -> int:
    """Return the number of different programs that ran alike.

    A start of Lava's interpreter costs more than a small program. So the programs are
    drawn once to be run in batches, and drawn again, the same, to be judged; only those
    that hypothesis draws while it shrinks a failure are run one by one.
    """
    drawn: dict[str, Case] = {}

    def keep(case: Case) -> None:
        drawn[repr(case)] = case

    draw(programs, seed, keep)
    verdicts: dict[str, str | None] = {}
    for texts in batched(drawn, BATCH):
        verdicts.update(zip(texts, judge([drawn[text] for text in texts]), strict=True))

    def equal(case: Case) -> None:
        text = repr(case)
        if text not in verdicts:
            (verdicts[text],) = judge([case])
        assert verdicts[text] is None, f"seed {seed}, {verdicts[text]}\n{text}"

    draw(programs, seed, equal)
    return len(drawn)


def batched(items: Iterable[str], size: int) -> Iterator[list[str]]:
    queue = iter(items)
    while batch := list(islice(queue, size)):
        yield batch


@pytest.mark.usefixtures("needs_lava")
def test_random_programs_run_alike_in_every_state() -> None:
    assert compare(36, seed=1) >= 30


@pytest.mark.conformance
@pytest.mark.usefixtures("needs_lava")
def test_five_hundred_random_programs_run_alike_in_every_state() -> None:
    seed = int(os.environ.get("NRF_CONFORMANCE_SEED") or random.randrange(2**32))
    print(f"seed {seed} (NRF_CONFORMANCE_SEED={seed} draws the same programs)")
    different = compare(560, seed)
    print(f"{different} different programs, all values equal")
    assert different >= 500


def lif_case(weights: np.ndarray, steps: int = 6, **lif: int) -> Case:
    params = {"du": 4095, "dv": 0, "vth": 10, **lif}
    outs, ins = weights.shape
    program = Program(
        arithmetic="loihi",
        ports=(Port(name="in", shape=(ins,)),),
        synapses=(
            Dense(
                name="w",
                source="in",
                targets=("n",),
                weight=weights,
                source_shape=(ins,),
                target_shape=(outs,),
            ),
        ),
        populations=(Population(name="n", shape=(outs,), model="lif", params=params),),
        outputs=("n",),
    )
    frames = np.zeros((steps, ins), np.int64)
    frames[0] = 1
    return Case(program, Recording.from_dense(frames))


@pytest.mark.usefixtures("needs_lava")
def test_only_what_was_asked_for_is_kept_and_extra_steps_run_on_silence() -> None:
    case = lif_case(np.full((1, 1), 4))
    told: list[tuple[int, int]] = []
    trace = engine.run(
        case.program,
        case.recording,
        record=["n"],
        steps=9,
        progress=lambda done, of: told.append((done, of)),
    )
    assert trace.engine == "lava"
    assert trace.outputs["n"].steps == 9
    assert trace.states == {}
    assert told[-1] == (9, 9)


@pytest.mark.usefixtures("needs_lava")
def test_a_lone_population_runs_although_nothing_is_connected_to_it() -> None:
    case = lif_case(np.full((1, 1), 4))
    lone = Population(
        name="lone", shape=(2,), model="lif", params={"du": 0, "dv": 0, "vth": 3, "bias_mant": 64}
    )
    program = Program(
        arithmetic="loihi",
        ports=case.program.ports,
        synapses=case.program.synapses,
        populations=(*case.program.populations, lone),
        outputs=("lone",),
    )
    (trace,) = engine.run_many([(program, case.recording)])
    assert first_difference(run_golden(Case(program, case.recording)), trace) is None
    assert trace.outputs["lone"].counts().sum() > 0


# --- what is refused before Lava starts ----------------------------------


def conv(**changes: object) -> Conv:
    said = {
        "name": "c",
        "source": "in",
        "targets": ("n",),
        "weight": np.ones((1, 1, 1, 1), np.int64),
        "input_size": (4, 4),
        "stride": (1, 1),
        "padding": ((0, 0), (0, 0)),
        "dilation": (1, 1),
    }
    return Conv(**(said | changes))  # type: ignore[arg-type]


def codes_of(synapses: Conv | Dense | Sparse) -> list[str]:
    population = Population(name="n", shape=synapses.shape, model="pass", params={})
    program = Program(
        arithmetic="loihi",
        ports=(Port(name="in", shape=synapses.input_shape),),
        synapses=(synapses,),
        populations=(population,),
        outputs=("n",),
    )
    silence = Recording.from_dense(np.zeros((1, *synapses.input_shape), np.int64))
    with pytest.raises(TargetError) as refused:
        engine.run(program, silence)
    return [f.code for f in refused.value.findings]


@pytest.mark.parametrize(
    "mangled",
    [
        conv(stride=(130, 1)),
        conv(padding=((128, 128), (0, 0))),
        conv(dilation=(1, 200)),
        conv(weight=np.ones((128, 1, 1, 1), np.int64), groups=128),
        conv(weight=np.ones((1, 1, 1, 129), np.int64), input_size=(1, 129)),
        conv(padding=((0, 0), (0, 127)), weight=np.ones((1, 1, 1, 2), np.int64)),
    ],
    ids=["stride", "padding", "dilation", "groups", "kernel", "kernel-after-padding"],
)
def test_numbers_that_lava_would_store_as_int8_are_refused(mangled: Conv) -> None:
    assert codes_of(mangled) == ["LAVA-CONV-INT8"]


def test_delays_that_lava_does_not_have_are_refused() -> None:
    ends = {"source": "in", "targets": ("n",), "source_shape": (1,), "target_shape": (1,)}
    one = np.ones((1, 1), np.int64)
    assert codes_of(conv(delay=2)) == ["LAVA-CONV-DELAY"]
    assert codes_of(Dense(name="d", weight=one, delay=0, **ends)) == ["LAVA-DELAY"]
    assert codes_of(Dense(name="d", weight=one, delays=one * 64, **ends)) == ["LAVA-DELAY"]


def test_two_synapses_between_the_same_neurons_are_refused() -> None:
    twice = Sparse(
        name="s",
        source="in",
        targets=("n",),
        weight=np.array([200, 100]),
        row=np.array([0, 0]),
        column=np.array([0, 0]),
        source_shape=(1,),
        target_shape=(1,),
    )
    assert codes_of(twice) == ["LAVA-SPARSE-TWICE"]


@given(
    padding=st.tuples(*[st.tuples(st.integers(0, 3), st.integers(0, 3))] * 2),
    dilation=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    seed=st.integers(0, 1000),
)
@settings(max_examples=50, deadline=None)
def test_unequal_padding_becomes_zeros_around_the_kernel(
    padding: tuple[tuple[int, int], ...],
    dilation: tuple[int, int],
    stride: tuple[int, int],
    seed: int,
) -> None:
    from nrf_deploy.engines.emulator.golden import correlate

    rng = np.random.default_rng(seed)
    weight = rng.integers(-9, 9, (2, 3, 2, 2))
    before = conv(weight=weight, padding=padding, dilation=dilation, stride=stride)
    after = with_equal_padding(before)
    message = rng.integers(0, 5, before.input_shape).ravel()
    assert all(a == b for a, b in after.padding)
    assert after.shape == before.shape
    assert np.array_equal(
        correlate(after, after.weight, message), correlate(before, before.weight, message)
    )


def test_a_program_prints_as_what_it_is() -> None:
    text = describe(lif_case(np.full((1, 1), 4)).program)
    assert "Dense(name='w'" in text
    assert "weight=[[4]]" in text
    assert json.dumps("vth")[1:-1] in text
