"""The connections that lead to a population, as parts of the one convolution of its core.

A core convolves one input of c channels, and features of several sources can arrive there
side by side. So connections that add up at a population are one convolution over all their
channels, if they agree: the same input size after pooling and the same stride, and kernels
that lie centred in one another (k - 2 padding is the same), where the smaller ones are filled
up with zeros. A direct connection is a 1 x 1 convolution of the identity.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from nrf_deploy.ir.layer_view import Layers, Link
from nrf_deploy.ir.network import Array, Conv, Linear, Network, Pool, Scale, Shape

from ..passes.exact import on_a_wire


@dataclass(frozen=True, eq=False)
class Branch:
    """From one source over a wire into the convolution; sizes are (y, x)."""

    link: Link
    source: str
    pooling: int
    input_shape: Shape  # (c, y, x), behind the pooling
    features: int
    kernel: int
    stride: Shape
    padding: Shape

    def spread(self, rows: Array) -> Array:
        """Return (f, c, k, k) from a row a feature (a number a feature, where it is direct)."""
        c, k = self.input_shape[0], self.kernel
        if isinstance(self.link.node, Conv | Linear):
            return rows.reshape(self.features, c, k, k)
        return np.asarray(np.eye(c, dtype=rows.dtype) * rows.reshape(-1, 1))[:, :, None, None]


def key(link: Link, target: str) -> str:
    """Return the name of a link's numbers in a scheme; each of its cores stores its own."""
    return link.name if len(link.targets) == 1 else f"{link.name} -> {target}"


def branches(network: Network, view: Layers, target: str) -> tuple[Branch, ...]:
    """Return the branches of links without a fault."""
    return tuple(
        _branch(network, link, source, pooling)
        for link in view.into(target)
        for source, pooling in wires(network, view, link)
    )


def wires(network: Network, view: Layers, link: Link) -> Iterator[tuple[str, int]]:
    """Return the sources of this link, each with its pooling."""
    if isinstance(link.node, Pool):
        yield link.source, on_a_wire(link.node) or 0
    elif isinstance(network[link.source], Pool):
        for before in view.into(link.source):
            pool = before.node
            yield before.source, (on_a_wire(pool) or 0) if isinstance(pool, Pool) else 0
    else:
        yield link.source, 1


def _branch(network: Network, link: Link, source: str, pooling: int) -> Branch:
    c, *size = as_map(network[source].shape)
    shape = (c, *(n // pooling for n in size))
    match link.node:
        case Conv(weight=weight, stride=stride, padding=padding):
            pads = tuple(a for a, _ in padding)
            return Branch(link, source, pooling, shape, len(weight), weight.shape[2], stride, pads)
        case Linear(weight=weight):
            return Branch(link, source, pooling, shape, len(weight), shape[1], (1, 1), (0, 0))
    return Branch(link, source, pooling, shape, c, 1, (1, 1), (0, 0))


def as_map(shape: Shape) -> Shape:
    """Return a shape as a map; (f,) stands for (f, 1, 1)."""
    return shape if len(shape) == 3 else (*shape, 1, 1)


def rows(branch: Branch) -> Array:
    """Return the float weights, a row a feature; one number each where it is direct."""
    match branch.link.node:
        case Conv(weight=weight) | Linear(weight=weight):
            return np.asarray(weight.reshape(len(weight), -1), np.float64)
        case Scale(scale=scale):
            return np.asarray(scale.reshape(branch.features, -1)[:, :1], np.float64)
    return np.ones((branch.features, 1))


def disagreement(parts: tuple[Branch, ...]) -> str | None:
    """Return the reason why these are not one convolution; empty if they are."""
    for name, values in (
        ("their inputs are of the sizes", {b.input_shape[1:] for b in parts}),
        ("their strides are", {b.stride for b in parts}),
        ("kernel - 2 padding is", {tuple(b.kernel - 2 * p for p in b.padding) for b in parts}),
    ):
        if len(values) > 1:
            return f"{name} {' and '.join(str(v) for v in sorted(values))}"
    return None


def joined(parts: tuple[Branch, ...], integers: dict[str, Array], target: str) -> Array:
    """Return the weights of the whole core: (f, all channels, k, k)."""
    side = max(b.kernel for b in parts)
    whole = []
    for b in parts:
        around = (side - b.kernel) // 2
        weight = b.spread(integers[key(b.link, target)])
        whole.append(np.pad(weight, ((0, 0), (0, 0), (around, around), (around, around))))
    return np.concatenate(whole, axis=1)
