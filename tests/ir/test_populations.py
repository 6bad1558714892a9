"""The functions that build neurons have the names and the numbers of NIR's nodes."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any

import nir
import numpy as np
import pytest

from nrf_deploy.io.nir.neuron_builders import POPULATIONS
from nrf_deploy.ir import network
from nrf_deploy.ir.network import LI, LIF, Population
from nrf_deploy.neurons import Leaky, LinearLeak, Spikes, Value

ONE = np.ones(3, np.float32)
BESIDE = {"metadata", "input_type", "output_type"}
"""Fields of NIR's nodes that are not numbers of neurons."""


def numbers(build: Callable[..., Population]) -> set[str]:
    parameters = inspect.signature(build).parameters
    return set(parameters) - {"name", "reset", "fires", "more"}


@pytest.mark.parametrize("kind", POPULATIONS)
def test_a_function_takes_the_numbers_of_its_node_and_builds_what_a_file_of_it_holds(
    kind: str,
) -> None:
    build = getattr(network, kind)
    assert numbers(build) == {f.name for f in dataclasses.fields(getattr(nir, kind))} - BESIDE
    node = build(name="n", **dict.fromkeys(numbers(build), ONE))
    assert (type(node.membrane), type(node.rule)) == POPULATIONS[kind]
    assert node.kind == kind
    assert all(np.array_equal(x, ONE) for part in node.every_part() for _, _, x in part.numbers())


def test_the_fields_of_the_rule_beyond_nir_are_taken_too() -> None:
    leaky: dict[str, Any] = {"tau": ONE, "r": ONE, "v_leak": ONE}
    spiking = LIF(name="n", **leaky, v_threshold=ONE, reset="subtract", floor=-ONE)
    assert spiking.features == {"reset=subtract", "floor"}
    assert LI(name="n", **leaky, rectified=True).features == {"rectified"}
    with pytest.raises(TypeError, match="flor"):
        LIF(name="n", **leaky, v_threshold=ONE, flor=-ONE)
    with pytest.raises(TypeError, match="v_leak"):
        LI(name="n", tau=ONE, r=ONE)  # type: ignore[call-arg]


def test_neurons_that_nir_has_no_node_for_bear_the_name_of_their_membrane() -> None:
    membrane = LinearLeak(r=ONE, leak=ONE)
    spiking = Population(name="n", membrane=membrane, rule=Spikes(threshold=ONE))
    assert spiking.kind == "LinearLeakIF"
    assert Population(name="n", membrane=membrane, rule=Value()).kind == "LinearLeakI"


def test_a_number_is_changed_where_it_stands() -> None:
    node = LIF(name="n", tau=ONE, r=ONE, v_leak=ONE, v_threshold=ONE)
    changed = node.with_(tau=2 * ONE, threshold=3 * ONE)
    assert type(changed.membrane) is Leaky
    assert type(changed.rule) is Spikes
    assert changed.membrane.tau.tolist() == [2, 2, 2]
    assert changed.rule.threshold.tolist() == [3, 3, 3]
    with pytest.raises(TypeError, match="v_threshold"):
        node.with_(v_threshold=ONE)
