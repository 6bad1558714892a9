"""One core of a program: its wires, its convolution and its neurons (core_form.py says which)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nrf_deploy.ir.network import Array, Network, Shape
from nrf_deploy.ir.program import Conv, Population, Port, Sparse, Synapses

from ..arithmetic.models import MERGE, runs_on
from ..chip import MOST
from .branches import Branch, as_map, joined, key


def port(name: str, shape: Shape) -> Port:
    return Port(name=name, shape=shape, peak=MOST)


def core(
    network: Network,
    parts: tuple[Branch, ...],
    name: str,
    params: Mapping[str, Array | int],
    integers: dict[str, Array],
) -> tuple[tuple[Synapses, ...], tuple[Population, ...]]:
    """Build one core; `integers` are the weights of each link by its key, a row a feature."""
    shape = network[name].shape
    widest = max(parts, key=lambda b: b.kernel)
    direct = len(parts) == 1 and parts[0].pooling == 1
    source = parts[0].source if direct else _fresh(network, f"{name}.in")
    convolution = Conv(
        name=key(parts[0].link, name) if len(parts) == 1 else f"{name}.weights",
        source=source,
        targets=(name,),
        weight=joined(parts, integers, name),
        delay=0,
        input_size=parts[0].input_shape[1:],
        stride=widest.stride,
        padding=tuple((p, p) for p in widest.padding),
        dilation=(1, 1),
    )
    stored = {k: _a_feature(np.asarray(v), shape) for k, v in params.items()}
    ran = runs_on(network[name])
    assert ran is not None, f"{name}: check.py refuses it"
    neurons = Population(name=name, shape=shape, model=ran[0], params=stored)
    if direct:
        return (convolution,), (neurons,)
    merged, wires = _merge(network, parts, source)
    return (*wires, convolution), (merged, neurons)


def _a_feature(value: Array, shape: Shape) -> Array | int:
    """Return a number a feature, as it broadcasts over the neurons; an int where all are alike.

    An array of the neurons' own shape is returned unchanged: it has a number a neuron.
    """
    if value.shape == shape and not np.all(value == value.flat[0]):
        return value
    if value.ndim == 0 or np.all(value == value.flat[0]):
        return int(value.flat[0])
    return value.reshape(-1, *[1] * (len(shape) - 1))


def _merge(
    network: Network, parts: tuple[Branch, ...], name: str
) -> tuple[Population, tuple[Sparse, ...]]:
    shape = (sum(b.input_shape[0] for b in parts), *parts[0].input_shape[1:])
    wires, shift = [], 0
    for b in parts:
        source = as_map(network[b.source].shape)
        f, y, x = np.unravel_index(np.arange(int(np.prod(source))), source)
        there = (f + shift, y // b.pooling, x // b.pooling)
        wires.append(
            Sparse(
                name=f"{b.source} -> {name}"
                if len(parts) == 1
                else f"{b.source} -> {name}+{shift}",
                source=b.source,
                targets=(name,),
                weight=np.ones(len(f), np.int64),
                delay=0,
                params={"pooling": b.pooling, "shift": shift},
                source_shape=network[b.source].shape,
                target_shape=shape,
                row=np.ravel_multi_index(there, shape),
                column=np.arange(len(f)),
            )
        )
        shift += source[0]
    return Population(name=name, shape=shape, model=MERGE, params={}), tuple(wires)


def _fresh(network: Network, name: str) -> str:
    while name in network:
        name += "'"
    return name
