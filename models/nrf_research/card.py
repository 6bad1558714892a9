"""The model card beside the weights, generated from the files in their folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from nrf_models.covariant import checkpoint
from nrf_models.covariant.checkpoint import Checkpoint
from nrf_models.covariant.description import Config, Training

from .comparison import PAPER, comparison, not_reproduced
from .figure import Curves, figure
from .shapes_table import shapes
from .sweep import rows
from .sweep_tables import spread, starts, times

PAGE, FIGURE, SWEEP = "README.md", "errors.svg", "sweep.json"
HEAD = """\
# The shipped trackers

Each follows a disc over {size} x {size} pixels of an event camera and gives its place in pixels.
They are the networks of Pedersen, Conradt and Lindeberg (Nature Communications, 2025) at a size
that trains on two cores: three blocks of convolution and neurons, {channels} temporal channels with
the time constants {times} steps, shared kernels, no bias anywhere; then the mean over the channels,
a last convolution, a leaky integrator, and the soft maximum of its map.

**Data.** Generated: a disc of radius {radii} pixels that moves straight at {velocities} pixels a
step (drawn log-uniformly) and bounces off the border; a pixel gives one event for each edge that
crosses it; {noise:.1f} noise events a step. Seeds decide everything.

**Training.** {batches} batches of {batch} scenes of {steps} steps, Adam from {rate:g} falling as a
cosine, on the CPU. `theory` starts the first block from Gaussian derivatives and the neurons from
the ladder of time constants, `uniform` both from uniform numbers. Time constants are not trained.

**Reproduce** each with the first line; test them with the second, which also writes this page and
its figure; the other two make the tables of time constants and of starts:

    python -m nrf_models.covariant train configs/NAME.toml --seed K -o NAME-K.safetensors
    python -m nrf_research publish NAME-*.safetensors -o weights --scenes {scenes}
    python -m nrf_research times configs/li*-theory.toml -o weights/sweep.json
    python -m nrf_research starts configs/{{li*-theory,relu}}.toml -o weights/sweep.json

## Errors

Mean distance in pixels over {scenes} scenes, which are the same for every tracker and none of
training's, by velocity in pixels a step. Each row: the mean over its seeds, and from the best to
the worst seed.
"""
BESIDE = """
## Beside the paper

The paper tests 300 x 300 pixels and reports medians, so its pixels (better / worse, read off its
figures) are not ours: only who is better can be compared. **yes**: every one of our seeds agrees
at this velocity; **no**: every seed says the opposite; open: the seeds overlap.
"""
LACKS = """
What does not reproduce, within the velocities of training. Size, shapes and training differ from
the paper's; which of them it is, we have not shown.
"""
LIMITS = """
## What they are not

One size of sensor, straight motion, generated events. At 0.08 and 2.56 pixels a step they are
outside what they were trained on. Three seeds show a trend, and no more.
"""


def files(folder: Path) -> dict[str, str]:
    """Return the files that belong beside the weights, by name."""
    return {PAGE: card(folder), FIGURE: _drawn(folder)}


def card(folder: Path) -> str:
    every = _kept(folder)
    kept = _single(every)
    config = _common(kept)
    curves = _curves(kept)
    parts = [_head(config, next(iter(kept.values()))), *_errors(curves), ""]
    parts += [f"![Error against velocity, one line a tracker]({FIGURE})"]
    trained = [v for v in _velocities(curves) if _within(v, config.training)]
    if set(PAPER) <= set(curves):
        parts += [BESIDE, *comparison(curves, _velocities(curves))]
        lacking = list(not_reproduced(curves, trained))
        parts += [LACKS, *lacking] if lacking else []
    if (folder / SWEEP).exists():
        swept = rows(folder / SWEEP)
        parts += [*times(swept, trained), *starts(swept, trained)]
    parts += shapes({name: c for name, c in every.items() if name not in kept})
    return "\n".join((*parts, LIMITS))


def _kept(folder: Path) -> dict[str, Checkpoint]:
    return {p.stem: checkpoint.read(p) for p in sorted(folder.glob("*.safetensors"))}


def _single(every: Mapping[str, Checkpoint]) -> dict[str, Checkpoint]:
    return {name: c for name, c in every.items() if c.config.tracker.shapes == 1}


def _common(kept: Mapping[str, Checkpoint]) -> Config:
    """Return the configuration of all checkpoints; refuse different ones in one folder."""
    if not kept:
        raise ValueError("there is no tracker of one shape in the folder: publish one there")
    first = next(iter(kept.values())).config
    for name, c in kept.items():
        if replace(c.config.training, seed=0) != replace(first.training, seed=0):
            raise ValueError(f"{name} was trained by another recipe: give it a folder of its own")
    return first


def _head(config: Config, first: Checkpoint) -> str:
    t, training = config.tracker, config.training
    return HEAD.format(
        size=t.size,
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


def _curves(kept: Mapping[str, Checkpoint]) -> Curves:
    curves: dict[str, dict[float, list[float]]] = {}
    for stem, c in kept.items():
        curve = curves.setdefault(stem.rpartition("-")[0], {})
        for v, away in c.notes["errors"].items():
            curve.setdefault(float(v), []).append(away)
    return dict(sorted(curves.items()))


def _velocities(curves: Curves) -> list[float]:
    return sorted(next(iter(curves.values())))


def _within(velocity: float, training: Training) -> bool:
    low, high = training.velocities
    return low <= velocity <= high


def _drawn(folder: Path) -> str:
    kept = _single(_kept(folder))
    trackers = {stem.rpartition("-")[0]: c.config.tracker for stem, c in kept.items()}
    return figure(_curves(kept), trackers, _common(kept).training.velocities)


def _errors(curves: Curves) -> Iterator[str]:
    velocities = _velocities(curves)
    yield f"| tracker | seeds | {' | '.join(f'{v:g}' for v in velocities)} |"
    yield f"|---|---|{'---|' * len(velocities)}"
    for name, curve in curves.items():
        cells = " | ".join(spread(curve[v]) for v in velocities)
        yield f"| {name} | {len(curve[velocities[0]])} | {cells} |"
