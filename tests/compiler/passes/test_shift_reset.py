"""Counting the potential from v_reset changes no spike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from nrf_deploy.compiler.passes import ShiftReset, parse
from nrf_deploy.engines import reference
from nrf_deploy.ir.network import IF, LIF, CubaLIF, Network, Population
from tests.builders.random_networks import networks, random_recording


def resting(network: Network, steps: int) -> Network:
    """Return the same network, whose neurons stand still for these steps after a spike."""
    nodes = (
        n.with_(refractory=np.full(n.shape, steps)) if type(n) is Population and n.spikes else n
        for n in network.nodes
    )
    return replace(network, nodes=tuple(nodes))


@settings(max_examples=30, deadline=None)
@given(
    networks(neurons=("IF",), resets=("value",), readout=("",)),
    st.integers(0, 99),
    st.sampled_from((None, 1, 3)),
)
def test_spikes_stay_and_potentials_move_by_v_reset(
    network: Network, seed: int, rest: int | None
) -> None:
    network = network if rest is None else resting(network, rest)
    shifted, _ = ShiftReset().apply(network)
    names = [n.name for n in network.of(Population) if n.spikes]
    recording = random_recording(network, seed, steps=30)
    before = reference.run(network, recording, states=names)
    after = reference.run(shifted, recording, states=names)
    for name in names:
        assert not np.any(shifted[name].rule.reset_to)  # type: ignore[attr-defined]
        assert before.outputs[name].same(after.outputs[name])
        moved = after.states[name]["v"] + network[name].rule.reset_to  # type: ignore[attr-defined]
        assert np.array_equal(before.states[name]["v"], moved)


def one(kind: Callable[..., Population], **more: object) -> Network:
    full = np.ones(3)
    parameters: dict[str, object] = {"v_threshold": full, "v_reset": full / 4, "r": full}
    if kind is not IF:
        parameters["v_leak"] = full / 8
    if kind is LIF:
        parameters["tau"] = full / 100
    if kind is CubaLIF:
        parameters |= {"tau_mem": full / 100, "tau_syn": full / 50, "w_in": full}
    node = kind(name="n", **(parameters | more))  # type: ignore[arg-type]
    return Network((node,), (), 1e-3)


def test_threshold_and_leak_move_together() -> None:
    for kind in (LIF, CubaLIF):
        shifted, _ = ShiftReset().apply(one(kind))
        node = shifted["n"]
        assert node.membrane.v_leak.tolist() == [-0.125] * 3  # type: ignore[attr-defined]
        assert node.rule.threshold.tolist() == [0.75] * 3  # type: ignore[attr-defined]
        assert node.rule.reset_to.tolist() == [0] * 3  # type: ignore[attr-defined]
        assert node.kind == one(kind)["n"].kind


def test_a_reset_by_subtraction_stays() -> None:
    network = one(IF, reset="subtract")
    assert ShiftReset().apply(network)[0] is network


def test_it_prints_and_parses_back() -> None:
    assert parse(str(ShiftReset())) == ShiftReset()
