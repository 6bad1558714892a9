"""How a population spikes on data with a choice of integers, by the chip's own rules."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nrf_deploy.compiler.quantize.signals import a_channel
from nrf_deploy.ir import program as chip_program
from nrf_deploy.ir.network import Array, Population

from ..arithmetic.neurons import runs_on
from ..arithmetic.rules import LoihiArithmetic


def spikes(population: Population, params: Mapping[str, Array | int], arriving: Array) -> Array:
    """Return (steps, *shape) of the population's spikes, by the normative arithmetic."""
    arithmetic = LoihiArithmetic()
    model, more = runs_on(population)
    chip = chip_program.Population(
        name=population.name, shape=population.shape, model=model, params={**params, **more}
    )
    state = arithmetic.start(chip)
    out = np.empty(arriving.shape, bool)
    for t, sums in enumerate(arriving):
        output, state = arithmetic.step(chip, state, sums, t)
        out[t] = output
    return out


def mismatches(got: Array, wanted: Array) -> Array:
    """Places (step, neuron) where spikes differ, a channel."""
    return a_channel(got != (wanted != 0))
