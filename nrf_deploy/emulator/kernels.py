"""What a target says to the fast engine about its chip.

Beside its plain arithmetic a target may give `Kernels`: one small numba function for each
neuron model, and two facts about each synapse. The engine does the rest (events, layouts,
widths, delays, threads) and knows no chip. Importing this module does not start numba.

A kernel moves n neurons by one step:

    def kernel(n, t, stride, arriving, output, state, each, one) -> int

    arriving    (n,) sums, of 16, 32 or 64 bits: the lowest bits of the exact sum where
                the arithmetic wraps to 32 bits anyway, otherwise all of it
    output      (n,) written: int8 spikes (-1, 0, 1), or int32 payloads
    state       int32, variable k of neuron i at state[k * stride + i], in the
                arithmetic's order; read and written
    one         the parameters that all neurons share: parameter k at one[k]
    each        the others, parameter k of neuron i at each[r * stride + i], where r counts
                the parameters before it that are not shared
    result      0 if these neurons rest: without arrivals the next step would leave every
                state as it is and give no output, at whatever step; else anything else

It is made by a factory that is told which parameters are shared, so that the compiler
sees constants and leaves the other branches out. The machine code is kept on disk by file and
by these constants: a factory may close over plain values only; helper functions (compiled by
compiled.compiled) are globals of its module. A kernel that calls compiled.widest_vectors()
may use vectors of 64 bytes. Integers of numba grow to 64 bits in every sum: a cast after each
operation keeps them, and the vectors' lanes, narrow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from ..network import Array
from ..program import Population, Synapses

Range = tuple[int, int]
WORD: Range = (-(2**31), 2**31 - 1)


@dataclass(frozen=True)
class Cell:
    """How the engine runs one population."""

    kernel: Callable[[tuple[bool, ...]], Callable[..., Any]]
    params: Mapping[str, int | Array] = field(default_factory=dict)
    """In the order in which the kernel counts them; each fits 32 bits."""
    payload: bool = False
    """The output is an int32 payload; otherwise a spike of -1, 0 or 1."""
    output: Callable[[Range], Range] = lambda arriving: (0, 1)
    """The range of the output for a range of what arrives."""
    unseen: Callable[[tuple[bool, ...]], Callable[..., Any]] | None = None
    """Runs instead of `kernel` where nobody logs the states: it need not write those that the
    next step does not read."""


@dataclass(frozen=True)
class Delivery:
    """What becomes of a synapse's sum: wrapped to `before` bits, shifted left (right and
    down where negative), wrapped to `after` bits; 64 bits: not wrapped."""

    before: int = 64
    shift: int = 0
    after: int = 64


class Kernels(Protocol):
    def cell(self, population: Population) -> Cell | None:
        """None where no kernel covers this population: the plain arithmetic runs instead."""
        ...

    def graded(self, synapses: Synapses) -> bool:
        """Does it see an output's value (wrapped to 32 bits), or only that it is not 0?"""
        ...

    def delivery(self, synapses: Synapses) -> Delivery: ...


class EventKernels(Protocol):
    """For chips that take one event after another: `arriving` are then the weights of those
    neurons that an event reaches, and the result says whether any of them fired."""

    def cell(self, population: Population) -> Cell | None: ...
