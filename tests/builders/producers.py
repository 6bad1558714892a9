"""Files as the exporters of other frameworks write them, field by field, and their equations.

Each file holds one layer: Linear or Affine, neurons, Output. The equations are those of the
framework, in float32 and in its order of operations (plain numpy, one step at a time).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from nrf_deploy.ir.network import Array
from tests.builders.nir_files import Tree, chain, graph, port, save

f4 = np.float32
N = 5
WEIGHT = np.random.default_rng(3).integers(-4, 7, (N, 3)).astype(f4) / 4

Step = Callable[[Array], Array]
"""(input current of the step) -> output of the neurons, which have a state"""


def frames(steps: int = 200) -> Array:
    rng = np.random.default_rng(0)
    return np.asarray((rng.random((steps, 3)) < 0.4) * rng.integers(1, 4, (steps, 3))).astype(f4)


def expected(step: Step, x: Array) -> Array:
    """Return the output of a layer; its weights are quarters, so every sum is exact."""
    return np.array([step(WEIGHT @ frame) for frame in x])


def file(path: Path, neurons: Tree, names: tuple[str, str, str, str], shape: Any = (3,)) -> str:
    weights: Tree = {"type": "Linear", "weight": WEIGHT}
    out = port("Output", *shape[:-1], N)
    tree = chain(port("Input", *shape), weights, neurons, out, dt=None, names=list(names))
    return str(save(path, tree))


def many(v: Array, threshold: float, most: float = np.inf) -> Array:
    return np.minimum(np.trunc(np.maximum(v, 0) / f4(threshold)), f4(most)).astype(f4)


# --- snnTorch ----------------------------------------------------------------

SNNTORCH = ("input", "0", "1", "output")
BETA = np.array([0.9, 0.5, 0.95, 0.8125, 0.99], f4)
ALPHA = np.array([0.5, 0.75, 0.9, 0.8, 0.5], f4)
ZERO = np.zeros(N, f4)


def leaky(beta: Array = BETA) -> Tree:
    with np.errstate(divide="ignore"):
        tau = f4(1e-4) / (1 - beta)
    values = {"tau": tau, "r": tau / f4(1e-4), "v_leak": ZERO, "v_reset": ZERO}
    return {"type": "LIF", **values, "v_threshold": ZERO + 1}


def synaptic() -> Tree:
    syn, mem = f4(1e-4) / (1 - ALPHA), f4(1e-4) / (1 - BETA)
    values = {"tau_syn": syn, "tau_mem": mem, "r": mem / f4(1e-4), "w_in": syn / f4(1e-4)}
    return {"type": "CubaLIF", **values, "v_leak": ZERO, "v_reset": ZERO, "v_threshold": ZERO + 1}


def by_snntorch(reset: str, beta: Array = BETA, alpha: Array | None = None) -> Step:
    v, i = ZERO.copy(), ZERO.copy()

    def step(x: Array) -> Array:
        nonlocal v, i
        i = x if alpha is None else (alpha * i + x).astype(f4)
        before = (v > 1).astype(f4)
        moved = beta * v + i
        if reset == "late":
            v = moved - before
            return (v > 1).astype(f4)
        spike = (moved > 1 + (before if reset == "doubled" else 0)).astype(f4)
        v = {"doubled": moved - spike, "value": moved * (1 - spike), "none": moved}[reset]
        return spike

    return step


# --- sinabs ------------------------------------------------------------------

SINABS = ("input", "0", "1", "output")


def iaf() -> Tree:
    return {"type": "IF", "r": ZERO + 1, "v_threshold": ZERO + 1}


def lif(kind: str = "LIF", tau: float = 5) -> Tree:
    tree: Tree = {"type": kind, "tau": f4(tau), "r": f4(1), "v_leak": f4(0)}
    return tree | ({"v_threshold": f4(1)} if kind == "LIF" else {})


def by_sinabs(
    tau: float | None = None, norm: bool = True, floor: float | None = None, spikes: bool = True
) -> Step:
    a = f4(1) if tau is None else f4(np.exp(float(f4(-1) / f4(tau))))
    gain = f4(1) if tau is None or not norm else f4(1) - a
    v = ZERO.copy()

    def step(x: Array) -> Array:
        nonlocal v
        v = a * v + gain * x
        if not spikes:
            return v
        n = many(v, 1)
        v = v - n
        if floor is not None:
            v = np.maximum(v - f4(floor), f4(0)) + f4(floor)
        return n

    return step


# --- Norse -------------------------------------------------------------------

NORSE = ("input", "0", "1", "output")
MEM_INV, SYN_INV = f4(137), f4(173)


def norse(kind: str) -> Tree:
    """Build a cell with the defaults of Norse but for its time constants."""
    dt, one = f4(1e-3), f4(1)
    if kind == "IF":
        return {"type": kind, "r": one, "v_threshold": one}
    tree: Tree = {"type": kind, "r": one, "v_leak": f4(0.25)}
    if kind != "LI":
        tree["v_threshold"] = one
    if kind != "CubaLIF":
        return tree | {"tau": dt / MEM_INV}
    return tree | {"tau_mem": dt / MEM_INV, "tau_syn": dt / SYN_INV, "w_in": one}


def by_norse(kind: str) -> Step:
    k, k_syn, leak = f4(1e-3) * MEM_INV, f4(1e-3) * SYN_INV, f4(0.25)
    v, i = ZERO + (0 if kind == "IF" else leak), ZERO.copy()

    def step(x: Array) -> Array:
        nonlocal v, i
        if kind == "IF":
            v = v + x
        elif kind == "LIF":
            v = v + k * ((x + leak) - v)
        elif kind == "LI":
            v = v + k * ((leak - v) + x)
            return v
        else:
            j = i + x
            v = v + k * ((leak - v) + j)
            i = j - k_syn * j
        spike = (v > 1).astype(f4)
        v = v * (1 - spike)
        return spike

    return step


# --- SpikingJelly --------------------------------------------------------------

SPIKINGJELLY = ("input_1", "_0", "_1", "output")
ONES = np.ones(N)


def jelly_if(reset: float = 0.0, dt: float = 1e-4) -> Tree:
    return {"type": "IF", "r": ONES / dt, "v_threshold": ONES, "v_reset": reset * ONES}


def jelly_lif(tau: float, decay_input: bool = True, reset: float = 0.0, dt: float = 1e-4) -> Tree:
    r = 1.0 if decay_input else tau
    values = {"tau": ONES * (tau * dt), "r": ONES * r, "v_leak": ONES * reset}
    return {"type": "LIF", **values, "v_threshold": ONES, "v_reset": ONES * reset}


def jelly_cuba(current: float, potential: float, reset: float = 0.0, dt: float = 1e-4) -> Tree:
    syn, mem = dt / (1 - current), dt / (1 - potential)
    values = {"tau_syn": syn, "tau_mem": mem, "r": mem / dt, "w_in": syn / dt, "v_leak": 0.0}
    arrays = {key: np.full(N, value) for key, value in values.items()}
    return {"type": "CubaLIF", **arrays, "v_threshold": ONES, "v_reset": ONES * reset}


def by_spikingjelly(
    tau: float | None = None,
    *,
    learned: bool = False,
    decay_input: bool = True,
    reset: float = 0.0,
    cuba: tuple[float, float] | None = None,
) -> Step:
    r, v, i = f4(reset), ZERO + f4(reset), ZERO.copy()

    def part(x: Array) -> Array:
        assert tau is not None
        return np.asarray(x * f4(1 / tau) if learned else x / f4(tau))

    def step(x: Array) -> Array:
        nonlocal v, i
        if cuba:
            i = f4(cuba[0]) * i + x
            h = f4(cuba[1]) * v + i
        elif tau is None:
            h = v + x
        else:
            h = v + part(x - (v - r)) if decay_input else v - part(v - r) + x
        spike = (h >= 1).astype(f4)
        v = spike * r + (1 - spike) * h
        return spike

    return step


# --- Rockpool ----------------------------------------------------------------

ROCKPOOL = ("input", "0_LinearTorch", "1_LIFTorch", "output")
TAU_MEM, TAU_SYN = f4([0.02, 0.03, 0.05, 0.1, 0.01]), f4([0.01, 0.02, 0.013, 0.03, 0.05])


def rockpool(kind: str, dt: float = 1e-3) -> Tree:
    r = TAU_MEM * f4(kept_by_rockpool(TAU_MEM, dt)) / f4(dt)
    tree: Tree = {"type": kind, "r": r, "v_leak": ZERO, "v_threshold": ZERO + 1, "v_reset": ZERO}
    if kind == "LIF":
        return tree | {"tau": TAU_MEM}
    return tree | {"tau_mem": TAU_MEM, "tau_syn": TAU_SYN, "w_in": ZERO + 1}


def kept_by_rockpool(tau: Array, dt: float) -> Array:
    return f4(np.exp(-((1 / tau) * f4(dt)).astype(np.float64)))


def by_rockpool(kind: str, dt: float = 1e-3) -> Step:
    alpha, beta = kept_by_rockpool(TAU_MEM, dt), kept_by_rockpool(TAU_SYN, dt)
    v, i = ZERO.copy(), ZERO.copy()

    def step(x: Array) -> Array:
        nonlocal v, i
        if kind == "LIF":
            v = v * alpha + x
        else:
            i = (i + x) * beta
            v = v * alpha + i
        n = many(v, 1, 65536)
        v = v - n
        return n

    return step


# --- Spyx --------------------------------------------------------------------

SPYX = ("input", "layer_0", "layer_1", "output")


def spyx(kind: str) -> Tree:
    """Build neurons as Spyx exports them; r is the decay."""
    if kind == "IF":
        return {"type": kind, "r": ZERO + 1, "v_threshold": ZERO + 1, "v_reset": ZERO}
    common = {"v_leak": ZERO, "v_threshold": ZERO + 1, "v_reset": ZERO, "r": BETA}
    if kind == "LIF":
        return {"type": kind, "tau": 1 / (1 - BETA), **common}
    times = {"tau_mem": 1 / (1 - BETA), "tau_syn": 1 / (1 - ALPHA), "w_in": ZERO + 1}
    return {"type": kind, **times, **common}


def spyx_recurrent(path: Path, back: Array) -> str:
    """Write RLIF as Spyx does: the edges of its subgraph lead into the recurrent weights."""
    inner = {
        "layer_1.input": port("Input", N),
        "layer_1.lif": spyx("LIF") | {"v_threshold": np.ones(N, np.int64)},
        "layer_1.w_rec": {"type": "Linear", "weight": back},
        "layer_1.output": port("Output", N),
    }
    edges = [
        ("layer_1.input", "layer_1.w_rec"),
        ("layer_1.w_rec", "layer_1.lif"),
        ("layer_1.lif", "layer_1.w_rec"),
        ("layer_1.lif", "layer_1.output"),
    ]
    names = ["input", "layer_0", "layer_1", "output"]
    weights: Tree = {"type": "Linear", "weight": WEIGHT}
    nodes = (port("Input", 3), weights, graph(inner, edges), port("Output", N))
    return str(save(path, chain(*nodes, dt=None, names=names)))


def by_spyx(kind: str, back: Array | None = None) -> Step:
    v, i = ZERO.copy(), ZERO.copy()

    def step(x: Array) -> Array:
        nonlocal v, i
        spike = (v > 1).astype(f4)
        if back is not None:
            x = x + back @ spike
        if kind == "CubaLIF":
            v = v - spike
            i = ALPHA * i + x
            v = BETA * v + i
        else:
            v = (v if kind == "IF" else BETA * v) + x - spike
        return spike

    return step
