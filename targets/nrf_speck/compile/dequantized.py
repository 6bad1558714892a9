"""The numbers that the integers of a core stand for, where a step's events are added up.

A weight adds itself to v, and v counts whole units: nothing is rounded on the way. Neurons that
subtract their threshold and fire above it count from -1 (core_units.py): here they count from 0.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nrf_deploy.ir.network import Array
from nrf_deploy.ir.program import Conv, Population, Program

from ..arithmetic.models import is_core
from ..arithmetic.rules import parameters
from ..chip import MOST


def dequantised(program: Program) -> dict[str, Mapping[str, Array]]:
    numbers: dict[str, Mapping[str, Array]] = {
        s.name: {"weight": s.weight.astype(np.float64)}
        for s in program.synapses
        if isinstance(s, Conv)
    }
    neurons = (p for p in program.populations if is_core(p))
    return numbers | {p.name: _neurons(p) for p in neurons}


def _neurons(population: Population) -> dict[str, Array]:
    p = parameters(population)
    shape = population.shape
    from_below = not p["returns_to_zero"] and bool(np.all(p["v0"] == -1))
    no, endless = np.zeros(()), np.full((), np.inf)
    return {
        "decay": no,
        "current_decay": np.ones(()),
        "bias": np.broadcast_to(p["bias"].astype(np.float64), shape),
        "current_bias": no,
        "threshold": p["threshold_high"].astype(np.float64),
        "at": np.array(float(not from_below)),
        "reset": no,
        "subtract": np.array(float(not p["returns_to_zero"])),
        "sum_limit": endless,
        "current_limit": endless,
        "state_limit": np.array(float(MOST)),
        "wrap": no,
        "current_wrap": no,
        "floor": p["threshold_low"] + float(from_below),
    }
