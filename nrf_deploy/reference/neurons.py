"""What a population does in one step of time: the normative float text.

Each function takes a node and dt and gives the first state and the step. The "euler"
steps are Norse's, operation by operation in float32, so that spikes and states agree
with it bit for bit: LIF is LIFBoxCell, LI is LIBoxCell, CubaLIF is LIFCell, CubaLI is
LICell and IF is IAFCell. Norse holds 1/tau in float32; `_rate` finds that number again
from a tau that was written as 1/tau_inv in float64. Norse's cells have no r, w_in or
dt*r: these scale the input before the cell sees it, and a factor of 1 changes nothing.

The "exact" steps are the solution of the same equations for an input that is held for
one step. There is no float32 original that they must equal, so coefficients and states
are float64, and only what is handed on is rounded to float32.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from ..capabilities import demand
from ..network import (
    IF,
    LI,
    LIF,
    Array,
    CubaLI,
    CubaLIF,
    FlooredIF,
    Integrator,
    LinearLeakIF,
    Population,
    RateIF,
    RectifiedLI,
)

Decay = Literal["euler", "exact"]
State = dict[str, Array]
Step = Callable[[State, Array], tuple[Array, State]]
"""(state, input) -> (value, state after the step)"""
Neuron = tuple[State, Step]


def neuron(node: Population, dt: float, decay: Decay) -> Neuron:
    """The first state of a population and its step."""
    demand(node, frozenset(EULER), "the float reference")
    return (EULER if decay == "euler" else EULER | EXACT)[type(node)](node, dt)


# --- Norse, in float32 -----------------------------------------------------


def lif(n: LIF, dt: float) -> Neuron:
    """v += k*((r*x + v_leak) - v), k = dt/tau; then spike and reset."""
    k, r, v_leak, fire = _rate(n, dt, n.tau), _full(n, n.r), _full(n, n.v_leak), _fire(n)

    def step(state: State, x: Array) -> tuple[Array, State]:
        v = state["v"]
        z, v = fire(v + k * ((r * x + v_leak) - v))
        return z, {"v": v}

    return {"v": v_leak}, step


def li(n: LI, dt: float) -> Neuron:
    """v += k*((v_leak - v) + r*x); the value is v."""
    k, r, v_leak = _rate(n, dt, n.tau), _full(n, n.r), _full(n, n.v_leak)

    def step(state: State, x: Array) -> tuple[Array, State]:
        v = state["v"]
        v = v + k * ((v_leak - v) + r * x)
        return v, {"v": v}

    return {"v": v_leak}, step


def rectified(step_of: Callable[[LI, float], Neuron]) -> Callable[[LI, float], Neuron]:
    """What is below 0 stays in the state and is not handed on."""

    def neuron(n: LI, dt: float) -> Neuron:
        start, step = step_of(n, dt)

        def above(state: State, x: Array) -> tuple[Array, State]:
            value, state = step(state, x)
            return np.maximum(value, 0), state

        return start, above

    return neuron


def cuba(n: CubaLI, dt: float) -> Neuron:
    """i jumps by dt/tau_syn*w_in*x, v moves by the current after the jump, then i decays.

    j = i + gain*x;  v += k*((v_leak - v) + r*j);  i = j - k_syn*j; a CubaLIF then
    spikes and resets v.
    """
    k, k_syn = _rate(n, dt, n.tau_mem), _rate(n, dt, n.tau_syn)
    gain, r, v_leak, fire = _full(n, _gain(n, dt)), _full(n, n.r), _full(n, n.v_leak), _fire(n)

    def step(state: State, x: Array) -> tuple[Array, State]:
        i, v = state["i"], state["v"]
        j = i + gain * x
        value, v = fire(v + k * ((v_leak - v) + r * j))
        return value, {"i": j + -k_syn * j, "v": v}

    return {"i": np.zeros_like(v_leak), "v": v_leak}, step


def integrate_and_fire(n: IF, dt: float) -> Neuron:
    """v += (dt*r)*x; then spike and reset."""
    gain, fire = _full(n, dt * n.r.astype(np.float64)), _fire(n)

    def step(state: State, x: Array) -> tuple[Array, State]:
        z, v = fire(state["v"] + gain * x)
        return z, {"v": v}

    return {"v": _full(n, n.v_reset)}, step


def floored(n: FlooredIF, dt: float) -> Neuron:
    """v = max(v + (dt*r)*x, v_floor); then spike and reset."""
    gain, fire, floor = _full(n, dt * n.r.astype(np.float64)), _fire(n), _full(n, n.v_floor)

    def step(state: State, x: Array) -> tuple[Array, State]:
        z, v = fire(np.maximum(state["v"] + gain * x, floor))
        return z, {"v": v}

    return {"v": _full(n, n.v_reset)}, step


def linear_leak(n: LinearLeakIF, dt: float) -> Neuron:
    """v = max(v + (dt*r)*x - dt*leak, v_floor); then spike and reset. Norse has no such cell."""
    gain, fire = _full(n, dt * n.r.astype(np.float64)), _fire(n)
    leak, floor = _full(n, dt * n.leak.astype(np.float64)), _full(n, n.v_floor)

    def step(state: State, x: Array) -> tuple[Array, State]:
        z, v = fire(np.maximum(state["v"] + gain * x - leak, floor))
        return z, {"v": v}

    return {"v": _full(n, n.v_reset)}, step


def rate(n: RateIF, dt: float) -> Neuron:
    """v = max(v + (dt*r)*x, v_floor); then as many spikes as v holds thresholds."""
    gain, floor = _full(n, dt * n.r.astype(np.float64)), _full(n, n.v_floor)
    threshold = _full(n, n.v_threshold)

    def step(state: State, x: Array) -> tuple[Array, State]:
        v = np.maximum(state["v"] + gain * x, floor)
        z = np.floor(np.maximum(v, 0) / threshold)
        return z, {"v": v - z * threshold}

    return {"v": _full(n, n.v_reset)}, step


def integrator(n: Integrator, dt: float) -> Neuron:
    """v += (dt*r)*x; the value is v."""
    gain = _full(n, dt * n.r.astype(np.float64))

    def step(state: State, x: Array) -> tuple[Array, State]:
        v = state["v"] + gain * x
        return v, {"v": v}

    return {"v": np.zeros_like(gain)}, step


# --- the exact solution over one step, in float64 ---------------------------


def exact_leaky(n: LI, dt: float) -> Neuron:
    """v = a*v + (1-a)*(r*x + v_leak), a = exp(-dt/tau); a LIF then spikes and resets."""
    r, v_leak, fire = (
        _full(n, n.r, np.float64),
        _full(n, n.v_leak, np.float64),
        _fire(n, np.float64),
    )
    rate = dt / n.tau.astype(np.float64)
    a, b = np.exp(-rate), -np.expm1(-rate)

    def step(state: State, x: Array) -> tuple[Array, State]:
        value, v = fire(a * state["v"] + b * (r * x + v_leak))
        return value, {"v": v}

    return {"v": v_leak}, step


def exact_cuba(n: CubaLI, dt: float) -> Neuron:
    """The jump of `cuba` at the start of the step, then the decay of i and its effect on v.

    With j = i + gain*x the current is j*exp(-s/tau_syn) at time s of the step, and

        v = a*v + (1-a)*v_leak + b*r*j      a = exp(-dt/tau_mem)
        i = exp(-dt/tau_syn)*j              b = dt/tau_mem * a * expm1(q)/q
                                            q = dt/tau_mem - dt/tau_syn

    where b is the integral of exp(-(dt-s)/tau_mem) * exp(-s/tau_syn) / tau_mem over the
    step, and expm1(q)/q is 1 where the two time constants are equal.
    """
    gain, r = _full(n, _gain(n, dt), np.float64), _full(n, n.r, np.float64)
    v_leak, fire = _full(n, n.v_leak, np.float64), _fire(n, np.float64)
    mem, syn = dt / n.tau_mem.astype(np.float64), dt / n.tau_syn.astype(np.float64)
    q = mem - syn
    a, decay = np.exp(-mem), np.exp(-syn)
    b = mem * a * np.where(q == 0, 1.0, np.expm1(q) / np.where(q == 0, 1.0, q))
    rest = -np.expm1(-mem) * v_leak

    def step(state: State, x: Array) -> tuple[Array, State]:
        j = state["i"] + gain * x
        value, v = fire(a * state["v"] + rest + b * (r * j))
        return value, {"i": decay * j, "v": v}

    return {"i": np.zeros_like(v_leak), "v": v_leak}, step


EULER: dict[type[Population], Callable[[Any, float], Neuron]] = {
    LIF: lif,
    LI: li,
    RectifiedLI: rectified(li),
    CubaLIF: cuba,
    CubaLI: cuba,
    IF: integrate_and_fire,
    FlooredIF: floored,
    LinearLeakIF: linear_leak,
    RateIF: rate,
    Integrator: integrator,
}
EXACT: dict[type[Population], Callable[[Any, float], Neuron]] = {
    LIF: exact_leaky,
    LI: exact_leaky,
    RectifiedLI: rectified(exact_leaky),
    CubaLIF: exact_cuba,
    CubaLI: exact_cuba,
}


# --- parts that the kinds share ----------------------------------------------


def _full(node: Population, values: Array, dtype: type = np.float32) -> Array:
    return np.broadcast_to(values, node.shape).astype(dtype)


def _rate(node: Population, dt: float, tau: Array) -> Array:
    """float32(dt) * float32(1/tau)"""
    return np.float32(dt) * _full(node, 1.0 / tau.astype(np.float64))


def _gain(n: CubaLI, dt: float) -> Array:
    return np.asarray(dt / n.tau_syn.astype(np.float64) * n.w_in.astype(np.float64))


def _fire(n: Population, dtype: type = np.float32) -> Callable[[Array], tuple[Array, Array]]:
    """v -> (value, v after it): a graded population's value is v; the others spike and reset."""
    if not isinstance(n, IF | LIF | CubaLIF):
        return lambda v: (v, v)
    threshold, to = _full(n, n.v_threshold, dtype), _full(n, n.v_reset, dtype)
    subtract, over = n.reset == "subtract", np.greater if n.fires == "above" else np.greater_equal

    def fire(v: Array) -> tuple[Array, Array]:
        z: Array = over(v - threshold, 0).astype(dtype)
        return z, (1 - z) * v + z * (v - threshold if subtract else to)

    return fire
