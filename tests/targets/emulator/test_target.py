"""The machine that a user describes: from a model to a verified bundle, at any bits."""

from __future__ import annotations

import dataclasses
import itertools
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nrf_deploy as nd
from nrf_deploy.diagnostics.findings import TargetError
from nrf_deploy.ir.network import (
    IF,
    LI,
    LIF,
    CubaLIF,
    Delay,
    Input,
    Linear,
    Network,
    Node,
    Output,
    Population,
    Threshold,
)
from nrf_deploy.ir.recording import Recording
from nrf_deploy.verification.report.report import Report
from nrf_emulator import target
from tests.builders.random_networks import random_network, random_recording

WIDE = "emulator-float-like"


def chain(*nodes: Node, loop: tuple[str, str] | None = None, dt: float = 1.0) -> Network:
    """Build input, these nodes and output; `loop` is one more edge."""
    ends = (
        Input(name="input", port_shape=nodes[0].input_shape),
        *nodes,
        Output(name="output", port_shape=nodes[-1].shape),
    )
    edges = [(a.name, b.name) for a, b in itertools.pairwise(ends)]
    return Network(ends, (*edges, *([loop] if loop else [])), dt)


def linear(name: str = "w", size: int = 6, seed: int = 0, bias: float = 0.0) -> Linear:
    rng = np.random.default_rng(seed)
    weight = rng.integers(-60, 128, (size, size)) / 128
    return Linear(name=name, weight=weight, bias=np.full(size, bias) if bias else None)


def full(x: float, size: int = 6) -> np.ndarray:
    return np.full(size, x)


def lif(name: str = "n", tau: float = 4.0, **other: object) -> Population:
    usual = {"r": full(tau), "v_leak": full(0.0), "v_reset": full(0.0), "v_threshold": full(1.0)}
    return LIF(name=name, tau=full(tau), **{**usual, **other})  # type: ignore[arg-type]


def spiking_if(name: str = "n", **other: object) -> Population:
    usual = {"r": full(1.0), "v_threshold": full(1.0), "v_reset": full(0.0)}
    return IF(name=name, **{**usual, **other})  # type: ignore[arg-type]


def some_input(network: Network, steps: int = 60, seed: int = 3) -> Recording:
    return random_recording(network, seed, steps)


def verified(network: Network, chip: str, calibration: Recording | None = None) -> Report:
    recording = some_input(network)
    return nd.verify(nd.compile(network, chip, calibration), recording)


def differ(report: Report) -> int:
    return sum(layer.mismatches for layer in report.comparison.layers)


def fired(report: Report) -> int:
    return sum(layer.spikes_right for layer in report.comparison.layers)


# --- wide bits: the model itself ------------------------------------------------


@settings(max_examples=15, deadline=None, derandomize=True)
@given(st.integers(0, 2**20), st.integers(1, 3), st.sampled_from([0, 1]))
def test_with_wide_bits_every_spike_is_the_model_s(seed: int, layers: int, latency: int) -> None:
    """LIF, CubaLIF and IF, resets of both kinds to any value, leaks, branches, loops, pools."""
    network = random_network(seed, layers, readout=("",), connections=("Linear", "Conv", "SumPool"))
    recording = random_recording(network, seed, 30)
    report = nd.verify(nd.compile(network, f"{WIDE}:latency={latency}"), recording)
    assert differ(report) <= 0.002 * fired(report)


@settings(max_examples=8, deadline=None, derandomize=True)
@given(st.integers(0, 2**20))
def test_potentials_come_out_as_the_model_s(seed: int) -> None:
    network = random_network(seed, 1, readout=("LI", "CubaLI"), connections=("Linear",))
    recording = random_recording(network, seed, 30)
    report = nd.verify(nd.compile(network, WIDE, recording), recording)
    assert report.passed, report.text()


