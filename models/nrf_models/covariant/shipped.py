"""The trained trackers of the package, which `nrf-deploy export NAME` builds."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from importlib.resources import as_file, files
from typing import Any

import numpy as np

from nrf_deploy.ir.network import Array
from nrf_deploy.ir.recording import Recording

from .description import Config, config_from
from .events import Scene, record


@dataclass(frozen=True)
class Shipped:
    """One of the checkpoints in weights/. Building it needs torch, its recordings do not."""

    name: str

    def build(self) -> Any:
        from . import checkpoint
        from .stepwise import stepwise

        with as_file(files(__package__) / "weights" / f"{self.name}.safetensors") as path:
            return stepwise(checkpoint.read(path).net)

    @property
    def config(self) -> Config:
        """The configuration, read from the header only."""
        with as_file(files(__package__) / "weights" / f"{self.name}.safetensors") as path:
            data = path.read_bytes()
        (length,) = struct.unpack("<Q", data[:8])
        header = json.loads(data[8 : 8 + length])
        return config_from(json.loads(header["__metadata__"]["config"]))

    @property
    def settled(self) -> int:
        """The first step that counts: earlier steps were not trained, because neurons fill."""
        return self.config.training.warm_up

    def demo_scene(self, seed: int = 0, speed: float | None = None) -> Scene:
        from .scenes import scene

        config = self.config
        rng = np.random.default_rng(seed)
        return scene(config.tracker, config.training, rng, speed)

    def demo_recording(self, seed: int = 0, steps: int = 300) -> Recording:
        return self.demo_truth(seed, steps)[0]

    def demo_truth(
        self, seed: int = 0, steps: int = 300, speed: float | None = None
    ) -> tuple[Recording, Array]:
        """Return events, and the true places (steps, shapes, 2) of the shapes."""
        recording, places = record(self.demo_scene(seed, speed), steps, seed)
        return recording, places.reshape(steps, -1, 2)


lif = Shipped("lif-theory-0")
li = Shipped("li-theory-0")
