"""How much of each layer's error each cause has by itself.

Each layer is fed with what the reference's layers gave, so that no error is another layer's.
It then runs in floating point with one kind of its numbers as the chip holds them (ideal.py),
and with all of them; then the program's layer runs by itself (alone.py). What a kind of
numbers changes against the model is its share. What the program still does differently from
all its numbers in floating point is its arithmetic: rounding within a step, sums that wrap. If
most of that goes away when the layer is taken some steps earlier or later, it is latency; if it
goes away where a threshold that is met fires (or does not), it is the threshold. On a chip without
time steps the layer also runs by the same numbers in steps: what goes away so is the order of
events.

Causes may hide one another or make one another worse: shares need not add up to the whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from ..layers import Layers, layers
from ..legalise import Step, parse
from ..legalise.choice import Approximate, worths
from ..network import Array, Network, Population, gives_values
from ..program import Program
from ..progress import Progress, part, quiet
from ..quantise.drive import constant
from ..quantise.neuron import neuron
from ..recording import Recording, Trace
from ..reference import run as run_reference
from .alone import Run, alone, each
from .causes import ELSEWHERE, Attribution, LayerCauses
from .events import differing, value_error, window
from .fed import Feed, Pooled, drive, feeds, given
from .ideal import Variants, held, ideal, unexpressed, variants
from .pair import SHIFTS
from .units import in_units, of_potential

CHUNK = 64
CHIP = ("all", "meets")
"""Variants that count in the chip's units, where its numbers are whole."""
Numbers = Mapping[str, Mapping[str, Array]]


def attribute(
    network: Network,
    steps: Sequence[Step],
    program: Program,
    numbers: Numbers,
    recording: Recording,
    run: Run,
    summed: str | None = None,
    progress: Progress = quiet,
) -> Attribution:
    """`network` is the model as it was read, `steps` what was rewritten, `numbers` what the
    program's integers mean (target.Dequantising), `run` runs a program. `summed` names the
    arithmetic that adds up a step's events where the program's takes them one by one."""
    final, changes = _rewritten(network, steps, recording, progress)
    view = layers(final)
    part(progress, "causes: the model")
    reference = run_reference(final, recording, record=view.stops, progress=progress)
    outputs = {**reference.outputs, **given(final, recording)}
    length = recording.steps + program.latency
    actual = dict(each(program, recording, reference, length, run, progress))
    in_steps = actual
    if summed is not None:
        by_steps = replace(program, arithmetic=summed)
        in_steps = dict(each(by_steps, recording, reference, length, run, progress))
    latency = {o.population: o.latency for o in program.origins}
    found, left_out = [], dict[str, str]()
    for name in (n for n in view.stops if type(final[n]) is Population):
        part(progress, f"causes of {name}")
        if name not in numbers or name not in actual:
            left_out[name] = ELSEWHERE
            continue
        if why := unexpressed(final[name], numbers[name]):
            left_out[name] = why
            continue
        pooled = _pooling(program, name, recording, reference, run)
        fed = feeds(final, view, program, numbers, name, outputs, pooled)
        if fed is None:
            left_out[name] = ELSEWHERE
            continue
        made = _variants(final, view, program, numbers, name, fed, recording.steps, progress)
        unit = program.origin(name).unit if gives_values(final[name]) else None
        layer = _layer(name, made, in_steps[name], latency[name], unit, changes)
        if summed is not None:
            one_by_one, added_up = (_late(r[name], latency[name]) for r in (actual, in_steps))
            layer = _ordered(layer, one_by_one, added_up, made["model"])
        found.append(layer)
    return Attribution(tuple(found), left_out)


def _pooling(
    program: Program, name: str, recording: Recording, reference: Trace, run: Run
) -> Pooled:
    """What a population on the way to this layer gives, in the model's steps."""
    stated = next((o.latency for o in program.origins if o.population == name), 0)
    delay = {s.source: s.delay for s in program.into(name)}
    held = {p.name for p in program.populations}

    def pooled(source: str) -> Recording | None:
        own = alone(program, source, recording, reference) if source in held else None
        if own is None:
            return None
        trace = run(own.program, own.recording, recording.steps + stated)
        return trace.outputs[source].shifted(max(stated - delay[source], 0))

    return pooled


def _ordered(
    layer: LayerCauses, actual: Recording, in_steps: Recording, model: Recording
) -> LayerCauses:
    """The same of the layer as it runs, event by event."""
    moved = _distance(actual, in_steps, None) * max(len(in_steps.index), 1)
    causes = {**layer.causes, "order": moved / max(layer.spikes, 1)}
    return replace(layer, error=_distance(actual, model, None), causes=causes)


def _rewritten(
    network: Network, steps: Sequence[Step], recording: Recording, progress: Progress
) -> tuple[Network, dict[str, dict[str, float]]]:
    """The network that was lowered; for each approximate rewrite, its error by layer."""
    cost: dict[str, dict[str, float]] = {}
    for step in steps:
        rewrite = parse(step.rewrite)
        after, _ = rewrite.apply(network)
        if isinstance(rewrite, Approximate) and after is not network:
            part(progress, f"causes: {rewrite.choice}")
            cost[rewrite.choice] = _cost(network, after, recording, progress)
        network = after
    return network, cost


