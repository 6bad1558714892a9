"""The normative emulator, written for reading instead of speed.

It is one loop over time. In a step each population, in the program's order, takes its input,
and a target's arithmetic updates it; each of its synapses then turns the output into sums
that arrive `delay` steps later. Nothing here depends on a chip: the arithmetic defines how a
weight is stored, how a sum is shifted or wrapped and how a neuron is updated, one step at a
time. Every faster engine must equal this one in every value of every state.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Protocol

import numpy as np

from nrf_deploy.diagnostics.findings import Finding
from nrf_deploy.diagnostics.progress import Progress, quiet
from nrf_deploy.ir.network import Array
from nrf_deploy.ir.program import Conv, Dense, Population, Program, Sparse, Synapses
from nrf_deploy.ir.recording import Recording, Trace

from .soundness import demand_sound

State = dict[str, Array]


class Arithmetic(Protocol):
    """A chip's integer rules for one step."""

    name: str
    states: Mapping[str, tuple[str, ...]]
    """The state variables of each neuron model, in the order in which a step computes them."""

    def faults(self, program: Program) -> Iterable[Finding]:
        """Yield an error for each unknown model or parameter and each value out of range.

        parameters.py does this by a declaration. It is called once for a program, after
        Program.faults().
        """
        ...

    def held(self, synapses: Synapses) -> Array:
        """Return the weights as the chip stores them."""
        ...

    def message(self, synapses: Synapses, output: Array) -> Array:
        """Return what these synapses receive of a source's output."""
        ...

    def deliver(self, synapses: Synapses, total: Array) -> Array:
        """Return what a sum of weights becomes before it reaches the target; 0 stays 0."""
        ...

    def start(self, population: Population) -> State: ...

    def step(
        self, population: Population, state: State, arriving: Array, t: int
    ) -> tuple[Array, State]:
        """Return (output, new state) of step t, counted from 0."""
        ...


def run(
    program: Program,
    arithmetic: Arithmetic,
    recording: Recording,
    record: Iterable[str] | None = None,
    states: Iterable[str] = (),
    steps: int | None = None,
    progress: Progress = quiet,
) -> Trace:
    """Run `program` over `recording` (a program with several ports takes them stacked, flat).

    `record` names the populations whose output is kept (all by default), `states` those
    whose every state variable is kept after every step. `steps` beyond the recording have no
    input, so that delayed spikes still arrive.
    """
    demand_sound(program, arithmetic)
    steps = recording.steps if steps is None else steps
    record = [p.name for p in program.populations] if record is None else list(record)
    kept_states = list(states)

    state = {p.name: arithmetic.start(p) for p in program.populations}
    wires = {s.name: _wires(s, arithmetic.held(s)) for s in program.synapses}
    horizon = 1 + max((delay for w in wires.values() for delay, _ in w), default=0)
    pending = {p.name: np.zeros((horizon, p.size), np.int64) for p in program.populations}
    kept: dict[str, list[Array]] = {name: [] for name in record}
    history: dict[str, dict[str, list[Array]]] = {
        name: {v: [] for v in state[name]} for name in kept_states
    }

    def send(source: str, output: Array, t: int) -> None:
        for s in program.out_of(source):
            message = arithmetic.message(s, output)
            if not message.any():
                continue
            for delay, total in wires[s.name]:
                arrived = arithmetic.deliver(s, total(message))
                for target in s.targets:
                    pending[target][(t + delay) % horizon] += arrived.ravel()

    for t in range(steps):
        frame = recording.frame(t).ravel() if t < recording.steps else np.zeros(recording.size)
        first = 0
        for port in program.ports:
            size = math.prod(port.shape)
            send(port.name, frame[first : first + size].astype(np.int64), t)
            first += size
        for p in program.populations:
            arriving = pending[p.name][t % horizon].copy().reshape(p.shape)
            pending[p.name][t % horizon] = 0
            output, state[p.name] = arithmetic.step(p, state[p.name], arriving, t)
            if p.name in kept:
                kept[p.name].append(output)
            if p.name in history:
                for name, values in state[p.name].items():
                    history[p.name][name].append(values)
            send(p.name, output.ravel(), t)
        progress(t + 1, steps)

    shapes = {p.name: p.shape for p in program.populations}
    return Trace(
        engine="golden",
        outputs={
            name: Recording.from_dense(
                np.array(frames, np.int64).reshape(steps, *shapes[name]), recording.dt
            )
            for name, frames in kept.items()
        },
        states={
            name: {v: np.array(x).reshape(steps, *shapes[name]) for v, x in vs.items()}
            for name, vs in history.items()
        },
        notes={},
    )


Wire = tuple[int, Callable[[Array], Array]]  # (delay, flat message -> flat sum)


def _wires(synapses: Synapses, weight: Array) -> list[Wire]:
    """Return these synapses as one sum for each delay."""
    if isinstance(synapses, Conv):
        return [(synapses.delay, lambda x: correlate(synapses, weight, x).ravel())]
    if isinstance(synapses, Sparse):
        size = math.prod(synapses.target_shape)

        def scatter(x: Array) -> Array:
            total = np.zeros(size, np.int64)
            np.add.at(total, synapses.row, weight * x[synapses.column])
            return total

        return [(synapses.delay, scatter)]
    assert isinstance(synapses, Dense)
    if synapses.delays is None:
        return [(synapses.delay, partial(exact_matmul, weight))]
    return [
        (synapses.delay + int(d), partial(exact_matmul, np.where(synapses.delays == d, weight, 0)))
        for d in np.unique(synapses.delays)
    ]


def exact_matmul(a: Array, b: Array) -> Array:
    """Multiply matrices in int64; in float64 (by BLAS) if no partial sum can reach 2^53."""
    largest = (max(-int(x.min(initial=0)), int(x.max(initial=0))) for x in (a, b))
    if math.prod(largest) * a.shape[-1] < 2**53:
        return np.rint(a.astype(np.float64) @ b.astype(np.float64)).astype(np.int64)
    return a.astype(np.int64) @ b.astype(np.int64)


def correlate(conv: Conv, weight: Array, x: Array) -> Array:
    """Correlate a flat (C, Y, X) message with zero padding, exactly in integers."""
    channels, height, width = conv.shape
    (dy, dx), (sy, sx) = conv.dilation, conv.stride
    padded = np.pad(x.reshape(conv.input_shape), ((0, 0), *conv.padding))
    kernels = weight.reshape(conv.groups, channels // conv.groups, *weight.shape[1:])
    total = np.zeros((conv.groups, channels // conv.groups, height * width), np.int64)
    for ky, kx in np.ndindex(*weight.shape[2:]):
        rows = slice(ky * dy, ky * dy + sy * height, sy)
        columns = slice(kx * dx, kx * dx + sx * width, sx)
        seen = padded[:, rows, columns][:, :height, :width].reshape(conv.groups, -1, height * width)
        for group, kernel in enumerate(kernels[..., ky, kx]):
            total[group] += exact_matmul(kernel, seen[group])
    return total.reshape(channels, height * width)
