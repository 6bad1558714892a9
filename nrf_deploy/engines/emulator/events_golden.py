"""The normative emulator of chips without time steps: it runs event by event.

An input event is followed to its end before the next one enters: each population, in the
program's order, takes the spikes that the event caused at its sources, source by source, and
passes its own spikes to its targets. (In a chain, queues of any length give the same; where
paths meet, a chip may mix them in another order, see events_order.py.) Of the neurons that one
event reaches, and of those that a tick of the clock updates, the one with the lower address
comes first: rows, then columns, then channels.

A step of the recording is a tick of the clock, then the step's events: by rising index, one
of value n as n events, or shuffled. Nothing here depends on a chip: the target's rule defines
what an event does to a neuron. Every faster engine must equal this one in every spike and every
value of every state.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol, runtime_checkable

import numpy as np

from nrf_deploy.diagnostics.findings import Finding, InputError, error, refuse
from nrf_deploy.diagnostics.progress import Progress, quiet
from nrf_deploy.ir.network import Array, Shape
from nrf_deploy.ir.program import Conv, Dense, Population, Program, Sparse, Synapses
from nrf_deploy.ir.recording import Recording, Trace

from .golden import State
from .soundness import demand_sound


@runtime_checkable
class EventRule(Protocol):
    """A chip's integer rules for one event."""

    name: str
    states: Mapping[str, tuple[str, ...]]

    def faults(self, program: Program) -> Iterable[Finding]:
        """Yield the faults of a program by these rules, as golden.Arithmetic.faults does."""
        ...

    def start(self, population: Population) -> State: ...

    def passes(self, population: Population) -> bool:
        """Return whether the population has no neurons and passes events on unchanged."""
        ...

    def tick(self, population: Population) -> Array | None:
        """Return what a tick of the clock adds to each neuron, flat; None if it adds nothing."""
        ...

    def arrive(
        self, population: Population, state: State, neurons: Array, weights: Array
    ) -> tuple[Array, State]:
        """Return which of the neurons (flat) that an event reaches fire, and their new state."""
        ...


def run(
    program: Program,
    rule: EventRule,
    recording: Recording,
    record: Iterable[str] | None = None,
    states: Iterable[str] = (),
    steps: int | None = None,
    progress: Progress = quiet,
    shuffle: int | None = None,
) -> Trace:
    """Run `program` over `recording`; `shuffle` is a seed for the order inside each step.

    A layer's output in a step is the spike count of each neuron; states are those after it.
    """
    demand_sound(program, rule)
    refuse(input_faults(recording), InputError)
    steps = recording.steps if steps is None else steps
    kept = [p.name for p in program.populations] if record is None else list(record)
    state = {p.name: rule.start(p) for p in program.populations}
    history: dict[str, dict[str, list[Array]]] = {
        name: {v: [] for v in state[name]} for name in states
    }
    fired: dict[str, list[tuple[int, int]]] = {name: [] for name in kept}

    def follow(emitted: dict[str, list[int]], t: int, ticked: bool) -> None:
        for p in program.populations:
            out = emitted[p.name] = []
            if ticked and (added := rule.tick(p)) is not None:
                every = by_address(p.shape)
                out += _arrived(rule, p, state, every, added[every])
            for s in program.into(p.name):
                for event in emitted[s.source]:
                    neurons, weights = reached(s, event, p.shape)
                    if rule.passes(p):
                        out += neurons.tolist()
                    else:
                        out += _arrived(rule, p, state, neurons, weights)
            if p.name in fired:
                fired[p.name] += [(t, neuron) for neuron in out]

    silent = {port.name: list[int]() for port in program.ports}
    for t in range(steps):
        follow(dict(silent), t, ticked=True)
        for port, event in entering(program, recording, t, shuffle):
            follow(silent | {port: [event]}, t, ticked=False)
        for name, values in history.items():
            for variable, past in values.items():
                past.append(state[name][variable])
        progress(t + 1, steps)
    return Trace(
        engine="events golden",
        outputs={
            name: counted(
                program.population(name).shape,
                np.array([t for t, _ in pairs], np.int64),
                np.array([neuron for _, neuron in pairs], np.int64),
                steps,
                recording.dt,
            )
            for name, pairs in fired.items()
        },
        states={
            name: {
                v: np.array(past, np.int64).reshape(steps, *program.population(name).shape)
                for v, past in values.items()
            }
            for name, values in history.items()
        },
        notes={},
    )


def _arrived(
    rule: EventRule, p: Population, state: dict[str, State], neurons: Array, weights: Array
) -> list[int]:
    fires, state[p.name] = rule.arrive(p, state[p.name], neurons, weights)
    spikes: list[int] = neurons[fires].tolist()
    return spikes


def counted(shape: Shape, step: Array, neuron: Array, steps: int, dt: float | None) -> Recording:
    """Return a recording of how often each neuron fired in each step."""
    return Recording.from_events(step, neuron, np.ones(len(step), np.int64), shape, steps, dt)


