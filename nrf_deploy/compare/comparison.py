"""Results of a comparison of two runs: by layer, and at the first mismatch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from nrf_deploy.ir.network import Shape

from .spike_trains import Timing

Number = int | float


@dataclass(frozen=True)
class Value:
    """A variable of a neuron in a step, on both sides, in their units.

    The floats are the same values in the model's units, if the scale is known.
    """

    variable: str
    left: Number
    right: Number
    left_float: float | None = None
    right_float: float | None = None


@dataclass(frozen=True)
class Arrival:
    """An event that reached a neuron: its source, step, value and weight.

    Without a value the output of the source was not recorded.
    """

    source: str
    neuron: Shape
    step: int
    value: Number | None
    weight: Number | None = None


Inputs = Callable[[str, Shape, int], Sequence[Arrival]]
"""Function from (layer, neuron, step of the left run) to the inputs there."""


@dataclass(frozen=True)
class Divergence:
    """A mismatch of two runs. `step` is the model's; the runs' steps are stored beside it.

    `variable` is the first that differs, in the order in which a step computes them;
    `values` holds every variable that both runs recorded.
    """

    layer: str
    neuron: Shape
    step: int
    left_step: int
    right_step: int
    variable: str
    values: tuple[Value, ...]
    arrivals: tuple[Arrival, ...] = ()

    @property
    def value(self) -> Value:
        return next(v for v in self.values if v.variable == self.variable)


@dataclass(frozen=True)
class LayerComparison:
    """A layer on both sides, over the `steps` that both have.

    `exact` is None if it is unknown: no step was compared, or one side gives
    integers and the other fractions (`analogue`); then `value_error` is the root mean
    square of the difference over that of the fractions, in the model's units, if the
    scale is known. `mismatches` counts pairs of step and neuron whose outputs differ,
    `state_mismatches` those of each state variable that is of one kind (integer or
    float) on both sides. `count_error` is |left - right| / max(right, 1). `outside_*`
    counts spikes in steps that were not compared (of all spikes, a value of n is n, where the
    layer's values are counts). `shift` is the number of steps by
    which the left output is late (negative: early) if this explains every mismatch.
    `timing` has the distances of the spikes; analogue outputs have none.
    """

    layer: str
    shape: Shape
    steps: int
    latency_left: int
    latency_right: int
    spikes_left: int
    spikes_right: int
    outside_left: int
    outside_right: int
    exact: bool | None
    analogue: bool
    mismatches: int
    state_mismatches: Mapping[str, int]
    count_error: float
    value_error: float | None
    cosine: float | None
    shift: int | None
    first: Divergence | None
    timing: Timing | None = None


@dataclass(frozen=True)
class Comparison:
    """Two runs, layer by layer in network order.

    `uncompared` names the layers without an output in one run or both, with the
    sides ("left", "right") that lack it.
    """

    left: str
    right: str
    layers: tuple[LayerComparison, ...]
    first_divergence: Divergence | None
    uncompared: Mapping[str, tuple[str, ...]]

    @property
    def exact(self) -> bool:
        return all(layer.exact is True for layer in self.layers)
