"""The numbers that the integers of a program stand for, before any rounding within a step.

A weight w adds w * 2^(6 + weight_exp) to u; a threshold is one of v >> 6; decays are 4096ths.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nrf_deploy.ir.network import Array
from nrf_deploy.ir.program import Conv, Population, Program

from ..arithmetic.integers import LIMIT, shift
from ..arithmetic.neurons import MODELS, parameters
from ..arithmetic.rules import LoihiArithmetic
from ..chip import STATE_SHIFT
from .constant_input import arriving_always
from .initial_state import currents
from .neuron import LARGEST_DECAY


def dequantised(program: Program) -> dict[str, Mapping[str, Array]]:
    rules = LoihiArithmetic()
    numbers: dict[str, Mapping[str, Array]] = {}
    for s in program.synapses:
        exponent = 0 if isinstance(s, Conv) else int(s.params.get("weight_exp", 0))
        numbers[s.name] = {"weight": rules.held(s) * 2.0 ** (STATE_SHIFT + exponent)}
    for p in program.populations:
        if MODELS[p.model].runs and not _mirrored(p):
            wraps = all(isinstance(s, Conv) for s in program.into(p.name))
            current_bias = arriving_always(program, p.name)
            first = _first_current(program, p)
            numbers[p.name] = _neurons(p, LIMIT if wraps else 2**31, current_bias, first)
    return numbers


def _mirrored(population: Population) -> bool:
    """Return True where u stands for the v of the model: these numbers are of v."""
    p = parameters(population)
    fades = bool(np.all(p["dv"] == LARGEST_DECAY)) and not np.any(p["v0"])
    return "u0" in population.params and fades


def _first_current(program: Program, population: Population) -> Array:
    """Return u before the first step of the model."""
    p = parameters(population)
    late = (o.latency for o in program.origins if o.population == population.name)
    u = np.broadcast_to(p["u0"], population.shape)
    return currents(u, 4095 - p["du"], steps)[-1] if (steps := next(late, 0)) else u


def _neurons(
    population: Population, sums: int, current_bias: Array, first: Array
) -> dict[str, Array]:
    """Return the numbers; a sum of convolutions is wider than each, and its wrap is left out.

    A current that starts at -b beside a bias of b is one that starts at 0 and gets b / tau.
    """
    p = parameters(population)
    amounts = {
        "bias": np.asarray(shift(p["bias_mant"], p["bias_exp"]) + first, np.float64),
        "current_bias": current_bias - first * ((p["du"] + 1) / 4096),
        "reset": np.zeros(()),
        "sum_limit": np.array(float(sums << STATE_SHIFT)),
        "current_limit": np.array(float(LIMIT)),
        "state_limit": np.array(float(LIMIT - 1)),
    }
    if MODELS[population.model].sends == "spikes":
        amounts["threshold"] = (p["vth"] << STATE_SHIFT).astype(np.float64)
    return {
        **amounts,
        "decay": p["dv"] / 4096,
        "current_decay": (p["du"] + 1) / 4096,
        "at": np.zeros(()),
        "subtract": np.zeros(()),
        "wrap": np.zeros(()),
        "current_wrap": np.ones(()),
    }
