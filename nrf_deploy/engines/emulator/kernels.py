"""Contract of a target's kernels for the fast engine.

In addition to its plain arithmetic a target may provide `Kernels`: one small numba function for
each neuron model, and two facts about each synapse. The engine does the rest (events, layouts,
widths, delays, threads) and depends on no chip. Importing this module does not start numba.

A kernel updates n neurons by one step:

    def kernel(n, t, stride, arriving, output, state, each, one) -> int

    arriving    (n,) sums, of 16, 32 or 64 bits: the lowest bits of the exact sum where
                the arithmetic wraps to 32 bits anyway, otherwise all of it
    output      (n,) written: int8 spikes (-1, 0, 1), or int32 payloads
    state       int32, variable k of neuron i at state[k * stride + i], in the
                arithmetic's order; read and written
    one         the parameters that all neurons share: parameter k at one[k]
    each        the others, parameter k of neuron i at each[r * stride + i], where r counts
                the parameters before it that are not shared
    result      0 if these neurons rest: without input, no later step would change a state or
                give an output; otherwise any other number

It is made by a factory that receives which parameters are shared, so that the compiler
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

from nrf_deploy.ir.network import Array
from nrf_deploy.ir.program import Population, Synapses

Range = tuple[int, int]
WORD: Range = (-(2**31), 2**31 - 1)


@dataclass(frozen=True)
class Cell:
    """The kernel of one population."""

    kernel: Callable[[tuple[bool, ...]], Callable[..., Any]]
    params: Mapping[str, int | Array] = field(default_factory=dict)
    """The parameters in the kernel's order; each fits 32 bits."""
    payload: bool = False
    """Whether the output is an int32 payload; otherwise it is a spike of -1, 0 or 1."""
    output: Callable[[Range], Range] = lambda arriving: (0, 1)
    """Function from the range of the summed input to the range of the output."""
    unseen: Callable[[tuple[bool, ...]], Callable[..., Any]] | None = None
    """Kernel that runs instead of `kernel` if states are not logged: it may leave out those that
    the next step does not read."""


@dataclass(frozen=True)
class Delivery:
    """Steps between a synapse's sum and its target: wrapped to `before` bits, shifted left (if
    negative: right, rounding down), wrapped to `after` bits; 64 bits: not wrapped."""

    before: int = 64
    shift: int = 0
    after: int = 64


class Kernels(Protocol):
    def cell(self, population: Population) -> Cell | None:
        """Return the population's kernel; None if there is none and the plain arithmetic runs."""
        ...

    def graded(self, synapses: Synapses) -> bool:
        """Return whether the synapses see an output's value (wrapped to 32 bits), or only that it
        is not 0."""
        ...

    def delivery(self, synapses: Synapses) -> Delivery: ...


class EventKernels(Protocol):
    """Kernels of chips that take event by event: `arriving` are the weights of the neurons that
    an event reaches, and the result says whether any of them fired."""

    def cell(self, population: Population) -> Cell | None: ...
