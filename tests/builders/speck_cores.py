"""Networks of cores for the tests: random ones, and the N-MNIST network of the NIR paper."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import nrf_deploy as nd
from nrf_deploy.ir.network import Array
from nrf_deploy.ir.program import Conv, Population, Port, Program, Sparse, Synapses
from nrf_deploy.ir.recording import Recording
from nrf_speck.configuration import tree as config_tree
from nrf_speck.configuration.configuration import Configuration, Core, Destination

from .speck_configurations import core


def random_chain(seed: int) -> tuple[Core, ...]:
    """Draw two to four cores in a row or with a fork that joins again: all that sinabs has."""
    rng = np.random.default_rng(seed)
    pick = rng.integers
    features, size = int(pick(1, 4)), (int(pick(6, 13)), int(pick(6, 13)))
    cores: list[Core] = []
    for index in range(int(pick(2, 5))):
        pooling = int(rng.choice([1, 1, 2]))
        kernel = int(pick(1, min(4, *size) + 1))
        made = core(
            index,
            features,
            size,
            int(pick(1, 6)),
            kernel,
            padding=int(pick(0, kernel)),
            stride=int(rng.choice([1, 1, 2])),
        )
        size = tuple(max(1, n // pooling) for n in made.output_shape[1:])  # type: ignore[assignment]
        features = made.output_shape[0]
        fits = all(n >= pooling for n in made.output_shape[1:])
        cores.append(
            replace(
                made,
                weights=rng.integers(-60, 100, made.weights.shape),
                biases=rng.integers(-20, 20, features),
                leaks=True,
                initial=rng.integers(-30, 30, made.output_shape),
                threshold_high=int(pick(31, 500)),
                threshold_low=int(pick(-400, -30)),
                returns_to_zero=bool(pick(0, 2)),
                destinations=(Destination(core=index + 1, pooling=pooling if fits else 1),),
            )
        )
        if not fits:
            size = made.output_shape[1:]  # type: ignore[assignment]
    last = replace(cores[-1], destinations=())
    return (*cores[:-1], last)


def forked(seed: int) -> tuple[Core, ...]:
    """Build one core that feeds two, whose features a fourth takes side by side."""
    rng = np.random.default_rng(seed)
    first = core(0, 2, (8, 8), 3, 3, padding=1)
    left = core(1, 3, (8, 8), 2, 3, padding=1, destinations=(Destination(core=3),))
    right = core(2, 3, (4, 4), 5, 1, destinations=(Destination(core=3, shift=2),))
    left = replace(left, destinations=(Destination(core=3, pooling=2),))
    last = core(3, 7, (4, 4), 2, 2)
    first = replace(first, destinations=(Destination(core=1), Destination(core=2, pooling=2)))
    return tuple(
        replace(c, weights=rng.integers(-40, 60, c.weights.shape))
        for c in (first, left, right, last)
    )


def three_joined(seed: int) -> tuple[Core, ...]:
    """Build a last core that takes the features of three others side by side."""
    rng = np.random.default_rng(seed)

    def to(*wires: tuple[int, int]) -> tuple[Destination, ...]:
        return tuple(Destination(core=index, shift=shift) for index, shift in wires)

    cores = (
        core(0, 2, (6, 6), 3, 3, padding=1, destinations=to((1, 0), (2, 0))),
        core(1, 3, (6, 6), 2, 1, destinations=to((3, 0), (4, 3))),
        core(2, 3, (6, 6), 1, 3, padding=1, destinations=to((4, 5))),
        core(3, 2, (6, 6), 3, 1, destinations=to((4, 0))),
        core(4, 6, (6, 6), 2, 2),
    )
    return tuple(replace(c, weights=rng.integers(-40, 60, c.weights.shape)) for c in cores)


def random_input(shape: tuple[int, ...], steps: int, seed: int) -> Recording:
    rng = np.random.default_rng(seed)
    dense = rng.poisson(0.15, (steps, int(np.prod(shape))))
    step, index = np.nonzero(dense)
    return Recording.from_events(step, index, dense[step, index], shape, steps, None)


PLACES = (0, 1, 7, 3, 8)
"""Where the five layers of the N-MNIST network go."""


def nmnist(shared: Path, name: str = "speck2b") -> tuple[Configuration, Recording]:
    """Build the network with one scale for each layer, 127 for its largest weight, and no leak."""
    network = nd.read(shared / "conformance/nir/cnn_sinabs.nir", dt=1.0, producer="nir").network
    recording = nd.read_recording(shared / "recordings/nmnist_sample.npz", network, bin=1e-3)
    weights = [network[n].weight for n in ("0", "2", "5", "9", "11")]  # type: ignore[attr-defined]
    weights[3] = weights[3].reshape(256, 8, 4, 4)
    weights[4] = weights[4].reshape(10, 256, 1, 1)
    forms = [  # size, kernel, padding, stride, pooling towards the next
        ((34, 34), 5, 1, 2, 1),
        ((16, 16), 3, 1, 1, 2),
        ((8, 8), 3, 1, 1, 2),
        ((4, 4), 4, 0, 1, 1),
        ((1, 1), 1, 0, 1, 1),
    ]
    cores = []
    for n, (weight, (size, kernel, padding, stride, pooling)) in enumerate(
        zip(weights, forms, strict=True)
    ):
        scale = 127 / np.abs(weight).max()
        made = core(
            PLACES[n], weight.shape[1], size, len(weight), kernel, padding=padding, stride=stride
        )
        after = tuple(Destination(core=c, pooling=pooling) for c in PLACES[n + 1 : n + 2])
        cores.append(
            replace(
                made,
                weights=np.rint(weight * scale).astype(np.int64),
                initial=np.zeros_like(made.initial),
                threshold_high=round(scale),
                threshold_low=-round(scale),
                destinations=after,
                monitored=True,
            )
        )
    return Configuration(chip=name, cores=tuple(cores)), recording


def program(*layers: Core) -> Program:
    """Return the cores as a lowered program (core_form), with a port before the first."""
    names = {c.index: c.layer for c in layers}
    port = Port(name="input", shape=layers[0].input_shape, peak=8)
    synapses: list[Synapses] = []
    populations: list[Population] = []
    for c in layers:
        wires = [(o, d) for o in layers for d in o.destinations if d.core == c.index]
        source = f"into {c.layer}" if wires else port.name
        if wires:
            merge = Population(name=source, shape=c.input_shape, model="merge", params={})
            populations.append(merge)
        synapses += [wire(names[o.index], o, d, merge) for o, d in wires]
        synapses.append(convolution(c, source))
        populations.append(neurons(c))
    return Program(
        arithmetic="speck.steps",
        ports=(port,),
        synapses=tuple(synapses),
        populations=tuple(populations),
        outputs=tuple(c.layer for c in layers if c.monitored),
    )


def convolution(c: Core, source: str) -> Conv:
    return Conv(
        name=f"conv of {c.layer}",
        source=source,
        targets=(c.layer,),
        weight=c.weights,
        delay=0,
        input_size=c.input_shape[1:],
        stride=c.stride,
        padding=tuple((p, p) for p in c.padding),
        dilation=(1, 1),
    )


def neurons(c: Core) -> Population:
    params = {
        "threshold_high": c.threshold_high,
        "threshold_low": c.threshold_low,
        "bias": c.biases[:, None, None],
        "v0": c.initial,
        "returns_to_zero": int(c.returns_to_zero),
    }
    return Population(name=c.layer, shape=c.output_shape, model="iaf", params=params)


def wire(name: str, source: Core, d: Destination, merge: Population) -> Sparse:
    f, y, x = np.indices(source.output_shape)
    _, height, width = merge.shape
    at = (f + d.shift, y // d.pooling, x // d.pooling)
    inside = ((at[1] < height) & (at[2] < width)).ravel()
    row = np.ravel_multi_index(tuple(a.ravel()[inside] for a in at), merge.shape)
    return Sparse(
        name=f"{name} to {merge.name}",
        source=name,
        targets=(merge.name,),
        weight=np.ones(len(row), np.int64),
        delay=0,
        params={"pooling": d.pooling, "shift": d.shift},
        source_shape=source.output_shape,
        target_shape=merge.shape,
        row=row,
        column=np.flatnonzero(inside),
    )


def simulate(cores: tuple[Core, ...], dense: Array) -> dict[int, tuple[Array, Array]]:
    """Return spikes and membranes (steps, f, y, x) by the rules of sinabs, written plainly."""
    inputs = {cores[0].index: dense.astype(np.int64)}
    made: dict[int, tuple[Array, Array]] = {}
    for c in cores:
        v = c.initial.astype(np.int64)
        spikes, membranes = [], []
        for frame in inputs[c.index]:
            v = v + convolve(frame, c) + c.biases[:, None, None]
            fired = np.maximum(v, 0) // c.threshold_high
            v = np.where(fired > 0, 0, v) if c.returns_to_zero else v - fired * c.threshold_high
            v = np.maximum(v, c.threshold_low)
            spikes.append(fired)
            membranes.append(v)
        made[c.index] = np.array(spikes), np.array(membranes)
        for d in c.destinations:
            pooled = pool(made[c.index][0], d.pooling)
            target = next(t for t in cores if t.index == d.core)
            taken = inputs.setdefault(d.core, np.zeros((len(dense), *target.input_shape), int))
            taken[:, d.shift : d.shift + pooled.shape[1]] += pooled
    return made


def convolve(frame: Array, c: Core) -> Array:
    (py, px), (sy, sx), k = c.padding, c.stride, c.kernel
    padded = np.pad(frame, ((0, 0), (py, py), (px, px)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (k, k), (1, 2))[:, ::sy, ::sx]
    result: Array = np.einsum("cyxkl,fckl->fyx", windows, c.weights)
    return result


def pool(spikes: Array, by: int) -> Array:
    t, f, y, x = spikes.shape
    cut = spikes[:, :, : y // by * by, : x // by * by]
    result: Array = cut.reshape(t, f, y // by, by, x // by, by).sum((3, 5))
    return result


# --- configurations, side by side ---------------------------------------------------


def leaves(tree: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (place, value) of every leaf of a tree."""
    if isinstance(tree, np.ndarray):
        yield place, tree.tolist()
    elif isinstance(tree, dict):
        for name, value in tree.items():
            yield from leaves(value, f"{place}/{name}")
    elif isinstance(tree, list) and tree and isinstance(tree[0], dict):
        yield from leaves({str(n): v for n, v in enumerate(tree)}, place)
    else:
        yield place, tree


def differing(tree: Any, configuration: Configuration) -> dict[str, Any]:
    """Return the differences from the settings of sinabs, (theirs, ours) by place."""
    ours = dict(leaves(config_tree.tree(configuration)))
    return {p: (v, ours.get(p)) for p, v in leaves(tree) if ours.get(p) != v}
