"""Each layer of a program by itself, on what the reference gave to it.

In a whole run a layer's errors are those of all layers before it as well. Here the layers that
feed a layer are replaced by ports, which give what the reference's layers gave, each as late
as the program's own would be. So time runs as in the whole program, and what still differs is
this layer's doing. Populations that the model has not (relays, pools) stay on the way.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from ..program import Origin, Port, Program
from ..progress import Progress, part, quiet
from ..recording import Recording, Trace
from .units import an_event

Run = Callable[[Program, Recording, int], Trace]
"""(program, input, steps) -> every recorded layer's output."""


@dataclass(frozen=True, eq=False)
class Alone:
    """A program with one population of the model, and what goes into its ports."""

    program: Program
    recording: Recording


def alone(program: Program, name: str, given: Recording, reference: Trace) -> Alone | None:
    """None where the reference did not record what feeds this layer."""
    if unrecorded(program, name, reference):
        return None
    kept = _on_the_way(program, name)
    synapses = [s for s in program.synapses if kept & set(s.targets)]
    sources = _sources(program, name, kept)
    named = {s: f"{s} (given)" for s in sources}
    fed = [_given(program, source, given, reference) for source in sources]
    ports = tuple(_port(named[s], r) for s, r in zip(sources, fed, strict=True))
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
    return Alone(part, stacked(fed))


def each(
    program: Program,
    given: Recording,
    reference: Trace,
    steps: int,
    run: Run,
    progress: Progress = quiet,
) -> Iterator[tuple[str, Recording]]:
    """Yield (layer, its output where the reference feeds it) for the layers it recorded."""
    for origin in program.origins:
        if origin.population not in reference.outputs:
            continue  # nothing to compare its output with
        part(progress, f"running {origin.population} by itself")
        own = alone(program, origin.population, given, reference)
        if own is not None:
            trace = run(own.program, own.recording, steps)
            yield origin.population, trace.outputs[origin.population]


def unrecorded(program: Program, name: str, reference: Trace) -> tuple[str, ...]:
    """Return the layers that feed this one and whose outputs the reference does not hold."""
    sources = _sources(program, name, _on_the_way(program, name))
    return tuple(s for s in sources if not _is_port(program, s) and s not in reference.outputs)


def _sources(program: Program, name: str, kept: set[str]) -> tuple[str, ...]:
    """Return what feeds `name` from outside the populations `kept`, itself included."""
    into = (s for s in program.synapses if kept & set(s.targets))
    return tuple(dict.fromkeys(s.source for s in into if s.source not in kept or s.source == name))


def _is_port(program: Program, name: str) -> bool:
    return any(p.name == name for p in program.ports)


def _on_the_way(program: Program, name: str) -> set[str]:
    """This population, and those before it that the model has not."""
    own = {o.population for o in program.origins} | {p.name for p in program.ports}
    found, ahead = {name}, [name]
    while ahead:
        for s in program.into(ahead.pop()):
            if s.source not in own and s.source not in found:
                found.add(s.source)
                ahead.append(s.source)
    return found


def _given(program: Program, source: str, given: Recording, reference: Trace) -> Recording:
    """What this source gave, in the program's steps and its integers."""
    first = 0
    for port in program.ports:
        size = math.prod(port.shape)
        if port.name == source:
            return element_range(given, first, port.shape)
        first += size
    origin, shape = program.origin(source), program.population(source).shape
    sent = replace(integers(reference.outputs[source], origin), shape=shape)
    return later(sent, origin.latency)


def element_range(recording: Recording, first: int, shape: tuple[int, ...]) -> Recording:
    """The elements that one port takes of a stacked recording."""
    own = (recording.index >= first) & (recording.index < first + math.prod(shape))
    counts = np.bincount(recording.step[own], minlength=recording.steps)
    return Recording(
        shape,
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        recording.index[own] - first,
        recording.value[own],
        recording.dt,
    )


def integers(recording: Recording, origin: Origin) -> Recording:
    """Values of the model as this program would send them."""
    if recording.value.dtype.kind != "f":
        return recording
    own = an_event(origin.unit, recording.shape, recording.index)
    value = np.rint(recording.value * own).astype(np.int64)
    there = value != 0
    counts = np.bincount(recording.step[there], minlength=recording.steps)
    start = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return replace(recording, start=start, index=recording.index[there], value=value[there])


def later(recording: Recording, steps: int) -> Recording:
    before = np.zeros(steps, np.int64)
    return replace(recording, start=np.concatenate([before, recording.start]))


def stacked(recordings: list[Recording]) -> Recording:
    """One recording for all ports, flat where there are several."""
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
