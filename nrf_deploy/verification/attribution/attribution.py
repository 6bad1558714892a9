"""Attribution of each layer's error to causes, each in isolation.

Each layer is fed by the reference, so that it does not show errors of other layers. It runs in
floating point with one kind of its numbers as on the chip (float_twin.py), and with all of them;
then the program's layer runs in isolation (isolated_layer.py). The change that a kind of numbers
makes against the model is its share. The difference between the program and all its numbers in
floating point is the arithmetic: rounding within a step, sums that wrap. If most of it vanishes
with another latency, the cause is latency; if it vanishes with the other comparison of the
threshold, the cause is the threshold. On a chip without time steps the layer also runs with the
same numbers in steps: the error that vanishes then is due to the order of events.

Causes may hide or increase one another, so the sum of the shares need not be the whole error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from nrf_deploy.compare.alignment import differing, value_error, window
from nrf_deploy.compare.pairs import SHIFTS
from nrf_deploy.compare.units import in_units, of_potential
from nrf_deploy.compiler.passes import Step, parse
from nrf_deploy.compiler.passes.approximate import Approximate, worths
from nrf_deploy.compiler.quantize.constant_input import constant
from nrf_deploy.compiler.quantize.neuron import neuron
from nrf_deploy.diagnostics.progress import Progress, part, quiet
from nrf_deploy.engines.reference import run as run_reference
from nrf_deploy.ir.layer_view import Layers, layers
from nrf_deploy.ir.network import Array, Network, Population, gives_values
from nrf_deploy.ir.program import Program
from nrf_deploy.ir.recording import Recording, Trace

from .causes import ELSEWHERE, Attribution, LayerCauses
from .float_twin import Variants, chip_numbers, ideal, unexpressed, variants
from .isolated_layer import Run, each, isolated
from .layer_inputs import Feed, Pooled, drive, feeds, inputs_of

CHUNK = 64
CHIP = ("all", "meets")
"""Variants in the chip's units, in which its numbers are integers."""
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
    """Attribute the errors of all layers of a program.

    `network` is the model as it was read, `steps` are its rewrites, `numbers` the values of the
    program's integers (target.Dequantising), and `run` runs a program. `summed` names the
    arithmetic that adds a step's events if the program's takes event by event.
    """
    final, changes = _rewritten(network, steps, recording, progress)
    view = layers(final)
    part(progress, "causes: the model")
    reference = run_reference(final, recording, record=view.stops, progress=progress)
    outputs = {**reference.outputs, **inputs_of(final, recording)}
    length = recording.steps + program.latency
    actual = dict(each(program, recording, reference, length, run, progress))
    in_steps = actual
    if summed is not None:
        by_steps = replace(program, arithmetic=summed)
        in_steps = dict(each(by_steps, recording, reference, length, run, progress))
    latency = {o.population: o.latency for o in program.origins}
    layers_found, left_out = [], dict[str, str]()
    for name in (n for n in view.stops if type(final[n]) is Population):
        part(progress, f"causes of {name}")
        if name not in numbers or name not in actual:
            left_out[name] = ELSEWHERE
            continue
        if why := unexpressed(final[name], numbers[name]):
            left_out[name] = why
            continue
        pooled = _pooling(program, name, recording, reference, run)
        feeds_of = feeds(final, view, program, numbers, name, outputs, pooled)
        if feeds_of is None:
            left_out[name] = ELSEWHERE
            continue
        outputs_of_variants = _variants(
            final, view, program, numbers, name, feeds_of, recording.steps, progress
        )
        unit = program.origin(name).unit if gives_values(final[name]) else None
        layer = _layer(name, outputs_of_variants, in_steps[name], latency[name], unit, changes)
        if summed is not None:
            one_by_one, added_up = (_late(r[name], latency[name]) for r in (actual, in_steps))
            layer = _ordered(layer, one_by_one, added_up, outputs_of_variants["model"])
        layers_found.append(layer)
    return Attribution(tuple(layers_found), left_out)


def _pooling(
    program: Program, name: str, recording: Recording, reference: Trace, run: Run
) -> Pooled:
    """Return a function for the output of populations before this layer, in the model's steps."""
    stated = next((o.latency for o in program.origins if o.population == name), 0)
    delay = {s.source: s.delay for s in program.into(name)}
    populations = {p.name for p in program.populations}

    def pooled(source: str) -> Recording | None:
        isolated_part = (
            isolated(program, source, recording, reference) if source in populations else None
        )
        if isolated_part is None:
            return None
        trace = run(isolated_part.program, isolated_part.recording, recording.steps + stated)
        return trace.outputs[source].shifted(max(stated - delay[source], 0))

    return pooled


def _ordered(
    layer: LayerCauses, actual: Recording, in_steps: Recording, model: Recording
) -> LayerCauses:
    """Add the share of the order of events, from the layer's run event by event."""
    moved = _distance(actual, in_steps, None) * max(len(in_steps.index), 1)
    causes = {**layer.causes, "order": moved / max(layer.spikes, 1)}
    return replace(layer, error=_distance(actual, model, None), causes=causes)


def _rewritten(
    network: Network, steps: Sequence[Step], recording: Recording, progress: Progress
) -> tuple[Network, dict[str, dict[str, float]]]:
    """Return the network that was lowered, and the error by layer of each approximate rewrite."""
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
    feeds_of: Sequence[Feed],
    steps: int,
    progress: Progress,
) -> dict[str, Recording]:
    """Return the layer's output in each variant."""
    node, numbers_of_model = network[name], ideal(network, view, name)
    assert type(node) is Population
    unit = of_potential(program, name, node.shape)
    every = variants(numbers_of_model, chip_numbers(numbers[name], numbers_of_model, unit))
    if any(feed.pooled is not None for feed in feeds_of):
        every["pooling"] = numbers_of_model
    one = np.ones(())
    units = [unit if cause in CHIP else one for cause in every]
    work = Variants(node, list(every.values()), units)
    gain = drive(network, name)
    late = constant(view, name, neuron(node, network.dt), late_only=True)
    parts: dict[str, list[Recording]] = {cause: [] for cause in every}
    for first in range(0, steps, CHUNK):
        last = min(first + CHUNK, steps)
        by_model, by_weight, by_pool, by_chip = np.zeros((4, last - first, *node.shape))
        for feed in feeds_of:
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
    variants_run: Mapping[str, Recording],
    actual: Recording,
    latency: int,
    unit: Array | None,
    changes: Mapping[str, Mapping[str, float]],
) -> LayerCauses:
    model, every = variants_run["model"], variants_run["all"]
    analogue = model.value.dtype.kind == "f"
    scale = unit if analogue else None
    causes = {
        c: _distance(r, model, None) for c, r in variants_run.items() if c not in ("model", *CHIP)
    }
    tries = {late: _distance(_late(actual, latency + late), every, scale) for late in (0, *SHIFTS)}
    shift = min(tries, key=lambda late: (tries[late], abs(late)))
    if analogue or tries[shift] > tries[0] / 2:
        shift = 0
    causes["latency"], left = tries[0] - tries[shift], tries[shift]
    met = _distance(_late(actual, latency + shift), variants_run["meets"], scale)
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
    """Return mismatches per spike; for values the relative root mean square of the difference."""
    steps = min(left.steps, right.steps)
    a, b = window(left, 0, steps), window(right, 0, steps)
    if right.value.dtype.kind != "f":
        return len(differing(a, b)) / max(len(b), 1)
    a = window(in_units(left, unit), 0, steps)
    norm = float(np.linalg.norm(b.value))
    return value_error(a, b, norm if norm else 1.0)
