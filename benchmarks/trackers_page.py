"""The page docs/trackers.md and its figure, from the measurements of benchmarks/trackers.py."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from html import escape
from itertools import product
from typing import Any

import numpy as np
from trackers_causes import tables

FLOAT = "float"
CHIPS = ("loihi2", "emulator", "speck2b")
ANY = "any chip"
KINDS = ("li-theory", "li-uniform", "lif-theory", "lif-uniform", "relu", "relu-frames")
SEEDS = (0, 1, 2)
COLOURS = {"float": "#1b6ca8", "loihi2": "#c8553d", "emulator": "#588157", "speck2b": "#7b4b94"}
DASHES = {"float": "", "loihi2": "6 4", "emulator": "2 3", "speck2b": ""}
TRAINED = (0.16, 1.28)
SIDE, LEFT, TOP, GAP = 250, 66, 78, 26
TICKS = (0.5, 1, 2, 5, 10, 20)
Held = Mapping[str, Mapping[str, Any]]
TEXT = """\
# The trained trackers on the chips

Every shipped checkpoint ([the card](../models/nrf_models/covariant/weights/README.md) says how each
was trained) is exported, compiled as it is with 8-bit weights and one scene as calibration, and
follows discs that it has not seen, in scenes of 100 steps, of which the first 40 do not count.
`scenes` is their number at each velocity, over all seeds. Mean distance in pixels from the true
place; in brackets the standard deviation over scenes and seeds. `float` is the float model, the
others are the emulated chips, bit for bit. 0.08 and 2.56 pixels a step lie outside what was
trained. `python benchmarks/trackers.py` measures it and writes this page. The scenes are few:
compare rows of a tracker with each other, and take its errors from the card.

{missing}

{table}

![Error against velocity](trackers/errors.svg)

## What does not go where

What the export, or the chip's check of the exported network, answers:

| tracker | on | refused because |
|---|---|---|
{refused}

## What this says

The integers of Loihi 2 and of the emulator's default machine cost a tracker of spikes at most
{spikes:.2f} pixels of a mean, at the velocities of training. Graded payloads (LI and ReLU) lose at
most {emulator:.2f} on the emulator's machine and {loihi2:.2f} on Loihi 2, whose currents are narrow
(see below). How a tracker was initialised, and whether it spikes, matters more.

Speck takes the tracker of single frames alone, as a rate code (`--allow rate-code --allow
spike-count`): a value becomes a number of spikes within one step, of which a core sends at most one
for an event that arrives ([speck-arithmetic.md](speck-arithmetic.md)). What that costs, one thing
after the other, over all seeds:

{rates}

Counting costs little, and 8-bit weights nothing that could be seen. What is left is the order of
events: a neuron that spikes on its way through a step's events keeps the spike, though the rest of
the step would have taken it back. Where a frame holds few events it can even win.

This row is the chip's arithmetic and not its speed. Spikes become more from layer to layer: at
{told} pixels a step {first_spikes} in a step of a millisecond behind the first layer, and
{last_spikes} in the last map. That is {rate} million a second, which no board will send. A last
layer with a higher threshold would do, but nothing sets it yet: it follows from the weights.

The trackers with memory need at most nine layers to fit; one temporal channel of this network has
four.

## Payloads: one setting at a time

A layer whose value is its potential sends it as a payload, in each step. What the emulator's
machine makes of `li-theory-0` when one of its settings is another, in pixels:

{machines}

- **Payloads that are cut off toward zero** lose half a unit in each step, always in the same
  direction, and what is below one unit vanishes: a slow disc's potentials are small. The default
  machine once did so; now `message_rounding` is `nearest` unless you say otherwise, as on Loihi.
- **Payloads that are coarse** were the second fault, on both chips. Weight and payload share the
  bits of a sum. They were shared by the *largest* weight and payload, of which four times is
  kept free besides: a typical potential, far below its largest, was left with a few levels
  while a typical weight had many. Now a typical payload (the mean magnitude on the calibration
  data) has as many units as a typical weight. The last map of this tracker is {last_emulator} off
  from the float model's on the emulator, and {last_loihi} on Loihi 2 (root mean square, at {told}
  pixels a step).