# --- targets of an event -------------------------------------------------


def by_address(shape: Shape) -> Array:
    """Return flat indices by rising address: rows, columns, then channels."""
    flat = np.arange(math.prod(shape)).reshape(shape)
    return np.moveaxis(flat, 0, -1).ravel()


def reached(synapses: Synapses, event: int, shape: Shape) -> tuple[Array, Array]:
    """Return the neurons of a population of `shape` (flat, by rising address) that an event
    reaches, and their weights."""
    if isinstance(synapses, Conv):
        return _window(synapses, event)
    if isinstance(synapses, Sparse):
        there = np.flatnonzero(synapses.column == event)
        rank = np.argsort(by_address(shape), kind="stable")
        there = there[np.argsort(rank[synapses.row[there]], kind="stable")]
        return synapses.row[there], synapses.weight[there]
    assert isinstance(synapses, Dense)
    every = by_address(shape)
    return every, synapses.weight[every, event]


def _window(conv: Conv, event: int) -> tuple[Array, Array]:
    """Return the outputs whose kernel covers the event, and their weights, zeros included."""
    c, y, x = (int(i) for i in np.unravel_index(event, conv.input_shape))
    features, height, width = conv.shape
    group, channel = divmod(c, conv.weight.shape[1])
    each = features // conv.groups
    those = np.arange(group * each, (group + 1) * each)
    neurons, weights = [], []
    for oy, ky in _taps(conv, 0, y):
        for ox, kx in _taps(conv, 1, x):
            neurons.append(those * (height * width) + oy * width + ox)
            weights.append(conv.weight[those, channel, ky, kx])
    none = [np.zeros(0, np.int64)]
    return np.concatenate(neurons or none), np.concatenate(weights or none).astype(np.int64)


def _taps(conv: Conv, axis: int, at: int) -> Iterator[tuple[int, int]]:
    """Yield the (output position, kernel tap) pairs that see position `at` of the input."""
    for out in range(conv.shape[1 + axis]):
        tap = at + conv.padding[axis][0] - out * conv.stride[axis]
        if (
            tap % conv.dilation[axis] == 0
            and 0 <= tap // conv.dilation[axis] < conv.weight.shape[2 + axis]
        ):
            yield out, tap // conv.dilation[axis]


# --- input ---------------------------------------------------------------


def entering(
    program: Program, recording: Recording, t: int, shuffle: int | None
) -> list[tuple[str, int]]:
    """Return (port, flat index) of each event of a step, in order."""
    if t >= recording.steps:
        return []
    events = step_events(recording, t, shuffle)
    ends = np.cumsum([math.prod(p.shape) for p in program.ports])
    which = np.searchsorted(ends, events, side="right")
    first = np.concatenate([[0], ends])[which]
    return [
        (program.ports[k].name, i)
        for k, i in zip(which.tolist(), (events - first).tolist(), strict=True)
    ]


def step_events(recording: Recording, t: int, shuffle: int | None) -> Array:
    """Return the step's events one by one; a seed shuffles each step separately."""
    index, value = recording.at(t)
    events = np.repeat(index, value.astype(np.int64))
    return events if shuffle is None else shuffled(events, shuffle, t)


def shuffled(events: Array, seed: int, t: int) -> Array:
    return np.random.default_rng((seed, t)).permutation(events)


MOST_EVENTS = 2**27
"""Limit on the events of a recording: values are counts, so few numbers can be many events."""


def input_faults(recording: Recording) -> Iterator[Finding]:
    wrong = (recording.value < 0) | (recording.value != np.rint(recording.value))
    if wrong.any():
        at = int(np.argmax(wrong))
        yield error(
            "EVENTS-INPUT",
            f"the value {recording.value[at]} is not a number of events",
            why="this chip takes event by event: a value of n means n events in the step",
            fix="send counts of events; use a channel for each sign of a signal",
            step=int(recording.step[at]),
        )
    elif (events := float(recording.value.astype(np.float64).sum())) > MOST_EVENTS:
        yield error(
            "EVENTS-INPUT",
            f"the values count {events:,.0f} events; expected at most {MOST_EVENTS:,}",
            why="this chip takes event by event",
            fix="give a shorter recording, or smaller counts",
        )


def faults(program: Program) -> Iterator[Finding]:
    """Yield why events cannot be followed through this program."""
    known = {p.name for p in program.ports}
    for p in program.populations:
        for s in program.into(p.name):
            if s.source not in known or s.delay or getattr(s, "delays", None) is not None:
                yield error(
                    "EVENTS-ORDER",
                    f"{s.name!r} leads from {s.source!r} to {p.name!r}: backwards, or with a delay",
                    why="without time steps an event goes only to later layers, at once",
                    fix="remove the feedback or the delay",
                    layer=p.name,
                )
        known.add(p.name)
