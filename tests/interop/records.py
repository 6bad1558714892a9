"""Records of the models: as the makers write them into a folder, and packed for CI.

A packed file, recorded/FRAMEWORK.npz.xz, holds for each model its input, the spikes and readouts
of its framework, and the bytes of two .nir files: the one of the framework's own exporter and the
one that nrf-deploy exported from the module. The latter is without its witness, which is large,
and was compared when the file was read.
"""

from __future__ import annotations

import io
import json
import lzma
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nrf_deploy.io.model import model_of
from nrf_deploy.io.nir import checked

from .compare import Record, recorded

RECORDED = Path(__file__).parent / "recorded"
INDEX = "index"


@dataclass(frozen=True)
class Made:
    """A model that a framework made and ran."""

    framework: str
    name: str
    about: Mapping[str, Any]
    """The maker's entry: form, says, lost, and how its exporter ended."""
    arrays: Mapping[str, np.ndarray]
    nir: bytes | None
    """The file of the framework's exporter."""
    ours: bytes | None
    """The file that nrf-deploy exported from the module."""
    codes: tuple[str, ...]
    """The codes with which nrf-deploy refused the module."""

    @property
    def record(self) -> Record:
        return recorded(self.arrays)

    @property
    def options(self) -> dict[str, Any]:
        """Return the options of the reader of the framework's file, beside the producer."""
        return dict(self.about["says"])


def from_folder(folder: Path) -> list[Made]:
    """Return the models that a maker and the export left in a folder."""
    index = json.loads((folder / "index.json").read_text())
    ours = {}
    if (folder / "ours.json").exists():
        ours = json.loads((folder / "ours.json").read_text())
    return [
        Made(
            index["framework"],
            name,
            about,
            dict(np.load(folder / f"{name}.npz")),
            _bytes(folder / f"{name}.nir"),
            _bytes(folder / f"{name}.ours.nir"),
            tuple(ours.get(name, {}).get("codes", ())),
        )
        for name, about in index["models"].items()
    ]


def _bytes(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


def pack(made: list[Made], path: Path) -> None:
    """Write what CI needs of these models: no potentials, and the smallest types."""
    arrays: dict[str, np.ndarray] = {}
    index = {}
    for model in made:
        about = {k: model.about[k] for k in ("form", "inputs", "says", "lost", "nir")}
        index[model.name] = {**about, "codes": model.codes}
        for key, array in model.arrays.items():
            if not key.startswith("potentials/"):
                arrays[f"{model.name}/{key}"] = _small(array)
        ours = None if model.ours is None else checked(model_of(model.ours).network)
        for key, data in (("nir", model.nir), ("ours", ours)):
            if data is not None:
                arrays[f"{model.name}/{key}"] = np.frombuffer(data, np.uint8)
    stream = io.BytesIO()
    np.savez(stream, **{INDEX: np.array(json.dumps(index))}, **arrays)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(lzma.compress(stream.getvalue(), preset=9))


def _small(array: np.ndarray) -> np.ndarray:
    """Return the smallest integers that hold these numbers exactly; float32 if none does."""
    for kind in (np.int8, np.int16, np.int32):
        with np.errstate(invalid="ignore"):
            small = array.astype(kind)
        if np.array_equal(small, array):
            return small
    return array.astype(np.float32)


def packed(framework: str) -> list[Made]:
    """Return the models in the packed file of a framework."""
    data = lzma.decompress((RECORDED / f"{framework}.npz.xz").read_bytes())
    with np.load(io.BytesIO(data)) as file:
        index = json.loads(str(file[INDEX]))
        parts: dict[str, dict[str, np.ndarray]] = {name: {} for name in index}
        for key in file.files:
            if key != INDEX:
                name, _, rest = key.partition("/")
                parts[name][rest] = file[key]
    return [
        Made(
            framework,
            name,
            about,
            {k: v for k, v in parts[name].items() if k not in ("nir", "ours")},
            *(parts[name][k].tobytes() if k in parts[name] else None for k in ("nir", "ours")),
            tuple(about["codes"]),
        )
        for name, about in index.items()
    ]
