"""How much of each layer's error each cause has by itself.

Each layer is fed with what the reference's layers gave, so that no error is another layer's.
It then runs in floating point with one kind of its numbers as the chip holds them (ideal.py),
and with all of them; then the program's layer runs by itself (alone.py). What a kind of
numbers changes against the model is its share. What the program still does differently from
all its numbers in floating point is its arithmetic: rounding within a step, sums that wrap. If
most of that goes away when the layer is taken some steps earlier or later, it is latency; if it
goes away where a threshold that is met fires (or does not), it is the threshold.

Causes may hide one another or make one another worse: shares need not add up to the whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..findings import Finding, info, warning
from ..layers import Layers, layers
from ..legalise import Step, parse
from ..legalise.choice import Approximate
from ..network import Array, Network, Population
from ..program import Program
from ..recording import Recording
from ..reference import run as run_reference
from .alone import Run, each
from .events import differing, value_error, window
from .fed import Feed, drive, feeds, given
from .ideal import Variants, held, ideal, variants
from .pair import SHIFTS, spread

CHUNK = 64
CHIP = ("all", "meets")
"""Variants that count in the chip's units, where its numbers are whole."""
Numbers = Mapping[str, Mapping[str, Array]]


@dataclass(frozen=True)
class LayerCauses:
    """One layer fed by the reference. Errors are places that differ (or, without spikes, the
    root of the mean squared error) over the model's spikes (or values).

    `error` is the program's own, `causes` each cause's alone. `shift` is how many steps late
    the layer is. `unit` says what an error counts: "places" or "values".
    """

    layer: str
    spikes: int
    error: float
    causes: Mapping[str, float]
    shift: int
    unit: str

    @property
    def dominant(self) -> str | None:
        """The cause with the largest share; None where there is no error."""
        most = max(self.causes, key=lambda c: self.causes[c], default=None)
        return most if most is not None and self.causes[most] > 0 else None


@dataclass(frozen=True)
class Attribution:
    layers: tuple[LayerCauses, ...]
    left_out: tuple[str, ...]

    def findings(self) -> Iterator[Finding]:
        for layer in self.layers:
            cause = layer.dominant
            if cause is not None and layer.error:
                yield _said(layer, cause)
        for name in self.left_out:
            yield info(
                "VERIFY-UNATTRIBUTED",
                "its error was not divided among causes",
                why="the program holds its weights in another form than the model, or what "
                "feeds it was not recorded",
                layer=name,
            )


WHY = {
    "weights": "its weights on the chip's grid: a rounding, or not those of the model",
    "decay": "its decays in the chip's steps: a rounding, or not those of the model",
    "threshold": "its thresholds, or how they are met (v > threshold or v >= threshold)",
    "bias": "what is added in every step: a rounding, or a bias that was lost",
    "reset": "what it starts from after a spike",
    "saturation": "sums or potentials that do not fit into the chip's bits",
    "latency": "it comes later or earlier than the program states",
    "arithmetic": "what the chip does within a step: rounding of its states, sums on their way",
}
FIX = {
    "weights": "give the layer more weight_bits in --scheme, compile with --calibrate, or look "
    "whether its kernel is the model's",
    "decay": "choose time constants that the chip can hold (check names its roundings)",
    "threshold": "compare the model's thresholds and its comparison with the bundle's (inspect)",
    "bias": "compare the model's biases and v_leak with the bundle's (inspect)",
    "reset": "train with the reset that the chip has",
    "saturation": "compile with --calibrate on data like this input, or lower the gain",
    "latency": "look at the delays of the synapses that lead to it, and at its stated latency",
    "arithmetic": "a larger gain leaves less to rounding (--calibrate, --scheme)",
}


def _said(layer: LayerCauses, cause: str) -> Finding:
    shares = sorted(layer.causes.items(), key=lambda c: -c[1])
    others = ", ".join(f"{c} {e:.3g}" for c, e in shares if e and c != cause)
    late = f" ({layer.shift:+d} steps)" if cause == "latency" else ""
    of = "places a spike" if layer.unit == "places" else "of its values"
    return (warning if cause == "latency" else info)(
        "VERIFY-CAUSE",
        f"fed by the reference it is {layer.error:.3g} {of} off; most by {cause}{late}: "
        f"{layer.causes[cause]:.3g} alone{f'; {others}' if others else ''}",
        why=WHY.get(cause, "a rewrite that changes spikes, which was allowed"),
        fix=FIX.get(cause, "leave its --allow out, if the chip can do without it"),
        layer=layer.layer,
    )


