"""Decays of few bits that keep the ratios of a ladder.

A covariant model has the same layer at time constants tau, tau/S, tau/S^2 ...; a scene
that runs S times faster should cause in channel k+1 what it caused in channel k. Decays
that are rounded separately lose that ratio. Anchored decays keep it: the slowest, k, is
rounded, and a channel that is S times faster decays in one step as far as the slowest in S,

    k_S = 1 - (1 - k)^S

S is the ratio of the taus, and so of k = dt/tau, where a step of the model is Euler's. Where
the model decays as an exponential already (the rewrite exact_decay made k = 1 - exp(-dt/tau)
of it), S is the ratio of log(1 - k). The ratios of a ladder are integers, which decides
between the two.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nrf_deploy.ir.network import Array

WHOLE = 1e-3
"""A ratio that is further than this from an integer is not a ratio of a ladder."""


def anchored(decay: Mapping[str, Array], bits: int) -> dict[str, Array]:
    """Derive the decays from the slowest of them, rounded to a grid of 1 / 2^bits.

    A decay of 0 stays 0.
    """
    every = np.unique([k for part in decay.values() for k in np.unique(part[part > 0])])
    if not every.size:
        return dict(decay)
    measure = min((_by_tau, _by_logarithm), key=lambda m: _off_whole(m(every) / m(every[0])))
    kept, slowest = 1 - np.rint(every[0] * 2**bits) / 2**bits, measure(every[0])
    return {name: 1 - kept ** (measure(k) / slowest) for name, k in decay.items()}


def _by_tau(k: Array) -> Array:
    return k


def _by_logarithm(k: Array) -> Array:
    """Return -log(1 - k); for k = 1 a finite value, for which 1 - k is far below any grid."""
    return -np.log1p(-np.minimum(k, 1 - 2.0**-52))


def _off_whole(ratios: Array) -> float:
    return float(np.minimum(np.abs(ratios - np.rint(ratios)), WHOLE).sum())
