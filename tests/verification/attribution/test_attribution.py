"""Errors get their causes: a broken copy of each stage is named by layer and cause."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import nrf_deploy as nd
from nrf_deploy.bundle.bundle import Bundle
from nrf_deploy.bundle.pipeline import target_of
from nrf_deploy.compiler.passes import EXACT, apply_all
from nrf_deploy.diagnostics.findings import UsageError
from nrf_deploy.engines import reference
from nrf_deploy.engines.emulator import golden
from nrf_deploy.engines.reference.connections import connection
from nrf_deploy.ir import network as net
from nrf_deploy.ir.layer_view import layers
from nrf_deploy.ir.network import (
    IF,
    LIF,
    Array,
    Conv,
    Flatten,
    Input,
    Linear,
    Network,
    Node,
    Output,
)
from nrf_deploy.ir.program import Population, Program
from nrf_deploy.ir.recording import Recording, Trace
from nrf_deploy.verification.attribution.attribution import attribute
from nrf_deploy.verification.attribution.causes import Attribution, LayerCauses
from nrf_deploy.verification.attribution.float_twin import Variants, ideal
from nrf_deploy.verification.attribution.layer_inputs import _bare, drive
from nrf_deploy.verification.attribution.layer_inputs import inputs_of as fed
from nrf_emulator.arithmetic.rules import FixedArithmetic
from tests.builders.broken_programs import flipped_linear, transposed, with_params, with_synapses
from tests.builders.random_networks import random_network, random_recording
from tests.builders.verify_traces import Heard

STEPS = 300
CHIPS = ("loihi2", "emulator")


def network(
    *, seed: int = 0, exact: bool = True, leak: float = 0.125, bias: float = 0.0, high: float = 1.5
) -> Network:
    """Build a convolution and LIF neurons, then a linear layer and IF neurons.

    `exact`: integers hold its weights, decays and thresholds exactly.
    """
    rng = np.random.default_rng(seed)
    one, shape, last = np.ones((2, 6, 5)), (2, 6, 5), (4,)
    kernel = rng.integers(-48, 96, (2, 1, 3, 3)) / 64
    weight = rng.integers(-2, 4, (4, 60)) / 4
    if not exact:
        kernel, weight = (w + rng.normal(size=w.shape) / 30 for w in (kernel, weight))
    nodes: tuple[Node, ...] = (
        Input(name="in", port_shape=(1, 6, 5)),
        Conv(
            name="conv",
            weight=kernel,
            bias=np.full(2, bias),
            input_size=(6, 5),
            stride=(1, 1),
            padding=((1, 1), (1, 1)),
            dilation=(1, 1),
        ),
        LIF(
            name="first",
            tau=one * 1e-3 / leak,
            r=one / leak,
            v_leak=one * 0,
            v_threshold=one * high,
            v_reset=one * 0,
        ),
        Flatten(name="flat", flat_input=shape, start=0, end=-1),
        Linear(name="linear", weight=weight),
        IF(
            name="last",
            r=np.full(last, 1000.0),
            v_threshold=np.full(last, 2.0),
            v_reset=np.zeros(last),
        ),
        Output(name="out", port_shape=last),
    )
    names = [n.name for n in nodes]
    return Network(nodes, tuple(pairwise(names)), dt=1e-3)


def recording(rate: float = 0.15) -> Recording:
    frames = np.random.default_rng(5).random((STEPS, 1, 6, 5)) < rate
    return Recording.from_dense(frames.astype(np.int64), 1e-3)


def causes(bundle: Bundle, arithmetic: Any = None) -> Attribution:
    target = target_of(bundle)
    rules = arithmetic or target.arithmetics[bundle.program.arithmetic]

    def run(program: Program, given: Recording, steps: int) -> Trace:
        return golden.run(program, rules, given, steps=steps)

    numbers = target.dequantised(bundle.program)  # type: ignore[attr-defined]
    return attribute(bundle.network, bundle.steps, bundle.program, numbers, recording(), run)


def by_layer(found: Attribution) -> dict[str, LayerCauses]:
    assert not found.left_out
    return {layer.layer: layer for layer in found.layers}


def decay_off(program: Program) -> Program:
    name = "dv" if program.arithmetic == "loihi" else "decay"
    held = int(program.population("first").params[name])
    return with_params(program, "first", **{name: held + 1})


def lost_bias(program: Program) -> Program:
    name = "bias_mant" if program.arithmetic == "loihi" else "bias"
    assert np.any(program.population("first").params[name])
    return with_params(program, "first", **{name: 0})


def met(program: Program) -> Program:
    """Test v >= threshold in place of v > threshold, on a machine that has both."""
    if program.arithmetic == "loihi":
        vth = int(program.population("last").params["vth"])
        return with_params(program, "last", vth=vth - 1)
    return with_params(program, "last", at=1)


def delayed(program: Program) -> Program:
    return with_synapses(program, "linear", lambda s: replace(s, delay=s.delay + 1))


def misstated(program: Program) -> Program:
    """Make the latency that the program states, but not its neurons' own, one step too short."""
    origins = (replace(o, latency=o.latency - (o.node == "last")) for o in program.origins)
    return replace(program, origins=tuple(origins))


