"""Lowering to Loihi: where the integers can be exact, the emulator must equal the float model.

IF neurons with weights on a coarse grid lose nothing when the gain is a power of two.
Then every spike and every potential must agree, whatever the geometry, the biases, the
branches and the latency.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from nrf_deploy.bundle import pipeline
from nrf_deploy.bundle.bundle import Bundle
from nrf_deploy.compiler.passes import apply_all
from nrf_deploy.compiler.quantize.rules import LayerRules, Rules
from nrf_deploy.diagnostics.findings import TargetError
from nrf_deploy.ir.layer_view import layers
from nrf_deploy.ir.network import (
    IF,
    LIF,
    Conv,
    CubaLIF,
    Flatten,
    Input,
    Linear,
    Network,
    Output,
    Population,
    Scale,
)
from nrf_deploy.ir.recording import Recording
from nrf_deploy.neurons import Integrator, Spikes
from nrf_deploy.verification import Limits
from nrf_deploy.verification.verify import verify
from nrf_loihi import target
from nrf_loihi.arithmetic.neurons import CODES
from tests.builders.random_networks import networks, random_recording

GAIN = 64.0  # weights are multiples of 1/32 here, and mixed weights are even at 8 bits


def exact(network: Network) -> Rules:
    """Return the same gain for every layer, so that nothing is rounded."""
    legal, _ = apply_all(network, target.passes("loihi2"))
    names = {link.node.name if link.node else link.name for link in layers(legal).links}
    return Rules(layers={name: LayerRules(gain=GAIN) for name in names})


def demand_equal(network: Network, recording: Recording, chip: str = "loihi2") -> Bundle:
    bundle = pipeline.compile(network, chip, scheme=exact(network))
    report = verify(bundle, recording, limits=Limits(exact=True))
    assert report.comparison.exact, report.text()  # silent networks are equal too
    return bundle


def coarse(network: Network) -> Network:
    """Return the same network with numbers on the chip's grid."""

    def rounded(x: np.ndarray, unit: int) -> np.ndarray:
        return np.clip(np.rint(x * unit), -3 * unit, 3 * unit) / unit

    nodes = []
    for n in network.nodes:
        if isinstance(n, Linear | Conv):
            n = replace(n, weight=rounded(n.weight, 32))
        elif isinstance(n, Scale):
            n = replace(n, scale=rounded(n.scale, 32))
        elif type(n) is Population and type(n.rule) is Spikes:
            assert type(n.membrane) is Integrator
            n = n.with_(
                threshold=rounded(n.rule.threshold, 64), reset_to=rounded(n.rule.reset_to, 64)
            )
        nodes.append(n)
    return replace(network, nodes=tuple(nodes))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(
    networks(
        neurons=("IF",),
        resets=("value",),
        connections=("Linear", "Conv", "SumPool"),
        readout=("",),
        unit_gain=True,
    ).map(coarse),
    st.integers(0, 99),
)
def test_integrate_and_fire_networks_lose_nothing(network: Network, seed: int) -> None:
    recording = random_recording(network, seed, steps=30)
    program = pipeline.check(network, "loihi2", scheme=exact(network)).program
    assume(program is not None and all(np.abs(s.weight).max() < 254 for s in program.synapses))
    demand_equal(network, recording)


def if_layer(name: str, shape: tuple[int, ...], threshold: float = 1.0) -> Population:
    full = np.ones(shape)
    return IF(name=name, r=full * 1000, v_threshold=full * threshold, v_reset=full * 0)


def linear(name: str, weight: np.ndarray, bias: np.ndarray | None = None) -> Linear:
    return Linear(name=name, weight=weight, bias=bias)


def noise(shape: tuple[int, ...], steps: int, density: float, seed: int = 0) -> Recording:
    rng = np.random.default_rng(seed)
    return Recording.from_dense((rng.random((steps, *shape)) < density).astype(np.int64))


def test_branches_of_unequal_length_meet_in_the_right_step() -> None:
    """Network: x -> a -> b -> sum and x -> sum; the short way must wait two steps."""
    weight = np.array([[0.25, -0.125], [0.125, 0.375]])
    network = Network(
        (
            Input(name="x", port_shape=(2,)),
            linear("wa", weight),
            if_layer("a", (2,), 0.25),
            linear("wb", weight.T.copy()),
            if_layer("b", (2,), 0.25),
            linear("wc", weight),
            linear("wd", weight),
            if_layer("sum", (2,), 0.5),
            Output(name="y", port_shape=(2,)),
        ),
        (("x", "wa"), ("wa", "a"), ("a", "wb"), ("wb", "b"), ("b", "wc"), ("wc", "sum"),
         ("x", "wd"), ("wd", "sum"), ("sum", "y")),
        dt=1e-3,
    )  # fmt: skip
    demand_equal(network, noise((2,), 60, 0.5))


