"""Potentials that become counted spikes: what a count means, and what the rewrite keeps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest

import nrf_deploy as nd
from nrf_deploy.bundle.bundle import Bundle
from nrf_deploy.bundle.pipeline import unit
from nrf_deploy.compiler.passes import parse
from nrf_deploy.compiler.quantize.rules import Rules
from nrf_deploy.engines.reference import run as run_reference
from nrf_deploy.ir.network import LI, Array, Network, Population
from nrf_deploy.ir.recording import Recording
from nrf_deploy.neurons import Integrator
from nrf_deploy.verification.attribution.attribution_run import attributed
from tests.builders.speck_networks import chain, conv, eighths, linear, neurons

BOTH = ("rate-code", "spike-count")
Rectified = partial(LI, rectified=True)


def li(
    name: str, shape: tuple[int, ...], tau: Any = 1.0, kind: Callable[..., Population] = LI
) -> Population:
    one = np.ones(shape)
    return kind(name=name, tau=tau * one, r=one, v_leak=0 * one)


def compiled(network: Network, **more: Any) -> Bundle:
    return nd.compile(network, "speck2b", allow=BOTH, **more)


def constant(frame: Array, steps: int) -> Recording:
    return Recording.from_dense(np.broadcast_to(frame, (steps, *frame.shape)).astype(np.int64))


def decoded(bundle: Bundle, recording: Recording, layer: str, engine: str = "emulator") -> Array:
    own = unit(bundle, layer, engine)
    values = nd.run(bundle, recording, engine, layer=[layer]).outputs[layer].dense()
    return np.asarray(values / (1.0 if own is None else own))


@pytest.mark.parametrize("tau", [1.0, 8.0, np.array([2.0, 4.0, 8.0])])
@pytest.mark.parametrize("engine", ["emulator", "steps"])
def test_a_count_is_read_as_the_value_that_it_stands_for(tau: Any, engine: str) -> None:
    """A constant input, on which an LI settles at r x, whatever its time constant."""
    weight = np.array([[1.0, 0.5, 0.25], [0.5, 0.5, 0.0], [0.125, 0.25, 1.0]])
    bundle = compiled(chain((3,), linear("l", weight), li("v", (3,), tau)))
    recording = constant(np.array([1, 2, 1]), 800)
    settled = slice(400, None)
    value = decoded(bundle, recording, "v", "reference")[settled].mean(axis=0)
    np.testing.assert_allclose(value, weight @ [1, 2, 1], rtol=1e-3)
    found = decoded(bundle, recording, "v", engine)[settled].mean(axis=0)
    np.testing.assert_allclose(found, value, rtol=0.03)


@pytest.mark.parametrize("kind", [LI, Rectified])
@pytest.mark.parametrize(("weight", "bias"), [(0.1, 5.0), (-0.5, 5.0), (1.0, 0.25)])
def test_a_bias_that_is_larger_than_any_weight_is_counted_too(
    weight: float, bias: float, kind: Callable[..., Population]
) -> None:
    """A tick makes one spike at most, so a spike must be worth a tick's bias at least."""
    given = linear("l", np.full((2, 3), weight), np.full(2, bias))
    bundle = compiled(chain((3,), given, li("v", (2,), 8.0, kind)))
    recording = constant(np.array([1, 2, 1]), 400)
    value = decoded(bundle, recording, "v", "reference")[200:].mean(axis=0)
    np.testing.assert_allclose(value, 4 * weight + bias, rtol=1e-3)
    found = decoded(bundle, recording, "v")[200:].mean(axis=0)
    np.testing.assert_allclose(found, value, rtol=0.03)


def relus(seed: int) -> Network:
    """Build two ReLU layers without memory and a map that is read, as in a tracker of frames."""
    first = conv("c1", eighths((4, 2, 3, 3), seed), (8, 8), pad=1)
    second = conv("c2", eighths((3, 4, 3, 3), seed + 1), (8, 8), pad=1)
    head = conv("c3", np.abs(eighths((1, 3, 3, 3), seed + 2)), (8, 8), pad=1)
    return chain(
        (2, 8, 8),
        first,
        li("v1", first.shape, kind=Rectified),
        second,
        li("v2", second.shape, kind=Rectified),
        head,
        li("map", head.shape),
    )


@pytest.mark.parametrize("seed", [0, 10, 20])
def test_a_relu_network_is_decoded_to_its_float_outputs(seed: int) -> None:
    """Over many steps of one frame what is left of a threshold, at most one, does not count."""
    network = relus(seed)
    frame = np.random.default_rng(seed).random((2, 8, 8)) < 0.3
    recording = constant(frame.astype(np.int64), 200)
    bundle = compiled(network, calibrate=recording)
    far = {}
    for layer in ("v1", "v2", "map"):
        value = decoded(bundle, recording, layer, "reference").mean(axis=0)
        found = decoded(bundle, recording, layer, "steps")[50:].mean(axis=0)
        far[layer] = np.linalg.norm(found - value) / np.linalg.norm(value)
    assert max(far.values()) < 0.05


def test_one_event_of_a_rated_layer_makes_at_most_one_spike_of_the_next() -> None:
    """Each weight is at most a threshold, in the program too, whatever a spike is worth."""
    bundle = compiled(relus(0))
    program = bundle.program
    for name in ("v1", "v2", "map"):
        threshold = program.population(name).params["threshold_high"]
        (synapses,) = program.into(name)
        assert 0.9 * threshold < synapses.weight.max() <= threshold


