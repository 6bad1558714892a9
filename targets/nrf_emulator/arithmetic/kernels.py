"""The arithmetic "fixed" for the fast engine.

Rounding x / 2^n is (x + a) >> n with one a for x >= 0 and another for x < 0:

    down          0 and 0
    toward zero   0 and 2^n - 1
    to nearest    2^(n-1) and 2^(n-1) - 1   (halves away from zero)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nrf_deploy.engines.emulator.kernels import Cell, Delivery, Range
from nrf_deploy.ir.program import Population, Synapses

from .models import MODELS
from .rules import parameters
from .steps import Params

EACH = {
    "leak": 0,
    "rest": 0,
    "bias": 0,
    "vth": 0,
    "v_reset": 0,
    "keep_i": 0,
    "input_bias": 0,
    "shift": 0,
}


class FixedKernels:
    def graded(self, synapses: Synapses) -> bool:
        return bool(synapses.params.get("graded", 1))

    def delivery(self, synapses: Synapses) -> Delivery:
        return Delivery()

    def cell(self, population: Population) -> Cell | None:
        p, model = parameters(population), MODELS[population.model]
        if model.compiled is None:
            return None
        from . import neurons_compiled as compiled

        if model.compiled in compiled.STATELESS:
            bits = int(p["sum_bits"])
            numbers = {"sum_bits": bits, "wrap": int(p["wrap"]), "rectify": int(p["rectify"])}
            passing = compiled.STATELESS[model.compiled]
            return Cell(passing, numbers, payload=True, output=_within(bits))
        leaky = bool(np.any(p["decay"]) or np.any(p["leak"]))
        kernel = compiled.kernel_of(model.compiled, leaky)
        if model.sends == "spikes":
            return Cell(kernel, _numbers(p, compiled.ADDED))
        if model.sends == "counts":
            largest = _largest_count(p)
            counts = _numbers(p, compiled.ADDED)
            return Cell(kernel, counts, payload=True, output=lambda arriving: (0, largest))
        return Cell(
            kernel,
            _numbers(p, compiled.ADDED),
            payload=True,
            output=_within(int(p["message_bits"])),
        )


def _numbers(p: Params, added: Sequence[str]) -> dict[str, Any]:
    """Return the parameters in the kernel's order, additions last; missing ones are 0."""
    bits, rounding = int(p["decay_bits"]), int(p["rounding"])
    whole = 1 << bits
    up = whole >> 1 if rounding == 2 else 0
    values = {
        "keep": whole - p["decay"],
        **{name: p.get(name, np.asarray(usual)) for name, usual in EACH.items()},
        "state_bits": p["state_bits"],
        "sum_bits": p["sum_bits"],
        "fraction_bits": p["fraction_bits"],
        "decay_bits": p["decay_bits"],
        "wrap": p["wrap"],
        "up": np.asarray(up),
        "down": np.asarray(whole - 1 - up if rounding else 0),
        "wait": p["wait"],
        "at": p.get("at", np.asarray(0)),
        "subtract": p.get("subtract", np.asarray(0)),
        "message_bits": p.get("message_bits", np.asarray(16)),
        "message_rounding": p.get("message_rounding", np.asarray(1)),
        "rectify": p.get("rectify", np.asarray(0)),
        **{name: p.get(name, np.asarray(0)) for name in added},
    }
    if "current_decay" in p:
        values["keep_i"] = whole - p["current_decay"]
    return {name: int(x) if x.ndim == 0 else x for name, x in values.items()}


def _within(bits: int) -> Any:
    """Return the function for the range of a payload, which depends on its width only."""
    ends: Range = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    return lambda arriving: ends


def _largest_count(p: Params) -> int:
    """Return the largest number of spikes that a potential of `state_bits` can give in a step."""
    reach = 2 ** (int(p["state_bits"]) - 1)
    return int(min(p["most"].max(), reach // max(p["vth"].min(), 1)))
