"""The equations of other frameworks in numpy float32, against the reference, bit for bit.

Each `theirs` is the framework's own line, in its order of operations. The inputs are weak, strong,
mostly negative, and multiples of 1/4, where ties with the threshold occur.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from nrf_deploy.engines.reference.neurons import neuron
from nrf_deploy.ir.network import IF, LIF, CubaLIF, Population

F = np.float32
NEURONS, STEPS = 32, 120
ONES = np.ones(NEURONS)
Text = Callable[[dict[str, Any], Any], Any]
"""(state, input) -> spikes; the state holds v and is changed in place"""


def full(x: float) -> Any:
    return np.full(NEURONS, x)


def leaky(d: float, g: float = 1.0, **more: Any) -> Population:
    """Return neurons of v = d*v + g*x; d is a float32."""
    keep = float(F(d))
    return LIF(
        name="n", tau=full(1 / (1 - keep)), r=full(g / (1 - keep)), v_leak=full(0), **more
    ).with_(order="scaled")


def synaptic(a: float, d: float, **more: Any) -> Population:
    keep, rest = float(F(a)), float(F(d))
    return CubaLIF(
        name="n",
        tau_syn=full(1 / (1 - keep)),
        tau_mem=full(1 / (1 - rest)),
        r=full(1 / (1 - rest)),
        v_leak=full(0),
        w_in=full(1 / (1 - keep)),
        **more,
    ).with_(order="scaled")


def late(beta: float, th: float) -> tuple[Population, Text]:
    def theirs(s: dict[str, Any], x: Any) -> Any:
        r = (s["v"] - F(th) > 0).astype(F)
        s["v"] = (F(beta) * s["v"] + x) - r * F(th)
        return s["v"] - F(th) > 0

    return leaky(beta, v_threshold=full(th), reset="late"), theirs


def doubled(beta: float, th: float) -> tuple[Population, Text]:
    def theirs(s: dict[str, Any], x: Any) -> Any:
        r = (s["v"] - F(th) > 0).astype(F)
        w = (F(beta) * s["v"] + x) - r * F(th)
        z = w - F(th) > 0
        s["v"] = w - (z.astype(F) - r) * F(th)
        return z

    return leaky(beta, v_threshold=full(th), reset="doubled"), theirs


def synaptic_zero(alpha: float, beta: float, th: float) -> tuple[Population, Text]:
    """Return snnTorch's Synaptic with a delayed reset to zero: it loses the input of that step."""

    def theirs(s: dict[str, Any], x: Any) -> Any:
        r = (s["v"] - F(th) > 0).astype(F)
        s["i"] = F(alpha) * s["i"] + x
        w = F(beta) * s["v"] + s["i"]
        s["v"] = w - w * r
        return s["v"] - F(th) > 0

    return synaptic(alpha, beta, v_threshold=full(th), refractory=full(1)), theirs


def synaptic_late(alpha: float, beta: float, th: float) -> tuple[Population, Text]:
    def theirs(s: dict[str, Any], x: Any) -> Any:
        r = (s["v"] - F(th) > 0).astype(F)
        s["i"] = F(alpha) * s["i"] + x
        s["v"] = (F(beta) * s["v"] + s["i"]) - r * F(th)
        return s["v"] - F(th) > 0

    return synaptic(alpha, beta, v_threshold=full(th), reset="late"), theirs


def no_reset(beta: float, th: float) -> tuple[Population, Text]:
    def theirs(s: dict[str, Any], x: Any) -> Any:
        s["v"] = F(beta) * s["v"] + x
        return s["v"] - F(th) > 0

    return leaky(beta, v_threshold=full(th), reset="none"), theirs


def sinabs(tau: float, th: float, floor: float, most: int | None) -> tuple[Population, Text]:
    a = F(np.exp(F(-1 / tau)))

    def theirs(s: dict[str, Any], x: Any) -> Any:
        s["v"] = a * s["v"] + (F(1) - a) * x
        n = (s["v"] > 0) * np.trunc(s["v"] / F(th))
        n = n if most is None else np.minimum(n, F(most))
        s["v"] = s["v"] - n * F(th)
        s["v"] = np.maximum(s["v"] - F(floor), F(0)) + F(floor)
        return n

    rule: dict[str, Any] = {"reset": "subtract", "fires": "at", "per_step": "many"}
    cap = None if most is None else full(most)
    node = leaky(float(a), 1 - float(a), v_threshold=full(th), floor=full(floor), most=cap, **rule)
    return node, theirs


def sinabs_synapse(tau_syn: float, tau: float) -> tuple[Population, Text]:
    a_s, a = F(np.exp(F(-1 / tau_syn))), F(np.exp(F(-1 / tau)))

    def theirs(s: dict[str, Any], x: Any) -> Any:
        s["i"] = a_s * (s["i"] + x)
        s["v"] = a * s["v"] + (F(1) - a) * s["i"]
        z = s["v"] - F(1) >= 0
        s["v"] = s["v"] - z.astype(F)
        return z

    node = synaptic(float(a_s), float(a), v_threshold=ONES, reset="subtract", fires="at")
    return node.with_(order="filtered", r=full(float(a_s))), theirs


