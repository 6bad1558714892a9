"""Causes on a chip without time steps, which pools on its wires: a broken copy of each is named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

import nrf_deploy as nd
from nrf_deploy.bundle.bundle import Bundle
from nrf_deploy.ir.network import Flatten, Input, Network, Output, SumPool
from nrf_deploy.ir.program import Program
from nrf_deploy.ir.recording import Recording
from nrf_deploy.verification.attribution.attribution_run import attributed
from nrf_deploy.verification.attribution.causes import Attribution, LayerCauses
from tests.builders.broken_programs import flipped_linear, transposed, with_params, with_synapses
from tests.builders.speck_networks import (
    chain,
    conv,
    eighths,
    leaky,
    linear,
    neurons,
    one_event_a_step,
    pool,
    some_events,
)

SHAPE = (1, 8, 8)
ALL = ("first", "second", "last")


def network(*, fires: str = "above", reset: str = "subtract", bias: float = 0.0) -> Network:
    """Build weights that integers hold exactly, none below 0.

    With the remainder of each spike kept, single events and their sums in a step are equal.
    """
    kinds: dict[str, Any] = {"fires": fires, "reset": reset}
    shift = {"bias": np.full(2, bias)} if bias else {}
    return chain(
        SHAPE,
        conv("conv", np.abs(eighths((2, 1, 3, 3), 0, -5, 5)) * 8, (8, 8), pad=1, **shift),
        neurons("first", (2, 8, 8), 16.0, **kinds),
        pool("pool", (2, 8, 8), 2),
        conv("conv2", np.abs(eighths((2, 2, 3, 3), 1, -5, 5)) * 8, (4, 4), pad=1),
        neurons("second", (2, 4, 4), 40.0, **kinds),
        Flatten(name="flat", flat_input=(2, 4, 4), start=0, end=-1),
        linear("linear", np.abs(eighths((3, 32), 2)) * 8),
        neurons("last", (3,), 64.0, **kinds),
    )


SPARSE = one_event_a_step(SHAPE, 300, 1)


def compiled(model: Network, **more: Any) -> Bundle:
    return nd.compile(nd.io.model.Model(model), "speck2b", **more)


def by_layer(bundle: Bundle, recording: Recording = SPARSE) -> dict[str, LayerCauses]:
    found = told(bundle, recording)
    return {layer.layer: layer for layer in found.layers}


def told(bundle: Bundle, recording: Recording = SPARSE) -> Attribution:
    found = attributed(bundle, recording)
    assert not found.left_out
    return found


@cache
def whole(bias: float = 0.0) -> tuple[Bundle, dict[str, LayerCauses]]:
    bundle = compiled(network(bias=bias))
    return bundle, by_layer(bundle)


def lost_bias(program: Program) -> Program:
    assert np.any(program.population("first").params["bias"])
    return with_params(program, "first", bias=0)


def off_by_one(program: Program) -> Program:
    """Test v >= T in place of v > T."""
    theta = int(program.population("last").params["threshold_high"])
    return with_params(program, "last", threshold_high=theta - 1)


def keeps_the_rest(program: Program) -> Program:
    before = int(program.population("first").params["returns_to_zero"])
    return with_params(program, "first", returns_to_zero=1 - before)


def pooled_across(program: Program) -> Program:
    """Exchange x and y on the wire."""
    (wire,) = (s for s in program.synapses if s.params.get("pooling") == 2)

    def across(s: Any) -> Any:
        c, y, x = np.unravel_index(s.row, s.target_shape)
        return replace(s, row=np.ravel_multi_index((c, x, y), s.target_shape))

    return with_synapses(program, wire.name, across)


def shifted_pool(program: Program) -> Program:
    """Shift the channels of the pool by one."""
    (wire,) = (s for s in program.synapses if s.params.get("pooling") == 2)

    def further(s: Any) -> Any:
        c, y, x = np.unravel_index(s.row, s.target_shape)
        return replace(s, row=np.ravel_multi_index(((c + 1) % 2, y, x), s.target_shape))

    return with_synapses(program, wire.name, further)


def misstated(program: Program) -> Program:
    origins = (replace(o, latency=o.latency + (o.node == "last")) for o in program.origins)
    return replace(program, origins=tuple(origins))


@pytest.mark.parametrize(
    ("broken", "layer", "cause", "options"),
    [
        (transposed, "first", "weights", {}),
        (flipped_linear, "last", "weights", {}),
        (lost_bias, "first", "bias", {"bias": 0.5}),
        (off_by_one, "last", "threshold", {}),
        (keeps_the_rest, "first", "reset", {}),
        (pooled_across, "second", "pooling", {}),
        (shifted_pool, "second", "pooling", {}),
        (misstated, "last", "latency", {}),
    ],
)
def test_a_broken_stage_is_named_by_layer_and_cause(
    broken: Callable[[Program], Program], layer: str, cause: str, options: dict[str, Any]
) -> None:
    bundle, sound = whole(**options)
    found = told(replace(bundle, program=broken(bundle.program)))
    named = {x.layer: x for x in found.layers}
    assert named[layer].dominant == cause, (sound[layer], named[layer])
    assert named[layer].error > 2 * sound[layer].error
    for other in set(named) - {layer}:
        assert named[other] == sound[other], "another layer was blamed too"
    (said,) = (f for f in found.findings() if f.layer == layer)
    assert f"most by {cause}" in said.what


@pytest.mark.parametrize("fires", ["above", "at"])
@pytest.mark.parametrize("reset", ["value", "subtract"])
def test_numbers_that_integers_hold_are_no_cause(fires: str, reset: str) -> None:
    """Thresholds that are met otherwise, and potentials that count from -1, are the model's."""
    found = by_layer(compiled(network(fires=fires, reset=reset)))
    assert found.keys() == set(ALL)
    for layer in found.values():
        for cause in ("weights", "threshold", "bias", "reset", "saturation", "pooling", "decay"):
            assert layer.causes.get(cause, 0) == 0, (layer.layer, cause)
    assert found["first"].error == 0, "one event at a time, and none makes two spikes"


