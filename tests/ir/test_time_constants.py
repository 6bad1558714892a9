"""A network that was built by hand is held to the same times as one from a file."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import nrf_deploy as nd
from nrf_deploy.ir.network import LIF, CubaLIF, Input, Linear, Network, Node, Output, Population

ONE = np.ones(3)


def network(neurons: Node, dt: float = 1.0) -> Network:
    return Network(
        (
            Input(name="in", port_shape=(3,)),
            Linear(name="l", weight=np.eye(3)),
            neurons,
            Output(name="out", port_shape=(3,)),
        ),
        (("in", "l"), ("l", "n"), ("n", "out")),
        dt=dt,
    )


def lif(tau: np.ndarray) -> Population:
    return LIF(name="n", tau=tau, r=ONE, v_leak=0 * ONE, v_threshold=ONE / 2, v_reset=0 * ONE)


def cuba(tau_syn: np.ndarray, tau_mem: np.ndarray) -> Population:
    times = {"tau_syn": tau_syn, "tau_mem": tau_mem}
    return CubaLIF(
        name="n", **times, r=ONE, v_leak=0 * ONE, w_in=ONE, v_threshold=ONE / 2, v_reset=0 * ONE
    )


@pytest.mark.parametrize("chip", ["loihi2", "emulator", "speck2b"])
@pytest.mark.parametrize(
    ("given", "codes"),
    [
        (network(lif(np.array([4.0, 0.5, 4.0]))), ["NIR-TAU-DT"]),
        (network(lif(0 * ONE)), ["NIR-TAU"]),
        (network(lif(-ONE)), ["NIR-TAU"]),
        (network(cuba(0.5 * ONE, 0 * ONE)), ["NIR-TAU", "NIR-TAU-DT"]),
        (network(lif(4 * ONE), dt=0.0), ["NIR-DT-INVALID"]),
        (network(lif(4 * ONE), dt=-1.0), ["NIR-DT-INVALID"]),
        (network(lif(4 * ONE), dt=float("nan")), ["NIR-DT-INVALID"]),
    ],
)
def test_times_without_a_meaning_are_refused_before_anything_else(
    given: Network, codes: list[str], chip: str
) -> None:
    """And not held at the shortest that a chip has, or found where something divides by them."""
    allow = ["linear-leak"] if chip == "speck2b" else []
    verdict = nd.check(given, chip, allow=allow)
    assert sorted(f.code for f in verdict.findings) == codes
    assert verdict.refused
    assert verdict.program is None


def test_the_neuron_is_named() -> None:
    (found,) = nd.check(network(lif(np.array([4.0, 0.5, 4.0]))), "loihi2").findings
    assert (found.layer, found.neuron) == ("n", (1,))


def test_a_tau_of_one_step_is_the_shortest_that_is_taken() -> None:
    given = network(lif(np.full(3, 1e-3, np.float32)), dt=1e-3)
    assert nd.check(given, "emulator").fits
    assert not nd.check(replace(given, dt=1.01e-3), "emulator").fits
