"""A bias in front of a filtered current: added to the sum in every step, from the right step."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nrf_deploy.bundle import pipeline
from nrf_deploy.compiler.driver import Verdict
from nrf_deploy.compiler.quantize.rules import LayerRules, Rules
from nrf_deploy.engines.reference import run as run_reference
from nrf_deploy.ir.network import CubaLIF, Edge, Input, Linear, Network, Node, Output, Population
from nrf_deploy.ir.program import Dense
from nrf_deploy.ir.recording import Recording
from nrf_deploy.neurons import Reset, Spikes
from nrf_loihi.arithmetic.rules import LoihiArithmetic
from nrf_loihi.compile.constant_input import MOST, arriving_always, parts
from nrf_loihi.lava import engine
from tests.builders.loihi_programs import Case, first_difference, run_golden
from tests.builders.random_networks import random_network, random_recording
from tests.targets.loihi.test_lava import missing_lava

SIZES = (5, 4, 3)
GAIN = 90.0


@given(st.lists(st.integers(-MOST, MOST), min_size=1, max_size=8))
def test_synapses_of_8_bits_add_up_to_any_integer(integers: list[int]) -> None:
    total = np.zeros(len(integers), np.int64)
    for weights, exponent in parts(np.array(integers)):
        synapses = Dense(
            name="s",
            source="a",
            targets=("b",),
            weight=weights.reshape(-1, 1),
            source_shape=(1,),
            target_shape=(len(weights),),
        )
        assert 0 <= exponent <= 7
        total += LoihiArithmetic().held(synapses).ravel() << exponent
    assert total.tolist() == integers


def cuba(name: str, size: int, rng: np.random.Generator) -> Population:
    tau_mem, tau_syn = (rng.uniform(2, 20, size) * 1e-3 for _ in range(2))
    return CubaLIF(
        name=name,
        tau_mem=tau_mem,
        tau_syn=tau_syn,
        r=np.ones(size),
        v_leak=np.zeros(size),
        w_in=tau_syn / 1e-3,
        v_threshold=rng.uniform(0.2, 1.0, size),
    )


def biased(seed: int, bias: float, back: str = "") -> Network:
    """Return two layers of filtered currents with biases, and a loop at the first one."""
    rng = np.random.default_rng(seed)
    nodes: list[Node] = [Input(name="x", port_shape=SIZES[:1])]
    edges: list[Edge] = []
    before = "x"
    for k, (ins, outs) in enumerate(pairwise(SIZES)):
        weight, biases = rng.normal(0.3, 0.5, (outs, ins)), rng.normal(0, bias, outs)
        nodes += [Linear(name=f"w{k}", weight=weight, bias=biases), cuba(f"n{k}", outs, rng)]
        edges += [(before, f"w{k}"), (f"w{k}", f"n{k}")]
        before = f"n{k}"
    if back:
        size = SIZES[1]
        loop = Linear(
            name="back", weight=rng.normal(-0.2, 0.2, (size, size)), bias=rng.normal(0, bias, size)
        )
        nodes.append(loop)
        edges += [("n0", "back"), ("back", "n0")]
    nodes.append(Output(name="y", port_shape=SIZES[-1:]))
    edges.append((before, "y"))
    start = {"loop_start": back} if back else {}
    return Network(tuple(nodes), tuple(edges), 1e-3, **start)  # type: ignore[arg-type]


def in_units(network: Network) -> Network:
    """Return the network with biases of whole weight units, which leave nothing to the register."""

    def rounded(node: Node) -> Node:
        if not isinstance(node, Linear) or node.bias is None:
            return node
        return replace(node, bias=np.rint(node.bias * GAIN) / GAIN)

    return replace(network, nodes=tuple(map(rounded, network.nodes)))


def by_hand(verdict: Verdict, network: Network, frames: np.ndarray) -> dict[str, list[np.ndarray]]:
    """Run a program with each bias added to the sum of its layer, and no neuron that is always on.

    Returns the spikes, currents and potentials of each layer.
    """
    assert verdict.program is not None
    assert verdict.scheme is not None
    program, rules = verdict.program, LoihiArithmetic()
    layers = [p for p in program.populations if p.name.startswith("n")]
    state = {p.name: rules.start(p) for p in layers}
    sent = {"x": np.zeros(SIZES[0], np.int64), **{p.name: np.zeros(p.size) for p in layers}}
    out: dict[str, list[np.ndarray]] = {p.name: [] for p in layers}
    for t, frame in enumerate(frames):
        before, sent = sent, {"x": frame}
        for k, p in enumerate(layers):
            total = np.zeros(p.size, np.int64)
            for s in program.into(p.name):
                if s.source in before:
                    total += rules.deliver(s, rules.held(s) @ rules.message(s, before[s.source]))
            biases = {False: np.zeros(p.size), True: np.zeros(p.size)}
            for name in (f"w{k}", "back"):
                if name not in network or p.name not in network.targets(name):
                    continue
                gain = verdict.scheme.connections[name].gain
                late = name == "back" and network.loop_start == "zero"
                node = network[name]
                assert isinstance(node, Linear)
                assert node.bias is not None
                biases[late] += node.bias * gain
            for late, added in biases.items():  # the sum of biases is rounded, not each
                if t >= program.origin(p.name).latency + late:
                    total += np.rint(added).astype(np.int64)
            sent[p.name], state[p.name] = rules.step(p, state[p.name], total, t)
            out[p.name].append(np.stack([sent[p.name], state[p.name]["u"], state[p.name]["v"]]))
    return out


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 999), st.sampled_from([0.05, 0.5, 3.0]), st.sampled_from(["", "zero", "bias"])
)
def test_a_bias_is_added_to_the_sum_in_every_step_of_the_model(
    seed: int, bias: float, back: str
) -> None:
    network = biased(seed, bias, back)
    layers = [n for n in ("w0", "w1", "back") if n in network]
    network = in_units(network)
    scheme = Rules(layers={n: LayerRules(gain=GAIN) for n in layers})
    verdict = pipeline.check(network, "loihi2", scheme=scheme)
    assert not verdict.refused, verdict.findings
    assert verdict.program is not None
    frames = (np.random.default_rng(seed).random((40, SIZES[0])) < 0.3).astype(np.int64)
    trace = run_golden(Case(verdict.program, Recording.from_dense(frames)))
    for name, rows in by_hand(verdict, network, frames).items():
        spikes, u, v = np.stack(rows, axis=1)
        assert np.array_equal(trace.outputs[name].dense(), spikes)
        assert np.array_equal(trace.states[name]["u"], u)
        assert np.array_equal(trace.states[name]["v"], v)


def test_the_values_of_a_bias_behind_an_exponent_are_stated() -> None:
    network = in_units(biased(3, 5.0))
    scheme = Rules(layers={n: LayerRules(gain=GAIN) for n in ("w0", "w1")})
    verdict = pipeline.check(network, "loihi2", scheme=scheme)
    assert verdict.program is not None
    assert any(s.params.get("weight_exp") for s in verdict.program.synapses)
    node, gain = network["w1"], verdict.scheme.connections["w1"].gain  # type: ignore[union-attr]
    assert isinstance(node, Linear)
    assert node.bias is not None
    wanted = 64 * np.rint(node.bias * gain)
    assert np.array_equal(arriving_always(verdict.program, "n1"), wanted)


@pytest.fixture
def needs_lava() -> None:
    if missing_lava():
        pytest.skip(missing_lava())


@pytest.mark.parametrize("layer", ["n0", "n1"])
def test_a_bias_that_is_no_whole_unit_lifts_the_potential_by_as_much(layer: str) -> None:
    """From the first step of the model on: only 64ths are rounded, in each step."""
    network = quiet(biased(7, 0.01))
    silence = Recording.from_dense(np.zeros((150, SIZES[0]), np.int64), 1e-3)
    bundle = pipeline.compile(network, "loihi2")
    gain = float(np.max(bundle.scheme.connections[f"w{layer[1]}"].gain))
    node = network[f"w{layer[1]}"]
    assert isinstance(node, Linear)
    assert node.bias is not None
    assert np.abs(node.bias * gain - np.rint(node.bias * gain)).max() > 0.2
    origin = bundle.program.origin(layer)
    chip = run_golden(Case(bundle.program, silence)).states[layer]["v"][origin.latency :]
    model = run_reference(network, silence, states=[layer]).states[layer]["v"][: len(chip)]
    off = np.abs(chip / origin.scale["v"] - model).max(axis=0)
    assert np.all(off <= 0.01 * np.abs(model).max(axis=0) + 100 / np.asarray(origin.scale["v"]))


def quiet(network: Network) -> Network:
    """Return the network with thresholds that nothing reaches."""
    return replace(
        network,
        nodes=tuple(
            n.with_(threshold=50 * n.rule.threshold)
            if type(n) is Population and type(n.rule) is Spikes
            else n
            for n in network.nodes
        ),
    )


def equal_to_lava(seeds: range) -> int:
    """Return the number of random networks with such biases whose every state equals Lava's."""
    cases = []
    for seed in seeds:
        network = random_network(
            seed, 2, neurons=("CubaLIF",), resets=("value",), readout=("CubaLI", "LI", "")
        )
        recording = random_recording(network, seed, 30)
        verdict = pipeline.check(network, "loihi2", calibrate=recording if seed % 2 else None)
        if not verdict.refused and verdict.program is not None:
            always = any(p.name == "always on" for p in verdict.program.populations)
            cases += [Case(verdict.program, recording)] if always else []
    demand_lavas_states(cases)
    return len(cases)


