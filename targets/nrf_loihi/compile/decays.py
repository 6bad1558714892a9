"""Decays in 4096ths: each rounded by itself, or a ladder of them kept in ratio."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nrf_deploy.compiler.quantize.ratio_preserving_decays import anchored
from nrf_deploy.compiler.quantize.rules import Rules
from nrf_deploy.ir.network import Array

from .neuron import Neuron

Params = dict[str, Array | int]


def decays(forms: Mapping[str, Neuron], rules: Rules) -> dict[str, Params]:
    """du and dv of each population."""
    held = {name: form.decay for name, form in forms.items()}
    held |= anchored({name: k for name, k in held.items() if rules.anchored(name)}, 12)
    return {
        name: {
            "du": np.maximum(np.rint(4096 * form.current_decay).astype(np.int64) - 1, 0),
            "dv": np.minimum(np.rint(4096 * held[name]).astype(np.int64), 4095),
        }
        for name, form in forms.items()
    }
