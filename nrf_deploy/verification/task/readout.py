"""Readout: convert a network's last maps to coordinates, on the host.

No chip computes a soft maximum. The metadata "readout" of the model, kept in the .nir file and
in every bundle, describes it, and this module computes it in numpy:

    {"kind": "dsnt", "sharpness": 3.2, "stride": 4, "offset": 1.5, "leak": 0.0}

A map's values times `sharpness` go through a softmax; the expected place on the map is
`offset + stride * place` on the sensor. With a leak, each step's coordinates are leak
times the last ones and (1 - leak) times the new ("leaky DSNT").

    {"kind": "class", "names": ["left", "right"]}

The class is the neuron of the last layer that gives most (task/task.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from nrf_deploy.bundle.bundle import Bundle
from nrf_deploy.bundle.pipeline import latency, unit
from nrf_deploy.bundle.run_bundle import run_engine
from nrf_deploy.diagnostics.findings import InputError, error
from nrf_deploy.ir.network import Array
from nrf_deploy.ir.recording import Recording

NUMBERS = {"sharpness": 1.0, "stride": 1.0, "offset": 0.0, "leak": 0.0}


def coordinates(maps: Array, readout: Mapping[str, Any]) -> Array:
    """Return x and y on the sensor, (steps, maps, 2), of maps (steps, maps, height, width)."""
    sharpness, stride, offset, leak = _numbers(readout)
    steps, count, height, width = maps.shape
    flat = maps.reshape(steps, count, -1).astype(np.float64) * sharpness
    chance = np.exp(flat - flat.max(axis=-1, keepdims=True))
    chance = (chance / chance.sum(axis=-1, keepdims=True)).reshape(maps.shape)
    x = (chance.sum(axis=2) * np.arange(width)).sum(axis=-1)
    y = (chance.sum(axis=3) * np.arange(height)).sum(axis=-1)
    places = offset + stride * np.stack([x, y], axis=-1)
    for k in range(1, steps if leak else 0):
        places[k] = leak * places[k - 1] + (1 - leak) * places[k]
    return np.asarray(places)


def track(output: Recording, readout: Mapping[str, Any], scale: Array | float = 1.0) -> Array:
    """Return the coordinates of a recorded output.

    `scale`: 1 of the model in units of the output's values.
    """
    return coordinates(output.dense() / scale, readout)


def _numbers(readout: Mapping[str, Any]) -> tuple[float, ...]:
    if readout.get("kind") != "dsnt":
        raise InputError(
            error(
                "READOUT-KIND",
                f"the model's readout is {readout.get('kind')!r}, not 'dsnt'",
                fix="give the module an attribute readout = {'kind': 'dsnt', ...} before export",
            )
        )
    values = {name: readout.get(name, usual) for name, usual in NUMBERS.items()}
    for name, value in values.items():
        if not isinstance(value, int | float) or not np.isfinite(value):
            raise InputError(
                error(
                    "READOUT-NUMBER",
                    f"the readout's {name} is {value!r}",
                    fix="give a finite number",
                )
            )
    return tuple(float(values[name]) for name in NUMBERS)


def followed(bundle: Bundle, recording: Recording, engine: str) -> Array:
    """Return the coordinates (steps, maps, 2) of an engine's output, in model steps."""
    (name,) = bundle.program.outputs
    output = run_engine(bundle, recording, engine).outputs[name]
    aligned = output.shifted(latency(bundle, engine).get(name, 0)).until(recording.steps)
    own = unit(bundle, name, engine)
    return track(aligned, bundle.network.readout, 1.0 if own is None else own)
