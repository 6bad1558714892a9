"""The layers of one step: their places, their calls, and the sums between them."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field

from nrf_deploy.diagnostics.findings import Finding

from .values import Made, Term, Terms

STATIC = -2
"""The step of what does not change from step to step."""
BEFORE = -1_000_000
"""The step of a layer that is given zeros in place of the spikes before the first step."""

Place = tuple[Hashable, int]
"""A layer in a step: what is called, and which of its calls in a step."""
Link = tuple[Place, int]
"""A source, and the steps that it lies back."""
SOURCE: Place = ("input", 0)


@dataclass(eq=False)
class Site:
    """A layer of the folded graph.

    Attributes:
        name: Its name, unique in the graph.
        first: One of its calls.
        links: The sum that it takes.
        instants: Its calls as (number of the call, step in the call), by step.
    """

    name: str
    first: Made
    links: tuple[Link, ...]
    instants: dict[int, tuple[int, int]] = field(default_factory=dict)


@dataclass(eq=False)
class Folded:
    """The layers of one step.

    Attributes:
        sites: The layers by place, in the order of their calls.
        outputs: The sum of each output, by name.
        over_time: The function over all steps of an output, by name.
        totals: The terms by step of an output that is the sum of all steps, by name.
        start: The starts that the module has: "bias", "zero", both or none, by the place that
            leads back.
        unused: Warnings about calls that no output needs.
        steps: The number of steps.
    """

    sites: dict[Place, Site]
    outputs: dict[str, tuple[Place, ...]]
    over_time: dict[str, str]
    totals: dict[str, tuple[Terms, ...]]
    start: dict[Place, str]
    unused: list[Finding]
    steps: int


@dataclass(frozen=True)
class Instant:
    """One step of one call."""

    place: Place
    step: int
    number: int
    at: int
    terms: tuple[Term, ...]