def narrow(program: Program) -> Program:
    """Build a layer whose sums end at their bits, at half of the largest weight."""
    return with_params(program, "first", sum_bits=7)


BROKEN = [
    (transposed, CHIPS, "first", "weights", {}),
    (flipped_linear, CHIPS, "last", "weights", {}),
    (decay_off, CHIPS, "first", "decay", {"leak": 1 / 64, "high": 12.0}),
    (lost_bias, CHIPS, "first", "bias", {"bias": 0.125}),
    (met, CHIPS, "last", "threshold", {}),
    (delayed, CHIPS, "last", "latency", {}),
    (misstated, ("loihi2", "emulator:latency=1"), "last", "latency", {}),
    (narrow, ("emulator",), "first", "saturation", {}),
]


@pytest.mark.parametrize(
    ("chip", "broken", "layer", "cause", "options"),
    [
        pytest.param(chip, broken, layer, cause, options, id=f"{broken.__name__}-{chip}")
        for broken, chips, layer, cause, options in BROKEN
        for chip in chips
    ],
)
def test_a_broken_stage_is_named_by_layer_and_cause(
    chip: str,
    broken: Callable[[Program], Program],
    layer: str,
    cause: str,
    options: dict[str, Any],
) -> None:
    bundle = nd.compile(network(**options), chip)
    sound = by_layer(causes(bundle))
    assert all(x.error < 0.05 for x in sound.values()), sound
    found = causes(replace(bundle, program=broken(bundle.program)))
    told = by_layer(found)
    assert told[layer].dominant == cause, told[layer]
    assert told[layer].error > 2 * sound[layer].error
    (other,) = set(told) - {layer}
    assert told[other].error == sound[other].error, "the other layer was blamed too"
    named = [f for f in found.findings() if f.layer == layer]
    assert f"most by {cause}" in named[0].what


def test_the_run_of_each_layer_and_its_causes_are_parts_with_a_name() -> None:
    heard = Heard()
    nd.verify(nd.compile(network(), "loihi2"), recording(), attribute=True, progress=heard)
    running, causes = ([f"{w} {n}" for n in ("first", "last")] for w in ("running", "causes of"))
    told = [p for p in heard.parts if p]
    assert told == ["causes: the model", *(f"{r} in isolation" for r in running), *causes]
    assert all(heard.parts.values())


class FiresAt(FixedArithmetic):
    """A copy of the machine that takes v >= threshold, whatever the program says."""

    def step(
        self, population: Population, state: golden.State, arriving: Array, t: int
    ) -> tuple[Array, golden.State]:
        if "vth" in population.params and population.name == "last":
            population = replace(population, params={**population.params, "at": 1})
        return super().step(population, state, arriving, t)


