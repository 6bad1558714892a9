"""Decays in 4096ths: each rounded by itself, or a ladder of them kept in ratio.

A covariant model has the same layer at time constants tau, tau/S, tau/S^2 ...; a scene
that runs S times faster should give channel k+1 what channel k gave. Rounded each by
itself, decays lose that ratio. Anchored decays keep it: the slowest, d, is rounded, and
a channel that is S times faster decays in one step as far as the slowest in S,

    d_k = 4096 (1 - (1 - d/4096)^S)

S is the ratio of the taus, and so of k = dt/tau, where a step of the model is Euler's. Where
the model decays as an exponential already (the rewrite exact_decay made k = 1 - exp(-dt/tau)
of it), S is the ratio of log(1 - k). A ladder has whole ratios, so it tells which it is.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nrf_deploy.network import Array, Network
from nrf_deploy.quantise.rules import Rules

from .neuron import Neuron

Params = dict[str, Array | int]

WHOLE = 1e-3
"""A ratio that is further than this from a whole number is no ratio of a ladder."""


def decays(network: Network, forms: Mapping[str, Neuron], rules: Rules) -> dict[str, Params]:
    """du and dv of each population."""
    held = {name: form.decay for name, form in forms.items()}
    held |= _anchored({name: k for name, k in held.items() if rules.anchored(name)})
    return {
        name: {
            "du": np.maximum(np.rint(4096 * form.current_decay).astype(np.int64) - 1, 0),
            "dv": np.minimum(np.rint(4096 * held[name]).astype(np.int64), 4095),
        }
        for name, form in forms.items()
    }


def _anchored(decay: Mapping[str, Array]) -> dict[str, Array]:
    """These decays by way of the slowest of them; what does not leak stays so."""
    every = np.unique([k for part in decay.values() for k in np.unique(part[part > 0])])
    if not every.size:
        return dict(decay)
    measure = min((_by_tau, _by_logarithm), key=lambda m: _off_whole(m(every) / m(every[0])))
    kept, slowest = 1 - np.rint(4096 * every[0]) / 4096, measure(every[0])
    return {name: 1 - kept ** (measure(k) / slowest) for name, k in decay.items()}


def _by_tau(k: Array) -> Array:
    return k


def _by_logarithm(k: Array) -> Array:
    """Finite for k = 1 too: with it 1 - d vanishes far below a 4096th."""
    return -np.log1p(-np.minimum(k, 1 - 2.0**-52))


def _off_whole(ratios: Array) -> float:
    return float(np.minimum(np.abs(ratios - np.rint(ratios)), WHOLE).sum())
