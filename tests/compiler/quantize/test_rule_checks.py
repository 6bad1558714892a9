"""Every rule of a scheme is applied or refused, on every chip; none is ignored."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

import nrf_deploy as nd
from nrf_deploy.compiler.quantize.rules import LayerRules, Rules
from nrf_deploy.diagnostics.findings import Finding, TargetError
from nrf_deploy.ir.network import LIF, Input, Linear, Network, Output
from nrf_deploy.ir.program import Program
from nrf_deploy.ir.recording import Recording

CHIPS = ("loihi2", "emulator", "speck2b")
SUBTRACTIVE = "emulator:leak=subtractive"
TAU = np.array([4.0, 8.0, 16.0, 32.0])


def network() -> Network:
    """Build a ladder of time constants, none of whose weights rounds to another's ratio."""
    weight = np.random.default_rng(0).uniform(-0.3, 1, (4, 4))
    return Network(
        (
            Input(name="in", port_shape=(4,)),
            Linear(name="l", weight=weight),
            LIF(
                name="n",
                tau=TAU,
                r=np.ones(4),
                v_leak=np.zeros(4),
                v_threshold=np.full(4, 0.5),
                v_reset=np.zeros(4),
            ),
            Output(name="out", port_shape=(4,)),
        ),
        (("in", "l"), ("l", "n"), ("n", "out")),
        dt=1.0,
    )


@cache
def recording() -> Recording:
    return Recording.from_dense((np.random.default_rng(3).random((300, 4)) < 0.4).astype(int))


def compiled(chip: str, rules: Rules) -> Program:
    allow = ("linear-leak",) if chip == "speck2b" else ()
    return nd.compile(network(), chip, recording(), rules, allow=allow).program


def refusals(chip: str, rules: Rules) -> list[Finding]:
    with pytest.raises(TargetError) as refused:
        compiled(chip, rules)
    return [f for f in refused.value.findings if f.severity == "error"]


def numbers(program: Program) -> list[object]:
    (synapses,) = program.into("n")
    params = program.population("n").params
    held = {key: np.asarray(value).tolist() for key, value in params.items()}
    return [synapses.weight.tolist(), dict(synapses.params), held]


def one(layer: str, **own: object) -> Rules:
    return Rules(layers={layer: LayerRules(**own)})  # type: ignore[arg-type]


@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize("rules", [{"method": "max"}, {"error": "weights"}, {"weight_bits": 5}])
def test_a_rule_of_one_layer_is_that_of_all_where_there_is_one(
    chip: str, rules: dict[str, object]
) -> None:
    asked = numbers(compiled(chip, one("l", **rules)))
    everywhere = numbers(compiled(chip, Rules(**rules)))  # type: ignore[arg-type]
    assert asked == everywhere
    assert asked != numbers(compiled(chip, Rules())) or rules == {"error": "weights"}


@pytest.mark.parametrize(("chip", "key"), [("loihi2", "dv"), ("emulator", "decay")])
@pytest.mark.parametrize("rules", [Rules(decay="anchored"), one("n", decay="anchored")])
def test_anchored_decays_are_in_ratio(chip: str, key: str, rules: Rules) -> None:
    """A channel that is S times faster decays in a step as far as the slowest in S."""
    held = np.asarray(compiled(chip, rules).population("n").params[key]) / 4096
    kept = (1 - held[-1]) ** (TAU[-1] / TAU)
    np.testing.assert_allclose(1 - held, kept, atol=0.6 / 4096)
    assert np.abs(held - 1 / TAU).max() > 20 / 4096


@pytest.mark.parametrize(
    ("chip", "rules", "layer"),
    [
        ("speck2b", Rules(decay="anchored"), None),
        ("speck2b", one("n", decay="anchored"), "n"),
        ("speck2b", Rules(per_channel=True), None),
        ("speck2b", one("l", exponent=3), "l"),
        ("emulator", one("l", exponent=3), "l"),
        (SUBTRACTIVE, Rules(decay="anchored"), None),
    ],
)
def test_what_a_chip_does_not_have_is_refused(chip: str, rules: Rules, layer: str | None) -> None:
    assert [(f.code, f.layer) for f in refusals(chip, rules)] == [("SCHEME-CHIP", layer)]


@pytest.mark.parametrize("chip", CHIPS)
def test_what_asks_for_nothing_is_taken(chip: str) -> None:
    usual = Rules(layers={"l": LayerRules(exponent=0), "n": LayerRules(decay="nearest")})
    assert numbers(compiled(chip, usual)) == numbers(compiled(chip, Rules()))


@pytest.mark.parametrize("gain", [20.5, 0.25, 40000.0])
def test_a_threshold_that_a_core_cannot_hold_is_not_rounded_to_one(gain: float) -> None:
    assert [f.code for f in refusals("speck2b", one("l", gain=gain))] == ["SPECK-GAIN"]


def test_a_gain_is_the_threshold_of_a_core() -> None:
    """Weights count in units of it."""
    rules = Rules(error="weights", layers={"l": LayerRules(gain=20)})
    program = compiled("speck2b", rules)
    (synapses,) = program.into("n")
    weight = network()["l"].weight  # type: ignore[attr-defined]
    wanted = np.rint(weight / TAU[:, None] / 0.5 * 20)
    assert np.array_equal(synapses.weight[:, :, 0, 0], wanted)
