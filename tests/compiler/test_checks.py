"""A verdict on rounding reads the integers that the target compiles."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import nrf_deploy as nd
from nrf_deploy.compiler.quantize.rules import LayerRules, Rules
from nrf_deploy.diagnostics.findings import Finding
from nrf_deploy.engines.reference import run
from nrf_deploy.ir.network import IF, LIF, Array, CubaLIF, Input, Linear, Network, Node, Output
from tests.builders.speck_networks import linear as speck_linear
from tests.builders.speck_networks import neurons as speck_neurons


def full(value: float) -> Array:
    return np.full(2, value, np.float32)


def lif(name: str, tau: float, **more: Any) -> LIF:
    usual = {"r": full(tau), "v_leak": full(0), "v_threshold": full(1), "v_reset": full(0)}
    return LIF(name=name, tau=full(tau), **{**usual, **more})


def weights(name: str = "w", factor: float = 1.0, bias: Array | None = None) -> Linear:
    return Linear(name=name, weight=factor * np.eye(2, dtype=np.float32), bias=bias)


def chain(*inner: Node) -> Network:
    nodes = (Input(name="x", port_shape=(2,)), *inner, Output(name="y", port_shape=(2,)))
    names = [n.name for n in nodes]
    return Network(nodes, tuple(pairwise(names)), 1.0)


def findings(network: Network, chip: str, word: str, **more: Any) -> list[Finding]:
    return [f for f in nd.check(network, chip, **more).findings if f.code.endswith(f"-{word}")]


def ladder() -> Network:
    """Return two populations in a ratio of 10, the slowest of which 12 bits hold 10 % wrong."""
    return chain(weights(), lif("a", 850.0), weights("u"), lif("b", 85.0))


@pytest.mark.parametrize("chip", ["loihi1", "loihi2", "emulator"])
def test_an_anchored_decay_is_judged_as_it_is_held(chip: str) -> None:
    assert {f.layer for f in findings(ladder(), chip, "DECAY-COARSE")} == {"a"}
    anchored = findings(ladder(), chip, "DECAY-COARSE", scheme=Rules(decay="anchored"))
    assert [f.layer for f in anchored] == ["a", "b"]
    decay = nd.compile(ladder(), chip, scheme=Rules(decay="anchored")).program.population("b")
    steps = decay.params["dv" if chip.startswith("loihi") else "decay"]
    off = abs(int(np.max(steps)) / 4096 * 85 - 1)
    assert f"{off:.1%}" in anchored[1].what
    assert "anchored" in anchored[1].what


@pytest.mark.parametrize("chip", ["loihi1", "emulator"])
def test_a_threshold_of_half_a_unit_is_lost(chip: str) -> None:
    """It rounds to the even number, 0."""
    neurons = IF(name="n", r=full(1), v_threshold=full(0.5), v_reset=full(0))
    fraction = {"emulator": "emulator:fraction_bits=0"}
    rules = Rules(layers={"w": LayerRules(gain=1.0)})
    lost = findings(chain(weights(), neurons), fraction.get(chip, chip), "THRESHOLD-LOST",
                    scheme=rules)  # fmt: skip
    assert [(f.severity, f.layer) for f in lost] == [("error", "n")]


def test_a_threshold_of_one_unit_that_fires_at_it_is_held() -> None:
    """V >= 1 is v > 0 in whole units: the chip's integer is 0, and nothing is lost."""
    neurons = IF(name="n", r=full(1), v_threshold=full(1), v_reset=full(0)).with_(fires="at")
    network = chain(weights(), neurons)
    rules = Rules(layers={"w": LayerRules(gain=2.0), "n": LayerRules()})
    bundle = nd.compile(network, "loihi2", scheme=Rules(layers={"w": LayerRules(gain=1.0)}))
    assert int(np.max(bundle.program.population("n").params["vth"])) == 0
    recording = nd.Recording.from_dense(np.random.default_rng(0).integers(0, 2, (30, 2)), 1.0)
    assert nd.verify(bundle, recording).passed
    assert findings(network, "loihi2", "THRESHOLD-LOST", scheme=rules) == []


@pytest.mark.parametrize("chip", ["loihi2", "emulator:fraction_bits=6"])
def test_a_bias_of_half_a_unit_is_lost(chip: str) -> None:
    neurons = IF(name="n", r=full(1), v_threshold=full(1), v_reset=full(0))
    network = chain(weights(bias=full(2.0**-13)), neurons)
    rules = Rules(layers={"w": LayerRules(gain=64.0)})
    lost = findings(network, chip, "BIAS-LOST", scheme=rules)
    assert [f.layer for f in lost] == ["n"]
    assert "0.5 integer units a step" in lost[0].why


def test_the_biases_of_a_current_and_of_a_potential_are_rounded_apart() -> None:
    """Their sum is far from 0, but the one of the potential is lost."""
    neurons = CubaLIF(
        name="n", tau_syn=full(2), tau_mem=full(10), r=full(10), v_leak=full(0.01), w_in=full(1),
        v_threshold=full(1), v_reset=full(0),
    )  # fmt: skip
    network = chain(weights(bias=full(0.25)), neurons)
    lost = findings(network, "emulator:weight_bits=4,fraction_bits=2", "BIAS-LOST")
    assert [f.layer for f in lost] == ["n"]
    assert lost[0].what == "2 of 2 biases round to 0"


def test_a_rest_counts_where_a_subtractive_leak_forgets() -> None:
    """With tau = dt the machine holds a decay, which leads to 0: v_leak must be added."""
    network = chain(weights(), lif("n", 1.0, v_leak=full(0.5)))
    recording = nd.Recording.from_dense(np.random.default_rng(0).integers(0, 2, (30, 2)), 1.0)
    assert run(network, recording).outputs["n"].value.any()  # 0.5 + 1 is above 1, 1 alone is not
    assert nd.verify(nd.compile(network, "emulator:leak=subtractive"), recording).passed


def test_a_loop_is_reported_whichever_connection_comes_last() -> None:
    """Speck has none; only the last connection was asked."""
    nodes = (
        Input(name="in", port_shape=(3,)),
        speck_linear("l", np.ones((2, 3)) / 4),
        speck_neurons("n", (2,)),
        speck_linear("back", np.ones((2, 2)) / 4),
        speck_linear("on", np.ones((2, 2)) / 4),
        speck_neurons("m", (2,)),
        Output(name="out", port_shape=(2,)),
    )
    edges = (("in", "l"), ("l", "n"), ("n", "back"), ("back", "n"), ("n", "on"), ("on", "m"),
             ("m", "out"))  # fmt: skip
    loops = findings(Network(nodes, edges, 1.0), "speck2b", "LOOP")
    assert [(f.code, f.layer) for f in loops] == [("SPECK-LOOP", "back")]
