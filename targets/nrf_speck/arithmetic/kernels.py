"""Both arithmetics for the fast engines: the kernel of each population."""

from __future__ import annotations

from typing import Any

import numpy as np

from nrf_deploy.engines.emulator.kernels import WORD, Cell, Delivery, Range
from nrf_deploy.ir.program import Population, Synapses

from ..chip import MOST
from .models import MODELS, joins_wires
from .rules import Params, parameters


def _numbers(p: Params) -> dict[str, Any]:
    """Return the parameters in the kernels' order."""
    names = ("threshold_high", "threshold_low", "returns_to_zero", "bias")
    return {n: int(p[n]) if p[n].ndim == 0 else p[n] for n in names}


def _passed(arriving: Range) -> Range:
    return arriving if WORD[0] <= arriving[0] and arriving[1] <= WORD[1] else WORD


class StepsKernels:
    def graded(self, synapses: Synapses) -> bool:
        return True

    def delivery(self, synapses: Synapses) -> Delivery:
        return Delivery()

    def cell(self, population: Population) -> Cell | None:
        from . import kernels_compiled as compiled

        if joins_wires(population):
            return Cell(compiled.passing, {}, payload=True, output=_passed)
        p = parameters(population)
        if not MODELS[population.model].compiled:
            return None
        above = int(np.max(p["v0"] + p["bias"]))
        highest = max(above, MOST + int(p["bias"].max()))
        theta = int(p["threshold_high"])

        def spikes(arriving: Range) -> Range:
            count = max(0, highest + arriving[1]) // theta
            return (0, count) if count <= WORD[1] else WORD

        return Cell(compiled.stepping, _numbers(p), payload=True, output=spikes)


class EventsKernels:
    def cell(self, population: Population) -> Cell | None:
        from . import kernels_compiled as compiled

        p = parameters(population)
        if not MODELS[population.model].compiled:
            return None
        return Cell(compiled.arriving, _numbers(p))