def _cost(
    before: Network, after: Network, recording: Recording, progress: Progress
) -> dict[str, float]:
    names = [n.name for n in before.of(Population) if n.name in after]
    old, new = (
        run_reference(n, recording, record=names, progress=progress) for n in (before, after)
    )
    units = {name: 1 / worth for name, worth in worths(after).items()}
    return {n: _distance(new.outputs[n], old.outputs[n], units.get(n)) for n in names}


def _variants(
    network: Network,
    view: Layers,
    program: Program,
    numbers: Numbers,
    name: str,
    fed: Sequence[Feed],
    steps: int,
    progress: Progress,
) -> dict[str, Recording]:
    """The layer's output in each variant."""
    node, own = network[name], ideal(network, view, name)
    assert type(node) is Population
    unit = of_potential(program, name, node.shape)
    every = variants(own, held(numbers[name], own, unit))
    if any(feed.pooled is not None for feed in fed):
        every["pooling"] = own
    one = np.ones(())
    units = [unit if cause in CHIP else one for cause in every]
    work = Variants(node, list(every.values()), units)
    gain = drive(network, name)
    late = constant(view, name, neuron(node, network.dt), late_only=True)
    parts: dict[str, list[Recording]] = {cause: [] for cause in every}
    for first in range(0, steps, CHUNK):
        last = min(first + CHUNK, steps)
        by_model, by_weight, by_pool, by_chip = np.zeros((4, last - first, *node.shape))
        for feed in fed:
            model, chip = feed.by_model(first, last), feed.by_chip(first, last)
            by_model += model.reshape(by_model.shape) * gain
            by_weight += chip.reshape(by_model.shape) / unit
            if feed.pooled is not None:
                model, chip = (f(first, last) for f in (feed.pooled.by_model, feed.pooled.by_chip))
            by_pool += model.reshape(by_model.shape) * gain
            by_chip += chip.reshape(by_model.shape)
        if not first:  # the variants add every bias in every step
            for arrived, worth in ((by_model, 1), (by_weight, 1), (by_pool, 1), (by_chip, unit)):
                arrived[:1] -= late * worth
        by = {"weights": by_weight, "pooling": by_pool, **dict.fromkeys(CHIP, by_chip)}
        arriving = np.stack([by.get(cause, by_model) for cause in every], axis=1)
        out = np.stack([work.step(x) for x in arriving])
        for i, cause in enumerate(every):
            kind = np.int64 if node.spikes else np.float32
            here = out[:, i] / (1.0 if node.spikes else np.broadcast_to(units[i], node.shape))
            parts[cause].append(Recording.from_dense(here.astype(kind)))
        progress(last, steps)
    return {cause: joined(done) for cause, done in parts.items()}


def joined(parts: Sequence[Recording]) -> Recording:
    counts = np.concatenate([[0], *(np.diff(p.start) for p in parts)])
    index, value = (np.concatenate([getattr(p, f) for p in parts]) for f in ("index", "value"))
    return Recording(parts[0].shape, np.cumsum(counts).astype(np.int64), index, value)


def _layer(
    name: str,
    made: Mapping[str, Recording],
    actual: Recording,
    latency: int,
    unit: Array | None,
    changes: Mapping[str, Mapping[str, float]],
) -> LayerCauses:
    model, every = made["model"], made["all"]
    analogue = model.value.dtype.kind == "f"
    scale = unit if analogue else None
    causes = {c: _distance(r, model, None) for c, r in made.items() if c not in ("model", *CHIP)}
    tries = {late: _distance(_late(actual, latency + late), every, scale) for late in (0, *SHIFTS)}
    shift = min(tries, key=lambda late: (tries[late], abs(late)))
    if analogue or tries[shift] > tries[0] / 2:
        shift = 0
    causes["latency"], left = tries[0] - tries[shift], tries[shift]
    met = _distance(_late(actual, latency + shift), made["meets"], scale)
    if met < left / 2:
        causes["threshold"], left = causes["threshold"] + left - met, met
    causes["arithmetic"] = left
    causes |= {rewrite: cost[name] for rewrite, cost in changes.items() if name in cost}
    return LayerCauses(
        layer=name,
        spikes=len(model.index),
        error=_distance(_late(actual, latency), model, scale),
        causes=causes,
        shift=shift,
        unit="values" if analogue else "places",
    )


def _late(recording: Recording, steps: int) -> Recording:
    if steps >= 0:
        return recording.shifted(steps)
    before = np.zeros(-steps, np.int64)
    start = np.concatenate([before, recording.start])
    return Recording(recording.shape, start, recording.index, recording.value)


def _distance(left: Recording, right: Recording, unit: Array | None) -> float:
    """Places that differ over spikes; values' root mean square over that of the right ones."""
    steps = min(left.steps, right.steps)
    a, b = window(left, 0, steps), window(right, 0, steps)
    if right.value.dtype.kind != "f":
        return len(differing(a, b)) / max(len(b), 1)
    a = window(in_units(left, unit), 0, steps)
    norm = float(np.linalg.norm(b.value))
    return value_error(a, b, norm if norm else 1.0)
