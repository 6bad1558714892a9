"""Layers whose value is their potential: read at an output, or sent on as payloads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nrf_deploy as nd
from nrf_deploy.bundle import pipeline
from nrf_deploy.bundle.bundle import Bundle
from nrf_deploy.compare.comparison import LayerComparison
from nrf_deploy.diagnostics.findings import TargetError
from nrf_deploy.engines.sdk import environments
from nrf_deploy.ir.network import (
    LI,
    LIF,
    Conv,
    CubaLI,
    I,
    Input,
    Linear,
    Network,
    Node,
    Output,
    Population,
)
from nrf_deploy.ir.recording import Recording
from nrf_deploy.verification.verify import verify
from nrf_loihi.arithmetic.integers import VTH_MAX
from nrf_loihi.lava import engine
from tests.builders.loihi_programs import Case, first_difference, run_golden

DT = 1e-3
INPUTS, WIDTH = 12, 6
KINDS = ("LI", "CubaLI", "I")


def analogue(kind: str, steps: float = 10.0, spread: float = 0.0) -> Population:
    """Build time constants of `steps` steps, and up to `spread` more of it across the layer."""
    ones = np.ones(WIDTH)
    tau = DT * steps * (1 + spread * np.arange(WIDTH) / WIDTH)
    if kind == "I":
        return I(name="v", r=ones / DT / 8)
    if kind == "LI":
        return LI(name="v", tau=tau, r=ones, v_leak=0 * ones)
    syn = DT * 5 * ones
    return CubaLI(name="v", tau_mem=tau, tau_syn=syn, r=ones, v_leak=0 * ones, w_in=syn / DT)


def chain(*nodes: Node) -> Network:
    nodes = (*nodes, Output(name="y", port_shape=nodes[-1].shape))
    names = [n.name for n in nodes]
    return Network(nodes, tuple(pairwise(names)), DT)


def network(population: Population, seed: int = 0, inner: bool = False) -> Network:
    rng = np.random.default_rng(seed)
    weight = Linear(name="w", weight=rng.normal(0.2, 1, (WIDTH, INPUTS)))
    front = (Input(name="x", port_shape=(INPUTS,)), weight, population)
    if not inner:
        return chain(*front)
    ones = np.ones(4)
    behind = Linear(name="behind", weight=rng.normal(0.2, 1, (4, WIDTH)))
    last = LIF(
        name="n", tau=8 * DT * ones, r=ones, v_leak=0 * ones, v_threshold=ones, v_reset=0 * ones
    )
    return chain(*front, behind, last)


def noise(seed: int = 0, steps: int = 100, density: float = 0.2) -> Recording:
    rng = np.random.default_rng(seed)
    return Recording.from_dense((rng.random((steps, INPUTS)) < density).astype(np.int64))


def layer(bundle: Bundle, recording: Recording, name: str) -> LayerComparison:
    return next(c for c in verify(bundle, recording).comparison.layers if c.layer == name)


def codes(network: Network, chip: str = "loihi2", data: Recording | None = None) -> list[str]:
    """Return the codes that refuse this network."""
    with pytest.raises(TargetError) as refusal:
        pipeline.compile(network, chip, data)
    return [f.code for f in refusal.value.findings if f.severity == "error"]


# --- at an output ---------------------------------------------------------


@settings(max_examples=15, deadline=None)
@given(st.sampled_from(KINDS), st.integers(0, 999), st.sampled_from(["loihi1", "loihi2"]))
def test_a_readout_is_the_models_potential_up_to_rounding(kind: str, seed: int, chip: str) -> None:
    data = noise(seed)
    bundle = pipeline.compile(network(analogue(kind), seed), chip, data)
    error = layer(bundle, data, "v").value_error
    assert error is not None
    assert error < 0.03


@settings(max_examples=10, deadline=None)
@given(st.sampled_from(["LI", "CubaLI"]), st.integers(0, 999), st.floats(4, 60))
def test_no_input_at_all_makes_a_readout_spike(kind: str, seed: int, tau: float) -> None:
    """Without data the bound holds: even an input made to drive one neuron to its limit."""
    model = network(analogue(kind, tau), seed)
    bundle = pipeline.compile(model, "loihi2")
    assert [f.severity for f in bundle.findings if f.code == "LOIHI-LI-RANGE"] == ["info"]
    weight = model["w"].weight  # type: ignore[attr-defined]
    worst = int(np.argmax(np.abs(weight).sum(axis=1)))
    for sign in (1, -1):
        frame = (sign * weight[worst] > 0).astype(np.int64)
        trace = nd.run(bundle, Recording.from_dense(np.tile(frame, (600, 1))), states=["v"])
        v = trace.states["v"]["v"][:, worst]
        assert np.abs(v).max() < VTH_MAX << 6
        assert np.all(np.diff(np.abs(v[2:])) >= 0), "it never starts again at 0"


def test_what_was_seen_on_data_lets_a_layer_use_its_bits() -> None:
    """The bound over all inputs would leave an LI with a long memory few bits."""
    model = network(analogue("LI", 2000.0))
    data = noise()
    careful = pipeline.compile(model, "loihi2").scheme.connections["w"]
    bundle = pipeline.compile(model, "loihi2", data)
    informed = bundle.scheme.connections["w"]
    assert np.abs(informed.weight).max() > 4 * np.abs(careful.weight).max()
    said = [f for f in bundle.findings if f.code == "LOIHI-LI-RANGE"]
    assert [f.severity for f in said] == ["warning"]
    assert "over all inputs" in said[0].what
    assert "on the calibration data" in said[0].what


def test_a_potential_that_is_never_zero_is_no_saturated_layer() -> None:
    data = noise()
    report = verify(pipeline.compile(network(analogue("LI")), "loihi2", data), data)
    assert report.passed
    assert "VERIFY-SATURATED-LAYER" not in [f.code for f in report.findings]


def test_an_integrator_needs_data_because_its_sum_has_no_bound() -> None:
    model = network(analogue("I"))
    assert codes(model) == ["LOIHI-LI-UNBOUNDED"]
    assert pipeline.check(model, "loihi2", noise()).placement is not None


# --- inside a network -----------------------------------------------------


@settings(max_examples=12, deadline=None)
@given(st.sampled_from(KINDS), st.integers(0, 999), st.sampled_from([0.0, 2.0]))
def test_payloads_carry_the_potential_to_the_next_layer(
    kind: str, seed: int, spread: float
) -> None:
    """If time constants differ, so do the units of the payloads; the weights compensate."""
    data = noise(seed, steps=200)
    bundle = pipeline.compile(
        network(analogue(kind, 10.0, spread), seed, inner=True), "loihi2", data
    )
    error = layer(bundle, data, "v").value_error
    assert error is not None
    assert error < 0.05
    spikes = layer(bundle, data, "n")
    assert abs(spikes.spikes_left - spikes.spikes_right) <= 4 + 0.05 * spikes.spikes_right


def test_a_chip_with_binary_spikes_reads_potentials_but_does_not_send_them() -> None:
    assert codes(network(analogue("LI"), inner=True), "loihi1") == ["LOIHI-GRADED"]


def test_a_potential_in_a_loop_is_refused() -> None:
    model = network(analogue("LI"))
    back = Linear(name="back", weight=np.eye(WIDTH) / 8)
    edges = (*model.edges, ("v", "back"), ("back", "v"))
    assert codes(replace(model, nodes=(*model.nodes, back), edges=edges)) == ["LOIHI-GRADED-LOOP"]


def test_neurons_that_share_weights_must_share_units() -> None:
    shape = (1, WIDTH, 1)
    tau = DT * np.arange(4, 4 + WIDTH).reshape(shape)
    ones = np.ones(shape)
    kernel = Conv(
        name="k",
        weight=np.ones((1, 1, 1, 1)),
        input_size=(WIDTH, 1),
        stride=(1, 1),
        padding=((0, 0), (0, 0)),
        dilation=(1, 1),
    )
    spiking = LIF(
        name="n", tau=8 * DT * ones, r=ones, v_leak=0 * ones, v_threshold=ones, v_reset=0 * ones
    )
    model = chain(
        Input(name="x", port_shape=shape),
        replace(kernel, name="k0"),
        LI(name="v", tau=tau, r=ones, v_leak=0 * ones),
        kernel,
        spiking,
    )
    assert codes(model) == ["LOIHI-GRADED-UNITS"]


def test_payloads_that_leave_before_the_first_input_are_said() -> None:
    model = network(analogue("LI"), inner=True)
    early = model["v"].with_(v_leak=np.ones(WIDTH))  # type: ignore[type-var]
    nodes = tuple(early if n.name == "v" else n for n in model.nodes)
    for change, expected in ((model, False), (replace(model, nodes=nodes), True)):
        found = [f.code for f in pipeline.check(change, "loihi2", noise()).findings]
        assert ("LOIHI-EARLY-VALUES" in found) == expected


# --- the vendor's simulator ------------------------------------------------


def lava_is_missing() -> str:
    there = environments.status(engine.sdk)
    return "" if there.installed else f"Lava is not installed: {there.todo}"


def test_every_value_is_that_of_lavas_own_lif() -> None:
    if reason := lava_is_missing():
        pytest.skip(reason)
    data = noise(3)
    pairs: Sequence[tuple[Bundle, Recording]] = [
        (pipeline.compile(network(analogue(kind), 3, inner), "loihi2", data), data)
        for kind in KINDS
        for inner in (False, True)
    ]
    traces = engine.run_many([(bundle.program, data) for bundle, data in pairs])
    for (bundle, data), trace in zip(pairs, traces, strict=True):
        assert first_difference(run_golden(Case(bundle.program, data)), trace) is None
        assert trace.outputs["v"].counts().sum() > 100