@pytest.mark.parametrize("latency", [0, 1])
@pytest.mark.parametrize(
    "neurons",
    [
        lif(v_leak=full(0.25)),
        lif(v_reset=full(-0.5)),
        lif(reset="subtract"),
        lif(v_threshold=np.linspace(0.5, 2, 6)),
        spiking_if(fires="at"),
        spiking_if(reset="subtract", fires="at"),
        CubaLIF(
            name="n",
            tau_syn=full(2.0),
            tau_mem=full(4.0),
            r=full(4.0),
            v_leak=full(0.0),
            w_in=full(2.0),
            v_threshold=full(1.0),
            v_reset=full(0.0),
        ),
        Threshold(name="n", threshold=full(0.75)),
    ],
)
def test_whatever_a_neuron_does_is_kept(neurons: Node, latency: int) -> None:
    network = chain(linear(bias=0.125), neurons, linear("w2", seed=1), spiking_if("out"))
    report = verified(network, f"{WIDE}:latency={latency}")
    assert report.comparison.exact, report.text()
    assert fired(report) > 20


@pytest.mark.parametrize("latency", [0, 1])
def test_delays_of_every_length_are_kept(latency: int) -> None:
    delay = Delay(name="d", delay=np.array([0.0, 1, 2, 3, 5, 8]))
    network = chain(linear(), lif(), delay, linear("w2", seed=1), spiking_if("out"))
    report = verified(network, f"{WIDE}:latency={latency}")
    assert report.comparison.exact, report.text()


@pytest.mark.parametrize("layer", ["u", "v"])
def test_payloads_are_as_fine_for_a_fast_neuron_as_for_a_slow_one(layer: str) -> None:
    """One unit of v counts tau times as much; a payload must not."""
    tau = np.array([2.0, 4.0, 8.0, 16.0, 32.0, 64.0])
    neurons = {"tau": tau, "r": full(1.0), "v_leak": full(0.0)}
    positive = Linear(name="a", weight=np.random.default_rng(0).uniform(0.2, 1, (6, 6)))
    network = chain(positive, LI(name="u", **neurons), linear("b", seed=1), LI(name="v", **neurons))
    recording = some_input(network, 200)
    bundle = nd.compile(network, "emulator", recording)
    wanted, sent = (
        nd.run(bundle, recording, engine, layer=[layer]).outputs[layer].dense()
        for engine in ("reference", "emulator")
    )
    off = np.linalg.norm(sent / nd.bundle.pipeline.unit(bundle, layer) - wanted, axis=0)  # type: ignore[operator]
    assert (off / np.linalg.norm(wanted, axis=0)).max() < 0.05


def test_coarse_payloads_are_told() -> None:
    neurons = {"tau": full(4.0), "r": full(1.0), "v_leak": full(0.0)}
    network = chain(linear("a"), LI(name="u", **neurons), linear("b", seed=1), lif())
    verdict = nd.check(network, "emulator:message_bits=3", some_input(network))
    assert ("EMULATOR-PAYLOAD", "u") in {(f.code, f.layer) for f in verdict.findings}
    verdict = nd.check(network, "emulator", some_input(network))
    assert "EMULATOR-PAYLOAD" not in {f.code for f in verdict.findings}


def test_potentials_between_layers_travel_as_payloads() -> None:
    analogue = LI(name="li", tau=full(4.0), r=full(1.0), v_leak=full(0.0))
    network = chain(linear(), analogue, linear("w2", seed=1), spiking_if("out"))
    report = verified(network, WIDE)
    assert report.passed, report.text()
    (spikes,) = (c for c in report.comparison.layers if c.layer == "out")
    assert spikes.mismatches == 0


@pytest.mark.parametrize("bias", [0.0, 0.125])
def test_a_loop_is_as_late_as_in_the_model(bias: float) -> None:
    """Also where a bias lies behind the loop's delay and so misses the first step."""
    network = chain(linear(), lif(), loop=("n", "back"))
    back = linear("back", seed=5, bias=bias)
    network = Network((*network.nodes, back), (*network.edges, ("back", "n")), network.dt)
    assert verified(network, WIDE).comparison.exact
    assert verified(network, f"{WIDE}:latency=1").comparison.exact


def test_a_loop_over_two_layers_needs_a_machine_without_latency() -> None:
    network = chain(linear(), lif("a"), linear("w2", seed=1), lif("b"), loop=("b", "back"))
    back = linear("back", seed=5)
    network = Network((*network.nodes, back), (*network.edges, ("back", "a")), network.dt)
    assert verified(network, WIDE).comparison.exact
    with pytest.raises(TargetError, match="EMULATOR-LOOP"):
        nd.compile(network, f"{WIDE}:latency=1")


# --- fewer bits -------------------------------------------------------------------


