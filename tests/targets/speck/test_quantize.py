"""The one integer of a core: how it is chosen, what it costs, and when there is none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import nrf_deploy as nd
from nrf_deploy.compiler.quantize.rules import LayerRules, Rules
from nrf_deploy.diagnostics.findings import Finding, TargetError
from nrf_deploy.ir.network import Network
from nrf_speck.compile.quantize import candidates
from tests.builders.speck_networks import chain, conv, eighths, leaky, linear, neurons, some_events


def small(scale: float = 1.0, bias: Any = None) -> Network:
    weight = eighths((3, 4), 0) * scale
    return chain((4,), linear("l", weight, bias), neurons("n", (3,), fires="at"))


def held(network: Network, **more: Any) -> tuple[Any, Any]:
    """Return (threshold, integer weights)."""
    program = nd.compile(network, "speck2b", **more).program
    weight = next(s for s in program.synapses if s.name == "l").weight
    return program.population("n").params["threshold_high"], weight[:, :, 0, 0]


def refused(network: Network, **more: Any) -> list[Finding]:
    with pytest.raises(TargetError) as refusal:
        nd.compile(network, "speck2b", **more)
    return [f for f in refusal.value.findings if f.severity == "error"]


def test_weights_that_integers_can_hold_are_held_exactly() -> None:
    theta, weight = held(small())
    assert theta % 8 == 0
    assert (weight / theta == eighths((3, 4), 0)).all()


def test_the_threshold_has_16_bits_for_small_weights() -> None:
    theta, weight = held(small(scale=1 / 128))
    assert 8192 <= theta <= 32767
    assert np.abs(weight).max() > 60


def test_the_threshold_that_is_tried_lies_around_the_one_that_just_fits() -> None:
    assert candidates(3, 32766) == [1, 2, 3]
    many = candidates(20_000, 32766)
    assert 20_000 in many
    assert (min(many), max(many)) == (6666, 25_000)
    assert len(many) <= 97


def test_biases_use_their_16_bits() -> None:
    """8 bits, as sinabs takes, would cost every weight most of its own."""
    bias = np.array([60.0, -100.0, 30.0])
    program = nd.compile(small(bias=bias), "speck2b").program
    params = program.population("n").params
    assert np.abs(np.asarray(params["bias"])).max() > 127
    ratio = np.asarray(params["bias"]).ravel() / params["threshold_high"]
    assert np.allclose(ratio, bias, rtol=0.01)
    assert params["threshold_high"] > 127 / 100


def test_layers_that_vanish_are_refused() -> None:
    (found,) = refused(small(scale=1e-6))
    assert found.code == "SPECK-ALL-ZERO"
    assert found.layer == "l"
    assert found.fix


def test_layers_that_saturate_are_refused() -> None:
    (found,) = refused(small(scale=1000.0))
    assert found.code == "SPECK-SATURATES"
    assert "thresholds" in found.why


def test_biases_beyond_16_bits_are_refused() -> None:
    found = refused(small(bias=np.array([1e6, 0, 0])))
    assert "SPECK-BIAS-RANGE" in [f.code for f in found]


def test_biases_that_round_to_nothing_are_warned_of() -> None:
    verdict = nd.check(small(bias=np.array([1e-6, 0.5, 0])), "speck2b")
    assert verdict.fits
    assert [f.layer for f in verdict.findings if f.code == "SPECK-BIAS-LOST"] == ["n"]


def test_rules_are_followed() -> None:
    assert held(small(), scheme=Rules(layers={"l": LayerRules(gain=16)}))[0] == 16
    theta, weight = held(small(), scheme=Rules(weight_bits=4))
    assert np.abs(weight).max() <= 8
    assert theta <= 10
    assert held(small(scale=0.9), scheme=Rules(method="max"))[0] == 142  # 128 / 0.9


def test_with_data_the_spikes_of_a_layer_decide() -> None:
    rng = np.random.default_rng(4)
    network = chain(
        (2, 8, 8),
        conv("c", rng.normal(0.05, 0.3, (4, 2, 3, 3)), (8, 8), pad=1),
        neurons("n", (4, 8, 8), reset="subtract", fires="at"),
    )
    recording = some_events((2, 8, 8), 60, 0)
    wanted = nd.run(nd.compile(network, "speck2b"), recording, engine="reference").outputs["n"]

    def off(**more: Any) -> int:
        made = nd.compile(network, "speck2b", **more)
        got = nd.run(made, recording).outputs["n"]
        return int(np.abs(got.dense() - wanted.dense()).sum())

    for rules in (Rules(), Rules(weight_bits=4)):
        by_weights, by_spikes = off(scheme=rules), off(calibrate=recording, scheme=rules)
        assert by_spikes < by_weights


def test_what_was_chosen_is_told() -> None:
    made = nd.compile(small(), "speck2b", calibrate=some_events((4,), 50, 0, 0.3))
    told = {f.code: f.what for f in made.findings}
    assert "the threshold is" in told["SPECK-WEIGHTS"]
    assert "spikes" in told["SPECK-FIT"]


def test_data_may_move_the_threshold_of_a_rewritten_leak_and_of_no_other() -> None:
    recording = some_events((2, 8, 8), 150, 0, 0.2)

    def made(population: Any, **more: Any) -> Any:
        kernel = conv("c", eighths((4, 2, 3, 3), 0) / 2, (8, 8), pad=1)
        network = chain((2, 8, 8), kernel, population)
        return nd.compile(network, "speck2b", calibrate=recording, **more)

    leaking = made(leaky("n", (4, 8, 8), 8.0), allow=["linear-leak"])
    told = [f.what for f in leaking.findings if f.code == "SPECK-THRESHOLD"]
    assert told
    assert f"is {leaking.program.population('n').params['threshold_high']} instead" in told[0]
    exact = made(neurons("n", (4, 8, 8)))
    assert "SPECK-THRESHOLD" not in [f.code for f in exact.findings]


def test_moments_are_those_of_the_inputs_of_each_weight() -> None:
    from nrf_deploy.ir.layer_view import layers
    from nrf_speck.compile.branches import branches
    from nrf_speck.compile.trial_runs import moments

    network = chain((2, 4, 4), conv("c", eighths((3, 2, 2, 2), 0), (4, 4)), neurons("n", (3, 3, 3)))
    (branch,) = branches(network, layers(network), "n")
    recording = some_events((2, 4, 4), 5, 1, 0.4)
    total = recording.dense().cumsum(axis=0)
    x = np.array(
        [
            frame[:, y : y + 2, x : x + 2].ravel()
            for frame in total
            for y in range(3)
            for x in range(3)
        ]
    )
    assert np.allclose(moments(branch, recording, 5), x.T @ x / len(x))
    recent = np.array(
        [
            frame[:, y : y + 2, x : x + 2].ravel()
            for frame in recording.dense()
            for y in range(3)
            for x in range(3)
        ]
    )
    assert np.allclose(moments(branch, recording, 1), recent.T @ recent / len(recent))


def test_a_direct_connection_has_nothing_to_balance() -> None:
    from nrf_deploy.ir.layer_view import layers
    from nrf_speck.compile.branches import branches
    from nrf_speck.compile.trial_runs import moments

    network = chain((2, 4, 4), neurons("n", (2, 4, 4)))
    (branch,) = branches(network, layers(network), "n")
    assert moments(branch, some_events((2, 4, 4), 5, 1), 5) is None