def demand_lavas_states(cases: list[Case]) -> None:
    """Check that every output and state of these programs is Lava's."""
    traces = engine.run_many([(case.program, case.recording) for case in cases])
    for case, trace in zip(cases, traces, strict=True):
        assert first_difference(run_golden(case), trace) is None


@pytest.mark.usefixtures("needs_lava")
def test_lava_adds_the_same_biases() -> None:
    assert equal_to_lava(range(4)) >= 2


@pytest.mark.conformance
@pytest.mark.usefixtures("needs_lava")
def test_lava_adds_the_same_biases_in_a_hundred_networks() -> None:
    assert equal_to_lava(range(160)) >= 100


@pytest.mark.usefixtures("needs_lava")
def test_the_recurrent_braille_readers_with_biases_run_on_lava_as_compiled(shared: Path) -> None:
    cases = []
    for file in ("braille_zero", "braille_noDelay_bias_zero"):
        path = shared / f"conformance/nir/{file}.nir"
        bundle = pipeline.compile(path, "loihi2", dt=1e-4, reset="value", fires="above")
        frames = (np.random.default_rng(0).random((256, 12)) < 0.02).astype(np.int64)
        cases.append(Case(bundle.program, Recording.from_dense(frames, 1e-4)))
        chip = run_golden(cases[-1])
        model = run_reference(bundle.network, cases[-1].recording, record=["lif1.lif", "lif2"])
        for layer in ("lif1.lif", "lif2"):
            got, wanted = (t.outputs[layer].counts().sum() for t in (chip, model))
            assert wanted > 200
            assert abs(got - wanted) < 0.02 * wanted
    demand_lavas_states(cases)


@pytest.mark.parametrize("reset", ["subtract", "late"])
def test_the_braille_readers_that_subtract_are_refused_by_name(shared: Path, reset: Reset) -> None:
    path = shared / "conformance/nir/braille_subtract.nir"
    verdict = pipeline.check(path, "loihi2", dt=1e-4, reset=reset, fires="above")
    errors = [f for f in verdict.findings if f.severity == "error"]
    assert [(f.code, f.layer) for f in errors] == [
        ("LOIHI-RESET-SUBTRACT", "lif1.lif"),
        ("LOIHI-RESET-SUBTRACT", "lif2"),
    ]
    assert all("--allow subtract-as-zero-reset" in f.fix for f in errors)
