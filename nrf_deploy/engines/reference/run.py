"""Runs of a Network over a recording in floating point.

Where several edges meet, their signals add in float32, in the order of the edges. An
edge that closes a cycle carries the value of the step before; `before_first` defines its
value in the first step. Nodes outside cycles process one chunk of time each; the nodes of a
cycle process it together, step by step. The length of a chunk affects memory and speed only.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from functools import reduce
from graphlib import TopologicalSorter

import numpy as np

from nrf_deploy.diagnostics.findings import Finding, UsageError, error, refuse
from nrf_deploy.diagnostics.progress import Progress, quiet
from nrf_deploy.ir.capabilities import demand
from nrf_deploy.ir.delays import delay_faults
from nrf_deploy.ir.network import (
    Array,
    Connection,
    Delay,
    Flatten,
    Input,
    MaxPool,
    Network,
    Output,
    Population,
    Threshold,
    exact,
)
from nrf_deploy.ir.recording import Recording, Trace

from .connections import Chunk
from .neurons import Decay
from .nodes import RUNS, Neurons, runner


def before_first(network: Network, work: Mapping[str, Chunk]) -> dict[str, Array]:
    """Return, for the source of each back edge, its value in the step before the first.

    No neuron has spiked by then, so a connection gives its response to zero input, that is its
    biases, unless the network starts its loops at zero. All other nodes give zero.

    Args:
        network: the network
        work: each node as a function of chunks; connections process one frame, without state
    """
    sources = [source for source, _ in network.back_edges]
    if network.loop_start == "zero":
        return {name: _zero(network, name) for name in sources}
    values: dict[str, Array] = {}
    waiting, entered = list(sources), set[str]()
    while waiting:
        name = waiting[-1]
        connected = isinstance(network[name], Connection)
        if connected and name not in entered:
            entered.add(name)
            waiting += [s for s in network.sources(name) if s not in entered]
            continue
        waiting.pop()
        if name not in values:
            values[name] = (
                _silent(network, name, values, work) if connected else _zero(network, name)
            )
    return {name: values[name] for name in sources}


def _zero(network: Network, name: str) -> Array:
    return np.zeros(network[name].shape, np.float32)


def _silent(
    network: Network, name: str, known: Mapping[str, Array], work: Mapping[str, Chunk]
) -> Array:
    """Return the output of a connection for the known outputs of its sources."""
    total = np.zeros(network[name].input_shape, np.float32)
    for source in network.sources(name):
        total = total + known.get(source, np.float32(0))
    value: Array = work[name](total[None])[0]
    return value


CHUNK_BYTES = 64 << 20  # the values of all nodes in one chunk
CHUNK_STEPS = 256  # so that progress is seen


def run(
    network: Network,
    recording: Recording,
    *,
    record: Iterable[str] | None = None,
    states: Iterable[str] = (),
    steps: int | None = None,
    decay: Decay = "euler",
    progress: Progress = quiet,
    chunk: int | None = None,
) -> Trace:
    """Run `network` over `recording`.

    A network with several Inputs takes them stacked, each flat, in the order of its
    Input nodes. `record` names the nodes whose values are recorded (by default all
    populations and Threshold nodes), `states` the populations whose state variables are
    recorded after every step. `steps` beyond the recording run on silence. `decay` "euler"
    is Norse's step, "exact" the solution of the same equations (see neurons.py).

    Signals that can only be spikes (or integers, if they pass on an input of integers) are
    returned as int64, all others as float32.
    """
    demand(network, RUNS, "the float reference")
    steps = recording.steps if steps is None else steps
    kept = [n.name for n in network.of(Population, Threshold)] if record is None else list(record)
    states = list(states)
    refuse(_faults(network, recording, kept, states, steps), UsageError)

    size = sum(math.prod(n.shape) for n in network.nodes)
    chunk = chunk or max(1, min(CHUNK_STEPS, CHUNK_BYTES // (4 * size)))
    work = {n.name: runner(n, network.dt, decay, n.name in states) for n in network.nodes}
    integral = {name: _integral(network, recording, name) for name in kept}
    order = components(network)
    before = before_first(network, work)
    parts: dict[str, list[Recording]] = {name: [] for name in kept}

    with np.errstate(over="ignore", invalid="ignore"):
        for first in range(0, steps, chunk):
            last = min(first + chunk, steps)
            values = inputs_of(network, recording, first, last)
            for component in order:
                advance(network, component, work, values, before, last - first)
            for name in before:
                before[name] = values[name][-1]
            for name, done in parts.items():
                whole = values[name].astype(np.int64) if integral[name] else values[name]
                done.append(Recording.from_dense(whole, recording.dt))
            progress(last, steps)

    return Trace(
        engine="reference" if decay == "euler" else "reference-exact",
        outputs={
            name: _joined(done, network[name].shape, integral[name], recording.dt)
            for name, done in parts.items()
        },
        states={name: _history(work[name]) for name in states},
        notes={},
    )


def components(network: Network) -> list[tuple[str, ...]]:
    """Return the nodes in order, in groups: all nodes of a cycle together, others separately."""
    reach = {n.name: _reachable(network, n.name) for n in network.nodes}
    member = {
        n: next((m for m in network.order if n in reach[m] and m in reach[n]), n)
        for n in network.order
    }
    graph: dict[str, set[str]] = {member[n]: set() for n in network.order}
    for source, target in network.edges:
        graph[member[target]] |= {member[source]} - {member[target]}
    return [
        tuple(n for n in network.order if member[n] == lead)
        for lead in TopologicalSorter(graph).static_order()
    ]


def _reachable(network: Network, name: str) -> set[str]:
    """Return the nodes that a signal from this node reaches."""
    reached: set[str] = set()
    ahead = list(network.targets(name))
    while ahead:
        here = ahead.pop()
        if here not in reached:
            reached.add(here)
            ahead += network.targets(here)
    return reached


def advance(
    network: Network,
    component: tuple[str, ...],
    work: dict[str, Chunk],
    values: dict[str, Array],
    before: dict[str, Array],
    steps: int,
) -> None:
    """Compute the values of these nodes for one chunk."""
    if len(component) == 1 and (component[0], component[0]) not in network.edges:
        (name,) = component
        if not exact(network[name], Input):
            arriving = [values[s] for s in network.sources(name)]
            values[name] = work[name](added(arriving, (steps, *network[name].input_shape)))
        return
    for name in component:
        values[name] = np.empty((steps, *network[name].shape), np.float32)
    for t in range(steps):
        for name in component:
            arriving = [
                (values[s][t - 1] if t else before[s])
                if (s, name) in network.back_edges
                else values[s][t]
                for s in network.sources(name)
            ]
            values[name][t] = work[name](added(arriving, network[name].input_shape)[None])[0]


def added(arriving: list[Array], shape: tuple[int, ...]) -> Array:
    return reduce(np.add, arriving) if arriving else np.zeros(shape, np.float32)


def inputs_of(network: Network, recording: Recording, first: int, last: int) -> dict[str, Array]:
    """Return the values of the Input nodes in steps first..last; 0 after the recording's end."""
    here = slice(*recording.start[np.minimum([first, last], recording.steps)])
    frames = np.zeros((last - first, recording.size), np.float32)
    frames[recording.step[here] - first, recording.index[here]] = recording.value[here]
    inputs = list(network.of(Input))
    ends = np.cumsum([math.prod(n.shape) for n in inputs])
    stacked = np.split(frames, ends[:-1], axis=1)
    return {n.name: x.reshape(-1, *n.shape) for n, x in zip(inputs, stacked, strict=True)}


