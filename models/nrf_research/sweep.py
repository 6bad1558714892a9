"""Sweeps of short trainings, which compare time constants and starts of a tracker.

Every training is one row of a file, written when it ends: a sweep that was stopped continues
with the missing rows, and two sweeps may share a file and its trainings.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

from nrf_deploy.diagnostics.progress import Progress, quiet
from nrf_deploy.io.files import write_text
from nrf_models.covariant.description import Config, Start, config_from
from nrf_models.covariant.errors import VELOCITIES, errors
from nrf_models.covariant.train import train

LADDERS = (
    (1.0, 2.0, 4.0, 8.0),
    (2.0, 4.0, 8.0, 16.0),
    (4.0, 8.0, 16.0, 32.0),
    (5.48, 10.95, 21.9, 43.8),
)
STARTS: tuple[Start, ...] = ("theory", "uniform")
SCENES = 16  # of each velocity


@dataclass(frozen=True)
class Row:
    """A training, and its mean error in pixels at each velocity."""

    config: Config
    errors: Mapping[str, float]


def ladders(config: Config) -> list[Config]:
    """Return the tracker with each ladder of time constants; the last one is the paper's."""
    if not config.tracker.remembers:
        raise ValueError(f"a tracker of {config.tracker.neuron!r} has no time constants")
    return [_with(config, time_constants=ladder) for ladder in LADDERS]


def starts(config: Config) -> list[Config]:
    """Return the tracker with each start of kernels and time constants, by theory or uniform.

    A tracker without memory has only the starts of kernels.
    """
    if not config.tracker.remembers:
        return [_with(config, space=space) for space in STARTS]
    return [_with(config, space=space, time=time) for space, time in product(STARTS, STARTS)]


def short(config: Config, batches: int, seed: int) -> Config:
    training = replace(config.training, seed=seed, batches=batches)
    return replace(_with(config, seed=seed), training=training)


def sweep(
    wanted: Sequence[Config],
    path: Path,
    device: str = "cpu",
    report: Progress = quiet,
) -> list[Row]:
    """Return the row of every configuration, in order.

    Rows in the file at `path` are not trained again, and its other rows stay.
    """
    known = rows(path) if path.exists() else []
    for k, config in enumerate(wanted):
        if all(row.config != config for row in known):
            known.append(_tried(config, device))
            _write(path, known)
        report(k + 1, len(wanted))
    return [next(row for row in known if row.config == config) for config in wanted]


def rows(path: Path) -> list[Row]:
    return [
        Row(config_from(row["config"]), row["errors"])
        for row in json.loads(path.read_text("utf-8"))
    ]


def _write(path: Path, known: Sequence[Row]) -> None:
    """Write a line for each row."""
    lines = (
        json.dumps({"config": row.config.as_dict(), "errors": row.errors}, sort_keys=True)
        for row in known
    )
    write_text(path, "[\n" + ",\n".join(lines) + "\n]\n")


def _tried(config: Config, device: str) -> Row:
    with tempfile.TemporaryDirectory() as folder:
        net = train(config, Path(folder) / "tried.safetensors", device=device)
    away = {f"{v:g}": errors(net, config, v, SCENES).mean() for v in VELOCITIES}
    return Row(config, {v: round(float(a), 3) for v, a in away.items()})


def _with(config: Config, **changes: object) -> Config:
    return replace(config, tracker=replace(config.tracker, **changes))  # type: ignore[arg-type]
