"""Constructors of programs of the arithmetic "loihi", with seeded weights."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from nrf_deploy.engines.emulator.engine import Engine
from nrf_deploy.ir.network import Array, Shape
from nrf_deploy.ir.program import Conv, Dense, Population, Port, Program, Synapses
from nrf_deploy.ir.recording import Recording
from nrf_deploy.testing.bench.case import Problem
from nrf_loihi.arithmetic.kernels import LoihiKernels
from nrf_loihi.arithmetic.rules import LoihiArithmetic


def to_problem(
    program: Program, recording: Recording, firings: Mapping[str, int] | None = None
) -> Problem:
    engine = Engine(program, LoihiArithmetic(), LoihiKernels())
    return Problem(program, recording, engine, firings or {})


def neurons(name: str, shape: Shape, vth: int, dv: int = 0, **more: Any) -> Population:
    """Return LIF neurons without a memory of their current; without a leak if dv = 0."""
    return Population(
        name=name, shape=shape, model="lif", params={"du": 4095, "dv": dv, "vth": vth, **more}
    )


def conv(
    name: str,
    source: str,
    targets: Sequence[str],
    weight: Array,
    size: Shape,
    stride: int = 1,
    padding: int = 0,
) -> Conv:
    return Conv(
        name=name,
        source=source,
        targets=tuple(targets),
        weight=weight,
        input_size=size,
        stride=(stride, stride),
        padding=((padding, padding), (padding, padding)),
        dilation=(1, 1),
    )


def weights(seed: int, *shape: int, mean: float = 8) -> Array:
    """Draw even weights within 8 bits, as a mixed synapse stores them."""
    drawn = np.random.default_rng(seed).normal(mean, 40, shape)
    even: Array = 2 * np.rint(np.clip(drawn, -120, 120) / 2).astype(np.int64)
    return even


def events(shape: Shape, steps: int, density: float, seed: int) -> Recording:
    """Draw events: each element has one with probability `density` in each step."""
    size = math.prod(shape)
    random = np.random.default_rng(seed)
    index = [np.flatnonzero(random.random(size) < density) for _ in range(steps)]
    start = np.concatenate([[0], np.cumsum([len(i) for i in index])])
    flat = np.concatenate(index)
    return Recording(shape, start, flat, np.ones(len(flat), np.int64))


def chain(port: Port, layers: Sequence[tuple[Synapses, Population]]) -> Program:
    return Program(
        arithmetic="loihi",
        ports=(port,),
        synapses=tuple(s for s, _ in layers),
        populations=tuple(p for _, p in layers),
        outputs=(layers[-1][1].name,),
    )


def dense(inputs: int, outputs: int, vth: int = 8000, seed: int = 0) -> Program:
    """Return a program with one fully connected layer."""
    synapses = Dense(
        name="w1",
        source="in",
        targets=("n1",),
        weight=weights(seed, outputs, inputs),
        source_shape=(inputs,),
        target_shape=(outputs,),
    )
    return chain(Port(name="in", shape=(inputs,)), [(synapses, neurons("n1", (outputs,), vth))])


def convolutions(
    channels: Sequence[int], side: int, vth: Sequence[int], strides: Sequence[int], seed: int = 0
) -> Program:
    """Return a program of 3 x 3 convolutions, padded by 1; channels[0] are the input's."""
    layers: list[tuple[Synapses, Population]] = []
    for k, (before, after) in enumerate(pairwise(channels)):
        source = f"n{k}" if k else "in"
        weight = weights(seed + k, after, before, 3, 3)
        wire = conv(f"w{k + 1}", source, [f"n{k + 1}"], weight, (side, side), strides[k], 1)
        layers.append((wire, neurons(f"n{k + 1}", wire.shape, vth[k])))
        side = wire.shape[1]
    first = layers[0][0].input_shape
    return chain(Port(name="in", shape=first), layers)