def _integral(
    network: Network, recording: Recording, name: str, passed: frozenset[str] = frozenset()
) -> bool:
    """Return whether a node can only give integers: spikes, or integer inputs passed on."""
    node = network[name]
    if type(node) is Population:
        return node.spikes
    if exact(node, Input):
        return recording.value.dtype.kind in "biu"
    if exact(node, Output, Flatten, Delay, MaxPool):
        passed |= {name}
        ahead = set(network.sources(name)) - passed
        return all(_integral(network, recording, s, passed) for s in ahead)
    return exact(node, Threshold)


def _joined(
    parts: list[Recording], shape: tuple[int, ...], integral: bool, dt: float | None
) -> Recording:
    counts = np.concatenate([[0], *(np.diff(p.start) for p in parts)])
    value = np.int64 if integral else np.float32
    return Recording(
        shape,
        np.cumsum(counts).astype(np.int64),
        np.concatenate([np.empty(0, np.int64), *(p.index for p in parts)]),
        np.concatenate([np.empty(0, value), *(p.value for p in parts)]),
        dt,
    )


def _history(neurons: Chunk) -> dict[str, Array]:
    assert isinstance(neurons, Neurons)
    shape = neurons.node.shape
    return {
        name: np.array(past, np.float32).reshape(neurons.steps, *shape)
        for name, past in neurons.history.items()
    }


def _faults(
    network: Network, recording: Recording, record: list[str], states: list[str], steps: int
) -> Iterator[Finding]:
    """Yield the reasons why this network cannot be run over this recording."""
    names = ", ".join(n.name for n in network.nodes)
    for name in record + states:
        if name not in network:
            yield error("REF-NAME", f"there is no node {name!r}", fix=f"choose among: {names}")
    for name in states:
        if name in network and type(network[name]) is not Population:
            yield error("REF-STATE", "this node has no state", layer=name)
    if steps < 0:
        yield error("REF-STEPS", f"{steps} steps cannot be run", fix="give 0 or more")
    wanted = sum(math.prod(n.shape) for n in network.of(Input))
    if recording.size != wanted:
        yield error(
            "REF-INPUT",
            f"the recording is {recording.shape} ({recording.size} values a step), "
            f"the network takes {wanted}",
            fix="bin or crop the recording to "
            + ", ".join(str(n.shape) for n in network.of(Input)),
        )
    for source, target in network.edges:
        output, input_ = network[source].shape, network[target].input_shape
        if output != input_:
            yield error("REF-SHAPE", f"takes {input_}, but {source!r} gives {output}", layer=target)
    for node in network.of(Delay):
        yield from delay_faults(node, network.dt)
