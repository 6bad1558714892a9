"""The unit of a chip's output: every target states it, and none is guessed."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import nrf_deploy as nd
from nrf_deploy.bundle import pipeline
from nrf_deploy.bundle.bundle import Bundle
from nrf_deploy.compiler.target import Target
from nrf_deploy.diagnostics.findings import TargetError
from nrf_deploy.ir.network import (
    IF,
    LI,
    Array,
    Conv,
    CubaLI,
    Delay,
    I,
    Input,
    Linear,
    Network,
    Node,
    Output,
    Population,
)
from nrf_deploy.ir.program import MISSING_SCALE, OUTPUT, Program
from nrf_deploy.ir.recording import Recording
from nrf_deploy.testing.conformance import Conformance, run_conformance
from nrf_deploy.verification.task.readout import followed
from nrf_emulator import target as emulator
from nrf_loihi import target as loihi
from nrf_speck import target as speck

SIZE = 4
ONE = np.ones(SIZE)
CHOICES: dict[str, tuple[str, ...]] = {"speck2b": ("rate-code", "spike-count")}
CHIPS = ("loihi2", "emulator", "speck2b")


def li(name: str, rectified: bool = False) -> Population:
    return LI(name=name, tau=4 * ONE, r=ONE, v_leak=0 * ONE, rectified=rectified)


def linear(name: str, seed: int = 0) -> Linear:
    return Linear(name=name, weight=np.random.default_rng(seed).uniform(-0.3, 1, (SIZE, SIZE)))


def chain(*nodes: Node) -> Network:
    ends = (Input(name="in", port_shape=(SIZE,)), *nodes, Output(name="out", port_shape=(SIZE,)))
    return Network(ends, tuple((a.name, b.name) for a, b in pairwise(ends)), dt=1.0)


def compiled(network: Network, chip: str, recording: Recording) -> Bundle:
    return nd.compile(network, chip, recording, allow=CHOICES.get(chip, ()))


@pytest.fixture(scope="module")
def recording() -> Recording:
    """Long stretches of a steady rate: what counts one by one is right over such a stretch."""
    return Recording.from_dense((np.random.default_rng(3).random((400, SIZE)) < 0.4).astype(int))


def mean(bundle: Bundle, recording: Recording, layer: str, engine: str) -> Array:
    output = nd.run(bundle, recording, engine, layer=[layer]).outputs[layer]
    late = pipeline.latency(bundle, engine).get(layer, 0)
    unit = pipeline.unit(bundle, layer, engine)
    values = output.shifted(late).dense() / (1.0 if unit is None else unit)
    return np.asarray(values[:400].mean(axis=0))


NETWORKS = {
    "read": chain(linear("l"), li("v")),
    "rectified": chain(linear("l"), li("v", rectified=True)),
    "sent on": chain(linear("l"), li("u"), linear("m", 1), li("v")),
    "rectified, sent on": chain(
        linear("l"), li("u", rectified=True), linear("m", 1), li("v", rectified=True)
    ),
}


@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize("form", NETWORKS)
def test_every_value_is_decoded_to_the_float_one(
    chip: str, form: str, recording: Recording
) -> None:
    bundle = compiled(NETWORKS[form], chip, recording)
    for node in bundle.network.of(Population):
        wanted = mean(bundle, recording, node.name, "reference")
        found = mean(bundle, recording, node.name, "emulator")
        assert np.abs(wanted).max() > 0.1
        np.testing.assert_allclose(found, wanted, atol=0.06 * np.abs(wanted).max())


def test_a_current_with_a_memory_and_no_leak_at_all_are_decoded_too(recording: Recording) -> None:
    cuba = CubaLI(name="v", tau_syn=2 * ONE, tau_mem=4 * ONE, r=ONE, v_leak=0 * ONE, w_in=2 * ONE)
    for neurons in (cuba, I(name="v", r=0.01 * ONE)):
        bundle = compiled(chain(linear("l"), neurons), "emulator", recording)
        wanted, found = (mean(bundle, recording, "v", e) for e in ("reference", "emulator"))
        np.testing.assert_allclose(found, wanted, atol=0.03 * np.abs(wanted).max())


def test_a_delay_passes_its_source_s_unit_on(recording: Recording) -> None:
    network = chain(linear("l"), li("v"), Delay(name="d", delay=3 * ONE))
    bundle = compiled(network, "emulator", recording)
    assert bundle.program.outputs == ("d",)
    wanted, found = (mean(bundle, recording, "d", e) for e in ("reference", "emulator"))
    np.testing.assert_allclose(found, wanted, atol=0.03 * np.abs(wanted).max())


@pytest.mark.parametrize("chip", CHIPS)
def test_a_unit_of_each_channel_is_read_a_neuron(chip: str) -> None:
    """The unit has one number for each channel, not for each column of the map."""
    frames = (np.random.default_rng(5).random((400, 1, 2, 2)) < 0.5).astype(int)
    given = Recording.from_dense(frames)
    tau = np.broadcast_to(np.array([2.0, 8.0])[:, None, None], (2, 2, 2))
    weight = np.random.default_rng(6).uniform(0.2, 1, (2, 1, 3, 3))
    conv = Conv(
        name="c",
        weight=weight,
        input_size=(2, 2),
        stride=(1, 1),
        padding=((1, 1), (1, 1)),
        dilation=(1, 1),
    )
    maps = LI(name="v", tau=tau, r=np.ones((2, 2, 2)), v_leak=np.zeros((2, 2, 2)))
    ends = (Input(name="in", port_shape=(1, 2, 2)), Output(name="out", port_shape=(2, 2, 2)))
    edges = (("in", "c"), ("c", "v"), ("v", "out"))
    readout = {"kind": "dsnt"}
    network = Network((ends[0], conv, maps, ends[1]), edges, dt=1.0, readout=readout)
    bundle = compiled(network, chip, given)
    wanted, found = (mean(bundle, given, "v", e) for e in ("reference", "emulator"))
    np.testing.assert_allclose(found, wanted, rtol=0.06)
    assert followed(bundle, given, "emulator").shape == (400, 2, 2)


@pytest.mark.parametrize("chip", CHIPS)
def test_spikes_have_no_unit(chip: str, recording: Recording) -> None:
    neurons = IF(name="n", r=ONE, v_threshold=2 * ONE, v_reset=0 * ONE)
    bundle = compiled(chain(linear("l"), neurons), chip, recording)
    assert pipeline.unit(bundle, "n") is None
    with pytest.raises(nd.UsageError, match=r"choose from: in, l, n, out$"):
        pipeline.unit(bundle, "none")
    assert OUTPUT not in bundle.program.origin("n").scale


@pytest.mark.parametrize("chip", CHIPS)
def test_every_target_says_it_of_a_value_also_where_that_is_v(
    chip: str, recording: Recording
) -> None:
    bundle = compiled(NETWORKS["read"], chip, recording)
    assert OUTPUT in bundle.program.origin("v").scale


# --- a target that forgets it -------------------------------------------------


def forgetful(monkeypatch: pytest.MonkeyPatch, target: Target) -> None:
    """Return the same target with origins that name only states."""
    lower = type(target).lower

    def without(self: Target, *given: Any) -> tuple[Program, Any]:
        program, said = lower(self, *given)
        origins = tuple(
            replace(o, scale={k: v for k, v in o.scale.items() if k != OUTPUT})
            for o in program.origins
        )
        return replace(program, origins=origins), said

    monkeypatch.setattr(type(target), "lower", without)


@pytest.mark.parametrize(
    ("target", "chip"), [(loihi, "loihi2"), (emulator, "emulator"), (speck, "speck2b")]
)
def test_a_target_that_forgets_it_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, target: Target, chip: str, recording: Recording
) -> None:
    forgetful(monkeypatch, target)
    with pytest.raises(TargetError) as refused:
        compiled(NETWORKS["sent on"], chip, recording)
    assert {(f.code, f.layer) for f in refused.value.findings if f.severity == "error"} == {
        (MISSING_SCALE, "u"),
        (MISSING_SCALE, "v"),
    }
    missing = [f for f in refused.value.findings if f.code == MISSING_SCALE]
    assert all("add-a-target.md" in f.fix for f in missing)


def test_the_conformance_run_says_so_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other refusals are not faults."""
    forgetful(monkeypatch, emulator)
    made: Conformance = run_conformance("emulator", case=["model/potential-out"])
    (result,) = made.results
    assert result.status == "broke"
    assert [f.code for f in result.findings if f.severity == "error"] == [MISSING_SCALE]
    assert not made.passed


def test_a_program_that_does_not_say_it_is_not_read_by_a_guess(recording: Recording) -> None:
    """Such as one in a bundle from elsewhere."""
    bundle = compiled(NETWORKS["read"], "emulator", recording)
    origin = bundle.program.origin("v")
    program = replace(bundle.program, origins=(replace(origin, scale={"v": origin.scale["v"]}),))
    with pytest.raises(TargetError) as refused:
        pipeline.unit(replace(bundle, program=program), "v")
    assert refused.value.findings[0].code == MISSING_SCALE
