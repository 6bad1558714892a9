"""Choices and exact rewrites: resets, leaks, and the rewrites that a user may allow."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nrf_deploy.bundle import pipeline
from nrf_deploy.compiler.passes import parse
from nrf_deploy.compiler.passes.approximate import legalise
from nrf_deploy.compiler.passes.subtract_as_zero_reset import SubtractAsZeroReset
from nrf_deploy.diagnostics.findings import TargetError, UsageError
from nrf_deploy.engines.reference import run
from nrf_deploy.ir.network import IF, LIF, Input, Linear, Network, Output, Population
from nrf_deploy.ir.recording import Recording
from nrf_deploy.neurons import CurrentLeaky
from nrf_deploy.verification import Limits
from nrf_deploy.verification.verify import verify
from nrf_loihi import target
from nrf_loihi.compile.check import SUBTRACT

DT = 1e-3


def network(threshold: float = 1.0, weight: float = 0.4, reset: str = "subtract") -> Network:
    ones = np.ones(3)
    rng = np.random.default_rng(0)
    return Network(
        (
            Input(name="x", port_shape=(3,)),
            Linear(name="w", weight=weight * (np.eye(3) + rng.integers(0, 2, (3, 3)))),
            IF(
                name="n",
                r=ones / DT,
                v_threshold=threshold * ones,
                v_reset=0 * ones,
                reset=reset,  # type: ignore[arg-type]
            ),
            Output(name="y", port_shape=(3,)),
        ),
        (("x", "w"), ("w", "n"), ("n", "y")),
        DT,
    )


def noise(seed: int = 0, steps: int = 200) -> Recording:
    rng = np.random.default_rng(seed)
    return Recording.from_dense((rng.random((steps, 3)) < 0.3).astype(np.int64))


# --- a reset by subtraction -------------------------------------------------


@pytest.mark.parametrize("reset", ["subtract", "late"])
def test_a_reset_by_subtraction_behind_a_filter_is_refused_and_the_choice_is_named(
    reset: str,
) -> None:
    model, ones = network(reset=reset), np.ones(3)
    filtered = CurrentLeaky(
        tau_syn=ones * 2 * DT, tau_mem=ones * 4 * DT, r=ones * 4, v_leak=0 * ones, w_in=ones * 2
    )
    nodes = (replace(n, membrane=filtered) if type(n) is Population else n for n in model.nodes)
    model = replace(model, nodes=tuple(nodes))
    with pytest.raises(TargetError) as refusal:
        pipeline.compile(model, "loihi2", noise())
    (found,) = [f for f in refusal.value.findings if f.severity == "error"]
    assert found.code == "LOIHI-RESET-SUBTRACT"
    assert f"--allow {SUBTRACT}" in found.fix
    bundle = pipeline.compile(model, "loihi2", noise(), allow=[SUBTRACT])
    assert [f.layer for f in bundle.findings if f.code == "CHOICE-COST"] == ["n"]


@pytest.mark.parametrize("chip", ["loihi1", "loihi2"])
def test_what_it_costs_is_measured_and_stays_in_the_bundle(chip: str) -> None:
    data = noise()
    bundle = pipeline.compile(network(), chip, data, allow=[SUBTRACT])
    (cost,) = [f for f in bundle.findings if f.code == "CHOICE-COST"]
    old = run(network(), data).outputs["n"]
    new = run(network(reset="value"), data).outputs["n"]
    assert (cost.severity, cost.layer) == ("warning", "n")
    assert f"{len(new.index):,} spikes instead of {len(old.index):,}" in cost.what
    assert len(new.index) < len(old.index)
    assert cost in [f for step in bundle.steps for f in step.findings]


def test_the_bundle_is_held_against_the_model_as_it_was_read() -> None:
    """The cost shows in verify too: nothing pretends that the rewrite was exact."""
    data = noise()
    bundle = pipeline.compile(network(), "loihi2", data, allow=[SUBTRACT])
    assert bundle.network["n"].rule.reset == "subtract"  # type: ignore[attr-defined]
    assert not verify(bundle, data, limits=Limits(exact=True)).passed


def test_without_data_the_cost_is_said_to_be_unknown() -> None:
    findings = pipeline.check(network(), "loihi2", allow=[SUBTRACT]).findings
    assert [f.code for f in findings if f.severity != "info"] == ["CHOICE-UNMEASURED"]


def test_what_is_allowed_but_not_needed_changes_nothing() -> None:
    model = network(reset="value")
    after, steps = legalise(model, target.passes("loihi2", [SUBTRACT]), noise())
    assert after is model
    assert steps == ()


def test_names_that_nothing_has_are_refused_with_those_that_exist() -> None:
    with pytest.raises(UsageError) as refusal:
        pipeline.compile(network(), "loihi2", allow=["anything", SUBTRACT])
    assert [f.code for f in refusal.value.findings] == ["ALLOW-UNKNOWN"]
    assert SUBTRACT in refusal.value.findings[0].fix


def test_each_choice_says_in_a_sentence_what_it_changes() -> None:
    assert all(c.choice and len(c.about) > 20 for c in target.choices)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 999), st.sampled_from([0.25, 0.5, 1.0]))
def test_nothing_is_lost_where_the_threshold_is_only_ever_just_passed(
    seed: int, weight: float
) -> None:
    """The value v = 1 exceeds 1 - e by so little that no remainder makes another spike."""
    model = network(threshold=1.0 - 2**-10, weight=weight)
    eye = replace(model["w"], weight=weight * np.eye(3))  # type: ignore[type-var]
    model = replace(model, nodes=tuple(eye if n.name == "w" else n for n in model.nodes))
    after, _ = SubtractAsZeroReset().apply(model)
    few = noise(seed, steps=60)
    assert run(after, few).outputs["n"].same(run(model, few).outputs["n"])


def test_the_rewrite_prints_as_a_bundle_records_it_and_is_read_back() -> None:
    assert parse(str(SubtractAsZeroReset())) == SubtractAsZeroReset()


# --- a decay as an exponential ------------------------------------------------


def leaking(tau: float) -> Network:
    ones = np.ones(3)
    full = {"v_leak": 0 * ones, "v_reset": 0 * ones, "v_threshold": 0.2 * ones}
    node = LIF(name="n", tau=tau * DT * ones, r=ones, **full)
    model = network(reset="value")
    return replace(model, nodes=tuple(node if n.name == "n" else n for n in model.nodes))


@pytest.mark.parametrize("chip", ["loihi1", "loihi2"])
def test_an_exact_decay_is_the_user_s_choice_and_its_cost_is_said(chip: str) -> None:
    data, model = noise(), leaking(3.0)
    plain, exact = (pipeline.compile(model, chip, data, allow=a) for a in ([], ["exact-decay"]))
    kept = [1 - b.program.population("n").params["dv"] / 4096 for b in (plain, exact)]
    assert kept == pytest.approx([1 - 1 / 3, np.exp(-1 / 3)], abs=3 / 4096)
    (cost,) = [f for f in exact.findings if f.code == "CHOICE-COST"]
    assert (cost.severity, cost.layer) == ("warning", "n")
    assert not [f for f in plain.findings if f.code == "CHOICE-COST"]
    rewritten, _ = legalise(model, target.passes(chip, ["exact-decay"]))
    spikes = len(run(rewritten, data).outputs["n"].index)
    assert f"{spikes:,} spikes instead of {len(run(model, data).outputs['n'].index):,}" in cost.what


# --- exact: leaks and resets to a value -------------------------------------


@settings(max_examples=12, deadline=None)
@given(
    leak=st.floats(-0.5, 2.0),
    reset=st.floats(-0.8, 0.5),
    seed=st.integers(0, 99),
)
@example(leak=0.0, reset=2e-309, seed=0)  # a bias so small that the gain it allows overflows
@example(leak=0.0, reset=-1e-320, seed=0)
def test_a_leak_and_a_reset_to_any_value_are_a_bias_and_another_origin(
    leak: float, reset: float, seed: int
) -> None:
    """Nothing but rounding stays: a spike may come a step early or late, none is lost."""
    ones = np.ones(3)
    model = network(reset="value")
    neurons = LIF(
        name="n",
        tau=8 * DT * ones,
        r=5 * ones,
        v_leak=leak * ones,
        v_threshold=ones,
        v_reset=reset * ones,
    )
    model = replace(model, nodes=tuple(neurons if n.name == "n" else n for n in model.nodes))
    data = noise(seed)
    bundle = pipeline.compile(model, "loihi2", data)
    (layer,) = verify(bundle, data).comparison.layers
    assert abs(layer.spikes_left - layer.spikes_right) <= 3 + 0.03 * layer.spikes_right
