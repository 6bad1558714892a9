"""The model card beside the weights: written from what the checkpoints hold, never by hand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from . import checkpoint

HEAD = """\
# The shipped trackers

Each follows a disc over 64 x 64 pixels of an event camera and gives its place in pixels. They are
the networks of Pedersen, Conradt and Lindeberg (Nature Communications, 2025) at a size that trains
on two cores: three blocks of convolution and neurons, {channels} temporal channels with the time
constants {times} steps, shared kernels, no bias anywhere; then the mean over the channels, a last
convolution, a leaky integrator, and the soft maximum of its map.

**Data.** Generated: a disc of radius {radii} pixels that moves straight at {velocities} pixels a
step (drawn log-uniformly) and bounces off the border; a pixel gives one event for each edge that
crosses it; {noise:.1f} noise events a step. Seeds decide everything.

**Training.** {batches} batches of {batch} scenes of {steps} steps, Adam from {rate:g} falling as a
cosine, on the CPU. `theory` starts the first block from Gaussian derivatives and the neurons from
the ladder of time constants, `uniform` both from uniform numbers.

**Reproduce** each with the first line, and test them and write this page with the second:

    python -m nrf_models.covariant train configs/NAME.toml --seed K -o NAME-K.safetensors
    python -m nrf_models.covariant publish NAME-*.safetensors -o weights

## Errors

Mean distance in pixels over {scenes} scenes, which are the same for every tracker and none of
training's. Each row: the mean over its seeds, and from the best to the worst seed.
"""
LIMITS = """
## What they are not

One shape, one size of sensor, straight motion, generated events. At 0.08 and 2.56 pixels a step
they are outside what they were trained on. Three seeds show a trend, and no more.
"""


def card(folder: Path) -> str:
    kept = {p.stem: checkpoint.read(p) for p in sorted(folder.glob("*.safetensors"))}
    first = next(iter(kept.values()))
    t, training = first.config.tracker, first.config.training
    head = HEAD.format(
        channels=len(t.time_constants),
        times=", ".join(f"{mu:g}" for mu in t.time_constants),
        radii=" to ".join(f"{r:g}" for r in training.radii),
        velocities=" to ".join(f"{v:g}" for v in training.velocities),
        noise=training.noise * 2 * t.size**2,
        batches=training.batches,
        batch=training.batch,
        steps=training.warm_up + training.steps,
        rate=training.rate,
        scenes=first.notes["scenes"],
    )
    return "\n".join((head, *_table(kept), LIMITS))


def _table(kept: Mapping[str, Any]) -> Iterator[str]:
    names = sorted({name.rpartition("-")[0] for name in kept})
    velocities = list(next(iter(kept.values())).notes["errors"])
    velocities.sort(key=float)
    yield f"| tracker | seeds | {' | '.join(velocities)} |"
    yield f"|---|---|{'---|' * len(velocities)}"
    for name in names:
        seeds = [c for stem, c in kept.items() if stem.rpartition("-")[0] == name]
        cells = []
        for v in velocities:
            errors = [c.notes["errors"][v] for c in seeds]
            spread = f" ({min(errors):.1f}-{max(errors):.1f})" if len(errors) > 1 else ""
            cells.append(f"{np.mean(errors):.1f}{spread}")
        yield f"| {name} | {len(seeds)} | {' | '.join(cells)} |"