def rockpool(tau_syn: float, tau: float, bias: float) -> tuple[Population, Text]:
    b, a = F(np.exp(F(-1 / tau_syn))), F(np.exp(F(-1 / tau)))

    def theirs(s: dict[str, Any], x: Any) -> Any:
        s["i"] = (s["i"] + x) * b
        s["v"] = (s["v"] * a + s["i"]) + F(bias)
        n = (s["v"] >= 1) * np.floor(s["v"] / F(1))
        s["v"] = s["v"] - n
        return n

    rule: dict[str, Any] = {"reset": "subtract", "fires": "at", "per_step": "many"}
    node = synaptic(float(b), float(a), v_threshold=ONES, most=full(65536), **rule)
    k = 1 - float(a)
    return node.with_(r=full(float(b) / k), v_leak=full(bias / k), v0=full(0)), theirs


def spikingjelly(tau: float, decays: bool, to: float | None, p: bool) -> tuple[Population, Text]:
    at, q = F(0 if to is None else to), F(1 / tau)

    def part(x: Any) -> Any:
        return x * q if p else x / F(tau)

    def theirs(s: dict[str, Any], x: Any) -> Any:
        v = s["v"]
        h = v + part(x - (v - at)) if decays else v - part(v - at) + x
        z = (h >= F(1)).astype(F)
        s["v"] = h - z * F(1) if to is None else z * at + (1 - z) * h
        return z

    steps = 1 / float(q) if p else tau
    node = LIF(
        name="n",
        tau=full(steps),
        r=full(1.0 if decays else steps),
        v_leak=full(float(at)),
        v_threshold=ONES,
        v_reset=full(float(at)),
        reset="subtract" if to is None else "value",
        fires="at",
    )
    return node.with_(order="multiplied" if p else "divided"), theirs


def half_threshold() -> tuple[Population, Text]:
    def theirs(s: dict[str, Any], x: Any) -> Any:
        h = s["v"] + x
        z = (h >= F(1)).astype(F)
        s["v"] = h - z
        return z

    node = IF(name="n", r=ONES, v_threshold=ONES, reset="subtract", fires="at")
    return node.with_(v0=full(0.5)), theirs


CASES = {
    "snntorch late": late(0.9, 1.0),
    "snntorch late, beta 0": late(0.0, 0.5),
    "snntorch late, low beta": late(0.3, 0.7),
    "snntorch reset_delay=False": doubled(0.8, 0.5),
    "snntorch Synaptic zero": synaptic_zero(0.8, 0.9, 1.0),
    "snntorch Synaptic late": synaptic_late(0.7, 0.95, 1.0),
    "snntorch none": no_reset(0.9, 1.0),
    "sinabs LIF": sinabs(10.0, 0.3, -1.0, None),
    "sinabs MaxSpike": sinabs(5.0, 0.25, -0.5, 2),
    "sinabs tau_syn": sinabs_synapse(4.0, 12.0),
    "rockpool LIF": rockpool(20.0, 15.0, 0.0),
    "rockpool LIF with a bias": rockpool(5.0, 9.0, 0.125),
    "spikingjelly LIF": spikingjelly(3.7, True, 0.0, False),
    "spikingjelly LIF, input not decayed": spikingjelly(3.7, False, 0.0, False),
    "spikingjelly LIF, soft": spikingjelly(2.0, True, None, False),
    "spikingjelly LIF, v_reset": spikingjelly(3.0, False, -0.25, False),
    "spikingjelly ParametricLIF": spikingjelly(3.7, True, 0.0, True),
    "spikingjelly HalfThresholdIF": half_threshold(),
}


def inputs(kind: str) -> Any:
    rng = np.random.default_rng(7)
    shape = (STEPS, NEURONS)
    drawn = {
        "weak": rng.normal(0.1, 0.2, shape),
        "strong": rng.normal(1.0, 3.0, shape),
        "negative": rng.normal(-0.3, 0.6, shape),
        "quarters": rng.integers(-4, 7, shape) / 4,
    }
    return drawn[kind].astype(F)


@pytest.mark.parametrize("kind", ["weak", "strong", "negative", "quarters"])
@pytest.mark.parametrize("case", CASES)
def test_reference_equals_the_frameworks_own_line(case: str, kind: str) -> None:
    node, theirs = CASES[case]
    state, step = neuron(node, 1.0, "euler")
    own = {name: np.asarray(value) for name, value in state.items()}
    for t, x in enumerate(inputs(kind)):
        ours, state = step(state, x)
        wanted = theirs(own, x)
        assert np.array_equal(ours, wanted.astype(F)), f"spikes of step {t}"
        if "refractory" in node.features:
            continue  # snnTorch shows the potential before its reset, and ours is the one after it
        assert np.array_equal(state["v"].astype(F), own["v"]), f"potential of step {t}"


def test_every_case_spikes() -> None:
    for case, (node, _) in CASES.items():
        state, step = neuron(node, 1.0, "euler")
        total = 0
        for x in inputs("strong"):
            z, state = step(state, x)
            total += int(z.sum())
        assert total > 100, case
