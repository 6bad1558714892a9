"""A last Linear is read with neurons behind it, whose value is its sum in every bit."""

from __future__ import annotations

import dataclasses
import io
import itertools
from typing import Any

import numpy as np
import pytest

from nrf_deploy.bundle import pipeline
from nrf_deploy.engines.reference import run
from nrf_deploy.io.nir import read
from nrf_deploy.io.nir.write import encode
from nrf_deploy.ir.network import (
    LIF,
    Flatten,
    Input,
    Linear,
    Network,
    Node,
    Output,
    Population,
)
from nrf_deploy.ir.recording import Recording

RNG = np.random.default_rng(3)
ONE = np.ones(8, np.float32)
FIRST = Linear(name="a", weight=RNG.normal(size=(8, 5)).astype(np.float32))
SPIKES = LIF(name="s", tau=4 * ONE, r=4 * ONE, v_leak=0 * ONE, v_threshold=ONE)
LAST = Linear(
    name="b",
    weight=RNG.normal(size=(3, 8)).astype(np.float32),
    bias=RNG.normal(size=3).astype(np.float32),
)
EVENTS = Recording.from_dense(RNG.integers(0, 3, (60, 5)), 1.0)


def chain(*nodes: Node, size: int) -> Network:
    whole = (Input(name="x", port_shape=(5,)), *nodes, Output(name="y", port_shape=(size,)))
    names = [n.name for n in whole]
    return Network(whole, tuple(itertools.pairwise(names)), 1.0)


def again(network: Network) -> tuple[Network, list[str]]:
    """Return the network as a file of it is read, and the codes of the findings."""
    back, findings = read(io.BytesIO(encode(network)))
    return back, [f.code for f in findings]


def values(network: Network, decay: Any = "euler") -> Any:
    return run(network, EVENTS, record=["y"], decay=decay).outputs["y"].dense()


def test_the_value_is_the_sum_in_every_bit() -> None:
    network = chain(FIRST, SPIKES, LAST, size=3)
    back, codes = again(network)
    assert "NIR-READOUT" in codes
    assert [n.name for n in back.nodes if type(n) is Population] == ["s", "b.value"]
    wanted = values(network)
    assert np.abs(wanted).max() > 1
    assert np.array_equal(values(back), wanted)
    assert np.array_equal(values(back, "exact"), values(network, "exact"))


def test_a_network_with_a_readout_is_written_and_read_as_it_is() -> None:
    back, _ = again(chain(FIRST, SPIKES, LAST, size=3))
    twice, codes = again(back)
    assert "NIR-READOUT" not in codes
    assert [n.name for n in twice.nodes] == [n.name for n in back.nodes]
    assert np.array_equal(values(twice), values(back))


@pytest.mark.parametrize("chip", ["loihi1", "loihi2", "emulator"])
def test_chips_hold_it(chip: str) -> None:
    back, _ = again(chain(FIRST, SPIKES, LAST, size=3))
    bundle = pipeline.compile(back, chip)
    assert "b.value" in {o.node for o in bundle.program.origins}


def test_what_needs_none_is_left_as_it_is() -> None:
    flat = Flatten(name="f", flat_input=(8,), start=0, end=0)
    for network in (
        chain(FIRST, SPIKES, size=8),
        chain(FIRST, SPIKES, flat, size=8),
        chain(FIRST, size=8),
    ):
        back, codes = again(network)
        assert "NIR-READOUT" not in codes
        assert len(back.nodes) == len(network.nodes)


def test_sums_that_meet_at_the_output_have_one_readout() -> None:
    network = chain(FIRST, SPIKES, LAST, size=3)
    other = dataclasses.replace(LAST, name="c")
    both = dataclasses.replace(
        network,
        nodes=(*network.nodes, other),
        edges=(*network.edges, ("s", "c"), ("c", "y")),
    )
    back, codes = again(both)
    assert codes.count("NIR-READOUT") == 1
    assert set(back.sources("b.value")) == {"b", "c"}
    assert np.array_equal(values(back), values(both))
