"""Base classes of membranes and rules.

A population of neurons is a membrane (how input moves the potential v) and a rule (what leaves,
and what that does to v). Both are closed sets of small frozen dataclasses, one file each. Every
field belongs to one of two groups:

- a field without a default is part of the kind;
- a field with a default is a *feature*, and its default is neutral.

Code that interprets neurons lists the exact types and every feature that it reads
(capabilities.py). Whatever it does not list is refused before it runs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import MISSING, Field, dataclass, field
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
State = dict[str, Array]
Advance = Callable[[State, Array], State]
"""(state, input) -> state, before any spike"""
Fire = Callable[[State, State], tuple[Array, State]]
"""(state before the step, state after the membrane moved) -> (value, state after the step)"""

MOST_STEPS = 2**31 - 1

Unit = Literal[
    "time",  # a time constant, in the units of dt
    "input",  # what an input is multiplied by
    "current",  # what a current is multiplied by
    "potential",  # a place on the axis of v: moves with its origin
    "amount",  # a distance on that axis
    "rate",  # an amount per unit of time
    "steps",  # a number of steps
    "value",  # what a spike stands for
]


def number(unit: Unit, about: str = "", **more: Any) -> Any:
    """Return a field that holds one number per neuron.

    Args:
        unit: what the number counts
        about: the feature in a few words, for messages ("a floor of the potential")
        more: arguments of dataclasses.field, such as a neutral default
    """
    return field(metadata={"unit": unit, "about": about}, **more)


def choice(about: str, default: Any) -> Any:
    """Return a field that holds one word, flag or part for all neurons of a population.

    Args:
        about: the feature in a few words, for messages
        default: the neutral value
    """
    return field(metadata={"about": about}, default=default)


@dataclass(frozen=True, eq=False, kw_only=True)
class Part:
    """A frozen piece of a population."""

    def numbers(self) -> Iterator[tuple[str, Unit, Array]]:
        """Yield (name, unit, array) of every number per neuron; None is left out."""
        for f in dataclasses.fields(self):
            value = getattr(self, f.name)
            if "unit" in f.metadata and value is not None:
                yield f.name, f.metadata["unit"], np.asarray(value)

    def by_unit(self, unit: Unit, of: Callable[[Array], Array]) -> Self:
        """Return this part, and the parts inside it, with every number of a unit replaced."""
        own: dict[str, Any] = {n: of(x) for n, u, x in self.numbers() if u == unit}
        own |= {name: part.by_unit(unit, of) for name, part in self.parts()}
        return dataclasses.replace(self, **own)

    def parts(self) -> Iterator[tuple[str, Part]]:
        """Yield (name, part) of every field that holds a part."""
        for f in dataclasses.fields(self):
            if isinstance(value := getattr(self, f.name), Part):
                yield f.name, value

    def faults(self) -> Iterator[str]:
        """Yield the faults in words: values out of range, and fields that contradict each other."""
        for name, unit, values in self.numbers():
            if unit == "steps":
                wrong = (values < 0) | (values > MOST_STEPS) | (values != np.rint(values))
                expected = f"whole numbers from 0 to {MOST_STEPS:,}"
            elif unit == "amount":
                wrong, expected = values < 0, "numbers from 0"
            elif unit == "value":
                wrong, expected = values <= 0, "numbers above 0"
            else:
                continue
            if np.any(wrong):
                yield f"{name} is {float(values[wrong].flat[0]):g}; expected {expected}"

    def stated(self) -> Iterator[tuple[Field[Any], Any]]:
        """Yield (field, value) of every feature that is not neutral."""
        for f in dataclasses.fields(self):
            value = getattr(self, f.name)
            if f.default is not MISSING and not _same(value, f.default):
                yield f, value

    def described(self) -> dict[str, str]:
        """Return the features that are not neutral, each with its description.

        A choice is named name=value; a part name=Type, and its own features follow after a dot; a
        number or a flag has its name: "reset=subtract", "adaptation=Rising", "floor".
        """
        words: dict[str, str] = {}
        for f, value in self.stated():
            about = f.metadata.get("about", "")
            if isinstance(value, str):
                words[f"{f.name}={value}"] = about
            elif isinstance(value, Part):
                words[f"{f.name}={type(value).__name__}"] = about
                words |= {f"{f.name}.{x}": inner for x, inner in value.described().items()}
            else:
                words[f.name] = about
        return words


def _same(value: Any, neutral: Any) -> bool:
    if value is None or neutral is None or isinstance(value, str | Part):
        return value is neutral or (isinstance(value, str) and value == neutral)
    return bool(np.all(np.asarray(value) == neutral))


@dataclass(frozen=True, eq=False, kw_only=True)
class Form:
    """A linear step: v' = (1 - decay) v + drive x + rest.

    x passes through a current that keeps 1 - current_decay of itself in each step;
    `current_decay` is 1 where the current has no memory.
    """

    decay: Array
    current_decay: Array
    drive: Array
    rest: Array


@dataclass(frozen=True, eq=False, kw_only=True)
class Membrane(Part):
    """The motion of the potential v under input, before any spike."""

    states: ClassVar[tuple[str, ...]]
    """State variables; the last one is "v"."""
    nir: ClassVar[tuple[str, str]]
    """The NIR nodes that stand for it: (with a value, with spikes)."""
    near: ClassVar[type[Membrane] | None] = None
    """If NIR has no such node: the kind whose node is written, with this one's name beside it."""
    runs: ClassVar[frozenset[str]] = frozenset(("v0",))
    """The features that its steps read."""

    v0: Array | None = number("potential", "a first potential of its own", default=None)

    @property
    def shape(self) -> tuple[int, ...]:
        return next(np.shape(x) for name, _, x in self.numbers() if name != "v0")

    def start(self, rule: Rule) -> State:
        """Return the state before the first step, if `v0` does not set the potential."""
        raise NotImplementedError

    def first_state(self, rule: Rule) -> State:
        """Return the state before the first step."""
        state = self.start(rule)
        return state if self.v0 is None else {**state, "v": self.v0}

    def euler(self, dt: float, spiking: bool) -> Advance:
        """Return a step of Euler's method in float32, operation by operation as the framework."""
        raise NotImplementedError

    def exact(self, dt: float) -> Advance | None:
        """Return the exact solution over a step in float64; None where Euler's step is exact."""
        raise NotImplementedError

    def form(self, dt: float) -> Form | None:
        """Return the step as a linear form; None where it is not linear."""
        return None

    def exactly(self, dt: float) -> Self:
        """Return the membrane whose Euler step is the exact step of this one."""
        return self

    def full(self, values: Any, dtype: Any = np.float32) -> Array:
        return np.broadcast_to(values, self.shape).astype(dtype)

    def rate(self, dt: float, tau: Array) -> Array:
        """Return float32(dt) * float32(1/tau)."""
        return np.asarray(np.float32(dt) * self.full(1.0 / tau.astype(np.float64)))


class Rule(Part):
    """The output of a population for its potential, and the effect of a spike on the potential."""

    spikes: ClassVar[bool]
    runs: ClassVar[frozenset[str]] = frozenset()
    """The features that `fire` reads."""

    @property
    def states(self) -> tuple[str, ...]:
        """Return the state variables beyond the membrane's."""
        return ()

    @property
    def origin(self) -> Array | float:
        """Return the potential at which an integrator starts."""
        return 0.0

    def fire(self, shape: tuple[int, ...], dt: float, dtype: Any) -> tuple[State, Fire]:
        """Return the first values of `states`, and the function that ends a step."""
        raise NotImplementedError