def test_more_bits_differ_less() -> None:
    network = chain(linear(), lif(), linear("w2", seed=1), lif("out"))
    counts = [
        differ(verified(network, f"{WIDE}:weight_bits={w},decay_bits={d}"))
        for w, d in ((3, 3), (5, 8), (24, 24))
    ]
    assert counts[0] > counts[2] == 0
    assert counts[0] >= counts[1]


def test_data_choose_a_gain_that_is_no_worse() -> None:
    network = chain(linear(), lif(), linear("w2", seed=1), lif("out"))
    recording, chip = some_input(network), "emulator:weight_bits=3"
    with_data = differ(verified(network, chip, recording))
    assert with_data <= differ(verified(network, chip))


def test_a_subtractive_leak_is_named_and_measured() -> None:
    network = chain(linear(), lif())
    recording, chip = some_input(network), "emulator:leak=subtractive"
    bundle = nd.compile(network, chip, recording)
    said = [f for f in bundle.findings if f.code == "EMULATOR-LEAK-SUBTRACTIVE"]
    assert [f.severity for f in said] == ["warning"]
    assert "25.00%" in said[0].what
    assert {"leak", "rest"} <= set(bundle.program.population("n").params)
    assert any(f.code == "EMULATOR-FIT" for f in bundle.findings)
    assert nd.verify(bundle, recording).comparison.layers[0].spikes_left > 0


def test_neurons_without_a_leak_do_not_care_for_its_kind() -> None:
    network = chain(linear(), spiking_if())
    assert verified(network, f"{WIDE}:leak=subtractive").comparison.exact


def test_a_machine_that_fires_at_its_threshold_holds_one_that_is_higher_by_one() -> None:
    network = chain(linear(), spiking_if())
    usual = nd.compile(network, "emulator:fires=above").program.population("n").params["vth"]
    higher = nd.compile(network, "emulator:fires=at").program.population("n").params["vth"]
    assert np.all(np.asarray(higher) == np.asarray(usual) + 1)
    assert verified(network, f"{WIDE}:fires=at").comparison.exact


def test_sums_that_leave_their_range_are_told() -> None:
    network = chain(linear(), lif())
    said = nd.check(network, "emulator:sum_bits=8,overflow=wrap").findings
    (warned,) = (f for f in said if f.code == "EMULATOR-RANGE" and f.severity == "warning")
    assert "8 sum_bits hold 127: it wraps" in warned.what
    assert "current" not in warned.what, "only what is too large is named"
    (needed,) = re.findall(r"set sum_bits to at least (\d+)", warned.fix)
    (reached,) = re.findall(r"would be ([\d,]+),", warned.what)
    assert 2 ** (int(needed) - 2) <= int(reached.replace(",", "")) < 2 ** (int(needed) - 1)
    assert "state_bits" not in warned.fix


def many_into_one() -> Network:
    return chain(Linear(name="w", weight=np.ones((6, 40))), spiking_if())


def test_a_current_that_leaves_its_range_does_not_blame_the_sums() -> None:
    said = nd.check(many_into_one(), "emulator:state_bits=12,fraction_bits=2").findings
    (warned,) = (f for f in said if f.code == "EMULATOR-RANGE" and f.severity == "warning")
    assert "the current would be" in warned.what
    assert "12 state_bits hold 2,047: it saturates" in warned.what
    assert "sum" not in f"{warned.what} {warned.fix}"
    assert "--calibrate" in warned.fix


def test_after_a_calibration_the_way_out_is_no_calibration() -> None:
    rare = Recording.from_dense(np.eye(40, dtype=np.int64))
    said = nd.check(many_into_one(), "emulator:state_bits=12,fraction_bits=2", rare).findings
    warned = [f for f in said if f.code == "EMULATOR-RANGE" and f.severity == "warning"]
    assert warned
    assert not any("--calibrate" in f.fix for f in warned)
    assert all(f.fix.startswith("nothing, for input like the data") for f in warned)


# --- what this machine cannot hold -------------------------------------------------