def test_the_pool_is_a_cause_only_behind_a_pool() -> None:
    _, found = whole()
    assert {name: "pooling" in x.causes for name, x in found.items()} == {
        "first": False, "second": True, "last": False,
    }  # fmt: skip


def test_events_one_by_one_are_the_cause_where_they_hold_each_other_back() -> None:
    """A weight above the threshold and one below 0: in a step they cancel."""
    weight = np.array([[[[1.25]], [[-1.125]]]])
    model = chain((2, 4, 4), conv("conv", weight, (4, 4)), neurons("n", (1, 4, 4), 1.0))
    crowd = some_events((2, 4, 4), 200, 3, 0.6)
    found = by_layer(compiled(model), crowd)["n"]
    assert found.dominant == "order"
    assert found.causes["order"] > 0.3
    alone = by_layer(compiled(model), one_event_a_step((2, 4, 4), 200, 3))["n"]
    assert alone.causes["order"] == 0


def test_several_spikes_of_a_step_are_arithmetic() -> None:
    weight = np.full((1, 1, 3, 3), 0.75)
    model = chain((1, 6, 6), conv("conv", weight, (6, 6), pad=1), neurons("n", (1, 6, 6), 1.0))
    found = by_layer(compiled(model), some_events((1, 6, 6), 100, 4, 0.7))["n"]
    assert found.causes["arithmetic"] > 0.3


def test_a_lower_bound_is_saturation() -> None:
    weight = np.array([[[[0.25]], [[-0.75]]]])
    model = chain((2, 4, 4), conv("conv", weight, (4, 4)), neurons("n", (1, 4, 4), 1.0))
    bundle = compiled(model)
    recording = one_event_a_step((2, 4, 4), 600, 5)
    assert by_layer(bundle, recording)["n"].causes["saturation"] == 0
    broken = with_params(bundle.program, "n", threshold_low=-1)
    assert by_layer(replace(bundle, program=broken), recording)["n"].dominant == "saturation"


def test_a_leak_that_was_rewritten_has_the_rewrites_name() -> None:
    model = chain(
        (1, 4, 4),
        conv("conv", np.full((1, 1, 3, 3), 0.5), (4, 4), pad=1),
        leaky("n", (1, 4, 4), 6.0),
    )
    bundle = compiled(model, allow=["linear-leak"])
    found = by_layer(bundle, one_event_a_step((1, 4, 4), 300, 2))["n"]
    assert found.dominant == "linear-leak", found
    assert found.causes["bias"] < found.causes["linear-leak"] / 2


def test_rounded_weights_are_the_cause_where_nothing_else_is_rounded() -> None:
    rough = np.random.default_rng(0).random((2, 1, 3, 3)) * 0.4
    rough[0, 0, 0, 0] = 40  # what the others are rounded for
    model = chain(SHAPE, conv("conv", rough, (8, 8), pad=1), neurons("n", (2, 8, 8), 1.0))
    found = by_layer(compiled(model))["n"]
    assert found.dominant == "weights"


