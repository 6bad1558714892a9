"""Base of dialects: how the .nir nodes of one producer are read.

NIR states equations in continuous time. A framework runs others: its own order of decay and
input, its own gain, its own reset. A dialect turns the fields of a node back into what its
framework runs: a membrane, the defaults of the rule, and the length of a step. The algebra is in
the docstring of each dialect. Decays are computed in float64 from the file and stored in float64,
so that 1 - dt/tau is the framework's decay when it is rounded to float32 once.

A dialect refuses every node and field that its framework's exporter does not write: such a file
is from another producer, or from a version whose equations may differ.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from nrf_deploy.ir.network import Array, Edge, LoopStart, Node
from nrf_deploy.neurons import Membrane
from nrf_deploy.neurons.spikes import Fires, Reset

from ...rule_options import Producer
from ..graph import RawGraph, RawNode

Values = Mapping[str, Array]
"""The fields of a node by name, each in the full shape of the layer."""
Certainty = Literal["surely", "almost surely", "likely"]
SAME = 1e-5
"""Largest relative difference of two values that are equal but for float32 rounding."""
FLOOR = "-v_threshold"
"""The floor of a potential at minus its threshold."""
HOLDS = 2.0**60
"""The time constant, in steps, of a potential that does not decay: 1 - 1/HOLDS is 1."""


class ForeignError(Exception):
    """A node or a field that the producer's exporter does not write."""


@dataclass(frozen=True)
class Clock:
    """The length of a step: in the unit of the file's constants, and in that of the network."""

    file: float
    step: float


@dataclass(frozen=True)
class Mark:
    """A mark of a producer in a file, and how sure it is."""

    certainty: Certainty
    what: str


@dataclass(frozen=True)
class Defaults:
    """The rule of a producer's neurons where the caller does not override it."""

    reset: Reset = "value"
    fires: Fires = "above"
    per_step: str = "one"
    floor: Literal["none", "-v_threshold"] = "none"


class Dialect:
    """The reading of one producer's nodes."""

    name: ClassVar[Producer]
    framework: ClassVar[str]
    """The name of the framework, as it writes it."""
    rule: ClassVar[Defaults]
    kinds: ClassVar[tuple[str, ...]]
    """The kinds of neurons that its exporter writes."""
    means: ClassVar[str]
    """The reading in a few words, for messages."""
    lost: ClassVar[str] = ""
    """What its exporter leaves out, so that no reader can know it."""
    step_from: ClassVar[str] = ""
    """What tells the length of a step, for messages."""
    counts: ClassVar[bool] = False
    """Whether the constants count steps, so that the caller may state the length of a step."""
    infinite: ClassVar[frozenset[str]] = frozenset()
    """The fields that may be infinite."""
    loop_start: ClassVar[LoopStart] = "bias"

    def own_step(self, nodes: Sequence[RawNode]) -> float | None:
        """Return the length of a step that the file implies, in its unit; None if it does not.

        Args:
            nodes: the neurons of the file
        """
        return None

    def defaults(self, kind: str) -> Defaults:
        """Return the rule of neurons of a kind where the caller does not override it."""
        return self.rule

    def in_file(self, step: float) -> float:
        """Return a step of the network in the unit of the file's constants."""
        return step

    def membrane(self, kind: str, values: Values, clock: Clock) -> Membrane:
        """Return the membrane of a node; raise ForeignError for fields of another producer.

        Args:
            kind: the kind of the node, one of `kinds`
            values: the fields of the node
            clock: the length of a step
        """
        raise NotImplementedError

    def mark(self, graph: RawGraph) -> Mark | None:
        """Return the mark of this producer in a file; None if there is none."""
        return None

    def mend(self, graph: RawGraph) -> None:
        """Replace edges that the exporter writes wrongly, before the nodes are built."""

    def left_out(self, graph: RawGraph) -> Sequence[str]:
        """Return the names of layers that the exporter left out, as far as the file shows it."""
        return ()

    def finish(
        self, nodes: dict[str, Node], names: list[str], edges: list[Edge], clock: Clock
    ) -> tuple[list[str], list[Edge]]:
        """Add nodes that the framework has and the file does not; return the order and edges."""
        return names, edges


# --- parts of dialects -------------------------------------------------------


def field(node: RawNode, key: str) -> Array | None:
    """Return a field of a raw node as float64; None if it does not hold numbers."""
    value: Any = node.fields.get(key)
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiu" or not value.size:
        return None
    return value.astype(np.float64)


def fields(nodes: Sequence[RawNode], key: str) -> list[Array]:
    """Return a field of every node that has it."""
    return [x for node in nodes if (x := field(node, key)) is not None]


def double(values: Values, key: str) -> Array:
    return values[key].astype(np.float64)


def demand(values: Values, key: str, wanted: float, framework: str) -> None:
    """Refuse a field that differs from the only value that a framework writes."""
    off = ~np.isclose(values[key], wanted, rtol=SAME, atol=0)
    if off.any():
        raise ForeignError(
            f"{key} is {float(values[key][off].flat[0]):g}; {framework} writes {wanted:g}"
        )


def ratio(a: Array, b: Array) -> Array:
    """Return a/b, and NaN where both are infinite."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(a / b)


def agreed(steps: Sequence[Array], framework: str) -> float | None:
    """Return the one length of a step that all neurons imply; None if none implies any.

    It is the shortest decimal number that is equal to it but for float32 rounding, since the
    user typed it.
    """
    if not steps:
        return None
    every = np.concatenate([np.ravel(x) for x in steps])
    first = float(np.median(every))
    if not np.isfinite(every).all() or not np.allclose(every, first, rtol=SAME, atol=0):
        low, high = float(np.min(every)), float(np.max(every))
        raise ForeignError(
            f"the neurons imply time steps from {low:g} to {high:g}; a network of {framework} has "
            "one"
        )
    return shortest(first)


def shortest(value: float) -> float:
    """Return the shortest decimal number within float32 rounding of a value, or of 1/value."""
    for digits in range(1, 6):
        if math.isclose(near := float(f"{value:.{digits}g}"), value, rel_tol=1e-6):
            return near
    for digits in range(1, 6) if value else ():
        near = float(f"{1 / value:.{digits}g}")
        if near and math.isclose(1 / near, value, rel_tol=1e-6):
            return 1 / near
    return value


def each(of: Callable[[Array], Array], values: Array) -> Array:
    """Return a function of all values, called once for each different one."""
    different, where = np.unique(values, return_inverse=True)
    return np.asarray(of(different)[where].reshape(values.shape))


def typed(values: Array) -> Array:
    """Return the numbers that a user can have typed for these, within float32 rounding."""
    return each(lambda different: np.array([shortest(float(x)) for x in different]), values)


def decay_time(kept: Array, step: float) -> Array:
    """Return the time constant of a potential of which a step keeps the fraction `kept`."""
    with np.errstate(divide="ignore"):
        return np.asarray(step / np.maximum(1 - kept.astype(np.float64), 1 / HOLDS))


def rounded(values: Array) -> Array:
    """Return values rounded to float32, as float64."""
    return values.astype(np.float32).astype(np.float64)
