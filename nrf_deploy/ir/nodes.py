"""The nodes of a Network: ports, connections and populations.

Shapes are full and without batch or time: (C, Y, X), (C, L) or (N,). Where several
nodes hold the same array they share it, at no cost.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, TypeGuard, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from nrf_deploy.neurons import Fires as Fires
from nrf_deploy.neurons import Membrane, Part, Rule
from nrf_deploy.neurons import Reset as Reset

Shape = tuple[int, ...]
Pads = tuple[tuple[int, int], ...]
Array = NDArray[Any]


def first(mask: Array) -> tuple[int, ...]:
    """Return the index of the first neuron where `mask` is true, for a finding."""
    return tuple(int(i) for i in np.unravel_index(int(np.argmax(mask)), mask.shape))


@dataclass(frozen=True, eq=False, kw_only=True)
class Node:
    """A node; `shape` is the shape of its output, `input_shape` that of its input."""

    name: str
    kind: ClassVar[str]

    @property
    def shape(self) -> Shape:
        raise NotImplementedError

    @property
    def input_shape(self) -> Shape:
        return self.shape


A = TypeVar("A", bound=Node)
B = TypeVar("B", bound=Node)
C = TypeVar("C", bound=Node)
D = TypeVar("D", bound=Node)


@overload
def exact(node: Node | None, a: type[A], /) -> TypeGuard[A]: ...
@overload
def exact(node: Node | None, a: type[A], b: type[B], /) -> TypeGuard[A | B]: ...
@overload
def exact(node: Node | None, a: type[A], b: type[B], c: type[C], /) -> TypeGuard[A | B | C]: ...
@overload
def exact(
    node: Node | None, a: type[A], b: type[B], c: type[C], d: type[D], /
) -> TypeGuard[A | B | C | D]: ...
def exact(node: Node | None, *kinds: type[Node]) -> bool:
    """Return True if the node is of one of these kinds itself: a subclass is another kind."""
    return type(node) in kinds


# --- ports ---------------------------------------------------------------


@dataclass(frozen=True, eq=False, kw_only=True)
class Port(Node):
    """An input or output of the network."""

    port_shape: Shape

    @property
    def shape(self) -> Shape:
        return self.port_shape


class Input(Port):
    kind = "Input"


class Output(Port):
    kind = "Output"


# --- connections: linear, no memory --------------------------------------


class Connection(Node):
    """A node without state whose output is linear (or affine) in its input."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Linear(Connection):
    """A matrix, y = weight @ x + bias; weight (out, in), bias (out,) or None."""

    kind = "Linear"
    weight: Array
    bias: Array | None = None

    @property
    def shape(self) -> Shape:
        return (self.weight.shape[0],)

    @property
    def input_shape(self) -> Shape:
        return (self.weight.shape[1],)


def window_output(size: int, kernel: int, stride: int, pads: tuple[int, int], dilation: int) -> int:
    """Count the positions of a window along one axis (floor, like every framework)."""
    return (size + sum(pads) - dilation * (kernel - 1) - 1) // stride + 1


@dataclass(frozen=True, eq=False, kw_only=True)
class Conv(Connection):
    """Cross-correlation over one or two axes, zero-padded.

    weight (out, in/groups, *kernel). bias is None, (out,), or a full map of the
    output's shape: a rewrite that folds a shift into a padded convolution creates the
    map, because the borders differ from the middle.
    """

    kind = "Conv"
    weight: Array
    bias: Array | None = None
    input_size: Shape
    stride: Shape
    padding: Pads
    dilation: Shape
    groups: int = 1

    @property
    def kernel(self) -> Shape:
        return self.weight.shape[2:]

    @property
    def shape(self) -> Shape:
        axes = zip(
            self.input_size, self.kernel, self.stride, self.padding, self.dilation, strict=True
        )
        return (self.weight.shape[0], *(window_output(*axis) for axis in axes))

    @property
    def input_shape(self) -> Shape:
        return (self.weight.shape[1] * self.groups, *self.input_size)


@dataclass(frozen=True, eq=False, kw_only=True)
class Pool(Connection):
    """Channel-wise window sum (SumPool) or mean over the whole window (AvgPool).

    Padding counts as zeros in both; a border that no full window covers is
    left out, as in every framework.
    """

    pool_input: Shape
    window: Shape
    stride: Shape
    padding: Pads

    @property
    def shape(self) -> Shape:
        return pool_output(self)

    @property
    def input_shape(self) -> Shape:
        return self.pool_input


