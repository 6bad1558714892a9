"""The models that ship with the toolchain, found by the entry-point group `nrf_deploy.models`.

An entry names a module with `build()`, which returns the torch module, and
`demo_recording(seed, steps)`, which returns an input for it. A tracker also has
`demo_truth(seed, steps)`, which returns the true places (steps, shapes, 2) too, and `settled`, the
first step that counts.
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
    entries = [e for e in entry_points(group=GROUP) if e.name == name]
    if not entries:
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
    """Return the true places from the first step that counts, or all of a shorter run."""
    settled = source.settled if source.settled < len(truth) else 0
    return PlaceLabels(np.arange(settled, len(truth)), False, truth[settled:])
