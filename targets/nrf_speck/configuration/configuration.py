"""The configuration of one chip of this family.

It has nine cores, each with a convolution, its neurons, and pooling towards at most two other
cores, and the block between the camera and the cores. The fields and their ranges are those of
samna's configuration classes; axes are ours, (features, y, x), where samna has x before y
(tree.py transposes them). The classes accept any values; check.py reports all faults at once.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from nrf_deploy.ir.network import Array, Shape

CORES = 9
FAN_OUT = 2
READOUT = 12
"""The number by which a core addresses the readout block, if the chip has one."""


@dataclass(frozen=True, kw_only=True)
class Destination:
    """A target core: a spike at (f, y, x) arrives at (f + shift, y // pooling, x // pooling)."""

    core: int
    pooling: int = 1
    shift: int = 0


@dataclass(frozen=True, eq=False, kw_only=True)
class Core:
    """One core in use. `layer` is the population's name, for findings."""

    index: int
    layer: str
    input_shape: Shape  # (c, y, x)
    output_shape: Shape  # (f, y, x)
    kernel: int
    weights: Array  # (f, c, y, x)
    biases: Array  # (f,), added at each tick of the leak clock
    initial: Array  # (f, y, x), the membrane before the first event
    threshold_high: int
    threshold_low: int
    stride: Shape = (1, 1)
    padding: Shape = (0, 0)
    returns_to_zero: bool = False
    leaks: bool = False
    monitored: bool = False
    destinations: tuple[Destination, ...] = ()

    @property
    def convolved_size(self) -> Shape:
        """Output size (y, x) that follows from the input, kernel, padding and stride."""
        sizes = zip(self.input_shape[1:], self.padding, self.stride, strict=True)
        return tuple((n - self.kernel + 2 * p) // s + 1 if s else 0 for n, p, s in sizes)

    @property
    def memory(self) -> dict[str, int]:
        """Words of each memory that this layer needs, by samna's count [R: 70 of 70 probes]."""
        (c, *_), (f, y, x) = self.input_shape, self.output_shape
        return {
            "kernel": c << (bits(self.kernel**2) + bits(f)),
            "neuron": f << (bits(y) + bits(x)),
            "bias": f if self.leaks else 0,
        }


@dataclass(frozen=True, kw_only=True)
class Sensor:
    """The camera's block: pixels, merging and target cores. Pairs are (y, x)."""

    passes: bool = False
    destinations: tuple[int, ...] = ()
    origin: Shape = (0, 0)
    cut: Shape = (127, 127)
    pooling: Shape = (1, 1)
    mirror: tuple[bool, bool] = (False, False)
    diagonal: bool = False
    merge: bool = False
    on: bool = True
    off: bool = True

    @property
    def features(self) -> int:
        return 1 if self.merge else 2

    @property
    def size(self) -> Shape:
        """Output size (y, x): the pixels from origin to cut, pooled."""
        ends = zip(self.origin, self.cut, self.pooling, strict=True)
        return tuple((cut - origin + 1) // pool if pool else 0 for origin, cut, pool in ends)


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """The cores in use and the sensor of one chip."""

    chip: str
    cores: tuple[Core, ...]
    sensor: Sensor = field(default_factory=Sensor)

    def core(self, index: int) -> Core | None:
        return next((core for core in self.cores if core.index == index), None)

    def sources(self, index: int) -> Iterator[tuple[Core, Destination]]:
        """Yield all wires into this core."""
        for core in self.cores:
            yield from ((core, d) for d in core.destinations if d.core == index)


def bits(count: int) -> int:
    """Return the address bits of `count` items."""
    return math.ceil(math.log2(count)) if count > 1 else 0
