"""A network that was built in Python is held to the rules of a network in a file."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from nrf_deploy.bundle import pipeline
from nrf_deploy.diagnostics.findings import UsageError
from nrf_deploy.ir.network import (
    LIF,
    Conv,
    Flatten,
    Input,
    Linear,
    Network,
    Output,
    Population,
    SumPool,
)

ONE = np.ones(3, np.float32)
NEURONS = LIF(name="n", tau=5 * ONE, r=ONE, v_leak=0 * ONE, v_threshold=ONE, v_reset=0 * ONE)
WEIGHT = Linear(name="w", weight=np.eye(3, dtype=np.float32))


def network(neurons: Population = NEURONS, weight: Linear = WEIGHT) -> Network:
    nodes = (Input(name="x", port_shape=(3,)), weight, neurons, Output(name="y", port_shape=(3,)))
    return Network(nodes, (("x", "w"), ("w", "n"), ("n", "y")), 1.0)


UNSOUND = {
    "reset": network(NEURONS.with_(reset="never")),  # type: ignore[arg-type]
    "fires": network(NEURONS.with_(fires="x")),  # type: ignore[arg-type]
    "loop_start": replace(network(), loop_start="late"),  # type: ignore[arg-type]
    "occurs twice": replace(network(), edges=(*network().edges, ("w", "n"))),
    "not finite": network(NEURONS.with_(threshold=np.array([1, np.nan, 1], np.float32))),
    "complex": network(weight=replace(WEIGHT, weight=np.eye(3) * 1j)),
}


@pytest.mark.parametrize("chip", ["loihi2", "emulator"])
def test_a_sound_network_compiles(chip: str) -> None:
    assert pipeline.check(network(), chip).fits


@pytest.mark.parametrize("word", UNSOUND)
def test_what_no_file_could_hold_is_refused_by_name(word: str) -> None:
    with pytest.raises(UsageError, match=word) as refusal:
        pipeline.compile(UNSOUND[word], "loihi2")
    assert {f.code for f in refusal.value.findings} == {"NETWORK-FAULT"}


def test_pools_over_one_axis_are_sound() -> None:
    conv = Conv(
        name="c", weight=np.ones((2, 1, 3), np.float32), input_size=(8,), stride=(1,),
        padding=((1, 1),), dilation=(1,),
    )  # fmt: skip
    pool = SumPool(name="p", pool_input=(2, 8), window=(2,), stride=(2,), padding=((0, 0),))
    flat = Flatten(name="f", flat_input=(2, 4), start=0, end=1)
    weight = Linear(name="w", weight=np.ones((3, 8), np.float32))
    first = LIF(
        name="m",
        **{k: np.full((2, 8), v, np.float32) for k, v in {"tau": 5, "r": 5, "v_leak": 0}.items()},
        v_threshold=np.ones((2, 8), np.float32),
        v_reset=np.zeros((2, 8), np.float32),
    )
    nodes = (
        Input(name="x", port_shape=(1, 8)), conv, first, pool, flat, weight, NEURONS,
        Output(name="y", port_shape=(3,)),
    )  # fmt: skip
    names = [node.name for node in nodes]
    made = Network(nodes, tuple(pairwise(names)), 1.0)
    assert pipeline.check(made, "emulator").fits


def test_a_rule_that_contradicts_itself_is_refused() -> None:
    many = network(NEURONS.with_(per_step="many", reset="subtract"))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="per_step is many with fires=above") as refusal:
        pipeline.compile(many, "emulator")
    assert {f.code for f in refusal.value.findings} == {"NETWORK-FAULT"}


@pytest.mark.parametrize("low", [0.0, -1.0])
def test_numbers_that_make_a_spike_nothing_or_less_are_refused(low: float) -> None:
    at = np.full(NEURONS.shape, low, np.float32)
    many = {"per_step": "many", "fires": "at", "reset": "subtract"}
    with pytest.raises(UsageError, match=f"threshold is {low:g} with per_step=many"):
        pipeline.compile(network(NEURONS.with_(**many, threshold=at)), "emulator")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=f"worth is {low:g}; expected numbers above 0"):
        pipeline.compile(network(NEURONS.with_(worth=at)), "emulator")  # type: ignore[arg-type]
