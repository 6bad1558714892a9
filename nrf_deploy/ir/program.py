"""Programs: the integers on a chip, and the name of the arithmetic that interprets them.

A Program is a graph of synapses and populations. In each step every population
takes the sum of its inputs, updates its state and gives an output (a spike, or
an integer payload); synapses carry outputs to their targets, where they arrive
`delay` steps later. The arithmetic defines the meaning of weights, sums and states
(shifts, clips, rounding); the Program only names its parameters.

It can be built by hand, without a float model.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from nrf_deploy.diagnostics.findings import Finding, TargetError, error

from .network import Array, Pads, Shape, window_output

Params = Mapping[str, Any]  # name -> int or integer array
OUTPUT = "output"
MISSING_SCALE = "ORIGIN-OUTPUT"


@dataclass(frozen=True, eq=False, kw_only=True)
class Port:
    """An entry of events. Values are integers from `lowest` (by default -peak) to `peak`."""

    name: str
    shape: Shape
    peak: int = 1
    lowest: int | None = None

    @property
    def range(self) -> tuple[int, int]:
        return (-self.peak if self.lowest is None else self.lowest, self.peak)


@dataclass(frozen=True, eq=False, kw_only=True)
class Synapses:
    """Weights from one source (a port or a population) to one or several populations.

    Several targets share the weights: each receives the same sum. `params` holds
    the named integers of the arithmetic (exponents, bits, modes).
    """

    kind: ClassVar[str]
    name: str
    source: str
    targets: tuple[str, ...]
    weight: Array
    delay: int = 1
    params: Params = field(default_factory=dict)

    @property
    def input_shape(self) -> Shape:
        raise NotImplementedError

    @property
    def shape(self) -> Shape:
        raise NotImplementedError


@dataclass(frozen=True, eq=False, kw_only=True)
class Dense(Synapses):
    """Synapses with a weight (out, in) over the flattened source.

    `delays` (out, in), if not None, adds its steps to each single synapse.
    """

    kind = "dense"
    source_shape: Shape
    target_shape: Shape
    delays: Array | None = None

    @property
    def input_shape(self) -> Shape:
        return self.source_shape

    @property
    def shape(self) -> Shape:
        return self.target_shape


@dataclass(frozen=True, eq=False, kw_only=True)
class Sparse(Synapses):
    """Synapses like Dense; weight[k] is from flat source `column[k]` to flat target `row[k]`."""

    kind = "sparse"
    source_shape: Shape
    target_shape: Shape
    row: Array
    column: Array

    @property
    def input_shape(self) -> Shape:
        return self.source_shape

    @property
    def shape(self) -> Shape:
        return self.target_shape


@dataclass(frozen=True, eq=False, kw_only=True)
class Conv(Synapses):
    """Cross-correlation; weight (out, in/groups, ky, kx) over (C, Y, X), zero-padded."""

    kind = "conv"
    input_size: Shape
    stride: Shape
    padding: Pads
    dilation: Shape
    groups: int = 1

    @property
    def input_shape(self) -> Shape:
        return (self.weight.shape[1] * self.groups, *self.input_size)

    @property
    def shape(self) -> Shape:
        axes = zip(
            self.input_size,
            self.weight.shape[2:],
            self.stride,
            self.padding,
            self.dilation,
            strict=True,
        )
        return (self.weight.shape[0], *(window_output(*axis) for axis in axes))


@dataclass(frozen=True, eq=False, kw_only=True)
class Population:
    """Neurons of one model of the arithmetic; each parameter an int or an array of `shape`."""

    name: str
    shape: Shape
    model: str
    params: Params

    @property
    def size(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True, eq=False, kw_only=True)
class Origin:
    """The relation of a population's integers to a Network node's floats.

    At program step t + latency the population is in the state of the node at step t, and
    `state = scale * float state` for each named state. A scale is one number, or one a
    channel or a neuron (`spread` converts each to the last).

    `scale["output"]` is not a state: it is the output of the population for a value of 1 of
    the node, as a payload, as a potential that is read, or in spikes that are counted. Every
    node of the model that gives a value needs it; if a spike of the model is a spike of the
    program it is left out.
    """

    population: str
    node: str
    latency: int
    scale: Mapping[str, Array]

    @property
    def unit(self) -> Array:
        """The output for a value of 1 of the node; refused if the target did not state it."""
        if OUTPUT not in self.scale:
            raise TargetError(missing_scale(self.node))
        return np.asarray(self.scale[OUTPUT])


def spread(scale: Array, shape: Shape) -> Array:
    """Return a scale of an Origin as one number a neuron.

    A vector on a layer with channels has one number a channel.
    """
    scale = np.asarray(scale)
    if scale.ndim == 1 and len(shape) > 1 and scale.size == shape[0]:
        scale = scale.reshape(-1, *(1 for _ in shape[1:]))
    elif scale.size == math.prod(shape):
        scale = scale.reshape(shape)
    return np.broadcast_to(scale, shape)


def missing_scale(node: str) -> Finding:
    return error(
        MISSING_SCALE,
        "it gives values, and the program does not state the output for a value of 1",
        layer=node,
        why=f"the target leaves scale[{OUTPUT!r}] out of this layer's Origin",
        fix="compile it again; in your own target, set it (docs/add-a-target.md)",
    )


@dataclass(frozen=True, eq=False, kw_only=True)
class Program:
    """The integers on a chip, and the name of the arithmetic that interprets them.

    Attributes:
        arithmetic: The name of the rules of one step.
        ports: The entries of input, each with the range of its values.
        synapses: Integer weights between populations.
        populations: Neurons of one model, with their parameters.
        outputs: The populations that are read.
        origins: The relation of each population's integers to values of the model.
    """

    arithmetic: str
    ports: tuple[Port, ...]
    synapses: tuple[Synapses, ...]
    populations: tuple[Population, ...]
    outputs: tuple[str, ...]
    origins: tuple[Origin, ...] = ()

    def __repr__(self) -> str:
        neurons = sum(p.size for p in self.populations)
        size = f"{len(self.populations)} populations, {neurons:,} neurons"
        return f"<Program of {size}, {len(self.synapses)} synapses, {self.arithmetic}>"

    @cached_property
    def _populations(self) -> dict[str, Population]:
        return {p.name: p for p in self.populations}

    def population(self, name: str) -> Population:
        return self._populations[name]

    def origin(self, population: str) -> Origin:
        return next(o for o in self.origins if o.population == population)

    def into(self, name: str) -> tuple[Synapses, ...]:
        return tuple(s for s in self.synapses if name in s.targets)

    def out_of(self, name: str) -> tuple[Synapses, ...]:
        return tuple(s for s in self.synapses if s.source == name)

    @property
    def latency(self) -> int:
        """The steps until the last population is in the state of the model at step 0."""
        return max((o.latency for o in self.origins), default=0)

    def faults(self) -> Iterator[str]:
        """Yield the faults of this graph in words.

        Without a fault golden runs it and no kernel can leave an array, as far as that does not
        depend on the arithmetic; soundness.py also checks the arithmetic.
        """
        return iter(self._faults)

    @cached_property
    def _faults(self) -> tuple[str, ...]:
        from .program_faults import faults

        return tuple(faults(self))

    @cached_property
    def kept(self) -> dict[Any, Any]:
        """Results that were computed once for this program object. Never saved."""
        return {}
