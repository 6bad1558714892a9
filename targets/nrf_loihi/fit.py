"""How well a choice of integers does on data: a layer at a time, by the chip's own rules.

Each population is given what arrives when the layers before it run as they will on the
chip, and is held against the spikes of the float model. So what one layer loses the next
can make up for. Where a loop leads back, the model's own spikes stand in.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nrf_deploy import program as chip_program
from nrf_deploy.layers import Layers, Link
from nrf_deploy.network import Array, Conv, Linear, Network, Pool, Population
from nrf_deploy.recording import Recording
from nrf_deploy.reference import run
from nrf_deploy.reference.connections import connection

from .arithmetic import LoihiArithmetic

ELEMENTS = 20_000_000  # of the largest layer's frames: longer data are cut


class Calibration:
    """The model's signals on the data, and, as layers are fixed, the chip's."""

    def __init__(self, network: Network, view: Layers, recording: Recording):
        largest = max(int(np.prod(network[stop].shape)) for stop in view.stops)
        self.steps = min(recording.steps, max(16, ELEMENTS // largest))
        trace = run(network, recording, record=view.stops, steps=self.steps)
        self.model = {stop: trace.outputs[stop].dense() for stop in view.stops}
        self.chip: dict[str, Array] = {}

    def source(self, link: Link) -> Array:
        """(steps, *shape) of what feeds this link, on the model's own time."""
        frames = self.chip.get(link.source, self.model[link.source])
        if not link.back:
            return frames
        return np.concatenate([np.zeros_like(frames[:1]), frames[:-1]])

    def sums(self, link: Link, weight: Array, shape: tuple[int, ...]) -> Array:
        """What these integer weights make of it, (steps, *shape)."""
        frames = self.source(link)
        node = link.node
        if isinstance(node, Conv):
            from nrf_deploy.quantise.scatter import convolved  # starts numba

            out = convolved(node, weight, frames)
        elif isinstance(node, Linear):
            out = frames.reshape(len(frames), -1).astype(np.float64) @ weight.T.astype(np.float64)
        elif isinstance(node, Pool):
            each = weight.reshape(len(weight), -1)[:, 0].reshape(-1, *[1] * len(node.window))
            out = connection(node)(frames) * each
        else:
            out = frames.reshape(len(frames), -1) * weight
        return np.rint(out).astype(np.int64).reshape(len(frames), *shape)


def spikes(population: Population, params: Mapping[str, Array | int], arriving: Array) -> Array:
    """(steps, *shape) of the population's spikes, by the normative arithmetic."""
    arithmetic = LoihiArithmetic()
    chip = chip_program.Population(
        name=population.name, shape=population.shape, model="lif", params=dict(params)
    )
    state = arithmetic.start(chip)
    out = np.empty(arriving.shape, bool)
    for t, sums in enumerate(arriving):
        output, state = arithmetic.step(chip, state, sums, t)
        out[t] = output
    return out


def mismatches(got: Array, wanted: Array) -> Array:
    """Places (step, neuron) where spikes differ, a channel."""
    return _a_channel(got != (wanted != 0))


def distance(got: Array, wanted: Array) -> Array:
    """Places that differ, and how far each neuron's count is off: a channel.

    Places alone would prefer a lost spike (one place) to one moved by a step (two), and
    a fit would learn silence. With the counts both cost the same.
    """
    counts = got.sum(axis=0, dtype=np.int64) - (wanted != 0).sum(axis=0, dtype=np.int64)
    return mismatches(got, wanted) + _a_channel(np.abs(counts)[None])


def _a_channel(x: Array) -> Array:
    return np.asarray(np.moveaxis(x, 1, 0).reshape(x.shape[1], -1).sum(axis=1))