def test_a_direct_connection_and_a_pool_of_neurons_have_their_causes() -> None:
    """Links without weights of their own: one a channel stands on the core's diagonal."""
    model = chain(
        (2, 8, 8),
        neurons("first", (2, 8, 8), 2.0),
        pool("pool", (2, 8, 8), 2),
        neurons("second", (2, 4, 4), 3.0),
        neurons("third", (2, 4, 4), 2.0),
    )
    bundle = compiled(model)
    recording = one_event_a_step((2, 8, 8), 600, 7)
    sound = by_layer(bundle, recording)
    assert all(x.error == 0 for x in sound.values()), sound
    broken = replace(bundle, program=pooled_across(bundle.program))
    found = by_layer(broken, recording)
    assert found["second"].dominant == "pooling"
    assert (found["first"], found["third"]) == (sound["first"], sound["third"])


def joined() -> Network:
    """Build two ways, one of them pooled, that meet in one core; the remainder is kept."""
    kinds: dict[str, Any] = {"reset": "subtract"}
    nodes = (
        Input(name="in", port_shape=(1, 8, 8)),
        conv("c", np.abs(eighths((2, 1, 3, 3), 3, -5, 5)) * 8, (8, 8), pad=1),
        neurons("a", (2, 8, 8), 16.0, **kinds),
        conv("d", np.abs(eighths((1, 1, 3, 3), 4, -5, 5)) * 8, (8, 8), stride=2, pad=1),
        neurons("b", (1, 4, 4), 16.0, **kinds),
        pool("pool", (2, 8, 8), 2),
        conv("wa", np.abs(eighths((2, 2, 3, 3), 5, -5, 5)) * 8, (4, 4), pad=1),
        conv("wb", np.abs(eighths((2, 1, 1, 1), 6, -5, 5)) * 8, (4, 4)),
        neurons("both", (2, 4, 4), 48.0, **kinds),
        Output(name="out", port_shape=(2, 4, 4)),
    )
    edges = (("in", "c"), ("c", "a"), ("in", "d"), ("d", "b"), ("a", "pool"), ("pool", "wa"),
             ("b", "wb"), ("wa", "both"), ("wb", "both"), ("both", "out"))  # fmt: skip
    return Network(nodes, edges, dt=1.0)


def test_a_core_that_joins_several_sources_has_its_causes() -> None:
    bundle = compiled(joined())
    sound = by_layer(bundle)
    assert sound["both"].causes["weights"] == 0
    assert sound["both"].error < 0.1

    def across(s: Any) -> Any:
        return replace(s, weight=s.weight.swapaxes(2, 3))

    found = by_layer(replace(bundle, program=with_synapses(bundle.program, "both.weights", across)))
    assert found["both"].dominant == "weights"
    assert found["both"].error > 2 * sound["both"].error
    assert (found["a"], found["b"]) == (sound["a"], sound["b"])


PLAIN = pytest.mark.parametrize("chip", ["loihi2", "emulator"])


@PLAIN
def test_a_pool_that_any_chip_holds_by_itself_is_a_cause(chip: str) -> None:
    """Windows that overlap do not fold: the pool is a layer of its own, some steps behind."""
    shape = (2, 8, 8)
    window: dict[str, Any] = {"window": (3, 3), "stride": (2, 2), "padding": ((1, 1), (1, 1))}
    model = chain(
        shape,
        conv("c", np.abs(eighths((2, 2, 3, 3), 0)), (8, 8), pad=1),
        neurons("a", shape, 2.0),
        SumPool(name="pool", pool_input=shape, **window),
        conv("e", np.abs(eighths((2, 2, 3, 3), 1)), (4, 4), pad=1),
        neurons("b", (2, 4, 4), 8.0),
    )
    bundle = nd.compile(nd.io.model.Model(model), chip)
    recording = one_event_a_step(shape, 300, 1)
    assert by_layer(bundle, recording)["b"].error == 0
    holes = np.array([[1, 0, 1], [0, 1, 0], [1, 1, 0]])
    broken = with_synapses(bundle.program, "pool", lambda s: replace(s, weight=s.weight * holes))
    found = by_layer(replace(bundle, program=broken), recording)
    assert (found["a"].error, found["b"].dominant) == (0, "pooling")
    assert found["b"].causes["arithmetic"] == 0
