"""A Delay of the model becomes steps of waiting: relays, shared, and exact."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nrf_deploy as nd
from nrf_deploy.bundle.pipeline import latency
from nrf_deploy.diagnostics.findings import NrfError
from nrf_deploy.ir.layer_view import layers
from nrf_deploy.ir.network import IF, LI, Delay, Input, Linear, Network, Node, Output, Population
from nrf_deploy.ir.recording import Recording

WIDTH, STEPS = 4, 40
bounded = settings(max_examples=15, deadline=None, derandomize=True)


def late(name: str, steps: float | Sequence[float]) -> Delay:
    return Delay(name=name, delay=np.broadcast_to(np.asarray(steps, float), (WIDTH,)).copy())


def weights(name: str, seed: int) -> Linear:
    """Draw integers, which the chip holds exactly."""
    w = np.random.default_rng(seed).integers(-3, 4, (WIDTH, WIDTH)).astype(np.float32)
    return Linear(name=name, weight=w + 2 * np.eye(WIDTH, dtype=np.float32))


def neurons(name: str, threshold: float = 2.0) -> Population:
    ones = np.ones(WIDTH)
    return IF(name=name, r=ones, v_threshold=threshold * ones, v_reset=0 * ones)


def graph(nodes: Sequence[Node], edges: str) -> Network:
    """Build `edges` such as "a b, b c": from x, the input, to y, the output."""
    ports = Input(name="x", port_shape=(WIDTH,)), Output(name="y", port_shape=(WIDTH,))
    pairs = tuple(tuple(e.split()) for e in edges.split(","))
    return Network((ports[0], *nodes, ports[1]), pairs, 1.0)  # type: ignore[arg-type]


def noise(seed: int = 0) -> Recording:
    frames = np.random.default_rng(seed).random((STEPS, WIDTH)) < 0.3
    return Recording.from_dense(frames.astype(np.int64), 1.0)


def spikes(network: Network, chip: str, seed: int, **how: Any) -> int:
    """Return the spikes of the model, after a check that the chip's are equal."""
    bundle = nd.compile(network, chip, **how)
    model = nd.run(bundle, noise(seed), "reference").outputs
    made = nd.run(bundle, noise(seed), "emulator").outputs
    behind = latency(bundle, "emulator")
    for name, wanted in model.items():
        got = made[name].shifted(behind[name]).until(STEPS)
        assert got.same(wanted), name
    return sum(len(r.index) for r in model.values())


@given(st.integers(0, 5), st.integers(0, 4), st.integers(0, 50))
@bounded
def test_branches_wait_as_long_as_the_model_says(first: int, more: int, seed: int) -> None:
    """One branch without a delay, one with one, one with two in a row."""
    nodes = [late("d", first), late("e", more), *(weights(f"w{k}", k) for k in range(3))]
    edges = "x w0, x d, d w1, d e, e w2, w0 n, w1 n, w2 n, n y"
    assert spikes(graph([*nodes, neurons("n")], edges), "loihi2", seed) > 20


@pytest.mark.parametrize("chip", ["loihi1", "loihi2"])
def test_a_delay_between_layers_and_one_right_before_neurons(chip: str) -> None:
    nodes = [weights("w", 0), neurons("m"), late("d", 2), weights("v", 1), neurons("n")]
    network = graph([*nodes, late("e", 3)], "x w, w m, m d, d v, v n, m e, e n, n y")
    assert spikes(network, chip, 1) > 20


@pytest.mark.parametrize("steps", [1, 3])
def test_a_loop_over_two_layers_can_be_met_with_a_delay_in_it(steps: int) -> None:
    """Each layer takes a step on the chip: without the delay the loop is too short."""
    nodes = [weights("w", 0), neurons("m"), weights("v", 1), neurons("n"), weights("b", 2)]
    whole = graph([*nodes, late("d", steps)], "x w, w m, m v, v n, n d, d b, b m, n y")
    assert spikes(whole, "loihi2", 2) > 20
    short = graph(nodes, "x w, w m, m v, v n, n b, b m, n y")
    with pytest.raises(NrfError) as refusal:
        nd.compile(short, "loihi2")
    assert [f.code for f in refusal.value.findings] == ["LOIHI-LOOP"]


def test_relays_are_shared() -> None:
    """Three branches, the longest of five steps: five relays, not nine."""
    nodes = [late(f"d{k}", k) for k in (1, 3, 5)] + [weights(f"w{k}", k) for k in (1, 3, 5)]
    ways = ", ".join(f"x d{k}, d{k} w{k}, w{k} n" for k in (1, 3, 5))
    program = nd.compile(graph([*nodes, neurons("n")], f"{ways}, n y"), "loihi2").program
    assert [p.name for p in program.populations] == ["x~", "x~~", "x~~~", "x~~~~", "x~~~~~", "n"]


def test_potentials_are_delayed_as_payloads() -> None:
    ones = np.ones(WIDTH)
    integrator = LI(name="v", tau=4 * ones, r=ones, v_leak=0 * ones)
    nodes = [weights("w", 0), integrator, late("d", 2), weights("u", 1), neurons("n")]
    bundle = nd.compile(graph(nodes, "x w, w v, v d, d u, u n, n y"), "loihi2")
    report = nd.verify(bundle, noise(3))
    assert report.passed


def test_layers_are_fitted_to_what_arrives_late() -> None:
    """The calibration data reach the fit as late as they reach the neurons."""
    nodes = [late("d", 3), weights("w", 0), weights("v", 1), neurons("n")]
    network = graph(nodes, "x d, d w, x v, w n, v n, n y")
    assert spikes(network, "loihi2", 4, calibrate=noise(5)) > 20


@pytest.mark.parametrize(
    ("nodes", "edges"),
    [
        ([weights("w", 0), late("d", 1), neurons("n")], "x w, w d, d n, n y"),
        ([late("d", [0, 1, 1, 2]), weights("w", 0), neurons("n")], "x d, d w, w n, n y"),
        ([weights("w", 0), neurons("n"), late("d", 1)], "x w, w n, n d, d y, n y"),
    ],
    ids=["behind weights", "several lengths", "beside the same neurons, before the output"],
)
def test_what_relays_cannot_do_is_refused(nodes: Sequence[Node], edges: str) -> None:
    with pytest.raises(NrfError) as refusal:
        nd.compile(graph(nodes, edges), "loihi2")
    (found,) = {f.layer: f for f in refusal.value.findings if f.code == "LOIHI-KIND"}.values()
    assert found.layer == "d"
    assert "whole steps" in (found.fix or "")


def test_a_delay_that_no_chip_has_room_for_is_refused_at_once() -> None:
    nodes = [late("d", 60_000), late("e", 60_000), weights("w", 0), neurons("n")]
    with pytest.raises(NrfError) as refusal:
        nd.compile(graph(nodes, "x d, d e, e w, w n, n y"), "loihi2")
    (found,) = (f for f in refusal.value.findings if f.severity == "error")
    assert (found.code, found.layer) == ("LOIHI-DELAY", "w")
    assert "120000 steps" in found.what
    assert "1024 relays" in found.what


def test_a_view_through_delays_counts_their_steps() -> None:
    nodes = [late("d", 1), late("e", 2), weights("w", 0), neurons("n")]
    network = graph(nodes, "x d, d e, e w, w n, e n, n y")
    seen = layers(network, through_delays=True)
    assert seen.stops == ("x", "n", "y")
    assert [(k.name, k.source, k.targets, k.delay) for k in seen.links] == [
        ("x->n (delay 3)", "x", ("n",), 3),
        ("w", "x", ("n",), 3),
    ]
    assert "d" in layers(network).stops
