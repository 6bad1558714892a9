"""A delay in front of an output leaves the network; any other stays."""

from __future__ import annotations

import itertools

import numpy as np

import nrf_deploy as nd
from nrf_deploy.compiler.passes.drop_last_delay import DropLastDelay
from nrf_deploy.ir.network import LIF, Delay, Edge, Input, Linear, Network, Node, Output

ONE = np.ones(2, np.float32)


def lif(name: str) -> Node:
    return LIF(name=name, tau=4 * ONE, r=4 * ONE, v_leak=0 * ONE, v_threshold=ONE, v_reset=0 * ONE)


def network(*more: Edge) -> Network:
    nodes = (
        Input(name="x", port_shape=(2,)),
        Linear(name="a", weight=np.eye(2, dtype=np.float32)),
        lif("n"),
        Delay(name="wait", delay=ONE),
        Linear(name="b", weight=np.eye(2, dtype=np.float32)),
        lif("m"),
        Delay(name="last", delay=2 * ONE),
        Output(name="y", port_shape=(2,)),
    )
    edges = tuple(itertools.pairwise(n.name for n in nodes))
    return Network(nodes, (*edges, *more), dt=1.0)


def test_the_delay_before_the_output_goes_and_the_inner_one_stays() -> None:
    before = network()
    after, (finding,) = DropLastDelay().apply(before)
    assert [n.name for n in after.nodes] == ["x", "a", "n", "wait", "b", "m", "y"]
    assert after.sources("y") == ("m",)
    assert (finding.severity, finding.layer) == ("info", "last")
    assert finding.what == "the output shows the spikes of 'm' 2 steps earlier"
    x = nd.Recording.from_dense((np.random.default_rng(0).random((30, 2)) < 0.5).astype(np.int64))
    runs = [nd.run(nd.compile(n, "emulator"), x, "reference") for n in (before, after)]
    first, second = (run.outputs["m"].dense() for run in runs)
    assert first.sum() > 5
    np.testing.assert_array_equal(first, second)


def test_a_delay_beside_the_same_neurons_stays() -> None:
    """Without it the two edges would be one, and the output another sum."""
    before = network(("m", "y"))
    after, findings = DropLastDelay().apply(before)
    assert (after is before, findings) == (True, [])


def test_loihi_runs_a_network_of_spyx() -> None:
    bundle = nd.compile(network(), "loihi2")
    assert "drop_last_delay" in [step.rewrite for step in bundle.steps]
    x = nd.Recording.from_dense((np.random.default_rng(0).random((30, 2)) < 0.5).astype(np.int64))
    assert nd.verify(bundle, x).comparison.exact
