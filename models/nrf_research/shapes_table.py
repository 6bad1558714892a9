"""Section of the model card about trackers of several shapes at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from nrf_models.covariant.checkpoint import Checkpoint
from nrf_models.covariant.events import OUTLINES, Outline

SHAPES = """
## Several shapes at once

A {outlines}, one output each, all moving at the same velocity in the tests. Trained
with `configs/{name}.toml`: {batches} batches of {batch} scenes of {steps} steps, radii of {radii}
pixels, {velocities} pixels a step, the time constants {times}. Mean distance in pixels over
{scenes} scenes. *Which is which unknown* is the error of one that says the middle of them all:
only below it does a tracker tell them apart.
"""


def shapes(kept: Mapping[str, Checkpoint]) -> Iterator[str]:
    for stem, c in kept.items():
        t, training = c.config.tracker, c.config.training
        outlines = [OUTLINES[k % len(OUTLINES)] for k in range(t.shapes)]
        yield SHAPES.format(
            outlines=", a ".join(outlines[:-1]) + f" and a {outlines[-1]}",
            name=stem.rpartition("-")[0],
            batches=training.batches,
            batch=training.batch,
            steps=training.warm_up + training.steps,
            radii=" to ".join(f"{r:g}" for r in training.radii),
            velocities=" to ".join(f"{v:g}" for v in training.velocities),
            times=", ".join(f"{mu:g}" for mu in t.time_constants),
            scenes=c.notes["scenes"],
        )
        yield from _table(stem, c, outlines)


def _table(stem: str, c: Checkpoint, outlines: Sequence[Outline]) -> Iterator[str]:
    velocities = sorted(c.notes["errors"], key=float)
    yield f"| {stem} | {' | '.join(velocities)} |"
    yield f"|---|{'---|' * len(velocities)}"
    for k, outline in enumerate(outlines):
        yield f"| {outline} | {_cells(c.notes['shapes'][v][k] for v in velocities)} |"
    yield f"| all | {_cells(c.notes['errors'][v] for v in velocities)} |"
    yield f"| which is which unknown | {_cells(c.notes['together'][v] for v in velocities)} |"


def _cells(errors: Iterable[float]) -> str:
    return " | ".join(f"{away:.1f}" for away in errors)
