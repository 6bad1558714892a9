"""Resets, floors, first potentials and counts of spikes: what a core does as the model does.

Weights, floors and first potentials are eighths of a threshold, so that integers hold them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nrf_deploy as nd
from nrf_deploy.bundle.bundle import Bundle
from nrf_deploy.diagnostics.findings import Finding, TargetError
from nrf_deploy.ir.network import MaxPool, Network, Population
from nrf_deploy.ir.recording import Recording
from nrf_deploy.neurons import Integrator, Leaky, Spikes
from nrf_speck.compile.trial_runs import apart
from nrf_speck.passes.late_subtraction import LateSubtraction
from tests.builders.speck_networks import (
    chain,
    conv,
    eighths,
    linear,
    one_event_a_step,
    some_events,
)

SHAPE = (2, 5, 5)
SIZE = (3, 5, 5)


def spiking(shape: tuple[int, ...] = SIZE, v0: Any = None, **rule: Any) -> Population:
    full: dict[str, Any] = {"threshold": np.ones(shape), **rule}
    for name in ("threshold", "floor", "subtracts", "most"):
        if full.get(name) is not None:
            full[name] = np.broadcast_to(full[name], shape).astype(float)
    first = None if v0 is None else np.broadcast_to(v0, shape).astype(float)
    return Population(
        name="n", membrane=Integrator(r=np.ones(shape), v0=first), rule=Spikes(**full)
    )


def leaky(**rule: Any) -> Population:
    one = np.ones(2)
    membrane = Leaky(tau=40 * one, r=40 * one, v_leak=0 * one, order="scaled")
    return Population(name="n", membrane=membrane, rule=Spikes(threshold=one, **rule))


def layer(neurons: Population, seed: int = 0) -> Network:
    return chain(SHAPE, conv("c", eighths((3, 2, 3, 3), seed), (5, 5), pad=1), neurons)


def flat(neurons: Population) -> Network:
    return chain((3,), linear("l", eighths((2, 3), 0)), neurons)


def compiled(network: Network, **more: Any) -> Bundle:
    return nd.compile(network, "speck2b", **more)


def params(network: Network, **more: Any) -> dict[str, Any]:
    return dict(compiled(network, **more).program.population("n").params)


def refused(network: Network, **more: Any) -> list[Finding]:
    with pytest.raises(TargetError) as refusal:
        compiled(network, **more)
    return [f for f in refusal.value.findings if f.severity == "error"]


def same(bundle: Bundle, recording: Recording, engine: str) -> int:
    """Assert that an engine has every spike of the float model; return their number."""
    wanted = nd.run(bundle, recording, engine="reference").outputs["n"]
    assert nd.run(bundle, recording, engine=engine).outputs["n"].same(wanted)
    return int(wanted.value.sum())


# --- exact ----------------------------------------------------------------------


@settings(max_examples=12, deadline=None, derandomize=True)
@given(
    st.integers(0, 2**31),
    st.sampled_from(("value", "subtract")),
    st.sampled_from(("above", "at")),
    st.sampled_from((None, -1 / 8, -0.5, -1.0)),
    st.sampled_from((None, "one", "each")),
)
def test_one_event_a_step_gives_the_spikes_of_the_model(
    seed: int, reset: str, fires: str, floor: float | None, first: str | None
) -> None:
    """Event by event and in steps; the first potentials may differ among neurons."""
    rng = np.random.default_rng(seed)
    v0 = {None: None, "one": 0.25, "each": rng.integers(-1, 8, SIZE) / 8}[first]
    rules = {"reset": reset, "fires": fires, "floor": floor}
    bundle = compiled(layer(spiking(v0=v0, **rules), seed))
    recording = one_event_a_step(SHAPE, 100, seed)
    assert same(bundle, recording, "steps") == same(bundle, recording, "emulator") > 0


@settings(max_examples=8, deadline=None, derandomize=True)
@given(
    st.integers(0, 2**31),
    st.sampled_from(("value", "subtract")),
    st.sampled_from((None, -0.5, -1.0)),
)
def test_steps_have_every_spike_of_neurons_that_give_several(
    seed: int, reset: str, floor: float | None
) -> None:
    neurons = spiking(reset=reset, fires="at", per_step="many", floor=floor)
    recording = some_events(SHAPE, 60, seed, 0.6)
    bundle = compiled(layer(neurons, seed))
    same(bundle, recording, "steps")
    assert nd.run(bundle, recording, engine="reference").outputs["n"].value.max() > 1


def test_event_by_event_a_neuron_gives_one_spike_for_each_event_and_keeps_the_rest() -> None:
    """A weight of 5/2 thresholds: two spikes in the step of the model, and 1/2 is kept."""
    neurons = spiking((1,), reset="subtract", fires="at", per_step="many", floor=-1.0)
    bundle = compiled(chain((1,), linear("l", np.array([[2.5]])), neurons))
    recording = Recording.from_dense(np.array([[1], [0], [0], [1]]))
    dense = {
        engine: nd.run(bundle, recording, engine=engine).outputs["n"].dense().ravel().tolist()
        for engine in ("reference", "steps", "emulator")
    }
    assert dense["reference"] == dense["steps"] == [2, 0, 0, 3]
    assert dense["emulator"] == [1, 0, 0, 1]


@settings(max_examples=5, deadline=None, derandomize=True)
@given(st.integers(0, 2**31), st.sampled_from(("above", "at")))
def test_a_late_subtraction_without_a_leak_comes_at_once(seed: int, fires: str) -> None:
    bundle = compiled(layer(spiking(reset="late", fires=fires, v0=0.5), seed))
    assert any(LateSubtraction.name in step.rewrite for step in bundle.steps)
    assert same(bundle, one_event_a_step(SHAPE, 100, seed), "steps") > 0
    assert params(layer(spiking(reset="late", fires=fires)))["returns_to_zero"] == 0


# --- numbers ------------------------------------------------------------------------


def test_a_core_stores_the_reset_and_the_scaled_floor_of_the_model() -> None:
    for reset, fires, zero, below in (
        ("subtract", "at", 0, 0),
        ("value", "at", 1, 0),
        ("subtract", "above", 0, 1),
    ):
        stored = params(layer(spiking(reset=reset, fires=fires, floor=-0.5)))
        assert stored["returns_to_zero"] == zero
        assert stored["threshold_low"] == -stored["threshold_high"] / 2 - below
    assert params(layer(spiking()))["threshold_low"] == -32768


def test_a_floor_that_the_chip_cannot_hold_is_reported() -> None:
    for floor, stored in ((0.0, -1), (-1e4, -32768)):
        bundle = compiled(layer(spiking(floor=floor, reset="subtract", fires="at")))
        assert bundle.program.population("n").params["threshold_low"] == stored
        (found,) = [f for f in bundle.findings if f.code == "SPECK-FLOOR-MOVED"]
        assert found.layer == "n"
    quiet = compiled(layer(spiking(floor=-0.5)))
    assert "SPECK-FLOOR-MOVED" not in {f.code for f in quiet.findings}


def test_floors_that_differ_in_a_core_are_refused() -> None:
    (found,) = refused(flat(spiking((2,), floor=np.array([-1.0, -0.5]))))
    assert (found.code, found.layer) == ("SPECK-UNEVEN", "n")
    assert "v_floor" in found.what


def test_floors_in_proportion_to_their_thresholds_are_one_bound() -> None:
    theta = np.array([1.0, 2.0])
    stored = params(flat(spiking((2,), threshold=theta, floor=-theta / 2)))
    assert stored["threshold_low"] == -(stored["threshold_high"] - 1) / 2


# --- refused ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "feature"),
    [
        ({"reset": "none"}, "reset=none"),
        ({"reset": "doubled"}, "reset=doubled"),
        ({"reset": "late", "floor": -1.0}, "reset=late"),
        ({"reset": "late", "v0": 1.5}, "reset=late"),
        ({"reset": "subtract", "subtracts": 0.5}, "subtracts"),
        ({"reset": "subtract", "fires": "at", "per_step": "many", "most": 2.0}, "most"),
    ],
)
def test_rules_that_no_core_has_are_refused_by_name(rule: dict[str, Any], feature: str) -> None:
    (found,) = refused(flat(spiking((2,), **rule)))
    assert found.code == "RULE-UNSUPPORTED"
    assert f"`{feature}`" in found.what
    assert found.fix


def test_a_leak_without_a_reset_is_refused_by_name() -> None:
    (found,) = refused(flat(leaky(reset="none")), allow=["linear-leak"])
    assert "`reset=none`" in found.what
    assert "order" not in found.what


@pytest.mark.parametrize("reset", ["late", "doubled"])
def test_the_resets_of_snntorch_take_the_linear_leak_and_its_cost_is_measured(reset: str) -> None:
    (found,) = refused(flat(leaky(reset=reset)))
    assert "--allow linear-leak" in found.fix
    recording = some_events((3,), 300, 0, 0.4)
    bundle = compiled(flat(leaky(reset=reset)), allow=["linear-leak"], calibrate=recording)
    assert bundle.program.population("n").params["returns_to_zero"] == 0
    (cost,) = [f for f in bundle.findings if f.code == "CHOICE-COST"]
    (what,) = [f for f in bundle.findings if f.code == "LINEAR-LEAK"]
    assert "at once" in what.what
    assert cost.layer == "n"


@pytest.mark.parametrize(("v0", "limit"), [(1.0, "v_threshold"), (-1.5, "v_floor")])
def test_first_potentials_out_of_range_are_refused(v0: float, limit: str) -> None:
    (found,) = refused(flat(spiking((2,), v0=v0, floor=-1.0)))
    assert (found.code, found.layer) == ("SPECK-FIRST", "n")
    assert limit in found.what
    assert found.fix


def test_a_max_pool_is_refused_with_the_reason() -> None:
    pool = MaxPool(
        name="p", pool_input=(2, 4, 4), window=(2, 2), stride=(2, 2), padding=((0, 0), (0, 0))
    )
    network = chain(
        (2, 4, 4), pool, conv("c", eighths((3, 2, 2, 2), 0), (2, 2)), spiking((3, 1, 1))
    )
    (found,) = [f for f in refused(network) if f.layer == "p"]
    assert "MaxPool" in found.what
    assert "same step" in found.why
    assert "SumPool" in found.fix


def test_a_leaky_network_of_sinabs_compiles_with_a_linear_leak() -> None:
    neurons = leaky(reset="subtract", fires="at", per_step="many", floor=-np.ones(2))
    recording = some_events((3,), 300, 0, 0.4)
    bundle = compiled(flat(neurons), allow=["linear-leak"], calibrate=recording)
    stored = bundle.program.population("n").params
    assert (stored["returns_to_zero"], stored["threshold_low"]) == (0, -1)
    assert "CHOICE-COST" in {f.code for f in bundle.findings}


def test_calibration_leaves_the_threshold_of_neurons_with_a_floor_of_their_own() -> None:
    """Only where a rewrite gave the floor may the data move the threshold."""
    neurons = spiking((1, 5, 5), reset="subtract", fires="at", floor=-1.0)
    weights = np.array([[[[1.25]], [[-1.125]]]])  # in a step they cancel, one by one they do not
    network = chain(SHAPE, conv("c", weights, (5, 5)), neurons)
    bundle = compiled(network, calibrate=some_events(SHAPE, 150, 5, 0.6))
    assert "SPECK-THRESHOLD" not in {f.code for f in bundle.findings}
    stored = bundle.program.population("n").params
    assert stored["threshold_low"] == -stored["threshold_high"]


def test_a_fit_counts_spikes_too_many_or_too_few_in_every_step() -> None:
    """A step with 3 spikes for 2 is one off, and a spike in another step is two off."""
    wanted = Recording.from_dense(np.array([[2, 0], [0, 1], [1, 0]]))
    got = Recording.from_dense(np.array([[3, 0], [1, 0], [1, 0]]))
    assert apart(got, wanted) == apart(wanted, got) == 3
    assert apart(wanted, wanted) == 0