@pytest.mark.parametrize("taken", ["x~", "x~~", "x->sum", "wd (after 2)"])
def test_relays_and_links_never_take_the_name_of_a_layer(taken: str) -> None:
    """Network: x -> taken -> b -> sum, x -> sum directly and taken -> sum: both must wait."""
    weight = np.array([[0.25, -0.125], [0.125, 0.375]])
    network = Network(
        (
            Input(name="x", port_shape=(2,)),
            linear("wa", weight),
            if_layer(taken, (2,), 0.25),
            linear("wb", weight.T.copy()),
            if_layer("b", (2,), 0.25),
            linear("wc", weight),
            linear("wd", weight),
            linear("we", weight),
            if_layer("sum", (2,), 0.5),
            Output(name="y", port_shape=(2,)),
        ),
        (("x", "wa"), ("wa", taken), (taken, "wb"), ("wb", "b"), ("b", "wc"), ("wc", "sum"),
         ("x", "wd"), ("wd", "sum"), (taken, "we"), ("we", "sum"), ("sum", "y")),
        dt=1e-3,
    )  # fmt: skip
    bundle = demand_equal(network, noise((2,), 60, 0.5))
    assert list(bundle.program.faults()) == []
    assert len(bundle.program.populations) == 6  # two relays for x, one for the layer behind it


def test_every_population_that_feeds_an_output_is_one() -> None:
    """Two populations that meet in a Flatten before the output."""
    weight = np.eye(4).reshape(4, 4) / 4
    network = Network(
        (
            Input(name="x", port_shape=(4,)),
            linear("wa", weight),
            linear("wb", weight),
            if_layer("a", (4,), 0.25),
            if_layer("b", (4,), 0.5),
            Flatten(name="f", flat_input=(4,), start=0, end=-1),
            Output(name="y", port_shape=(4,)),
        ),
        (("x", "wa"), ("wa", "a"), ("x", "wb"), ("wb", "b"), ("a", "f"), ("b", "f"), ("f", "y")),
        dt=1e-3,
    )  # fmt: skip
    assert pipeline.compile(network, "loihi2").program.outputs == ("a", "b")


def test_a_program_with_two_synapses_of_one_name_is_not_sound() -> None:
    program = pipeline.compile(behind_each_other(), "loihi2").program
    (one, two) = program.synapses
    twice = replace(program, synapses=(one, replace(two, name=one.name)))
    assert list(twice.faults()) == [f"several synapses are named {one.name!r}"]


def behind_each_other() -> Network:
    return Network(
        (
            Input(name="x", port_shape=(2,)),
            linear("wa", np.eye(2)),
            if_layer("a", (2,)),
            linear("wb", np.eye(2)),
            if_layer("b", (2,)),
            Output(name="y", port_shape=(2,)),
        ),
        (("x", "wa"), ("wa", "a"), ("a", "wb"), ("wb", "b"), ("b", "y")),
        dt=1e-3,
    )


def test_a_bias_is_in_step_with_the_input_behind_any_latency() -> None:
    """The chip's bias works from step 1, the input arrives later: the start makes up for it."""
    nodes: list[object] = [Input(name="x", port_shape=(3,))]
    edges, last = [], "x"
    rng = np.random.default_rng(3)
    for depth in range(4):
        weight = rng.integers(-8, 16, (3, 3)) / 32
        bias = rng.integers(-10, 60, 3) / 256
        nodes += [linear(f"w{depth}", weight, bias), if_layer(f"n{depth}", (3,), 0.75)]
        edges += [(last, f"w{depth}"), (f"w{depth}", f"n{depth}")]
        last = f"n{depth}"
    nodes.append(Output(name="y", port_shape=(3,)))
    edges.append((last, "y"))
    demand_equal(Network(tuple(nodes), tuple(edges), 1e-3), noise((3,), 80, 0.3))  # type: ignore[arg-type]


def test_a_population_that_feeds_itself_is_met_exactly() -> None:
    network = Network(
        (
            Input(name="x", port_shape=(3,)),
            linear("w", np.eye(3) / 4),
            if_layer("n", (3,), 0.5),
            linear("back", (np.ones((3, 3)) - np.eye(3)) / 8),
            Output(name="y", port_shape=(3,)),
        ),
        (("x", "w"), ("w", "n"), ("n", "back"), ("back", "n"), ("n", "y")),
        dt=1e-3,
    )
    demand_equal(network, noise((3,), 60, 0.4))


def test_a_loop_of_two_layers_is_refused_with_its_reason() -> None:
    network = Network(
        (
            Input(name="x", port_shape=(2,)),
            linear("w", np.eye(2)),
            if_layer("a", (2,)),
            linear("v", np.eye(2)),
            if_layer("b", (2,)),
            linear("back", np.eye(2)),
            Output(name="y", port_shape=(2,)),
        ),
        (("x", "w"), ("w", "a"), ("a", "v"), ("v", "b"), ("b", "back"), ("back", "a"), ("b", "y")),
        dt=1e-3,
    )
    verdict = pipeline.check(network, "loihi2")
    assert [f.code for f in verdict.findings if f.severity == "error"] == ["LOIHI-LOOP"]


