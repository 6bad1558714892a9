"""Resets by subtraction and neurons without a reset: the current integrates, v mirrors it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nrf_deploy.bundle import pipeline
from nrf_deploy.bundle.bundle import Bundle
from nrf_deploy.diagnostics.findings import Finding
from nrf_deploy.engines.reference import run
from nrf_deploy.ir.network import IF, LIF, Input, Linear, Network, Output, Population
from nrf_deploy.ir.recording import Recording
from nrf_deploy.neurons import Spikes
from nrf_deploy.verification.verify import verify
from nrf_loihi.lava import engine
from tests.builders.loihi_programs import Case, first_difference, run_golden
from tests.builders.random_networks import random_network, random_recording
from tests.targets.loihi.test_lava import missing_lava

DT, SIZE = 1e-3, 12
RESETS = ("subtract", "late", "none")
ALLOW = "subtract-as-zero-reset"


def network(
    reset: str, *, beta: float = 0.9, seed: int = 0, bias: bool = False, **more: Any
) -> Network:
    """Return one layer; a neuron's potential keeps `beta` of itself in a step (1: no leak)."""
    rng = np.random.default_rng(seed)
    ones = np.ones(SIZE)
    rule: dict[str, Any] = {"v_threshold": 1.0 * ones, "reset": reset, **more}
    tau = DT / (1 - beta) * ones if beta < 1 else None
    node = (
        IF(name="n", r=ones / DT, **rule)
        if tau is None
        else LIF(name="n", tau=tau, r=tau / DT, v_leak=0 * ones, **rule)
    )
    weight = np.round(rng.normal(0.15, 0.3, (SIZE, SIZE)) * 32) / 32
    biases = np.round(rng.normal(0, 0.1, SIZE) * 32) / 32 if bias else None
    nodes = (
        Input(name="x", port_shape=(SIZE,)),
        Linear(name="w", weight=weight, bias=biases),
        node,
        Output(name="y", port_shape=(SIZE,)),
    )
    return Network(nodes, (("x", "w"), ("w", "n"), ("n", "y")), DT)


def noise(seed: int = 0, steps: int = 200, rate: float = 0.3) -> Recording:
    rng = np.random.default_rng(seed)
    return Recording.from_dense((rng.random((steps, SIZE)) < rate).astype(np.int64), DT)


def counts(bundle: Bundle, recording: Recording) -> tuple[int, int]:
    """Return the spikes of the chip and of the model."""
    (layer,) = verify(bundle, recording).comparison.layers
    return layer.spikes_left, layer.spikes_right


def shr0(x: np.ndarray, factor: np.ndarray | int) -> np.ndarray:
    return np.asarray(np.sign(x) * (np.abs(x) * factor >> 12))


# --- the integers -------------------------------------------------------------------


@settings(max_examples=8, deadline=None)
@given(
    reset=st.sampled_from(RESETS),
    fires=st.sampled_from(("above", "at")),
    beta=st.sampled_from((0.5, 0.9, 0.99, 1.0)),
    bias=st.booleans(),
    seed=st.integers(0, 99),
)
def test_the_potential_of_the_model_is_the_current_of_the_chip(
    reset: str, fires: str, beta: float, bias: bool, seed: int
) -> None:
    """The current is trunc(u d) + 64 (x - c s), and each reset has its own c."""
    data = noise(seed)
    model = network(reset, beta=beta, seed=seed, bias=bias, fires=fires)
    bundle = pipeline.compile(model, "loihi2", data)
    cells, scheme = bundle.program.population("n"), bundle.scheme
    trace = run_golden(Case(bundle.program, data))
    gain = np.broadcast_to(scheme.connections["w"].gain, SIZE)
    sums = data.dense() @ scheme.connections["w"].held.T
    if bias:
        node = model["w"]
        assert isinstance(node, Linear)
        assert node.bias is not None
        sums = sums + np.rint(node.bias * gain).astype(np.int64)
    keep = 4095 - np.asarray(cells.params["du"])
    assert np.all(np.asarray(cells.params["dv"]) == 4095)
    amount = np.rint(gain * {"late": 1.0, "subtract": keep[..., None] / 4096, "none": 0}[reset])
    u, v = (np.broadcast_to(cells.params[name], SIZE) for name in ("u0", "v0"))
    before, spikes = np.zeros(SIZE, np.int64), trace.outputs["n"].dense()
    register = np.asarray(cells.params["bias_mant"]) << np.asarray(cells.params["bias_exp"])
    sums = np.concatenate([0 * sums[:1], sums])  # the input arrives one step later
    for t in range(data.steps):
        u = shr0(u, keep) + 64 * (sums[t] - amount.ravel().astype(np.int64) * before)
        before = spikes[t]
        v = np.where(before, 0, shr0(v, 1) + u + register)
        np.testing.assert_array_equal(trace.states["n"]["u"][t], u)
        np.testing.assert_array_equal(trace.states["n"]["v"][t], v)


