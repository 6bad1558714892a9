"""The numbers that the integers of a program stand for, before any rounding within a step."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nrf_deploy.ir.network import Array
from nrf_deploy.ir.program import Population, Program

from ..arithmetic.models import MODELS
from ..arithmetic.rules import parameters


def dequantised(program: Program) -> dict[str, Mapping[str, Array]]:
    numbers: dict[str, Mapping[str, Array]] = {}
    fraction = {}
    for population in program.populations:
        if MODELS[population.model].sends != "what arrives":
            p = parameters(population)
            numbers[population.name] = _neurons(population, p)
            fraction[population.name] = int(p["fraction_bits"])
    for s in program.synapses:
        bits = {fraction[t] for t in s.targets if t in fraction}
        numbers[s.name] = {"weight": s.weight * 2.0 ** max(bits, default=0)}
    return numbers


def _neurons(population: Population, p: Mapping[str, Array]) -> dict[str, Array]:
    whole = 2.0 ** float(p["decay_bits"])
    state = 2.0 ** (float(p["state_bits"]) - 1)
    numbers: dict[str, Array] = {
        "decay": p["decay"] / whole,
        "leak": p["leak"].astype(np.float64),
        "rest": p["rest"].astype(np.float64),
        "bias": p["bias"].astype(np.float64),
        "current_bias": np.zeros(()),
        "current_decay": np.ones(()),
        "sum_limit": np.array(2.0 ** float(p["sum_bits"] + p["fraction_bits"] - 1)),
        "current_limit": np.array(state),
        "state_limit": np.array(state),
        "wrap": p["wrap"].astype(np.float64),
        "current_wrap": p["wrap"].astype(np.float64),
    }
    if "current_decay" in p:
        numbers["current_decay"] = p["current_decay"] / whole
        numbers["current_bias"] = p["input_bias"].astype(np.float64)
    if "vth" in p:
        numbers |= {
            "threshold": p["vth"].astype(np.float64),
            "at": p["at"].astype(np.float64),
            "reset": p["v_reset"].astype(np.float64),
            "subtract": p["subtract"].astype(np.float64),
        }
    if "subtracts" in p:
        numbers["taken"] = p["subtracts"].astype(np.float64)
    if "floor" in p:
        numbers["floor"] = p["floor"].astype(np.float64)
    return numbers
