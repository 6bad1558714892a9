"""The integer rules of Loihi, each shown on numbers one can check by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from nrf_deploy.diagnostics.findings import TargetError
from nrf_deploy.engines.emulator import golden
from nrf_deploy.ir.network import Array
from nrf_deploy.ir.program import Conv, Dense, Population, Port, Program
from nrf_deploy.ir.recording import Recording, Trace
from nrf_loihi.arithmetic.integers import i32, shift, shr0
from nrf_loihi.arithmetic.rules import (
    EXCITATORY,
    INHIBITORY,
    MIXED,
    LoihiArithmetic,
    held_weights,
    sign_mode,
)

LOIHI = LoihiArithmetic()
TOP = 2**23 - 1


def dense(weight: list[list[int]], **params: int) -> Dense:
    matrix = np.array(weight)
    return Dense(
        name="w",
        source="in",
        targets=("n",),
        weight=matrix,
        source_shape=(matrix.shape[1],),
        target_shape=(matrix.shape[0],),
        params=params,
    )


def steps(model: str, arriving: list[int], **params: int | Array) -> tuple[list[int], Trace]:
    """Run one neuron on these sums; return its outputs, and the trace with its states.

    A passing population and a weight of 1 bring the sums to it unchanged.
    """
    one = {"source_shape": (1,), "target_shape": (1,), "weight": np.ones((1, 1), np.int64)}
    program = Program(
        arithmetic="loihi",
        ports=(Port(name="in", shape=(1,), peak=2**31),),
        synapses=(
            Dense(name="w", source="in", targets=("n",), params={"num_message_bits": 24}, **one),
        ),
        populations=(Population(name="n", shape=(1,), model=model, params=params),),
        outputs=("n",),
    )
    recording = Recording.from_dense(np.array([*arriving, 0])[:, None])
    trace = golden.run(program, LOIHI, recording, states=["n"])
    return trace.outputs["n"].dense()[1:, 0].tolist(), trace


def state(trace: Trace, name: str) -> list[int]:
    return trace.states["n"][name][1:, 0].tolist()


# --- shifts ---------------------------------------------------------------


def test_decays_round_toward_zero_and_exponents_round_down() -> None:
    x = np.array([-5, 5])
    assert shr0(x, 1).tolist() == [-2, 2]
    assert shift(x, -1).tolist() == [-3, 2]
    assert shift(x, 2).tolist() == [-20, 20]


@given(st.integers(-(2**40), 2**40))
def test_i32_wraps_as_a_register_does(x: int) -> None:
    wrapped = int(i32(np.array(x)))
    assert -(2**31) <= wrapped < 2**31
    assert (wrapped - x) % 2**32 == 0


# --- weights --------------------------------------------------------------


def test_the_sign_mode_is_what_the_weights_are() -> None:
    assert sign_mode(dense([[0, 3]])) == EXCITATORY
    assert sign_mode(dense([[0, 0]])) == EXCITATORY
    assert sign_mode(dense([[0, -3]])) == INHIBITORY
    assert sign_mode(dense([[1, -3]])) == MIXED
    assert sign_mode(dense([[1, 3]], sign_mode=MIXED)) == MIXED


def test_mixed_weights_are_even_and_the_others_are_not() -> None:
    assert LOIHI.held(dense([[-1, 255, -300, 3]])).tolist() == [[-2, 254, -256, 2]]
    assert LOIHI.held(dense([[1, 255, 300, 3]])).tolist() == [[1, 255, 255, 3]]
    assert LOIHI.held(dense([[-1, -255, -300, -3]])).tolist() == [[-1, -255, -255, -3]]


def test_fewer_weight_bits_clear_low_bits_toward_zero_in_inhibitory_synapses() -> None:
    assert LOIHI.held(dense([[7, 8]], num_weight_bits=5)).tolist() == [[0, 8]]
    assert LOIHI.held(dense([[-7, -9]], num_weight_bits=5)).tolist() == [[0, -8]]
    assert LOIHI.held(dense([[7, -1]], num_weight_bits=5)).tolist() == [[0, -16]]


@given(
    weight=arrays(np.int64, 5, elements=st.integers(-400, 400)),
    mode=st.sampled_from([MIXED, EXCITATORY, INHIBITORY]),
    bits=st.integers(1, 8),
)
def test_what_is_held_once_stays_as_it_is(weight: Array, mode: int, bits: int) -> None:
    held = held_weights(weight, mode, bits)
    assert np.array_equal(held_weights(held, mode, bits), held)
    assert held.min() >= (0 if mode == EXCITATORY else -256)
    assert held.max() <= (0 if mode == INHIBITORY else 255)
    assert len(np.unique(held_weights(np.arange(-300, 300), mode, bits))) == 2**bits


# --- messages and sums ------------------------------------------------------


def test_messages_are_binary_unless_they_have_bits() -> None:
    output = np.array([0, 3, -2])
    assert LOIHI.message(dense([[1]]), output).tolist() == [0, 1, 1]
    assert LOIHI.message(dense([[1]], num_message_bits=8), output).tolist() == [0, 3, -2]


def test_the_exponent_shifts_the_sum_and_not_each_weight() -> None:
    total = np.array([3 + 3, -3])
    assert LOIHI.deliver(dense([[3, 3]], weight_exp=-1), total).tolist() == [3, -2]
    assert LOIHI.deliver(dense([[3, 3]], weight_exp=2), total).tolist() == [24, -12]


def test_a_convolution_wraps_to_24_bits_and_knows_no_exponent() -> None:
    conv = Conv(
        name="c",
        source="in",
        targets=("n",),
        weight=np.array([[[[301]]]]),
        input_size=(1, 1),
        stride=(1, 1),
        padding=((0, 0), (0, 0)),
        dilation=(1, 1),
        params={"weight_exp": 3, "num_weight_bits": 2},
    )
    assert LOIHI.held(conv).tolist() == [[[[301]]]]
    assert LOIHI.deliver(conv, np.array([2**23 - 1, 2**23, -(2**23) - 1])).tolist() == [
        2**23 - 1,
        -(2**23),
        2**23 - 1,
    ]


# --- LIF ----------------------------------------------------------------------


def test_a_current_without_memory_is_64_times_the_sum() -> None:
    _, trace = steps("lif", [1, -2], du=4095, dv=4096, vth=1000)
    assert state(trace, "u") == [64, -128]
    assert state(trace, "v") == [64, -128]


def test_du_counts_one_more_than_it_says_and_dv_does_not() -> None:
    _, trace = steps("lif", [64, 0], du=0, dv=0, vth=1000)
    assert state(trace, "u") == [4096, 4095]
    assert state(trace, "v") == [4096, 4096 + 4095]


def test_the_threshold_must_be_exceeded_and_the_spike_leaves_at_once() -> None:
    at, _ = steps("lif", [10], du=4095, dv=0, vth=10)
    above, trace = steps("lif", [11], du=4095, dv=0, vth=10)
    assert at == [0]
    assert above == [1]
    assert state(trace, "v") == [0]
    assert state(trace, "u") == [11 * 64]


def test_the_bias_is_a_16_bit_mantissa_with_an_exponent_that_rounds_down() -> None:
    _, up = steps("lif", [0], du=0, dv=4096, vth=1000, bias_mant=3, bias_exp=2)
    _, down = steps("lif", [0], du=0, dv=4096, vth=1000, bias_mant=-3, bias_exp=-1)
    assert state(up, "v") == [12]
    assert state(down, "v") == [-2]


def test_the_current_wraps_once_and_the_voltage_saturates() -> None:
    quiet = {"du": 4095, "dv": 0, "vth": 2**18}
    _, high = steps("lif", [2**17], **quiet)
    _, over = steps("lif", [2**17 + 1], **quiet)
    _, far = steps("lif", [5 * 2**17], **quiet)
    assert state(high, "u") == [2**23]
    assert state(high, "v") == [TOP]
    assert state(over, "u") == [64 - 2**23]
    assert state(over, "v") == [64 - 2**23]
    assert state(far, "u") == [3 * 2**23]


def test_a_saturated_voltage_exceeds_even_the_largest_threshold() -> None:
    output, _ = steps("lif", [2**17], du=4095, dv=0, vth=2**17 - 1)
    assert output == [1]


@given(
    u0=st.integers(-(2**23), 2**23),
    v0=st.integers(-TOP, TOP),
    arriving=st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=4),
    du=st.integers(0, 4095),
    dv=st.integers(0, 4095),
    bias=st.integers(-4096, 4095),
)
@settings(max_examples=50, deadline=None)
def test_the_voltage_never_leaves_its_24_bits(
    u0: int, v0: int, arriving: list[int], du: int, dv: int, bias: int
) -> None:
    _, trace = steps(
        "lif", arriving, u0=u0, v0=v0, du=du, dv=dv, vth=2**17 - 1, bias_mant=bias, bias_exp=7
    )
    assert np.abs(trace.states["n"]["v"]).max() <= TOP


def test_parameters_may_differ_between_neurons() -> None:
    population = Population(
        name="n", shape=(2,), model="lif", params={"du": 4095, "dv": 0, "vth": np.array([0, 2])}
    )
    arriving = np.array([1, 1])
    output, after = LOIHI.step(population, LOIHI.start(population), arriving, 0)
    assert output.tolist() == [1, 0]
    assert after["v"].tolist() == [0, 64]


def test_a_reset_comes_before_the_step_and_counts_steps_from_one() -> None:
    population = Population(
        name="n",
        shape=(1,),
        model="lif_reset",
        params={"du": 0, "dv": 0, "vth": 1000, "interval": 3, "offset": 2, "v0": 100},
    )
    now, seen = LOIHI.start(population), []
    for t in range(6):
        _, now = LOIHI.step(population, now, np.zeros(1, np.int64), t)
        seen.append(int(now["v"][0]))
    assert seen == [100, 0, 0, 0, 0, 0]


def test_a_ternary_neuron_has_two_thresholds() -> None:
    output, trace = steps("ternary_lif", [6, -4, -3], du=4095, dv=4096, vth_hi=5, vth_lo=-3)
    assert output == [1, -1, 0]
    assert state(trace, "v") == [0, 0, -192]


# --- payloads ----------------------------------------------------------------


def test_graded_neurons_send_what_exceeds_the_threshold() -> None:
    assert steps("graded", [5, -5, 3], vth=3)[0] == [5, -5, 0]
    assert steps("graded_relu", [5, -5, 3], vth=3)[0] == [5, 0, 0]
    assert steps("pass", [5, -5, 3])[0] == [5, -5, 3]


def test_a_delta_encoder_sends_changes_that_reach_the_threshold() -> None:
    output, trace = steps("delta", [2, 3, 5, 5], vth=3)
    assert output == [0, 3, 0, 0]
    assert state(trace, "residue") == [2, 0, 2, 2]
    assert state(trace, "act") == [2, 3, 5, 5]


def test_a_cumulative_delta_encoder_waits_for_the_sum_of_what_it_owes() -> None:
    output, trace = steps("delta", [2, 2, 2], vth=4, cum_error=1)
    assert output == [0, 2, 0]
    assert state(trace, "error") == [2, 0, 0]


def test_sigma_delta_sums_rectifies_and_encodes() -> None:
    output, trace = steps("sigma_delta", [-4, 9, 1], vth=2)
    assert output == [0, 5, 0]
    assert state(trace, "sigma") == [-4, 5, 6]
    assert state(trace, "act") == [0, 5, 6]


def test_a_resonator_turns_and_fires_where_its_phase_passes_zero() -> None:
    quarter = {"sin_decay": 16, "cos_decay": 0, "decay_bits": 4}
    output, trace = steps("rf", [8, 0, 0, 0, 0], vth=8, **quarter)
    assert state(trace, "real") == [8, 0, -8, 0, 8]
    assert state(trace, "imag") == [0, 8, 0, -8, 0]
    assert output == [0, 0, 0, 0, 1]
    output, trace = steps("rf_iz", [8, 0], vth=8, **quarter)
    assert output == [0, 1]
    assert state(trace, "imag") == [0, 7]


# --- refusals ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "params", "code"),
    [
        ("izhikevich", {}, "LOIHI-MODEL-UNKNOWN"),
        ("lif", {"du": 0, "dv": 0}, "LOIHI-MODEL-PARAMETERS"),
        ("lif", {"du": 0, "dv": 0, "vth": 1, "bias": 3}, "LOIHI-MODEL-PARAMETERS"),
    ],
)
def test_models_and_parameters_that_do_not_exist_are_refused(
    model: str, params: dict[str, int], code: str
) -> None:
    with pytest.raises(TargetError) as refused:
        LOIHI.start(Population(name="n", shape=(1,), model=model, params=params))
    assert refused.value.findings[0].code == code
    assert refused.value.findings[0].layer == "n"


# --- silicon --------------------------------------------------------------------


def test_the_recorded_loihi_2_is_reproduced(shared: Path) -> None:
    """Every spike, and every voltage but the chip's refractory code at its own spikes."""
    file = shared / "conformance" / "silicon" / "nir_paper_01_lif.npz"
    with np.load(file, allow_pickle=False) as chip:
        given_, weight = chip["input"], chip["weight"].astype(np.int64)
        params = {name: int(chip[name]) for name in ("du", "dv", "vth")}
        v_cpu, s_cpu, v_chip, s_chip = (chip[n] for n in ("v_cpu", "s_cpu", "v_loihi", "s_loihi"))
    program = Program(
        arithmetic="loihi",
        ports=(Port(name="in", shape=(1,)),),
        synapses=(
            Dense(
                name="w",
                source="in",
                targets=("n",),
                weight=weight,
                source_shape=(1,),
                target_shape=(1,),
            ),
        ),
        populations=(Population(name="n", shape=(1,), model="lif", params=params),),
        outputs=("n",),
    )
    trace = golden.run(program, LOIHI, Recording.from_dense(given_[:, None]), states=["n"])
    spikes, v = trace.outputs["n"].dense()[:, 0], trace.states["n"]["v"][:, 0]
    fired = np.flatnonzero(s_chip)
    assert len(fired) == 4
    assert np.array_equal(spikes, s_chip)
    assert np.array_equal(spikes, s_cpu)
    assert np.array_equal(v, v_cpu)
    assert np.array_equal(np.flatnonzero(v != v_chip), fired)
    assert np.all(v_chip[fired] == 128)
