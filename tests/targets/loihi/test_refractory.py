"""Refractory periods: Lava's float rules in the integers of the other neurons."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nrf_deploy.diagnostics.findings import TargetError
from nrf_deploy.engines.emulator.engine import Engine
from nrf_deploy.engines.sdk import environments
from nrf_deploy.ir.program import Dense, Population, Port, Program
from nrf_deploy.ir.recording import Recording
from nrf_loihi.arithmetic.kernels import LoihiKernels
from nrf_loihi.arithmetic.rules import LoihiArithmetic
from nrf_loihi.lava import engine as lava
from tests.builders.loihi_programs import Case, first_difference, run_golden

SIZE = 6


def program(weight: np.ndarray, **params: object) -> Program:
    """Build neurons that also feed themselves, so that an error persists."""
    ends = {"targets": ("n",), "source_shape": (SIZE,), "target_shape": (SIZE,)}
    return Program(
        arithmetic="loihi",
        ports=(Port(name="in", shape=(SIZE,)),),
        synapses=(
            Dense(name="w", source="in", weight=weight, **ends),
            Dense(name="back", source="n", weight=np.roll(weight, 1, axis=0), **ends),
        ),
        populations=(Population(name="n", shape=(SIZE,), model="lif_refractory", params=params),),
        outputs=("n",),
    )


def made(seed: int, **params: object) -> Case:
    """Build even weights, so that none is rounded; each neuron has a period of its own."""
    rng = np.random.default_rng(seed)
    said = {"du": 4095, "dv": 0, "vth": 40, "period": rng.integers(0, 6, SIZE)} | params
    frames = (rng.random((60, SIZE)) < 0.3).astype(np.int64)
    weight = 2 * rng.integers(-20, 40, (SIZE, SIZE))
    return Case(program(weight, **said), Recording.from_dense(frames))


def test_v_stands_still_for_the_period_and_u_goes_on() -> None:
    one = np.zeros((8, SIZE), np.int64)
    one[0] = 1
    steady = program(np.diag([64] * SIZE), du=2047, dv=0, vth=10, period=2)
    trace = run_golden(Case(steady, Recording.from_dense(one)))
    spikes = trace.outputs["n"].dense()[:, 0].tolist()
    v, u = trace.states["n"]["v"][:, 0], trace.states["n"]["u"][:, 0]
    first = spikes.index(1)
    assert spikes[first : first + 4] == [1, 0, 0, 1]
    assert v[first : first + 4].tolist() == [0, 0, 0, 0]
    assert np.all(u[first : first + 3] > 0)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.integers(0, 9999), st.integers(0, 4095), st.integers(0, 4095), st.integers(-300, 300))
def test_the_fast_engine_gives_the_same_bits(seed: int, du: int, dv: int, bias: int) -> None:
    case = made(seed, du=du, dv=dv, bias_mant=bias)
    engine = Engine(case.program, LoihiArithmetic(), LoihiKernels())
    assert engine.plain is None
    trace = engine.run(case.recording, ["n"], ["n"], case.recording.steps)
    assert first_difference(run_golden(case), trace) is None


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.integers(0, 9999))
def test_no_period_at_all_is_a_plain_neuron(seed: int) -> None:
    case = made(seed, period=0, dv=300)
    (cells,) = case.program.populations
    params = {key: value for key, value in cells.params.items() if key != "period"}
    plain = Population(name="n", shape=cells.shape, model="lif", params=params)
    other = Program(
        arithmetic="loihi",
        ports=case.program.ports,
        synapses=case.program.synapses,
        populations=(plain,),
        outputs=("n",),
    )
    one, two = run_golden(case), run_golden(Case(other, case.recording))
    assert one.outputs["n"].same(two.outputs["n"])
    assert np.array_equal(one.states["n"]["v"], two.states["n"]["v"])


def test_lava_which_has_it_in_floats_only_is_not_asked() -> None:
    case = made(1)
    with pytest.raises(TargetError) as refusal:
        lava.run(case.program, case.recording)
    assert [f.code for f in refusal.value.findings] == ["LAVA-REFRACTORY"]


@pytest.mark.parametrize("du", [4095, -1])
def test_on_integers_it_is_the_float_model_of_lava(tmp_path: Path, du: int) -> None:
    """Without a leak nothing is rounded: then Lava's floats are our integers, in 64ths.

    du = -1 is a current that never decays (the chip adds 1 to what is said).
    """
    python = environments.installed_python(lava.sdk)
    if python is None:
        pytest.skip(f"Lava is not installed: {environments.status(lava.sdk).todo}")
    cases = [made(k, du=du, vth=300, bias_mant=64 * (k - 2), period=k + 1) for k in range(5)]
    jobs = []
    for k, case in enumerate(cases):
        jobs.append(
            {
                "frames": case.recording.dense().tolist(),
                "weights": [s.weight.tolist() for s in case.program.synapses],
                "du": (du + 1) / 4096,
                "vth": 300,
                "bias": k - 2,
                "period": k + 1,
            }
        )
    (tmp_path / "asked.json").write_text(json.dumps(jobs))
    script = Path(__file__).parents[2] / "builders" / "lava_refractory.py"
    subprocess.run([python, script, tmp_path], check=True, timeout=300, capture_output=True)
    answers = json.loads((tmp_path / "answered.json").read_text())
    total = 0
    for case, answer in zip(cases, answers, strict=True):
        trace = run_golden(case)
        for name, unit in (("u", 64), ("v", 64)):
            assert np.array_equal(trace.states["n"][name], unit * np.array(answer[name]))
        assert np.array_equal(trace.outputs["n"].dense(), np.array(answer["s"]))
        total += int(np.sum(answer["s"]))
    assert total > 50