@pytest.mark.parametrize(("beta", "fires"), [(0.5, "above"), (0.875, "at")])
@pytest.mark.parametrize("reset", RESETS)
def test_a_leak_by_powers_of_two_keeps_nearly_every_spike(
    reset: str, fires: str, beta: float
) -> None:
    """Sums meet the threshold often here: weights are multiples of 1/32."""
    model, data = network(reset, beta=beta, seed=3, fires=fires), noise(3, 400)
    bundle = pipeline.compile(model, "loihi2", data)
    (layer,) = verify(bundle, data).comparison.layers
    assert layer.spikes_right > 300
    assert layer.mismatches <= 0.01 * layer.spikes_right


@pytest.mark.parametrize(
    ("reset", "beta", "fires"),
    [
        ("subtract", 0.9, "above"),
        ("subtract", 1.0, "at"),
        ("late", 0.97, "at"),
        ("late", 1.0, "above"),
    ],
)
def test_counts_are_the_models_where_a_reset_to_zero_loses_a_tenth(
    reset: str, beta: float, fires: str
) -> None:
    model, data = network(reset, beta=beta, seed=1, fires=fires), noise(1, 400)
    chip, wanted = counts(pipeline.compile(model, "loihi2", data), data)
    zero, _ = counts(pipeline.compile(model, "loihi2", data, allow=[ALLOW]), data)
    assert abs(chip - wanted) <= 0.005 * wanted
    assert abs(zero - wanted) > 0.1 * wanted


def test_each_neuron_subtracts_its_own_amount_and_starts_at_its_own_potential() -> None:
    start, amount = np.linspace(-0.9, 0.9, SIZE), np.linspace(0.5, 2.0, SIZE)
    model = network("subtract", subtracts=amount)
    model = replace(model, nodes=tuple(with_start(n, start) for n in model.nodes))
    data = noise(5)
    chip, wanted = counts(pipeline.compile(model, "loihi2", data), data)
    plain, _ = counts(pipeline.compile(network("subtract"), "loihi2", data), data)
    assert abs(chip - wanted) <= 0.01 * wanted
    assert abs(plain - wanted) > 0.02 * wanted


def with_start(node: Any, v0: np.ndarray) -> Any:
    return node.with_(v0=v0) if type(node) is Population else node


# --- the range of the current -----------------------------------------------------


def found(model: Network, code: str, data: Recording | None = None) -> list[Finding]:
    return [f for f in pipeline.check(model, "loihi2", data).findings if f.code == code]


@pytest.mark.parametrize("reset", RESETS)
def test_an_integrator_of_unknown_range_is_refused_and_data_are_the_way_out(reset: str) -> None:
    model = network(reset, beta=1.0)
    (refused,) = found(model, "LOIHI-RESET-UNBOUNDED")
    assert refused.severity == "error"
    assert "--calibrate" in refused.fix
    assert not pipeline.check(model, "loihi2", noise()).refused


