"""Decays in 4096ths: each rounded by itself, or a ladder of them kept in ratio.

A covariant model has the same layer at time constants tau, tau/S, tau/S^2 ...; a scene
that runs S times faster should give channel k+1 what channel k gave. Rounded each by
itself, decays lose that ratio. Anchored decays keep it: the slowest, d, is rounded, and
a channel that is S times faster decays in one step as far as the slowest in S,

    d_k = 4096 (1 - (1 - d/4096)^S)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from nrf_deploy.network import Array, Network
from nrf_deploy.quantise.rules import Rules

from .neuron import Neuron

Params = dict[str, Array | int]


def decays(network: Network, forms: Mapping[str, Neuron], rules: Rules) -> dict[str, Params]:
    """du and dv of each population."""
    anchored = {name: form for name, form in forms.items() if rules.anchored(name)}
    slowest = _anchor(anchored)
    out: dict[str, Params] = {}
    for name, form in forms.items():
        decay = form.decay
        if slowest is not None and name in anchored:
            ratio = np.divide(decay, slowest, out=np.zeros_like(decay), where=decay > 0)
            decay = 1 - (1 - np.rint(4096 * slowest) / 4096) ** ratio
        out[name] = {
            "du": np.maximum(np.rint(4096 * form.current_decay).astype(np.int64) - 1, 0),
            "dv": np.minimum(np.rint(4096 * decay).astype(np.int64), 4095),
        }
    return out


def _anchor(forms: Mapping[str, Neuron]) -> float | None:
    """The slowest decay of all; None where nothing leaks."""
    leaks: Iterator[float] = (
        float(form.decay[form.decay > 0].min()) for form in forms.values() if np.any(form.decay > 0)
    )
    return min(leaks, default=None)
