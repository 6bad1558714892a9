"""Loihi for the fast engine: the kernel of each population and the integer width of sums.

rules.py is normative. The cells of the neuron models are in cells.py; MODELS in neurons.py
assigns them to models.
"""

from __future__ import annotations

from nrf_deploy.engines.emulator.kernels import Cell, Delivery
from nrf_deploy.ir.program import Conv, Dense, Population, Synapses

from .neurons import MODELS, parameters


class LoihiKernels:
    def graded(self, synapses: Synapses) -> bool:
        return bool(synapses.params.get("num_message_bits", 0) > 0)

    def delivery(self, synapses: Synapses) -> Delivery:
        if isinstance(synapses, Conv):
            return Delivery(after=24)
        delayed = isinstance(synapses, Dense) and (
            synapses.delays is not None or synapses.delay > 1
        )
        exponent = int(synapses.params.get("weight_exp", 0))
        return Delivery(before=64 if delayed else 32, shift=exponent, after=32)

    def cell(self, population: Population) -> Cell | None:
        numbers = parameters(population)
        compiled = MODELS[population.model].compiled
        return None if compiled is None else compiled(numbers)
