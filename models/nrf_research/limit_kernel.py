"""The time-causal limit kernel: a cascade of integrators whose scales form a ladder.

Scales are variances in steps^2, tau_k = c^(2(k-K)) tau_max for k = 1 ... K. Integrator k
takes the variance from tau_{k-1} to tau_k (the first one from 0). In continuous time it is
exp(-t/mu_k)/mu_k with mu_k^2 = tau_k - tau_{k-1}, and the mean delay of all is

    sum of mu_k = sqrt(tau_max) (c^(1-K) + sqrt(c^2-1) (1 - c^(1-K)) / (c - 1))

In steps it is y(t) = y(t-1) + (x(t) - y(t-1)) / (1 + m_k): a geometric kernel with mass 1,
mean m_k and variance m_k^2 + m_k, so that m_k = (sqrt(1 + 4 (tau_k - tau_{k-1})) - 1) / 2
takes exactly the same variance. That is one leaky integrator of a network, by Euler's
step, with the time constant 1 + m_k.

Stretch time by c: stage k becomes stage k + 1. This is exact in the limit of many
integrators below the stage; with K of them stage k lacks those finer than tau_1, one
integrator stands for all, and the error is a constant times c^-k.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nrf_deploy.ir.network import Array


def levels(slowest: float, ratio: float, count: int) -> Array:
    """Return tau_1 ... tau_K, up to `slowest`; neighbours differ by ratio^2."""
    if ratio <= 1 or count < 1 or slowest <= 0:
        raise ValueError(f"no cascade of {count} integrators, ratio {ratio}, up to {slowest}")
    return np.asarray(slowest * float(ratio) ** (2 * np.arange(1 - count, 1)))


def constants(slowest: float, ratio: float, count: int) -> Array:
    """Return mu_1 ... mu_K of the integrators in continuous time."""
    return np.asarray(np.sqrt(_added(levels(slowest, ratio, count))))


def means(slowest: float, ratio: float, count: int) -> Array:
    """Return m_1 ... m_K in steps; 1 + m is the time constant of a leaky integrator."""
    return np.asarray((np.sqrt(1 + 4 * _added(levels(slowest, ratio, count))) - 1) / 2)


def cascade(means: Sequence[float] | Array, x: Array) -> Array:
    """Return x (steps, ...) after each integrator, as (stages, steps, ...)."""
    stages = []
    signal = np.asarray(x, np.float64)
    for m in means:
        y, out = np.zeros(signal.shape[1:]), np.empty_like(signal)
        for t, now in enumerate(signal):
            y = y + (now - y) / (1 + m)
            out[t] = y
        stages.append(out)
        signal = out
    return np.stack(stages)


def impulse(means: Sequence[float] | Array, steps: int) -> Array:
    """Return the first `steps` steps of every stage's kernel, as (stages, steps)."""
    x = np.zeros(steps)
    x[:1] = 1
    return cascade(means, x)


def _added(levels: Array) -> Array:
    return np.asarray(np.diff(levels, prepend=0.0))
