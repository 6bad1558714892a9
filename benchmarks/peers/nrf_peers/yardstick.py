"""The public yardstick: the DVS-gesture network of the SANA-FE package.

1024 inputs with a constant drive each, four convolutions and a dense layer; integers, hard
reset, strict threshold, no leak, one step of delay per layer. SANA-FE's tutorial publishes
365,277 spikes in 1000 steps. The network is read from the installed package and converted to
the integers of the arithmetic "loihi", with the same meaning: du = 4095 and dv = 0 disable the
current's memory and the leak, a convolution's weights are stored exactly, and v is in units of
1/64 of a weight. The dense layer becomes a convolution whose kernel covers its input, so that
its weights are stored exactly too.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np

from nrf_deploy.diagnostics.findings import MissingError, error
from nrf_deploy.engines.sdk.environments import folder, installed_python
from nrf_deploy.ir.network import Array
from nrf_deploy.ir.program import Conv, Population, Port, Program
from nrf_deploy.ir.recording import Recording
from nrf_deploy.testing.bench.case import Problem

from .build import to_problem
from .sdks import SANAFE

FIRINGS = 365_277
FIRINGS_OF_LAYERS = (25357, 27875, 70022, 191921, 49859, 243)
STEPS = 1000
SIDES = (32, 15, 13, 11, 9, 1)


def find() -> Path | None:
    """Find the network's file in the SANA-FE package, installed here or as a peer."""
    places: list[Path] = []
    package = importlib.util.find_spec("sanafe")
    if package is not None and package.origin is not None:
        places.append(Path(package.origin).parent)
    if installed_python(SANAFE) is not None:
        places.extend(folder(SANAFE).glob("lib/python*/site-packages/sanafe"))
    files = (place / "examples" / "dvs_challenge.npz" for place in places)
    return next((f for f in files if f.is_file()), None)


def program(path: Path) -> Program:
    with np.load(path, allow_pickle=False) as arrays:
        kernels = [arrays[f"conv{k}"].transpose(3, 2, 0, 1) for k in (1, 2, 3, 4)]
        channels = kernels[-1].shape[0]
        dense = arrays["dense1"].T.reshape(-1, channels, SIDES[4], SIDES[4])
        drive = np.rint(arrays["inputs"]).astype(np.int64).reshape(1, SIDES[0], SIDES[0])
        thresholds = [int(t) for t in arrays["thresholds"]]
    layers = [np.rint(k).astype(np.int64) for k in (*kernels, dense)]
    shapes = [drive.shape, *((w.shape[0], s, s) for w, s in zip(layers, SIDES[1:], strict=True))]
    rest: list[dict[str, Array | int]] = [{} for _ in layers]
    biases: list[dict[str, Array | int]] = [{"bias_mant": drive, "bias_exp": 6}, *rest]
    return Program(
        arithmetic="loihi",
        ports=(Port(name="silence", shape=(1,)),),
        synapses=tuple(
            Conv(
                name=f"w{k}",
                source=f"n{k}",
                targets=(f"n{k + 1}",),
                weight=weight,
                input_size=shapes[k][1:],
                stride=(2, 2) if k == 0 else (1, 1),
                padding=((0, 0), (0, 0)),
                dilation=(1, 1),
            )
            for k, weight in enumerate(layers)
        ),
        populations=tuple(
            Population(
                name=f"n{k}",
                shape=shape,
                model="lif",
                params={"du": 4095, "dv": 0, "vth": thresholds[k], **biases[k]},
            )
            for k, shape in enumerate(shapes)
        ),
        outputs=("n5",),
    )


def silence(steps: int = STEPS) -> Recording:
    """Return a recording without events: the first layer's bias drives the network."""
    none = np.zeros(0, np.int64)
    return Recording((1,), np.zeros(steps + 1, np.int64), none, none)


def problem() -> Problem:
    path = find()
    if path is None:
        raise MissingError(
            error(
                "BENCH-YARDSTICK-MISSING",
                "the yardstick's network is part of the SANA-FE package, which is not installed",
                why="it is read from the package, not copied",
                fix="nrf-deploy bench yardstick --install, or: pip install sanafe==2.2.9",
            )
        )
    firings = {f"n{k}": n for k, n in enumerate(FIRINGS_OF_LAYERS)}
    return to_problem(program(path), silence(), firings)