@settings(max_examples=4, deadline=None)
@given(
    beta=st.sampled_from((0.5, 0.9, 0.99)), seed=st.integers(0, 99), sign=st.sampled_from((1, -1))
)
def test_without_data_no_input_of_spikes_can_make_the_current_wrap(
    beta: float, seed: int, sign: int
) -> None:
    """The strongest input of each neuron, for ever: all weights of one sign, and no other."""
    model = network("subtract", beta=beta, seed=seed)
    bundle = pipeline.compile(model, "loihi2")
    weight = model["w"].weight  # type: ignore[attr-defined]
    for row in weight[:2]:
        strongest = np.tile((sign * row > 0).astype(np.int64), (500, 1))
        recording = Recording.from_dense(strongest, DT)
        u = run_golden(Case(bundle.program, recording)).states["n"]["u"]
        exact = run(model, recording, states=["n"]).states["n"]["v"]
        assert np.abs(u).max() < 2**23
        ends = np.abs(exact[-1]) > 3
        assert np.all(np.sign(u[-1][ends]) == np.sign(exact[-1][ends]))


def test_data_decide_the_gain_and_their_margin_does_not_wrap() -> None:
    """An inhibited integrator goes down for ever, by as much as the data say."""
    model = network("subtract", beta=1.0)
    down = Linear(name="w", weight=np.full((SIZE, SIZE), -0.25))
    model = replace(model, nodes=tuple(down if n.name == "w" else n for n in model.nodes))
    short, longer = (Recording.from_dense(np.ones((n, SIZE), np.int64), DT) for n in (700, 2100))
    bundle = pipeline.compile(model, "loihi2", short)
    u = run_golden(Case(bundle.program, longer)).states["n"]["u"]
    assert u.max() <= 0
    assert u.min() < -(2**21)


def test_a_start_that_would_spike_before_the_first_input_is_reported() -> None:
    model = network("late", beta=0.5)
    early = replace(model, nodes=tuple(with_start(n, np.full(SIZE, 1.2)) for n in model.nodes))
    assert not found(model, "LOIHI-EARLY-SPIKES", noise())
    (finding,) = found(early, "LOIHI-EARLY-SPIKES", noise())
    assert "12 neurons" in finding.what


# --- what stays refused ---------------------------------------------------------------


@pytest.mark.parametrize("more", [{"per_step": "many", "fires": "at"}, {"floor": -np.ones(SIZE)}])
def test_several_spikes_a_step_and_floors_are_refused_by_name(more: dict[str, Any]) -> None:
    (refused,) = found(network("subtract", **more), "RULE-UNSUPPORTED", noise())
    assert any(name in refused.what for name in more)


def test_snntorchs_subtraction_against_two_thresholds_is_refused_by_name() -> None:
    (refused,) = found(network("doubled"), "RULE-UNSUPPORTED", noise())
    assert "reset=doubled" in refused.what


# --- Lava ------------------------------------------------------------------------------


@pytest.fixture
def needs_lava() -> None:
    if missing_lava():
        pytest.skip(missing_lava())


def equal_to_lava(seeds: range) -> int:
    """Return the number of random networks with such resets whose every state equals Lava's."""
    cases = []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        model = random_network(
            seed, 2, neurons=("LIF", "IF"), resets=("subtract",), readout=("LI", ""),
            connections=("Linear", "Conv", "SumPool"),
        )  # fmt: skip
        nodes = []
        for n in model.nodes:
            if type(n) is Population and type(n.rule) is Spikes:
                fires = str(rng.choice(["above", "at"]))
                n = n.with_(reset=str(rng.choice(RESETS)), fires=fires)
            nodes.append(n)
        model = replace(model, nodes=tuple(nodes))
        recording = random_recording(model, seed, 30)
        verdict = pipeline.check(model, "loihi2", recording)
        if not verdict.refused and verdict.program is not None:
            cases.append(Case(verdict.program, recording))
    traces = engine.run_many([(case.program, case.recording) for case in cases])
    for case, trace in zip(cases, traces, strict=True):
        assert first_difference(run_golden(case), trace) is None
    return len(cases)


@pytest.mark.usefixtures("needs_lava")
def test_lava_subtracts_alike_in_every_state() -> None:
    assert equal_to_lava(range(3)) >= 2


@pytest.mark.conformance
@pytest.mark.usefixtures("needs_lava")
def test_lava_subtracts_alike_in_a_hundred_networks() -> None:
    assert equal_to_lava(range(120)) >= 100