What cannot be mended: a current of Loihi 2 has 17 bits for weight, payload and the sum over 588
synapses, four times what was seen is kept free, and the slowest channel needs four bits more, since
its potential gathers 16 steps. In a whole run its layers inside are off by {inside_loihi}. The
tracker does not mind: its readout takes a soft maximum over a map that a slow integrator has
smoothed.
"""


def document(measured: Held, causes: Mapping[str, Any]) -> str:
    rows = list(_rows(measured))
    some = next(e for _, _, e in _measured(measured))
    velocities = list(some)
    table = [
        f"| tracker | run by | seeds | scenes | {' | '.join(velocities)} |",
        f"|---|---|---|---|{'---|' * len(velocities)}",
        *rows,
    ]
    return TEXT.format(
        table="\n".join(table),
        refused="\n".join(_refused(measured)),
        spikes=max(_cost(measured, "lif", who) for who in ("loihi2", "emulator")),
        loihi2=max(_cost(measured, neuron, "loihi2") for neuron in ("li", "relu")),
        emulator=max(_cost(measured, neuron, "emulator") for neuron in ("li", "relu")),
        missing=_missing(measured),
        **tables(causes),
    )


def _missing(measured: Held) -> str:
    """Return a sentence that names the rows which are not measured."""
    gone = [f"{name} on {who}" if name in measured else name for name, who in _gone(measured)]
    return f"Not measured so far: {', '.join(dict.fromkeys(gone))}." if gone else ""


def _gone(measured: Held) -> list[tuple[str, str]]:
    """Return the checkpoints and chips that have neither errors nor a refusal."""
    refused = {(kind, who) for kind, who, _ in _refusals(measured)}
    return [
        (f"{kind}-{seed}", who)
        for kind, seed, who in product(KINDS, SEEDS, CHIPS)
        if "errors" not in measured.get(f"{kind}-{seed}", {}).get(who, {})
        and not refused & {(kind, who), (kind, ANY)}
    ]


def kind_of(name: str) -> str:
    return name.rpartition("-")[0]


def _measured(measured: Held) -> Iterator[tuple[str, str, Mapping[str, list[float]]]]:
    """Yield the measurements of seeds that all chips ran, so that rows can be compared."""
    for name in sorted(set(measured) - {name for name, _ in _gone(measured)}):
        for who in COLOURS:
            results = measured[name].get(who, {})
            if "errors" in results:
                yield name, who, results["errors"]


def curves(measured: Held) -> dict[str, dict[str, dict[str, list[list[float]]]]]:
    """Return the errors of the scenes of each seed, by kind, engine and velocity."""
    curves_of: dict[str, dict[str, dict[str, list[list[float]]]]] = {}
    for name, who, errors in _measured(measured):
        for v, each in errors.items():
            curves_of.setdefault(kind_of(name), {}).setdefault(who, {}).setdefault(v, []).append(
                each
            )
    return curves_of


def _rows(measured: Held) -> Iterator[str]:
    for kind, by in curves(measured).items():
        for who, errors in by.items():
            every = [np.concatenate(e) for e in errors.values()]
            cells = " | ".join(f"{e.mean():.2f} ({e.std():.2f})" for e in every)
            seeds = len(next(iter(errors.values())))
            yield f"| {kind} | {who} | {seeds} | {len(every[0])} | {cells} |"


def _refused(measured: Held) -> Iterator[str]:
    for (kind, who), why in {(kind, who): why for kind, who, why in _refusals(measured)}.items():
        yield f"| {kind} | {who} | {why} |"


def _refusals(measured: Held) -> Iterator[tuple[str, str, str]]:
    """Yield kind, chip and reason; a kind that is not exported is refused on every chip."""
    for name in sorted(measured):
        kind, results = kind_of(name), measured[name]
        if "refused" in results:
            yield kind, ANY, f"not exported: {results['refused']}"
            continue
        for who in CHIPS:
            refusal = results.get(who, {})
            if "refused" in refusal:
                yield kind, who, f"{refusal['refused']} (`{refusal['code']}`)"


def _cost(measured: Held, neuron: str, who: str) -> float:
    """Return the largest excess of a mean over seeds and scenes over the float model's."""
    return max(
        float(np.concatenate(by[who][v]).mean() - np.concatenate(by[FLOAT][v]).mean())
        for kind, by in curves(measured).items()
        for v in by[FLOAT]
        if kind.partition("-")[0] == neuron and TRAINED[0] <= float(v) <= TRAINED[1]
    )


