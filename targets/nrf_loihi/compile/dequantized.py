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


def dequantised(program: Program) -> dict[str, Mapping[str, Array]]:
    rules = LoihiArithmetic()
    numbers: dict[str, Mapping[str, Array]] = {}
    for s in program.synapses:
        exponent = 0 if isinstance(s, Conv) else int(s.params.get("weight_exp", 0))
        numbers[s.name] = {"weight": rules.held(s) * 2.0 ** (STATE_SHIFT + exponent)}
    for p in program.populations:
        mirrored = "u0" in p.params  # u stands for the model's v, and these numbers are of v
        if MODELS[p.model].runs and not mirrored:
            wraps = all(isinstance(s, Conv) for s in program.into(p.name))
            current_bias = arriving_always(program, p.name)
            numbers[p.name] = _neurons(p, LIMIT if wraps else 2**31, current_bias)
    return numbers


def _neurons(population: Population, sums: int, current_bias: Array) -> dict[str, Array]:
    """Return the numbers; a sum of convolutions is wider than each, and its wrap is left out."""
    p = parameters(population)
    amounts = {
        "bias": np.asarray(shift(p["bias_mant"], p["bias_exp"]), np.float64),
        "current_bias": current_bias.astype(np.float64),
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
