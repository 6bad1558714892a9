"""From a network to cores: what is exact, and what the program holds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nrf_deploy as nd
from nrf_deploy.bundle.bundle import Bundle
from nrf_deploy.compiler.passes.approximate import legalise
from nrf_deploy.ir.network import AvgPool, Flatten, Input, Network, Output, Population
from nrf_deploy.ir.program import Conv, Sparse
from nrf_deploy.ir.recording import Recording
from nrf_deploy.neurons import linear_leak
from nrf_speck.compile.core_form import Wire, cores
from nrf_speck.passes.exact import PASSES
from nrf_speck.passes.linear_leak import LinearLeak
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

WAYS = [(r, f) for r in ("value", "subtract") for f in ("above", "at")]


def compiled(network: Network, **more: Any) -> Bundle:
    return nd.compile(network, "speck2b", **more)


def same_spikes(bundle: Bundle, recording: Recording, engine: str) -> bool:
    wanted = nd.run(bundle, recording, engine="reference")
    got = nd.run(bundle, recording, engine=engine, layer=list(wanted.outputs))
    return all(got.outputs[n].same(wanted.outputs[n]) for n in wanted.outputs)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(st.integers(0, 2**31), st.sampled_from(WAYS), st.booleans())
def test_a_layer_that_gets_one_event_a_step_spikes_exactly_like_the_model(
    seed: int, way: tuple[Any, Any], pooled: bool
) -> None:
    """Weights of up to a threshold, in eighths of it: no step holds two spikes of a neuron."""
    reset, fires = way
    shape = (2, 6, 6)
    layers = [pool("p", shape, 2)] if pooled else []
    size = layers[-1].shape[1:] if layers else shape[1:]
    kernel = conv("c", eighths((3, 2, 3, 3), seed), size, pad=1)
    made = compiled(
        chain(shape, *layers, kernel, neurons("n", kernel.shape, reset=reset, fires=fires))
    )
    recording = one_event_a_step(shape, 120, seed)
    assert same_spikes(made, recording, "steps")
    assert same_spikes(made, recording, "emulator")


def test_thresholds_that_differ_among_channels_go_into_their_weights() -> None:
    weight = eighths((3, 2, 3, 3), 1) * np.array([1, 2, 4])[:, None, None, None]
    theta = np.broadcast_to(np.array([1.0, 2.0, 4.0])[:, None, None], (3, 4, 4))
    made = compiled(chain((2, 6, 6), conv("c", weight, (6, 6)), neurons("n", (3, 4, 4), theta)))
    held = made.program.population("n").params
    assert isinstance(held["threshold_high"], int)
    assert same_spikes(made, one_event_a_step((2, 6, 6), 100, 0), "steps")


def test_above_the_threshold_is_one_more_in_integers_or_one_less_to_start_with() -> None:
    network = {
        (reset, fires): chain(
            (2,),
            linear("l", np.array([[1.0, -1.0]])),
            neurons("n", (1,), reset=reset, fires=fires),
        )
        for reset, fires in WAYS
    }
    held = {way: compiled(net).program.population("n").params for way, net in network.items()}
    t = held["value", "at"]["threshold_high"]
    assert held["value", "above"]["threshold_high"] == t + 1
    assert held["subtract", "at"]["threshold_high"] == t
    assert (held["subtract", "above"]["threshold_high"], held["subtract", "above"]["v0"]) == (t, -1)


def test_biases_come_with_every_tick() -> None:
    bias = np.array([0.25, -0.125])
    made = compiled(
        chain((3,), linear("l", eighths((2, 3), 0), bias), neurons("n", (2,), fires="at"))
    )
    assert same_spikes(made, one_event_a_step((3,), 80, 1), "steps")
    params = made.program.population("n").params
    ratio = np.asarray(params["bias"]).ravel() / np.asarray(params["threshold_high"])
    assert ratio.tolist() == bias.tolist()


def test_pools_stay_on_the_wire_and_means_go_into_the_weights() -> None:
    mean = AvgPool(name="p", pool_input=(2, 8, 8), window=(2, 2), stride=(2, 2),
                   padding=((0, 0), (0, 0)))  # fmt: skip
    first = conv("c1", eighths((2, 1, 3, 3), 0), (8, 8), pad=1)
    second = conv("c2", eighths((3, 2, 3, 3), 1), (4, 4), pad=1)
    made = compiled(
        chain((1, 8, 8), first, neurons("n1", (2, 8, 8)), mean, second, neurons("n2", (3, 4, 4)))
    )
    one, two = cores(made.program)
    assert two.wires == (Wire("n1", "n2", pooling=2),)
    assert two.conv.weight.shape == (3, 2, 3, 3)
    ratio = two.conv.weight / made.network["c2"].weight  # type: ignore[attr-defined]
    assert np.allclose(ratio, ratio[0, 0, 0, 0], rtol=0.05)
    assert one.wires == (Wire("in", "n1"),)


def test_a_pool_behind_a_convolution_without_neurons_is_folded() -> None:
    layers = [conv("c", eighths((2, 1, 2, 2), 0) / 4, (8, 8), stride=2), pool("p", (2, 4, 4), 2)]
    made = compiled(chain((1, 8, 8), *layers, neurons("n", (2, 2, 2), fires="at")))
    (core,) = cores(made.program)
    assert core.conv.weight.shape[2:] == (4, 4)
    assert same_spikes(made, one_event_a_step((1, 8, 8), 60, 0), "steps")


def test_a_linear_is_a_convolution_over_the_whole_map() -> None:
    flat = Flatten(name="f", flat_input=(2, 3, 3), start=0, end=2)
    made = compiled(
        chain((2, 3, 3), flat, linear("l", eighths((4, 18), 0)), neurons("n", (4,), fires="at"))
    )
    (core,) = cores(made.program)
    assert core.conv.shape == (4, 1, 1)
    assert core.conv.weight.shape == (4, 2, 3, 3)
    assert same_spikes(made, one_event_a_step((2, 3, 3), 90, 0), "steps")


def branched() -> Network:
    """Build in -> a; a and a's pooled twin b meet in c, by kernels of two sizes and directly."""
    nodes = (
        Input(name="in", port_shape=(2, 8, 8)),
        conv("to a", eighths((3, 2, 3, 3), 0), (8, 8), pad=1),
        neurons("a", (3, 8, 8), fires="at"),
        conv("to b", eighths((3, 3, 2, 2), 1), (8, 8), stride=2),
        neurons("b", (3, 4, 4), fires="at"),
        pool("p", (3, 8, 8), 2),
        conv("pool to c", eighths((3, 3, 3, 3), 2) / 4, (4, 4), pad=1),
        neurons("c", (3, 4, 4), fires="at"),
        Output(name="out", port_shape=(3, 4, 4)),
    )
    edges = (
        ("in", "to a"), ("to a", "a"), ("a", "to b"), ("to b", "b"), ("a", "p"),
        ("p", "pool to c"), ("pool to c", "c"), ("b", "c"), ("c", "out"),
    )  # fmt: skip
    return Network(nodes, edges, dt=1.0)