def test_parallel_populations_share_one_convolution() -> None:
    kernel = np.arange(-9, 9).reshape(2, 1, 3, 3) / 32
    conv = Conv(
        name="k",
        weight=kernel,
        input_size=(6, 6),
        stride=(1, 1),
        padding=((1, 1), (1, 1)),
        dilation=(1, 1),
    )
    network = Network(
        (
            Input(name="x", port_shape=(1, 6, 6)),
            conv,
            if_layer("fast", (2, 6, 6), 0.25),
            if_layer("slow", (2, 6, 6), 1.5),
            Output(name="y", port_shape=(2, 6, 6)),
        ),
        (("x", "k"), ("k", "fast"), ("k", "slow"), ("fast", "y"), ("slow", "y")),
        dt=1e-3,
    )
    recording = noise((1, 6, 6), 40, 0.2)
    synapses = demand_equal(network, recording).program.synapses
    assert [s.targets for s in synapses] == [("fast", "slow")]


def test_every_problem_is_reported_at_once() -> None:
    full = np.ones(2)
    network = Network(
        (
            Input(name="x", port_shape=(2,)),
            linear("zero", np.zeros((2, 2))),
            CubaLIF(
                name="subtract", tau_mem=full / 100, tau_syn=full / 100, r=full, w_in=full,
                v_leak=0 * full, v_threshold=full, reset="subtract",
            ),
            linear("w", np.eye(2)),
            LIF(
                name="leak", tau=full * 100, r=full, v_leak=0 * full,
                v_threshold=full, v_reset=0 * full,
            ),
            linear("last", np.eye(2)),
            Output(name="y", port_shape=(2,)),
        ),
        (("x", "zero"), ("zero", "subtract"), ("subtract", "w"), ("w", "leak"), ("leak", "last"),
         ("last", "y")),
        dt=1e-3,
    )  # fmt: skip
    with pytest.raises(TargetError) as refusal:
        pipeline.compile(network, "loihi2")
    found = {(f.code, f.layer) for f in refusal.value.findings if f.severity == "error"}
    assert found == {
        ("LOIHI-ALL-ZERO", "zero"),
        ("LOIHI-RESET-SUBTRACT", "subtract"),
        ("LOIHI-DECAY-ZERO", "leak"),
        ("LOIHI-NO-POPULATION", "last"),
    }


def test_every_finding_has_its_line_in_the_docs() -> None:
    root = Path(__file__).resolve().parents[3]
    sources = [f.read_text() for f in (root / "targets/nrf_loihi").rglob("*.py")]
    codes = {c for text in sources for c in re.findall(r'"(LOIHI-[A-Z-]+)"', text)}
    calls = {c for text in sources for c in re.findall(r"\bchecks\.(\w+)\(", text)}
    shared = (root / "nrf_deploy/compiler/checks.py").read_text().split("\ndef ")
    for _ in range(2):  # functions that others call
        called = [f for f in shared if f.split("(")[0] in calls]
        calls |= {c for f in called for c in re.findall(r"\b(\w+)\(", f)}
    for function in called:
        codes |= {f"LOIHI-{w}" for w in re.findall(r'f"\{prefix\}-([A-Z-]+)"', function)}
    codes |= set(CODES)
    lines = (root / "docs/loihi.md").read_text()
    assert len(codes) > 30
    assert codes == set(re.findall(r"`(LOIHI-[A-Z-]+)`", lines))


def test_the_chips_have_a_source_for_every_number() -> None:
    for chip in target.chips.values():
        for limit in chip["limits"].values():
            assert limit["source"]
            assert limit["value"] >= 0


def test_a_kernel_that_unequal_padding_makes_too_wide_is_refused_in_check() -> None:
    """Lava has one padding for both sides: the other side's becomes zeros around the kernel."""

    def codes(padding: tuple[int, int]) -> list[tuple[str, str]]:
        conv = Conv(
            name="k",
            weight=np.ones((1, 1, 100)),
            input_size=(140,),
            stride=(1,),
            padding=(padding,),
            dilation=(1,),
        )
        network = Network(
            (
                Input(name="x", port_shape=(1, 140)),
                conv,
                if_layer("n", conv.shape),
                Output(name="y", port_shape=conv.shape),
            ),
            (("x", "k"), ("k", "n"), ("n", "y")),
            dt=1e-3,
        )
        findings = pipeline.check(network, "loihi2").findings
        return [(f.code, f.what) for f in findings if f.severity == "error"]

    assert codes((40, 40)) == []
    assert codes((0, 40)) == [("LOIHI-CONV-RANGE", "kernel size is 140; at most 127 can be said")]
