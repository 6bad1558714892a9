"""The neurons that `inspect` shows: every number, and every feature that is not neutral."""

from dataclasses import replace

import numpy as np
import pytest

from nrf_deploy import compile
from nrf_deploy.api.inspection import network_json, network_text
from nrf_deploy.bundle.neuron_tables import (
    NIR_NAMES,
    features_of,
    number_names,
    numbers_of,
    rule_of,
)
from nrf_deploy.bundle.tables import bundle_json, bundle_text
from nrf_deploy.ir.network import Input, Linear, Network, Output, Population
from nrf_deploy.neurons import (
    CurrentLeaky,
    Integrator,
    Leaky,
    LinearLeak,
    Membrane,
    Rising,
    Rule,
    Spikes,
    Value,
)

ONE = np.ones(2, np.float32)
PLAIN = Spikes(threshold=ONE, reset_to=0 * ONE)
COUNTS = Spikes(
    threshold=ONE, reset_to=ONE / 2, reset="subtract", fires="at", per_step="many",
    floor=-ONE, worth=2 * ONE,
)  # fmt: skip
LEAKY = Leaky(tau=4 * ONE, r=ONE, v_leak=0 * ONE)
CURRENT = CurrentLeaky(tau_syn=2 * ONE, tau_mem=4 * ONE, r=ONE, v_leak=0 * ONE, w_in=ONE)


def network(membrane: Membrane, rule: Rule) -> Network:
    nodes = (
        Input(name="in", port_shape=(2,)),
        Linear(name="w", weight=np.eye(2, dtype=np.float32)),
        Population(name="n", membrane=membrane, rule=rule),
        Output(name="out", port_shape=(2,)),
    )
    return Network(nodes, (("in", "w"), ("w", "n"), ("n", "out")), dt=1.0)


@pytest.mark.parametrize("membrane", [Integrator(r=ONE), LinearLeak(r=ONE, leak=ONE), LEAKY])
@pytest.mark.parametrize("rule", [PLAIN, COUNTS, Value(), Value(rectified=True)])
def test_every_feature_is_seen_in_the_text_and_in_json(membrane: Membrane, rule: Rule) -> None:
    made = network(membrane, rule)
    node = made["n"]
    assert type(node) is Population
    shown = next(n for n in network_json(made)["nodes"] if n["name"] == "n")
    text = network_text(made)
    for feature in node.features:
        key, _, word = feature.partition("=")
        key = NIR_NAMES.get(key, key)
        own = shown.get(key) == word or key in shown["parameters"]
        assert own or feature in shown["features"], feature
        assert feature in text or key in text, feature
    assert ("features" in shown) == bool(node.features & {"per_step=many", "rectified"})


def test_numbers_stand_by_their_units_under_the_names_of_nir() -> None:
    made = network(CURRENT, PLAIN)
    names = ["tau_mem", "tau_syn", "r", "w_in", "v_leak", "v_threshold", "v_reset"]
    assert list(numbers_of(made["n"])) == names
    leaking = network(LinearLeak(r=ONE, leak=ONE), COUNTS)
    assert list(numbers_of(leaking["n"])) == [
        "r", "v_threshold", "v_reset", "floor", "leak", "worth",
    ]  # fmt: skip
    both = number_names([made["n"], replace(leaking["n"], name="m")])
    assert both == [*names, "floor", "leak", "worth"]
    assert numbers_of(made["w"]) == {}


def test_a_bundle_shows_the_features_of_its_model() -> None:
    bundle = compile(network(Integrator(r=ONE), replace(PLAIN, floor=-ONE)), "speck2b")
    (layer,) = [x for x in bundle_json(bundle)["layers"] if x["layer"] == "n"]
    assert layer["features"] == ["floor"]
    assert "reset, fires, features: of the model" in " ".join(bundle_text(bundle).split())
    plain = compile(network(Integrator(r=ONE), PLAIN), "speck2b")
    assert all("features" not in x for x in bundle_json(plain)["layers"])
    assert "reset, fires: of the model" in " ".join(bundle_text(plain).split())


def test_no_name_and_no_integer_is_cut_in_the_table_of_populations() -> None:
    rule = replace(PLAIN, refractory=2 * ONE, adaptation=Rising(tau=50 * ONE, jump=ONE))
    bundle = compile(network(LEAKY, rule), "emulator")
    text = bundle_text(bundle)
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    for words in ("lif_refractory_rising", "adaptation=Rising, refractory", "fraction_bits=6"):
        assert words in text


def test_what_is_no_population_has_neither_rule_nor_features() -> None:
    assert rule_of(None) == rule_of(network(LEAKY, PLAIN)["w"]) == {}
    assert features_of(None) == features_of(network(LEAKY, PLAIN)["w"]) == []