@pytest.mark.parametrize(
    ("network", "chip", "code"),
    [
        (chain(linear(), lif(reset="subtract")), "emulator:reset=value", "EMULATOR-RESET-SUBTRACT"),
        (chain(linear(), lif()), "emulator:reset=subtract", "EMULATOR-RESET-VALUE"),
        (chain(linear(), lif(tau=9e9)), "emulator", "EMULATOR-DECAY-ZERO"),
        (chain(linear(), lif(r=full(-1.0))), "emulator", "EMULATOR-DRIVE"),
        (chain(linear(), lif()), "emulator:neurons=5", "EMULATOR-BUDGET"),
        (chain(linear(), lif()), "emulator:memory_bytes=10", "EMULATOR-BUDGET"),
        (
            chain(linear(), lif(), Delay(name="d", delay=full(4.0)), linear("w2"), lif("out")),
            "emulator:longest_delay=3",
            "EMULATOR-DELAY",
        ),
        (
            chain(linear(), LI(name="n", tau=full(4.0), r=full(1.0), v_leak=full(0.0))),
            "emulator:leak=subtractive",
            "EMULATOR-LEAK-KIND",
        ),
    ],
)
def test_what_cannot_be_held_is_refused_by_name(network: Network, chip: str, code: str) -> None:
    with pytest.raises(TargetError) as refusal:
        nd.compile(network, chip)
    assert code in {f.code for f in refusal.value.findings if f.severity == "error"}
    assert all(f.fix for f in refusal.value.findings if f.severity == "error")


def test_all_problems_are_told_at_once() -> None:
    network = chain(linear(), lif(tau=9e9, r=full(-1.0), reset="subtract"))
    verdict = nd.check(network, "emulator:reset=value")
    codes = {f.code for f in verdict.findings if f.severity == "error"}
    assert codes == {"EMULATOR-RESET-SUBTRACT", "EMULATOR-DRIVE", "EMULATOR-DECAY-ZERO"}


def test_a_refused_reset_can_be_allowed_to_be_another() -> None:
    network = chain(linear(), lif(reset="subtract"))
    bundle = nd.compile(network, "emulator:reset=value", allow=["subtract-as-zero-reset"])
    assert bundle.program.population("n").params["subtract"] == 0


def test_an_exact_decay_can_be_allowed() -> None:
    bundle = nd.compile(chain(linear(), lif()), WIDE, allow=["exact-decay"])
    kept = 1 - bundle.program.population("n").params["decay"] / 2**24
    assert kept == pytest.approx(np.exp(-1 / 4), abs=1e-7)


# --- bundles -----------------------------------------------------------------------


def test_a_bundle_needs_no_file_beside_it(tmp_path: Path) -> None:
    """The bundle stores the content of a file; neither its name nor its path."""
    network = chain(linear(), lif())
    paths = [tmp_path / "a.nrfb", tmp_path / "b.nrfb"]
    for path in paths:
        chip = tmp_path / f"{path.stem}.toml"
        chip.write_text("weight_bits = 5\nstate_bits = 20\n")
        nd.save(nd.compile(network, str(chip)), path)
        chip.unlink()
    assert paths[0].read_bytes() == paths[1].read_bytes()
    bundle = nd.load(paths[0])
    assert bundle.chip == "emulator:weight_bits=5,state_bits=20,fraction_bits=6"
    assert bundle.program.population("n").params["state_bits"] == 20
    trace = nd.run(bundle, some_input(network))
    assert trace.outputs["n"].value.any()


def test_the_core_shows_what_is_needed_and_limits_only_what_was_said() -> None:
    network = chain(linear(), lif())
    placement = nd.compile(network, "emulator:weights=100").placement
    assert placement.limits == {"weights": 100}
    assert placement.used(0) == {"neurons": 6, "weights": 36, "memory_bytes": 36 + 18}


def test_every_preset_is_a_chip_of_the_shelf() -> None:
    for chip, table in target.chips.items():
        assert table["about"]
        network = chain(linear(), lif(tau=2.0))
        assert nd.compile(network, chip).chip == chip


def test_a_scheme_may_use_fewer_bits_but_not_more() -> None:
    from nrf_deploy.compiler.quantize.rules import LayerRules, Rules

    network = chain(linear(), lif())
    rules = Rules(layers={"w": LayerRules(weight_bits=3)})
    weight = nd.compile(network, "emulator", scheme=rules).program.synapses[0].weight
    assert np.abs(weight).max() == 3
    rules = dataclasses.replace(rules, layers={"w": LayerRules(weight_bits=8)})
    with pytest.raises(TargetError, match="SCHEME-BITS"):
        nd.compile(network, "emulator:weight_bits=4", scheme=rules)
