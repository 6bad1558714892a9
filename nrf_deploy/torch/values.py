"""The meaning of each tensor while a module runs.

A tensor is a signal, a state of a layer, a constant, or something that cannot be followed. A
signal has a label for each axis ("T" time, "B" batch, "1" an axis of size one that was added, "F"
a feature) and, for each of its steps, the terms whose sum it is. A term is the output of one call
of a layer.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import Any

from nrf_deploy.diagnostics.findings import Finding
from nrf_deploy.ir.network import Array, Shape

INPUT = -1
"""The number of the module's own input among the calls."""


@dataclass(frozen=True)
class Term:
    """The output of call number `call`, in its own step `at` (0 for a call of one step)."""

    call: int
    at: int = 0


Terms = tuple[Term, ...]


@dataclass(frozen=True, eq=False)
class Signal:
    """A sum of outputs of layers: `steps` has one entry, or one for each step of an axis "T"."""

    axes: tuple[str, ...]
    steps: tuple[Terms, ...]

    @property
    def leading(self) -> int:
        """The number of axes before the features."""
        return next((i for i, label in enumerate(self.axes) if label == "F"), len(self.axes))

    @property
    def ordered(self) -> bool:
        """True if all features come after the other axes."""
        return all(a == "F" for a in self.axes[self.leading :])

    @property
    def timed(self) -> bool:
        return "T" in self.axes

    def terms(self) -> Iterator[Term]:
        return (term for step in self.steps for term in step)


@dataclass(frozen=True, eq=False)
class OverTime:
    """A function of a signal over all its steps, such as the mean of the output."""

    signal: Signal
    function: str


@dataclass(frozen=True, eq=False)
class State:
    """A tensor that a layer returned beside its signal in call number `call`."""

    call: int


@dataclass(frozen=True, eq=False)
class Changed:
    """A state after a function that may change it."""

    call: int
    function: str
    where: str


@dataclass(frozen=True, eq=False)
class Constant:
    """A value made of numbers and parameters only; `parameters` are their ids."""

    parameters: frozenset[int] = frozenset()


@dataclass(frozen=True, eq=False)
class Random:
    """A value that was drawn at random."""

    function: str
    where: str


@dataclass(frozen=True, eq=False)
class Foreign:
    """A tensor that was made out of sight."""


@dataclass(frozen=True, eq=False)
class Partial:
    """A tensor of zeros into which signals are written step by step, along the axis `axis`."""

    axis: int
    parts: dict[int, Signal]


Value = Signal | OverTime | State | Changed | Constant | Random | Foreign | Partial


@dataclass(eq=False)
class Made:
    """One call of a layer or a function, as it was recorded.

    Attributes:
        name: The layer's name in the model, or the function's.
        module: The layer, or a layer of torch that stands for the function; None: refused.
        inputs: The terms of its input, one entry for each of its steps.
        input_shape: The shape of its input in a step, without batch and time.
        shape: The shape of its output in a step.
        turn: The number of the module's own call in which it happened.
        in_model: The layer belongs to the model.
        faults: Reasons why it cannot be exported.
        where: The line of the user's code.
        taken: Its input, (steps, *input_shape).
        given: Its output, (steps, *shape).
        shown: The potential after the step, where its framework shows it.
        whole: It took all steps as if they were a batch.
        spread: Its output has another batch or another time than its input.
        key: The identity of what was called: equal keys compute the same. Default: the module.
    """

    name: str
    module: Any
    inputs: tuple[Terms, ...]
    input_shape: Shape
    shape: Shape
    turn: int
    in_model: bool
    where: str
    faults: list[Finding] = field(default_factory=list)
    taken: Array | None = None
    given: Array | None = None
    shown: Array | None = None
    whole: bool = False
    spread: bool = False
    key: Any = None

    def terms(self) -> Iterator[Term]:
        return (term for step in self.inputs for term in step)

    @property
    def identity(self) -> Hashable:
        """Identity of the callee: calls of equal identity compute the same."""
        return id(self.module) if self.key is None else self.key