def test_what_meets_lies_side_by_side_in_one_convolution() -> None:
    made = compiled(branched())
    core = cores(made.program)[-1]
    assert set(core.wires) == {
        Wire("b", "c", pooling=1, shift=0),
        Wire("a", "c", pooling=2, shift=3),
    }
    assert core.conv.input_shape == (6, 4, 4)
    direct = core.conv.weight[:, :3]
    t = made.program.population("c").params["threshold_high"]
    assert (direct[:, :, 1, 1] == t * np.eye(3, dtype=int)).all()
    assert np.count_nonzero(direct) == 3
    for s in made.program.synapses:
        if isinstance(s, Sparse):
            f, y, x = np.unravel_index(s.column, s.source_shape)
            shift, pooling = s.params["shift"], s.params["pooling"]
            to = np.ravel_multi_index((f + shift, y // pooling, x // pooling), s.target_shape)
            assert (s.row == to).all()


def test_a_layer_shared_by_two_populations_becomes_two_cores() -> None:
    shared = conv("c", eighths((2, 1, 3, 3), 0), (6, 6))
    pairs = [("in", "c"), ("c", "n1"), ("c", "n2"), ("n1", "o1"), ("n2", "o2")]
    nodes = (
        Input(name="in", port_shape=(1, 6, 6)),
        shared,
        neurons("n1", (2, 4, 4)),
        neurons("n2", (2, 4, 4), 0.5),
        Output(name="o1", port_shape=(2, 4, 4)),
        Output(name="o2", port_shape=(2, 4, 4)),
    )
    made = compiled(Network(nodes, tuple(pairs), dt=1.0))
    assert [c.name for c in cores(made.program)] == ["n1", "n2"]
    assert len({s.name for s in made.program.synapses}) == 2
    assert all(s.delay == 0 for s in made.program.synapses if isinstance(s, Conv))


def test_a_linear_leak_takes_what_an_exponential_one_takes_on_average() -> None:
    network = chain((3,), linear("l", eighths((2, 3), 0)), leaky("n", (2,), tau=50.0, theta=2.0))
    after, steps = legalise(network, (*PASSES, LinearLeak()))
    node = after["n"]
    assert type(node) is Population
    assert type(node.membrane) is linear_leak.LinearLeak
    assert node.spikes
    assert node.membrane.leak.tolist() == [2.0 / 100] * 2
    assert [f.code for s in steps for f in s.findings if f.severity == "warning"] == [
        "CHOICE-UNMEASURED"
    ]


def test_a_leaky_network_runs_like_its_rewrite_and_says_what_it_cost() -> None:
    network = chain((3,), linear("l", eighths((2, 3), 0)), leaky("n", (2,), tau=50.0, theta=2.0))
    recording = some_events((3,), 400, 0, 0.3)
    made = compiled(network, calibrate=recording, allow=["linear-leak"])
    codes = [f.code for f in made.findings]
    assert "CHOICE-COST" in codes
    assert "SPECK-LEAK-SHORT" not in codes
    params = made.program.population("n").params
    assert params["threshold_low"] == -1
    assert params["bias"] < 0
    spikes = {e: nd.run(made, recording, engine=e).outputs["n"] for e in ("reference", "steps")}
    wanted = int(spikes["reference"].value.sum())
    assert wanted > 50
    assert abs(int(spikes["steps"].value.sum()) - wanted) <= 0.15 * wanted


def test_sparse_spikes_are_warned_of_where_the_data_show_them() -> None:
    network = chain((3,), linear("l", eighths((2, 3), 0)), leaky("n", (2,), tau=50.0, theta=2.0))
    told = {
        density: [
            f.code
            for f in nd.check(
                network, "speck2b", some_events((3,), 400, 0, density), allow=["linear-leak"]
            ).findings
        ]
        for density in (0.04, 0.5)
    }
    assert "SPECK-LEAK-SPARSE" in told[0.04]
    assert "SPECK-LEAK-SPARSE" not in told[0.5]


def test_a_short_time_constant_is_warned_of() -> None:
    network = chain((3,), linear("l", eighths((2, 3), 0)), leaky("n", (2,), tau=5.0))
    findings = nd.check(network, "speck2b", allow=["linear-leak"]).findings
    assert any(f.code == "SPECK-LEAK-SHORT" and "5 steps" in f.what for f in findings)


@pytest.mark.parametrize("chip", ["dynapcnn", "speck2b", "speck2e", "speck2f"])
def test_the_n_mnist_network_goes_on_every_chip(chip: str, shared: Any) -> None:
    model = nd.read(shared / "conformance/nir/cnn_sinabs.nir", dt=1, producer="nir")
    made = nd.compile(model, chip)
    assert made.placement.used_cores == 5
    assert [w.pooling for c in cores(made.program) for w in c.wires] == [1, 1, 2, 2, 1]


def test_the_n_mnist_network_spikes_on_its_recording_as_the_model_does(shared: Any) -> None:
    made = nd.compile(
        nd.read(shared / "conformance/nir/cnn_sinabs.nir", dt=1, producer="nir"), "speck2b"
    )
    recording = nd.read_recording(shared / "recordings/nmnist_sample.npz", made, bin=1e-3)
    steps, model = (nd.run(made, recording, engine) for engine in ("steps", "reference"))
    for name in ("1", "3", "6", "10", "12"):  # in steps a neuron may spike more than once at a time
        places = [len(trace.outputs[name].index) for trace in (steps, model)]
        assert abs(places[0] - places[1]) < 0.1 * places[1]
    events = nd.run(made, recording)
    assert np.argmax(events.outputs["12"].counts()) == np.argmax(
        nd.run(made, recording, engine="reference").outputs["12"].counts()
    )
