"""The covariant network at its paper's full size: some 16 million neurons, made of integers.

2 x 300 x 300 inputs; three times a mean over 2 x 2 pixels and a convolution (144 fields, 144,
3), each in four temporal channels. The mean is part of the convolution: each weight of a
9 x 9 kernel is said four times, over 18 x 18 pixels, with a stride of 2. The first layer's
fields are derivatives of Gaussians: one convolution, four populations that share its sum.
The weights that training would give to the other layers are drawn; the thresholds are such
that every layer fires, and are lower for the sparser input.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from nrf_deploy.ir.network import Array
from nrf_deploy.ir.program import Population, Port, Program, Synapses
from nrf_deploy.testing.bench.case import Problem
from nrf_models.covariant.receptive_fields import Field, bank

from .build import conv, events, made, neurons, weights

SIDE, CHANNELS, FIELDS, STEPS = 300, 4, 144, 20
CONSTANTS = (5.48, 10.95, 21.9, 43.8)
KERNELS = (9, 7, 5)
THRESHOLDS = (1600, 2500, 1500)
LOW = (400, 3000, 2000)
"""For 1 per mille input, which would leave every neuron silent otherwise."""
ORDERS = ((0, 0), (1, 0), (0, 1), (1, 1))


def fields() -> list[Field]:
    """Four scales, four orders, nine shapes: a circle once, two ratios at four angles."""
    angles = [k * np.pi / 4 for k in range(4)]
    shapes = [(0.0, 1.0), *((a, r) for r in (1.22, 1.5) for a in angles)]
    return [
        Field(float(scale), float(angle), ratio, along, across)
        for scale in (1, 2, 4, 8)
        for angle, ratio in shapes
        for along, across in ORDERS
    ]


def pooled(kernel: Array) -> Array:
    """Over pixels instead of means of 2 x 2 of them."""
    return np.repeat(np.repeat(kernel, 2, axis=2), 2, axis=3)


def first_weights(size: int) -> Array:
    """Each field scaled to the whole range of a weight, turned as a correlation wants it."""
    drawn = bank(fields(), size)[:, ::-1, ::-1]
    scaled = drawn / np.abs(drawn).max(axis=(1, 2), keepdims=True)
    even = 2 * np.rint(60 * scaled).astype(np.int64)
    return pooled(np.stack([even, even], axis=1))


@lru_cache(maxsize=2)
def program(
    side: int = SIDE, count: int = FIELDS, thresholds: tuple[int, ...] = THRESHOLDS
) -> Program:
    """`count` fields at most, evenly chosen, over side x side pixels."""
    chosen = first_weights(KERNELS[0])[:: FIELDS // count][:count]
    layers = [
        chosen,
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
    return made(network, events(network.ports[0].shape, steps, density, seed=3))
