"""The models that ship with the toolchain, found by the entry-point group `nrf_deploy.models`.

An entry names a module with `build()`, which gives the torch module, and
`demo_recording(seed, steps)`, which gives an input that suits it. One that follows what moves
has `demo_truth(seed, steps)`, the same with the true places (steps, shapes, 2), and `settled`,
the first step that counts.
"""

from __future__ import annotations

import importlib.util
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import numpy as np

from .findings import MissingError, UsageError, error
from .model import Model, read
from .network import Array
from .plugins import demand_sound, loaded
from .recording import Recording
from .verification.labels import PlaceLabels

GROUP = "nrf_deploy.models"
SAMPLE_STEPS = 200


def names() -> tuple[str, ...]:
    return tuple(sorted(e.name for e in entry_points(group=GROUP)))


def module(name: str) -> Any:
    found = [e for e in entry_points(group=GROUP) if e.name == name]
    if not found:
        raise UsageError(
            error(
                "MODEL-UNKNOWN",
                f"no model {name!r} is shipped",
                fix=f"choose one of: {', '.join(names())}; or name package.module:factory",
            )
        )
    plugin = loaded(GROUP, only=name).get(name)
    if plugin is None:
        demand_sound(GROUP, name)
    return plugin


def labels(source: Any, truth: Array) -> PlaceLabels:
    """The true places from the first step that counts; from the beginning of a shorter run."""
    settled = source.settled if source.settled < len(truth) else 0
    return PlaceLabels(np.arange(settled, len(truth)), False, truth[settled:])


def sample(name: str, seed: int = 0) -> tuple[Recording, PlaceLabels | None]:
    """A recording that suits a shipped model, and what it shows where the model can tell."""
    source = module(name)
    if not hasattr(source, "demo_truth"):
        return source.demo_recording(seed, SAMPLE_STEPS), None
    recording, truth = source.demo_truth(seed, SAMPLE_STEPS)
    return recording, labels(source, truth)


def export(
    source: str, output: str | Path, *, weights: str | None = None, dt: float | None = None
) -> Model:
    """Write a trained torch or Norse model as .nir, and read it back from there."""
    _demand_torch()
    from . import nir_io
    from .export import from_torch, load

    if ":" in source:
        built, shape = load(source, weights)
    else:
        factory = module(source).build
        built, shape = load(factory, weights)
    network, findings = from_torch(built, shape, dt)
    nir_io.write(network, output)
    model = read(output)
    return Model(model.network, (*findings, *model.findings), model.sha256)


def _demand_torch() -> None:
    missing = [p for p in ("torch", "norse") if importlib.util.find_spec(p) is None]
    if missing:
        raise MissingError(
            error(
                "EXTRA-MISSING",
                f"{' and '.join(missing)} is not installed",
                why="exporting runs the model in torch; nothing else here needs it",
                fix="pip install 'nrf-deploy[models]' with torch pinned (see the README)",
            )
        )
