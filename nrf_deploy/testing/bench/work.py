"""Work of a run: synaptic events and neuron updates, counted from its spikes."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from nrf_deploy.ir.network import Array
from nrf_deploy.ir.program import Conv, Dense, Program, Sparse, Synapses
from nrf_deploy.ir.recording import Recording

WORDS = 4
"""Bytes of a neuron's potential, and of its summed input, in a straightforward program."""


def fan_out(s: Synapses) -> Array:
    """Return the number of weights of each source element, in the source's shape."""
    if isinstance(s, Conv):
        return _conv_fan_out(s)
    if isinstance(s, Sparse):
        size = math.prod(s.input_shape)
        return np.bincount(s.column, minlength=size).reshape(s.input_shape)
    assert isinstance(s, Dense)
    return np.full(s.input_shape, len(s.weight))


def _conv_fan_out(conv: Conv) -> Array:
    along: list[Array] = []
    for size, kernel, stride, pads, dilation, out in zip(
        conv.input_size,
        conv.weight.shape[2:],
        conv.stride,
        conv.padding,
        conv.dilation,
        conv.shape[1:],
        strict=True,
    ):
        reached = np.zeros(size, np.int64)
        for k in range(kernel):
            at = np.arange(out) * stride + k * dilation - pads[0]
            reached[at[(at >= 0) & (at < size)]] += 1
        along.append(reached)
    channels = conv.weight.shape[0] // conv.groups
    return np.broadcast_to(channels * along[0][:, None] * along[1][None, :], conv.input_shape)


def synaptic_events(
    program: Program, outputs: Mapping[str, Recording], recording: Recording
) -> int:
    """Count the weights that events reach; synapses shared by populations count once."""
    counts = {name: r.counts().ravel() for name, r in outputs.items()}
    first = 0
    for port in program.ports:
        size = math.prod(port.shape)
        counts[port.name] = recording.counts().ravel()[first : first + size]
        first += size
    return sum(int(np.sum(counts[s.source] * fan_out(s).ravel())) for s in program.synapses)


def neurons(program: Program) -> int:
    return sum(p.size for p in program.populations)


def state_bytes(program: Program) -> int:
    """Return the bytes that a step reads and writes if every neuron is active."""
    sums = sum(math.prod(s.shape) for s in program.synapses)
    return 2 * WORDS * (neurons(program) + sums)
