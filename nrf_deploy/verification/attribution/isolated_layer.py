"""Layers of a program in isolation: each is fed by the reference.

In a whole run a layer also shows the errors of the layers before it. Here the layers that feed a
layer are replaced by ports with the outputs of the reference's layers, each with the latency of
the program's layer. So the remaining mismatches are this layer's. Populations that the model
does not have (relays, pools) are kept.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from nrf_deploy.compare.units import an_event
from nrf_deploy.diagnostics.progress import Progress, part, quiet
from nrf_deploy.ir.program import Origin, Port, Program
from nrf_deploy.ir.recording import Recording, Trace

Run = Callable[[Program, Recording, int], Trace]
"""Function from (program, input, steps) to every recorded layer's output."""


@dataclass(frozen=True, eq=False)
class Alone:
    """A program with one population of the model, and the input of its ports."""

    program: Program
    recording: Recording


def isolated(program: Program, name: str, stimulus: Recording, reference: Trace) -> Alone | None:
    """Return a layer in isolation; None if the reference did not record its inputs."""
    if unrecorded(program, name, reference):
        return None
    kept = _on_the_way(program, name)
    synapses = [s for s in program.synapses if kept & set(s.targets)]
    sources = _sources(program, name, kept)
    named = {s: f"{s} (given)" for s in sources}
    feeds_of = [_given(program, source, stimulus, reference) for source in sources]
    ports = tuple(_port(named[s], r) for s, r in zip(sources, feeds_of, strict=True))
    part = Program(
        arithmetic=program.arithmetic,
        ports=ports,
        synapses=tuple(
            replace(
                s,
                source=named.get(s.source, s.source),
                targets=tuple(t for t in s.targets if t in kept),
            )
            for s in synapses
        ),
        populations=tuple(p for p in program.populations if p.name in kept),
        outputs=(name,),
        origins=tuple(o for o in program.origins if o.population == name),
    )
    return Alone(part, stacked(feeds_of))


def each(
    program: Program,
    stimulus: Recording,
    reference: Trace,
    steps: int,
    run: Run,
    progress: Progress = quiet,
) -> Iterator[tuple[str, Recording]]:
    """Yield (layer, its output in isolation) for the layers that the reference recorded."""
    for origin in program.origins:
        if origin.population not in reference.outputs:
            continue  # nothing to compare its output with
        part(progress, f"running {origin.population} in isolation")
        isolated_layer = isolated(program, origin.population, stimulus, reference)
        if isolated_layer is not None:
            trace = run(isolated_layer.program, isolated_layer.recording, steps)
            yield origin.population, trace.outputs[origin.population]


def unrecorded(program: Program, name: str, reference: Trace) -> tuple[str, ...]:
    """Return the layers that feed this one and that the reference did not record."""
    sources = _sources(program, name, _on_the_way(program, name))
    return tuple(s for s in sources if not _is_port(program, s) and s not in reference.outputs)


def _sources(program: Program, name: str, kept: set[str]) -> tuple[str, ...]:
    """Return the sources of the populations `kept` that are not in `kept`."""
    into = (s for s in program.synapses if kept & set(s.targets))
    return tuple(dict.fromkeys(s.source for s in into if s.source not in kept or s.source == name))


def _is_port(program: Program, name: str) -> bool:
    return any(p.name == name for p in program.ports)


def _on_the_way(program: Program, name: str) -> set[str]:
    """Return this population, and those before it that the model does not have."""
    stop = {o.population for o in program.origins} | {p.name for p in program.ports}
    way, ahead = {name}, [name]
    while ahead:
        for s in program.into(ahead.pop()):
            if s.source not in stop and s.source not in way:
                way.add(s.source)
                ahead.append(s.source)
    return way


def _given(program: Program, source: str, stimulus: Recording, reference: Trace) -> Recording:
    """Return the output of a source in the program's steps and integers."""
    first = 0
    for port in program.ports:
        size = math.prod(port.shape)
        if port.name == source:
            return element_range(stimulus, first, port.shape)
        first += size
    origin, shape = program.origin(source), program.population(source).shape
    sent = replace(integers(reference.outputs[source], origin), shape=shape)
    return later(sent, origin.latency)


def element_range(recording: Recording, first: int, shape: tuple[int, ...]) -> Recording:
    """Return a port's part of a stacked recording."""
    inside = (recording.index >= first) & (recording.index < first + math.prod(shape))
    counts = np.bincount(recording.step[inside], minlength=recording.steps)
    return Recording(
        shape,
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        recording.index[inside] - first,
        recording.value[inside],
        recording.dt,
    )


def integers(recording: Recording, origin: Origin) -> Recording:
    """Convert values of the model to those that the program would send."""
    if recording.value.dtype.kind != "f":
        return recording
    units = an_event(origin.unit, recording.shape, recording.index)
    value = np.rint(recording.value * units).astype(np.int64)
    there = value != 0
    counts = np.bincount(recording.step[there], minlength=recording.steps)
    start = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return replace(recording, start=start, index=recording.index[there], value=value[there])


def later(recording: Recording, steps: int) -> Recording:
    before = np.zeros(steps, np.int64)
    return replace(recording, start=np.concatenate([before, recording.start]))


def stacked(recordings: list[Recording]) -> Recording:
    """Return one recording for all ports, flat if there are several."""
    if len(recordings) == 1:
        return recordings[0]
    steps, size = max((r.steps for r in recordings), default=0), 0
    parts = []
    for r in recordings:
        parts.append((r.step, r.index + size, r.value))
        size += r.size
    step, index, value = (np.concatenate(x) for x in zip(*parts, strict=True))
    return Recording.from_events(step, index, value, (size,), steps, recordings[0].dt)


def _port(name: str, recording: Recording) -> Port:
    low, high = (int(f(recording.value, initial=0)) for f in (np.min, np.max))
    return Port(name=name, shape=recording.shape, peak=max(high, -low, 1), lowest=min(low, 0))
