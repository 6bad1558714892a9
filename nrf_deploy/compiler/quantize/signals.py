"""Signals on calibration data: the model's, and the chip's for layers that are quantized.

The inputs of a layer are those that arrive if the layers before it run as on the chip. For
a connection that closes a loop, the model's own signals are used. All times are the model's.
"""

from __future__ import annotations

import numpy as np

from nrf_deploy.engines.reference import run
from nrf_deploy.engines.reference.connections import connection, window_taps
from nrf_deploy.engines.reference.nodes import DelayLine
from nrf_deploy.ir.delays import delay_steps
from nrf_deploy.ir.layer_view import Layers, Link
from nrf_deploy.ir.network import Array, AvgPool, Conv, Delay, Linear, Network, SumPool, exact
from nrf_deploy.ir.recording import Recording

ELEMENTS = 20_000_000
"""The largest number of elements in the largest layer's frames: longer data are cut."""


class Signals:
    """Signals of every stop on a recording: `model` in floats, `chip` in integers so far."""

    def __init__(self, network: Network, view: Layers, recording: Recording):
        self.network, self.view = network, view
        largest = max(int(np.prod(network[stop].shape)) for stop in view.stops)
        self.steps = min(recording.steps, max(16, ELEMENTS // largest))
        trace = run(network, recording, record=view.stops, steps=self.steps)
        self.model = {stop: trace.outputs[stop].dense() for stop in view.stops}
        self.chip: dict[str, Array] = {}

    def source(self, link: Link) -> Array:
        """Return the input of a link as (steps, *shape)."""
        frames = self._sent(link.source)
        late = link.back + link.delay
        if not late:
            return frames
        return np.concatenate([np.zeros_like(frames[:late]), frames[:-late]])

    def _sent(self, stop: str) -> Array:
        node = self.network[stop]
        quantized = all(link.source in self.chip for link in self.view.into(stop))
        if stop not in self.chip and exact(node, Delay, SumPool, AvgPool) and quantized:
            total = np.zeros((self.steps, *node.shape))
            for link in self.view.into(stop):
                frames = self.source(link)
                total += frames if link.node is None else connection(link.node)(frames)
            self.chip[stop] = (
                DelayLine(delay_steps(node, self.network.dt))(total)
                if exact(node, Delay)
                else total
            )
        return self.chip.get(stop, self.model[stop])

    def sums(self, link: Link, weight: Array, shape: tuple[int, ...]) -> Array:
        """Return the sums of a link with these integer weights as (steps, *shape)."""
        frames, node = self.source(link), link.node
        if exact(node, Conv):
            from .sparse_convolution import convolved  # starts numba

            out = convolved(node, weight, frames)
        elif exact(node, Linear):
            out = frames.reshape(len(frames), -1).astype(np.float64) @ weight.T.astype(np.float64)
        elif exact(node, SumPool, AvgPool):
            each = weight.reshape(len(weight), -1)[:, 0].reshape(-1, *[1] * len(node.window))
            out = connection(node)(frames) * each
        else:
            out = frames.reshape(len(frames), -1) * weight
        sums = np.rint(out).astype(np.int64)
        if link.pool is not None:
            pool = link.pool
            taps = window_taps(pool.pool_input, pool.window, pool.stride, pool.padding)
            sums = sums.reshape(len(frames), -1)[:, taps].max(axis=2)
        return sums.reshape(len(frames), *shape)


def a_channel(x: Array) -> Array:
    """Sum an array (steps, channels, ...) for each channel."""
    return np.asarray(np.moveaxis(x, 1, 0).reshape(x.shape[1], -1).sum(axis=1))


def distance(got: Array, wanted: Array) -> Array:
    """Return for each channel the mismatches plus the error of each neuron's spike count.

    Mismatches alone would prefer a lost spike (one mismatch) to one moved by a step (two),
    and a fit would learn silence. With the counts both cost the same.
    """
    return count_distance((got != 0).astype(np.int64), (wanted != 0).astype(np.int64))


def count_distance(got: Array, wanted: Array) -> Array:
    """Return the same for neurons with several spikes in a step."""
    counts = got.sum(axis=0, dtype=np.int64) - wanted.sum(axis=0, dtype=np.int64)
    return np.asarray(a_channel(np.abs(got - wanted)) + a_channel(np.abs(counts)[None]))
