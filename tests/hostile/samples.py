"""The sound inputs that are mutated: made once a campaign in one folder, then only read."""

from __future__ import annotations

import os
import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / "nrf_deploy" / "testing" / "conformance" / "kit"
TARGETS = ROOT / "targets"
SHARED = ROOT.parent / "shared"
CHIPS = ("loihi2", "emulator", "speck2b", "loihi1")


@dataclass(frozen=True)
class Sample:
    """A bundle, and a recording that goes into it."""

    name: str
    bundle: Path
    recording: Path
    family: str
    """The target: loihi, emulator or speck."""


@dataclass(frozen=True)
class Samples:
    """`root` holds what `make` left there; kits are read where they are shipped."""

    root: Path

    @cached_property
    def programs(self) -> list[Sample]:
        """The shipped conformance programs: no network worth the name, every rule of the chips."""
        names = {"nrf_loihi": "loihi", "nrf_emulator": "emulator", "nrf_speck": "speck"}
        return [
            Sample(p.parent.name, p, p.parent / "input.npz", family)
            for folder, family in names.items()
            for p in sorted((TARGETS / folder / "kit").glob("*/program.nrfb"))
        ]

    @cached_property
    def compiled(self) -> list[Sample]:
        """Networks compiled for several chips."""
        families = {"loihi1": "loihi", "loihi2": "loihi", "emulator": "emulator"}
        return [
            Sample(p.stem, p, p.with_suffix(".npz"), families.get(p.stem.split("@")[1], "speck"))
            for p in sorted((self.root / "bundles").glob("*.nrfb"))
        ]

    @cached_property
    def bundles(self) -> list[Sample]:
        return [*self.programs, *self.compiled]

    @cached_property
    def with_arrays(self) -> list[Sample]:
        """Bundles that hold an array; asked once, before the forks."""

        def has(path: Path) -> bool:
            with zipfile.ZipFile(path) as held:
                return any(name.startswith("arrays/") for name in held.namelist())

        return [s for s in self.bundles if has(s.bundle)]

    @cached_property
    def plain(self) -> Sample:
        """Three inputs, two layers, Loihi: for whatever only needs a sound bundle."""
        return next(s for s in self.compiled if s.name == "small@loihi2")

    @cached_property
    def camera(self) -> Sample:
        """A bundle for the events of a sensor of 5 x 4 pixels."""
        return next(s for s in self.compiled if s.name == "camera@loihi2")

    @cached_property
    def graphs(self) -> list[Path]:
        own = sorted(MODELS.glob("*/model.nir"))
        given = sorted((SHARED / "conformance" / "nir").glob("*.nir"))
        return [*own, *(p for p in given if p.stat().st_size < 100_000)]

    @cached_property
    def cameras(self) -> list[Path]:
        """Files of cameras: written word by word, and the beginnings of real ones."""
        return sorted((self.root / "cameras").iterdir())

    @cached_property
    def kits(self) -> list[Path]:
        return [TARGETS / name / "kit" for name in ("nrf_loihi", "nrf_emulator", "nrf_speck")]

    @cached_property
    def absent(self) -> str:
        """The parts that this campaign lacks; empty if it has all."""
        missing = [] if SHARED.is_dir() else [f"no folder {SHARED.name}/: no real camera files"]
        return "; ".join(missing)


def make(root: Path) -> Samples:
    """Write all samples below `root`."""
    samples = Samples(root)
    _bundles(root / "bundles")
    _cameras(root / "cameras")
    _decoy(root / "decoy")
    return samples


def _bundles(folder: Path) -> None:
    import nrf_deploy as nd
    from nrf_deploy.diagnostics.findings import NrfError
    from nrf_deploy.io import nir
    from nrf_deploy.io.recordings import write
    from nrf_deploy.ir.recording import Recording
    from tests.builders.cli_calls import small

    folder.mkdir(parents=True)
    nir.write(small(), folder / "small.nir")
    frames = (np.random.default_rng(1).random((30, 3)) < 0.4).astype(np.int64)
    write(Recording.from_dense(frames, 1e-3), folder / "small.npz")
    nir.write(_camera(), folder / "camera.nir")
    frames = (np.random.default_rng(3).random((20, 2, 4, 5)) < 0.2).astype(np.int64)
    write(Recording.from_dense(frames, 1e-3), folder / "camera.npz")
    own = ("small", "camera")
    models = {name: (folder / f"{name}.nir", folder / f"{name}.npz") for name in own}
    for name in ("current", "delay", "dilation", "feedback", "groups", "pool", "two-ways"):
        path = MODELS / f"model.{name}"
        models[name] = (path / "model.nir", path / "input.npz")
    for name, (model, recording) in models.items():
        for chip in CHIPS:
            path = folder / f"{name}@{chip}.nrfb"
            try:
                nd.save(nd.compile(nd.read(model), chip), path)
            except NrfError:  # not every chip takes every model
                continue
            path.with_suffix(".npz").write_bytes(recording.read_bytes())


def _camera() -> Any:
    from nrf_deploy.ir.network import LIF, Flatten, Input, Linear, Network, Output

    two = np.ones(2)
    return Network(
        (
            Input(name="in", port_shape=(2, 4, 5)),
            Flatten(name="flat", flat_input=(2, 4, 5), start=0, end=-1),
            Linear(name="w", weight=np.random.default_rng(4).normal(size=(2, 40)) + 0.3),
            LIF(name="n", tau=two / 100, r=two * 10, v_leak=two * 0, v_threshold=two,
                v_reset=two * 0),
            Output(name="out", port_shape=(2,)),
        ),
        (("in", "flat"), ("flat", "w"), ("w", "n"), ("n", "out")),
        dt=1e-3,
    )  # fmt: skip


def _cameras(folder: Path) -> None:
    from tests.builders.camera_files import WRITERS

    folder.mkdir(parents=True)
    rng = np.random.default_rng(2)
    times = np.cumsum(rng.integers(0, 400, 300))
    rows = [(int(t), int(rng.integers(5)), int(rng.integers(4)), int(rng.integers(2)))
            for t in times]  # fmt: skip
    for suffix, encode in WRITERS.items():
        (folder / f"made.{suffix}").write_bytes(encode(rows))
    real = {"faery_evt2.raw": 6000, "expelliarmus_evt3_sample.raw": 6000,
            "tonic_sample_ncars.dat": 6000, "tonic_sample_nmnist.bin": 5000,
            "tonic_sample.aedat4": 949_253}  # fmt: skip
    for name, length in real.items():
        path = SHARED / "recordings" / name
        if path.is_file():
            (folder / name).write_bytes(path.read_bytes()[:length])


def _decoy(folder: Path) -> None:
    """Write a sound HDF5 file that hostile files point at, and that nothing may open."""
    import h5py

    folder.mkdir(parents=True)
    with h5py.File(folder / "secret.h5", "w") as file:
        file["x"] = np.arange(4, dtype=np.float32)
        file.create_group("node")
    os.chmod(folder / "secret.h5", 0o644)
