"""The numbers of chips.toml, as one record for each chip."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from nrf_deploy.io.toml_json import parse_toml

PREFIX = "SPECK"
"""Of the codes of the compiler's findings."""
LEAST, MOST = -(2**15), 2**15 - 1
"""Range of membranes, thresholds and biases: 16 bits."""
WEIGHTS = (-(2**7), 2**7 - 1)
MEMORIES = ("kernel_words", "neuron_words", "bias_words")


@cache
def tables() -> dict[str, dict[str, Any]]:
    """Return the tables of all chips; `like` names the chip whose other limits are taken."""
    read = parse_toml(files("nrf_speck").joinpath("chips.toml").read_bytes())
    return {
        name: {
            **table,
            "limits": {**read[table.get("like", name)]["limits"], **table.get("limits", {})},
        }
        for name, table in read.items()
    }


@dataclass(frozen=True)
class Chip:
    """Limits of one chip."""

    name: str
    cores: int
    kernel_words: tuple[int, ...]  # per core, as neuron_words and bias_words
    neuron_words: tuple[int, ...]
    bias_words: tuple[int, ...]
    destinations: int
    kernel: int
    strides: tuple[int, ...]
    padding: int
    input_size: int
    output_size: int
    features: int
    pooling: tuple[int, ...]
    weight_bits: int
    state_bits: int
    least_threshold_low: int
    parallel_cores: tuple[int, ...]  # used last

    @staticmethod
    def load(name: str) -> Chip:
        limits: dict[str, Any] = {
            key: tuple(limit["value"]) if isinstance(limit["value"], list) else limit["value"]
            for key, limit in tables()[name]["limits"].items()
        }
        return Chip(name=name, **limits)

    def memory(self, core: int) -> dict[str, int]:
        return {name: getattr(self, name)[core] for name in MEMORIES}