def pool_output(pool: Pool | MaxPool) -> Shape:
    axes = zip(pool.pool_input[1:], pool.window, pool.stride, pool.padding, strict=True)
    return (pool.pool_input[0], *(window_output(*axis, 1) for axis in axes))


class SumPool(Pool):
    kind = "SumPool"


class AvgPool(Pool):
    kind = "AvgPool"


@dataclass(frozen=True, eq=False, kw_only=True)
class Flatten(Connection):
    """Row-major merge of axes start..end (inclusive, counted without batch)."""

    kind = "Flatten"
    flat_input: Shape
    start: int
    end: int

    @property
    def shape(self) -> Shape:
        s, end = self.flat_input, self.end % len(self.flat_input)
        return (*s[: self.start], math.prod(s[self.start : end + 1]), *s[end + 1 :])

    @property
    def input_shape(self) -> Shape:
        return self.flat_input


@dataclass(frozen=True, eq=False, kw_only=True)
class Scale(Connection):
    """A factor for each element, y = scale * x."""

    kind = "Scale"
    scale: Array

    @property
    def shape(self) -> Shape:
        return self.scale.shape


# --- populations and other elements with a per-neuron meaning -------------


@dataclass(frozen=True, eq=False, kw_only=True)
class Threshold(Node):
    """A comparison without state: y = 1 where x > threshold, else 0."""

    kind = "Threshold"
    threshold: Array

    @property
    def shape(self) -> Shape:
        return self.threshold.shape


@dataclass(frozen=True, eq=False, kw_only=True)
class MaxPool(Node):
    """The largest value of each window, channel by channel; padding does not count.

    It is not linear: not a Connection, and not a Pool either.
    """

    kind = "MaxPool"
    pool_input: Shape
    window: Shape
    stride: Shape
    padding: Pads

    @property
    def shape(self) -> Shape:
        return pool_output(self)

    @property
    def input_shape(self) -> Shape:
        return self.pool_input


@dataclass(frozen=True, eq=False, kw_only=True)
class Delay(Node):
    """A delay for each element in the units of dt, y(t) = x(t - delay)."""

    kind = "Delay"
    delay: Array

    @property
    def shape(self) -> Shape:
        return self.delay.shape


@dataclass(frozen=True, eq=False, kw_only=True)
class Population(Node):
    """Neurons: a membrane, and the rule of its output (neurons/). It is never subclassed."""

    membrane: Membrane
    rule: Rule

    @property
    def kind(self) -> str:  # type: ignore[override]
        """The name of NIR's node; if NIR has none, that of the membrane before it."""
        node = self.membrane.nir[self.spikes]
        return node if self.membrane.near is None else type(self.membrane).__name__ + node

    @property
    def shape(self) -> Shape:
        return self.membrane.shape

    @property
    def states(self) -> tuple[str, ...]:
        return (*self.membrane.states, *self.rule.states)

    @property
    def spikes(self) -> bool:
        return self.rule.spikes

    def described(self) -> dict[str, str]:
        """Return the features that are not neutral, each with its description.

        Those of the membrane begin with its name.
        """
        before, own = type(self.membrane).__name__, self.membrane.described()
        return {**self.rule.described(), **{f"{before}.{x}": about for x, about in own.items()}}

    @cached_property
    def features(self) -> frozenset[str]:
        """The names of the features that are not neutral."""
        return frozenset(self.described())

    def every_part(self) -> Iterator[Part]:
        """Yield the membrane, the rule, and the parts inside them."""
        ahead: list[Part] = [self.membrane, self.rule]
        for part in ahead:  # grows
            yield part
            ahead += [inner for _, inner in part.parts()]

    def with_(self, **changes: Any) -> Population:
        """Return these neurons with other values of some fields of the membrane or the rule."""
        inner = {f.name for f in dataclasses.fields(self.membrane)}
        membrane = {k: v for k, v in changes.items() if k in inner}
        rule = {k: v for k, v in changes.items() if k not in inner}
        return dataclasses.replace(
            self,
            membrane=dataclasses.replace(self.membrane, **membrane) if membrane else self.membrane,
            rule=dataclasses.replace(self.rule, **rule) if rule else self.rule,
        )


def gives_values(node: Node | None) -> bool:
    """Return True for neurons that send their value; all other nodes send spikes."""
    return type(node) is Population and not node.spikes


KINDS: dict[str, type[Node]] = {
    str(cls.kind): cls
    for cls in (
        Input, Output, Linear, Conv, SumPool, AvgPool, Flatten, Scale, Threshold, MaxPool, Delay,
    )
}  # fmt: skip
"""Kinds of nodes by name, beside Population."""
