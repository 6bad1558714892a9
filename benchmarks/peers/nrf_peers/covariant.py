"""The covariant network at the full size of its paper: about 16 million neurons, in integers.

2 x 300 x 300 inputs; three times a mean over 2 x 2 pixels and a convolution (144 fields, 144,
3), each in four temporal channels. The mean is part of the convolution: each weight of a
9 x 9 kernel is repeated four times, over 18 x 18 pixels, with a stride of 2. The fields of the
first layer are derivatives of Gaussians: one convolution, and four populations that share its
sum. The weights of the other layers are random, not trained. The thresholds let all layers
spike, and are lower for the sparser input.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from nrf_deploy.ir.network import Array
from nrf_deploy.ir.program import Population, Port, Program, Synapses
from nrf_deploy.testing.bench.case import Problem
from nrf_models.covariant.receptive_fields import Field, bank

from .build import conv, events, neurons, to_problem, weights

SIDE, CHANNELS, FIELDS, STEPS = 300, 4, 144, 20
CONSTANTS = (5.48, 10.95, 21.9, 43.8)
KERNELS = (9, 7, 5)
THRESHOLDS = (1600, 2500, 1500)
LOW = (400, 3000, 2000)
"""Thresholds for inputs with a density of 0.001, with which no neuron would spike otherwise."""
ORDERS = ((0, 0), (1, 0), (0, 1), (1, 1))


def fields() -> list[Field]:
    """Return fields of 4 scales, 4 orders and 9 shapes: a circle, and 2 ratios at 4 angles."""
    angles = [k * np.pi / 4 for k in range(4)]
    shapes = [(0.0, 1.0), *((a, r) for r in (1.22, 1.5) for a in angles)]
    return [
        Field(float(scale), float(angle), ratio, along, across)
        for scale in (1, 2, 4, 8)
        for angle, ratio in shapes
        for along, across in ORDERS
    ]


def pooled(kernel: Array) -> Array:
    """Convert a kernel over means of 2 x 2 pixels to a kernel over pixels."""
    return np.repeat(np.repeat(kernel, 2, axis=2), 2, axis=3)


def first_weights(size: int) -> Array:
    """Return the fields as kernels of a correlation, scaled to the whole range of a weight."""
    flipped = bank(fields(), size)[:, ::-1, ::-1]
    scaled = flipped / np.abs(flipped).max(axis=(1, 2), keepdims=True)
    even = 2 * np.rint(60 * scaled).astype(np.int64)
    return pooled(np.stack([even, even], axis=1))


@lru_cache(maxsize=2)
def program(
    side: int = SIDE, count: int = FIELDS, thresholds: tuple[int, ...] = THRESHOLDS
) -> Program:
    """Build the network with at most `count` evenly spaced fields, over side x side pixels."""
    first = first_weights(KERNELS[0])[:: FIELDS // count][:count]
    layers = [
        first,
        pooled(weights(1, count, count, KERNELS[1], KERNELS[1], mean=0)),
        pooled(weights(2, 3, count, KERNELS[2], KERNELS[2], mean=0)),
    ]
    synapses: list[Synapses] = []
    populations: list[Population] = []
    size = side
    for k, (weight, vth) in enumerate(zip(layers, thresholds, strict=True)):
        names = [f"n{k + 1}.{c}" for c in range(CHANNELS)]
        links = [("in", names)] if k == 0 else [(f"n{k}.{c}", [names[c]]) for c in range(CHANNELS)]
        for source, targets in links:
            wire = conv(
                f"{source}-{k + 1}", source, targets, weight, (size, size), 2, KERNELS[k] - 1
            )
            synapses.append(wire)
        size = wire.shape[1]
        for name, tau in zip(names, CONSTANTS, strict=True):
            leak = round(4096 / tau)
            populations.append(neurons(name, wire.shape, vth, leak))
    return Program(
        arithmetic="loihi",
        ports=(Port(name="in", shape=(2, side, side)),),
        synapses=tuple(synapses),
        populations=tuple(populations),
        outputs=tuple(p.name for p in populations[-CHANNELS:]),
    )


def problem(density: float, side: int = SIDE, count: int = FIELDS, steps: int = STEPS) -> Problem:
    network = program(side, count, LOW if density < 0.005 else THRESHOLDS)
    return to_problem(network, events(network.ports[0].shape, steps, density, seed=3))
