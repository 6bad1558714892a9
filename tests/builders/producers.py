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
from tests.builders.nir_files import Tree, chain, port, save

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
