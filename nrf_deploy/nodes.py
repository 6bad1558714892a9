"""The nodes of a Network: ports, connections and populations.

Shapes are full and without batch or time: (C, Y, X), (C, L) or (N,). Where several
nodes hold the same array they share it, at no cost.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeGuard, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

Shape = tuple[int, ...]
Pads = tuple[tuple[int, int], ...]
Array = NDArray[Any]
Reset = Literal["value", "subtract"]
Fires = Literal["above", "at"]  # where v > v_threshold, or where v >= v_threshold


def first(mask: Array) -> tuple[int, ...]:
    """Of the neurons where this holds, the one that a finding names."""
    return tuple(int(i) for i in np.unravel_index(int(np.argmax(mask)), mask.shape))


@dataclass(frozen=True, eq=False, kw_only=True)
class Node:
    """`shape` is the shape of what a node gives; `input_shape` of what it takes."""

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
    """Linear (or affine) in its input and without state."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Linear(Connection):
    """y = weight @ x + bias; weight (out, in), bias (out,) or None."""

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
    """Positions of a window along one axis (floor, as every framework does)."""
    return (size + sum(pads) - dilation * (kernel - 1) - 1) // stride + 1


@dataclass(frozen=True, eq=False, kw_only=True)
class Conv(Connection):
    """Cross-correlation over one or two axes, zero-padded.

    weight (out, in/groups, *kernel). bias is None, (out,), or a full map of the
    output's shape: the map appears where a shift before a padded convolution was
    folded in and the borders differ from the middle.
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

    Padding counts as zeros in both; a border that no whole window covers is
    left out, as in every framework.
    """

    pool_input: Shape
    window: Shape
    stride: Shape
    padding: Pads

    @property
    def shape(self) -> Shape:
        axes = zip(self.pool_input[1:], self.window, self.stride, self.padding, strict=True)
        return (self.pool_input[0], *(window_output(*axis, 1) for axis in axes))

    @property
    def input_shape(self) -> Shape:
        return self.pool_input


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
    """y = scale * x, element by element."""

    kind = "Scale"
    scale: Array

    @property
    def shape(self) -> Shape:
        return self.scale.shape


# --- populations and other elements with a per-neuron meaning -------------


@dataclass(frozen=True, eq=False, kw_only=True)
class Threshold(Node):
    """y = 1 where x > threshold, else 0; no state."""

    kind = "Threshold"
    threshold: Array

    @property
    def shape(self) -> Shape:
        return self.threshold.shape


@dataclass(frozen=True, eq=False, kw_only=True)
class Delay(Node):
    """y(t) = x(t - delay), delay in the units of dt, per element."""

    kind = "Delay"
    delay: Array

    @property
    def shape(self) -> Shape:
        return self.delay.shape


class Population(Node):
    """Neurons: they have state, and in a step they update it and give a value."""

    states: ClassVar[tuple[str, ...]]
    spikes: ClassVar[bool]


@dataclass(frozen=True, eq=False, kw_only=True)
class Integrator(Population):
    """NIR `I`: v += dt*r*x; the value is v."""

    kind, states, spikes = "I", ("v",), False
    r: Array

    @property
    def shape(self) -> Shape:
        return self.r.shape


@dataclass(frozen=True, eq=False, kw_only=True)
class IF(Integrator):
    """v += dt*r*x; spike where v > v_threshold (see Fires); starts at v_reset."""

    kind, spikes = "IF", True
    v_threshold: Array
    v_reset: Array
    reset: Reset = "value"
    fires: Fires = "above"


@dataclass(frozen=True, eq=False, kw_only=True)
class FlooredIF(IF):
    """v = max(v + dt*r*x, v_floor); spike as an IF. NIR has no such neuron: rewrites make it."""

    kind = "FlooredIF"
    v_floor: Array


@dataclass(frozen=True, eq=False, kw_only=True)
class LinearLeakIF(FlooredIF):
    """v = max(v + dt*(r*x - leak), v_floor), for chips whose clock takes the same off each time."""

    kind = "LinearLeakIF"
    leak: Array


@dataclass(frozen=True, eq=False, kw_only=True)
class RateIF(FlooredIF):
    """It stands for a neuron whose value is its potential: each spike is `worth` of that value.

    In a step it spikes as often as v holds its threshold, which it subtracts each time.
    """

    kind = "RateIF"
    worth: Array


@dataclass(frozen=True, eq=False, kw_only=True)
class LI(Population):
    """v += dt/tau * (v_leak - v + r*x); the value is v; starts at v_leak."""

    kind, states, spikes = "LI", ("v",), False
    tau: Array
    r: Array
    v_leak: Array

    @property
    def shape(self) -> Shape:
        return self.tau.shape


@dataclass(frozen=True, eq=False, kw_only=True)
class RectifiedLI(LI):
    """An LI whose value is v where v > 0, and else 0: one that is followed by a ReLU.

    NIR has no ReLU; in a file it is an LI with the metadata rectify = "yes".
    """

    kind = "RectifiedLI"


@dataclass(frozen=True, eq=False, kw_only=True)
class LIF(LI):
    """An LI that spikes where v > v_threshold (see Fires)."""

    kind, spikes = "LIF", True
    v_threshold: Array
    v_reset: Array
    reset: Reset = "value"
    fires: Fires = "above"


@dataclass(frozen=True, eq=False, kw_only=True)
class CubaLI(Population):
    """i += dt/tau_syn * w_in * x first; v sees that i; then i decays by dt/tau_syn.

    With w_in = tau_syn/dt this is Norse's LICell. `i` is recorded after its decay.
    """

    kind, states, spikes = "CubaLI", ("i", "v"), False
    tau_syn: Array
    tau_mem: Array
    r: Array
    v_leak: Array
    w_in: Array

    @property
    def shape(self) -> Shape:
        return self.tau_mem.shape


@dataclass(frozen=True, eq=False, kw_only=True)
class CubaLIF(CubaLI):
    """A CubaLI that spikes where v > v_threshold: with w_in = tau_syn/dt Norse's LIFCell."""

    kind, spikes = "CubaLIF", True
    v_threshold: Array
    v_reset: Array
    reset: Reset = "value"
    fires: Fires = "above"


KINDS: dict[str, type[Node]] = {
    cls.kind: cls
    for cls in (
        Input, Output, Linear, Conv, SumPool, AvgPool, Flatten, Scale, Threshold, Delay,
        Integrator, IF, LI, RectifiedLI, LIF, CubaLI, CubaLIF,
    )
}  # fmt: skip