def attribute(
    network: Network,
    steps: Sequence[Step],
    program: Program,
    numbers: Numbers,
    recording: Recording,
    run: Run,
) -> Attribution:
    """`network` is the model as it was read, `steps` what was rewritten, `numbers` what the
    program's integers mean (target.Dequantising), `run` runs a program."""
    final, changes = _rewritten(network, steps, recording)
    view = layers(final)
    reference = run_reference(final, recording, record=view.stops)
    outputs = {**reference.outputs, **given(final, recording)}
    actual = dict(each(program, recording, reference, recording.steps + program.latency, run))
    latency = {o.population: o.latency for o in program.origins}
    found, left_out = [], []
    for name in (n for n in view.stops if isinstance(final[n], Population)):
        fed = feeds(final, view, program, numbers, name, outputs)
        if fed is None or name not in numbers or name not in actual:
            left_out.append(name)
            continue
        made = _variants(final, view, program, numbers, name, fed, recording.steps)
        unit = _payload(program, name)
        found.append(_layer(name, made, actual[name], latency[name], unit, changes))
    return Attribution(tuple(found), tuple(left_out))


def _rewritten(
    network: Network, steps: Sequence[Step], recording: Recording
) -> tuple[Network, dict[str, dict[str, float]]]:
    """The network that was lowered; for each approximate rewrite, its error by layer."""
    cost: dict[str, dict[str, float]] = {}
    for step in steps:
        rewrite = parse(step.rewrite)
        after, _ = rewrite.apply(network)
        if isinstance(rewrite, Approximate) and after is not network:
            cost[rewrite.choice] = _cost(network, after, recording)
        network = after
    return network, cost


def _cost(before: Network, after: Network, recording: Recording) -> dict[str, float]:
    names = [n.name for n in before.of(Population) if n.name in after]
    old, new = (run_reference(n, recording, record=names) for n in (before, after))
    return {n: _distance(new.outputs[n], old.outputs[n], None) for n in names}


def _variants(
    network: Network,
    view: Layers,
    program: Program,
    numbers: Numbers,
    name: str,
    fed: Sequence[Feed],
    steps: int,
) -> dict[str, Recording]:
    """The layer's output in each variant."""
    node, model = network[name], ideal(network, view, name)
    assert isinstance(node, Population)
    unit = _unit(program, name, node.shape)
    every = variants(model, held(numbers[name], model, unit))
    one = np.ones(())
    units = [unit if cause in CHIP else one for cause in every]
    work = Variants(node, list(every.values()), units)
    gain = drive(network, name)
    parts: dict[str, list[Recording]] = {cause: [] for cause in every}
    for first in range(0, steps, CHUNK):
        last = min(first + CHUNK, steps)
        by_model, by_chip = np.zeros((2, last - first, *node.shape))
        for feed in fed:
            frames = feed.frames(first, last)
            by_model += feed.model(frames).reshape(by_model.shape) * gain
            by_chip += feed.chip(frames).reshape(by_chip.shape)
        by = {"weights": by_chip / unit, **dict.fromkeys(CHIP, by_chip)}
        arriving = np.stack([by.get(cause, by_model) for cause in every], axis=1)
        out = np.stack([work.step(x) for x in arriving])
        for i, cause in enumerate(every):
            kind = np.int64 if node.spikes else np.float32
            here = out[:, i] / (1.0 if node.spikes else np.broadcast_to(units[i], node.shape))
            parts[cause].append(Recording.from_dense(here.astype(kind)))
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
    if unit is not None:
        own = spread(unit, left.shape).ravel()[left.index]
        scaled = Recording(left.shape, left.start, left.index, left.value / own)
        a = window(scaled, 0, steps)
    norm = float(np.linalg.norm(b.value))
    return value_error(a, b, norm if norm else 1.0)


def _unit(program: Program, name: str, shape: tuple[int, ...]) -> Array:
    origin = next(o for o in program.origins if o.population == name)
    return np.asarray(spread(origin.scale["v"], shape), np.float64)


def _payload(program: Program, name: str) -> Array:
    origin = next(o for o in program.origins if o.population == name)
    return np.asarray(origin.scale.get("output", origin.scale["v"]))