# --- the figure ---------------------------------------------------------


def figure(measured: Held) -> str:
    """Draw a panel for each kind of tracker, with logarithmic axes."""
    drawn = curves(measured)
    width = LEFT + len(drawn) * (SIDE + GAP)
    height = TOP + SIDE + 52
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'font-family="sans-serif" width="{width}">',
        "<title>Error against velocity: the float model and the emulated chips</title>",
        f'<rect width="{width}" height="{height}" fill="white"/>',
        *_key({who for by in drawn.values() for who in by}),
    ]
    for k, (kind, by) in enumerate(drawn.items()):
        parts += _panel(LEFT + k * (SIDE + GAP), kind, by, first=k == 0)
    return "\n".join([*parts, "</svg>", ""])


def _key(shown: set[str]) -> Iterator[str]:
    x = float(LEFT)
    for who, colour in ((w, c) for w, c in COLOURS.items() if w in shown):
        yield _polyline([(x, 22), (x + 34, 22)], colour, DASHES[who], 4.5 if who == FLOAT else 2.5)
        label = "float model" if who == FLOAT else f"{who}, emulated"
        yield _text(x + 42, 27, label, "start", colour)
        x += 66 + 8 * len(label)
    yield _text(x, 27, "grey: not trained", "start")
    middle = TOP + SIDE / 2
    name = _text(18, middle, "error, pixels", "middle")
    yield f'<g transform="rotate(-90 18 {middle:g})">{name}</g>'


def _panel(left: float, kind: str, by: Mapping[str, Any], first: bool) -> Iterator[str]:
    velocities = [float(v) for v in next(iter(by.values()))]
    low, high = math.log(velocities[0]) - 0.2, math.log(velocities[-1]) + 0.2
    bottom, top = math.log(0.35), math.log(32)

    def at(v: float, error: float) -> tuple[float, float]:
        x = left + (math.log(v) - low) / (high - low) * SIDE
        y = TOP + SIDE - (math.log(max(error, 0.35)) - bottom) / (top - bottom) * SIDE
        return x, y

    edges = (left, at(TRAINED[0], 1)[0], at(TRAINED[1], 1)[0], left + SIDE)
    for start, end in ((edges[0], edges[1]), (edges[2], edges[3])):
        size = f'width="{end - start:.1f}" height="{SIDE}"'
        yield f'<rect x="{start:.1f}" y="{TOP}" {size} fill="#f1f1f1"/>'
    for tick in TICKS:
        y = at(velocities[0], tick)[1]
        yield _polyline([(left, y), (left + SIDE, y)], "#dddddd", "", 1)
        if first:
            yield _text(left - 8, y + 4, f"{tick:g}", "end")
    for v in velocities:
        yield _text(at(v, 1)[0], TOP + SIDE + 18, f"{v:g}", "middle")
    yield _text(left + SIDE / 2, TOP + SIDE + 40, "pixels a step", "middle")
    yield _text(left + SIDE / 2, TOP - 10, kind, "middle", size=15)
    for who, errors in by.items():
        points = [at(float(v), float(np.concatenate(e).mean())) for v, e in errors.items()]
        yield _polyline(points, COLOURS[who], DASHES[who], 4.5 if who == FLOAT else 2.5)


def _polyline(points: Any, colour: str, dash: str, width: float = 2.5) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    faint = ' stroke-opacity="0.45"' if width > 4 else ""
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    return (
        f'<polyline points="{path}" fill="none" stroke="{colour}" '
        f'stroke-width="{width:g}"{dashes}{faint}/>'
    )


def _text(
    x: float, y: float, words: str, anchor: str, fill: str = "#333333", size: int = 13
) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}"'
    return f'<text {place} fill="{fill}">{escape(words)}</text>'
