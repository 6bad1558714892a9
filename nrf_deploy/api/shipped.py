"""The models that ship with the toolchain, found by the entry-point group `nrf_deploy.models`.

An entry names a module with `build()`, which gives the torch module, and
`demo_recording(seed, steps)`, which gives an input that suits it. One that follows what moves
has `demo_truth(seed, steps)`, the same with the true places (steps, shapes, 2), and `settled`,
the first step that counts.
"""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any

import numpy as np

from nrf_deploy.compiler.plugins import demand_sound, loaded
from nrf_deploy.diagnostics.findings import UsageError, error
from nrf_deploy.io.labels import PlaceLabels
from nrf_deploy.ir.network import Array

GROUP = "nrf_deploy.models"


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