class Forgets(FixedArithmetic):
    """A copy of the machine that loses the low bits of every potential."""

    def step(
        self, population: Population, state: golden.State, arriving: Array, t: int
    ) -> tuple[Array, golden.State]:
        output, state = super().step(population, state, arriving, t)
        if population.name == "first":
            state = {**state, "v": state["v"] >> 11 << 11}
        return output, state


@pytest.mark.parametrize(
    ("machine", "layer", "cause"),
    [(FiresAt(), "last", "threshold"), (Forgets(), "first", "arithmetic")],
    ids=["fires at", "forgets"],
)
def test_a_broken_machine_is_named_though_the_program_is_right(
    machine: FixedArithmetic, layer: str, cause: str
) -> None:
    found = by_layer(causes(nd.compile(network(), "emulator"), machine))
    assert found[layer].dominant == cause, found[layer]
    (other,) = set(found) - {layer}
    assert found[other].error < 0.05


@pytest.mark.parametrize("chip", CHIPS)
def test_rounded_weights_are_the_cause_where_nothing_else_is_rounded(chip: str) -> None:
    found = by_layer(causes(nd.compile(network(exact=False), chip)))
    assert found["last"].dominant == "weights"
    assert found["last"].causes["decay"] == 0


@settings(max_examples=15, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), layers_=st.integers(1, 3))
def test_the_model_in_variants_is_the_reference(seed: int, layers_: int) -> None:
    """If no number is exchanged, a layer fed by the reference gives the reference's output."""
    model, _ = apply_all(random_network(seed, layers_, unit_gain=True, recurrent=False), EXACT)
    given_ = random_recording(model, seed, steps=40)
    view = layers(model)
    assume(not view.loose)
    for node in model.of(net.Population):
        outputs = {**reference.run(model, given_, record=view.stops).outputs, **fed(model, given_)}
        own = ideal(model, view, node.name)
        work = Variants(node, [own], [np.ones(())])
        got = np.zeros((40, *node.shape))
        arriving = np.zeros((40, *node.shape))
        for link in view.into(node.name):
            bare = _bare(link, model)
            frames = outputs[link.source].dense().reshape(40, *bare.input_shape)
            arriving += connection(bare)(frames).reshape(arriving.shape) * drive(model, node.name)
        for t, x in enumerate(arriving):
            got[t] = work.step(x[None])[0]
        assert np.allclose(got, outputs[node.name].dense(), rtol=1e-4, atol=1e-4)


def test_a_target_that_does_not_say_what_its_integers_mean_is_refused_before_the_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bundle = nd.compile(network(), "loihi2")
    plain = SimpleNamespace(name="plain")
    monkeypatch.setattr(
        "nrf_deploy.verification.attribution.attribution_run.target_of", lambda bundle: plain
    )
    monkeypatch.setattr("nrf_deploy.verification.verify.run_engine", None)
    with pytest.raises(UsageError, match="VERIFY-ATTRIBUTE"):
        nd.verify(bundle, recording(), attribute=True)


def test_a_rewrite_that_changes_spikes_is_a_cause() -> None:
    bundle = nd.compile(network(), "emulator", allow=["exact-decay"])
    found = by_layer(causes(bundle))
    assert found["first"].dominant == "exact-decay"
    assert found["first"].causes["decay"] < found["first"].causes["exact-decay"]


def test_layers_of_one_cause_are_told_as_one() -> None:
    """The findings keep a line a layer, for programs."""
    layers = [
        LayerCauses(name, 9, 0.5, {"weights": w, "decay": d}, 0, "places")
        for name, w, d in (("a", 0.4, 0.1), ("b", 0.1, 0.4), ("c", 0.3, 0.0))
    ]
    shares = Attribution(tuple(layers), {"d": "why"})
    assert [f.layer for f in shares.findings()] == ["a", "b", "c", "d"]
    both, alone, left_out = shares.told()
    assert "2 layers are off most by weights; worst: layer 'a', 40% by weights" in both.what
    assert "then 'c'" in both.what
    assert "--calibrate" in both.fix
    assert alone == list(shares.findings())[1]
    assert left_out.layer == "d"
