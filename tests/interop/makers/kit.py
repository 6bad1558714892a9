"""Parts that the makers share; it runs in each framework's interpreter, with numpy only.

A maker builds models in its framework, runs each step by step on a seeded input, and writes
for each: NAME.npz (the input, the spikes of each layer and, where the framework shows it, the
potential after each step), NAME.nir (where the framework's own exporter works) and index.json.
"""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

STEPS = 48


@dataclass
class Run:
    """The record of a framework's own run: arrays (steps, *shape) by layer, in running order."""

    spikes: dict[str, np.ndarray]
    values: dict[str, np.ndarray] = field(default_factory=dict)
    """Outputs of layers that do not spike (readouts)."""
    potentials: dict[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """A model: how it is built, which input it gets, and how it is run and exported."""

    name: str
    build: Callable[[], tuple[Any, tuple[int, ...]]]
    """Returns (module, shape of the input without batch and time)."""
    form: str
    """The class of producers.md that it stands for, in a few words."""
    inputs: str = "random"
    runs: str = "step"
    """How `forward` is called: as each maker says."""
    exports: bool = True
    says: dict[str, Any] = field(default_factory=dict)
    """What a reader of the exported file must be told beside the producer: options of nd.read."""
    lost: str = ""
    """What the exporter leaves out, so that no option of a reader can say it."""
    steps: int = STEPS


def draw(case: Case, shape: tuple[int, ...]) -> np.ndarray:
    """Return the input of a case: the same on every machine."""
    rng = np.random.default_rng(sum(case.name.encode()) * 7919 + len(case.name))
    size = (case.steps, *shape)
    spikes = (rng.random(size) < 0.4).astype(np.float32)
    if case.inputs == "random":
        return spikes
    if case.inputs == "real":
        return rng.normal(0.3, 1.0, size).astype(np.float32)
    if case.inputs == "strong":
        return (spikes * rng.integers(1, 7, size)).astype(np.float32)
    if case.inputs == "negative":
        return (spikes * rng.choice([-2.0, -1.0, 1.0, 2.0], size)).astype(np.float32)
    if case.inputs == "quarters":
        return (rng.integers(-6, 7, size) / 4).astype(np.float32)
    raise ValueError(case.inputs)


def weights(shape: tuple[int, ...], seed: int, scale: float = 0.6, mean: float = 0.0) -> np.ndarray:
    """Return weights; those of a bias are smaller, so that few neurons always fire."""
    rng = np.random.default_rng(seed)
    scale = scale / 3 if len(shape) == 1 else scale
    return rng.normal(mean, scale, shape).astype(np.float32)


def quarters(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Return weights that are multiples of 1/4: every sum is exact, and ties are many."""
    rng = np.random.default_rng(seed)
    return (rng.integers(-3, 5, shape) / 4).astype(np.float32)


def make(
    cases: list[Case],
    framework: str,
    version: str,
    run: Callable[[Case, Any, np.ndarray], Run],
    export: Callable[[Case, Any, tuple[int, ...], Path], None],
) -> None:
    """Make the cases named on the command line (all, if none is) into the folder named first."""
    folder, names = Path(sys.argv[1]), sys.argv[2:]
    folder.mkdir(parents=True, exist_ok=True)
    index = {}
    for case in cases:
        if names and case.name not in names:
            continue
        module, shape = case.build()
        x = draw(case, shape)
        done = run(case, module, x)
        entry: dict[str, Any] = {"form": case.form, "inputs": case.inputs, "shape": list(shape)}
        entry |= {"spiking": list(done.spikes), "values": list(done.values)}
        entry["spikes"] = {k: float(np.abs(v).sum()) for k, v in done.spikes.items()}
        entry["most"] = {k: float(np.abs(v).max()) for k, v in done.spikes.items()}
        entry |= {"says": case.says, "lost": case.lost, "nir": "none"}
        if case.exports:
            path = folder / f"{case.name}.nir"
            try:
                export(case, case.build()[0], shape, path)
                entry["nir"] = "written"
            except Exception as problem:  # what the exporter refuses is part of the record
                path.unlink(missing_ok=True)
                entry["nir"] = f"{type(problem).__name__}: {problem}"[:200]
                if "-v" in names:
                    traceback.print_exc()
        arrays = {"input": x}
        for kind in ("spikes", "values", "potentials"):
            arrays |= {
                f"{kind}/{k}": np.ascontiguousarray(v) for k, v in getattr(done, kind).items()
            }
        np.savez_compressed(folder / f"{case.name}.npz", **arrays)
        index[case.name] = entry
    text = {"framework": framework, "version": version, "models": index}
    (folder / "index.json").write_text(json.dumps(text, indent=1))


def factories(cases: list[Case], scope: dict[str, Any]) -> None:
    """Give a maker one factory by case, for `nrf-deploy export models_FRAMEWORK:NAME`."""
    for case in cases:
        assert case.name not in scope, case.name
        scope[case.name] = case.build