def test_a_spike_is_worth_the_largest_weight_times_what_an_event_carries() -> None:
    bundle = compiled(
        chain(
            (2,), linear("a", 4 * np.eye(2)), li("u", (2,)), linear("b", np.eye(2)), li("v", (2,))
        )
    )
    assert {n: 1 / unit(bundle, n) for n in ("u", "v")} == pytest.approx({"u": 4.0, "v": 4.0})  # type: ignore[operator]


def test_what_a_rectified_neuron_has_below_zero_it_forgets() -> None:
    """Ten steps of -1 would need ten of 1 before a neuron that keeps them spikes again."""
    frames = np.zeros((30, 2), np.int64)
    frames[:10, 0] = 1
    frames[10:, 1] = 1
    recording = Recording.from_dense(frames)
    for kind, late in ((Rectified, 1), (LI, 10)):
        bundle = compiled(
            chain((2,), linear("l", np.array([[-1.0, 1.0]])), li("v", (1,), kind=kind))
        )
        (first,) = np.flatnonzero(decoded(bundle, recording, "v").cumsum() == 1)[:1]
        assert first == 10 + late


def test_a_bias_below_zero_is_taken_off_in_each_step() -> None:
    layer = replace(linear("l", np.array([[1.0, 1.0, 1.0]])), bias=np.array([-2.0]))
    bundle = compiled(chain((3,), layer, li("v", (1,), kind=Rectified)))
    recording = constant(np.ones(3), 50)
    assert decoded(bundle, recording, "v", "reference").mean() == pytest.approx(1)
    assert decoded(bundle, recording, "v").mean() == pytest.approx(1, abs=0.05)


def test_a_rest_that_is_not_zero_is_not_lost_in_silence() -> None:
    resting = li("v", (2,)).with_(v_leak=np.ones(2))
    findings = nd.check(
        chain((2,), linear("l", np.eye(2)), resting), "speck2b", allow=BOTH
    ).findings
    assert {"SPIKE-COUNT-LEFT", "SPECK-KIND"} <= {f.code for f in findings}


def test_every_choice_stays_in_the_bundle_with_its_cost() -> None:
    recording = constant(np.ones((2, 8, 8)), 5)
    bundle = compiled(relus(0), calibrate=recording)
    steps = [s.rewrite for s in bundle.steps]
    assert {"rate_code", "spike_count"} <= set(steps)
    costs = [f for f in bundle.findings if f.code == "CHOICE-COST"]
    assert [f.layer for f in costs] == ["v1", "v2", "map"]
    assert all("values are" in f.what for f in costs)
    network = bundle.network
    for step in bundle.steps:
        network, _ = parse(step.rewrite).apply(network)
    counted = {"per_step=many", "reset=subtract", "fires=at", "floor", "worth"}
    for name in ("v1", "v2", "map"):
        node = network[name]
        assert type(node) is Population
        assert type(node.membrane) is Integrator
        assert node.features == counted


def test_the_rewritten_model_runs_in_float_as_the_chip_does_in_time_steps() -> None:
    """Whole eighths of a threshold lose nothing; a rate spikes several times a step."""
    network = chain((3,), linear("l", np.abs(eighths((4, 3), 3))), li("v", (4,)))
    recording = constant(np.array([3, 1, 2]), 40)
    bundle = compiled(network)
    for step in bundle.steps:
        network, _ = parse(step.rewrite).apply(network)
    chip = nd.run(bundle, recording, "steps").outputs["v"]
    model = run_reference(network, recording).outputs["v"]
    assert chip.value.max() > 1
    assert np.abs(chip.dense().cumsum(axis=0) - model.dense().cumsum(axis=0)).max() <= 1


def test_the_data_do_not_move_a_threshold_that_says_what_a_spike_is_worth() -> None:
    network, recording = relus(0), constant(np.ones((2, 8, 8)), 20)
    with_data, without = compiled(network, calibrate=recording), compiled(network)
    for name in ("v1", "v2", "map"):
        a, b = (x.program.population(name).params["threshold_high"] for x in (with_data, without))
        assert a == b
    assert compiled(network, calibrate=recording, scheme=Rules(error="spikes")).program.origins


def test_verify_and_causes_read_counts_in_the_model_s_units() -> None:
    """Each layer alone is fed with as many spikes as the value of the layer before is worth."""
    network = chain(
        (3,),
        linear("a", np.abs(eighths((4, 3), 0))),
        li("u", (4,)),
        linear("b", np.abs(eighths((2, 4), 1))),
        neurons("n", (2,), 4.0),
    )
    recording = constant(np.array([1, 2, 1]), 300)
    bundle = compiled(network, calibrate=recording)
    report = nd.verify(bundle, recording)
    errors = {c.layer: c.value_error for c in report.comparison.layers if c.analogue}
    assert set(errors) == {"u"}
    assert errors["u"] is not None
    assert errors["u"] < 0.5


def test_what_is_not_the_rate_code_s_is_the_order_of_events() -> None:
    """Weights of whole eighths lose nothing, and the last map adds only: there is no order."""
    network, rng = relus(0), np.random.default_rng(0)
    recording = Recording.from_dense((rng.random((40, 2, 8, 8)) < 0.2).astype(np.int64))
    causes = {
        layer.layer: layer.causes
        for layer in attributed(compiled(network, calibrate=recording), recording).layers
    }
    assert all(of["weights"] == of["arithmetic"] == 0 for of in causes.values())
    assert causes["v1"]["order"] > 0.1
    assert causes["map"]["order"] == 0
    assert 0 < causes["v1"]["rate-code"] < 1
