"""The numbers of chips.toml, as one record for each chip."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from nrf_deploy.io.toml_json import parse_toml

PREFIX = "LOIHI"
"""Of the codes of the compiler's findings."""
DECAY_BITS = 12
STATE_SHIFT = 6  # u, v and thresholds count 1/64 of a weight unit
STATE_LIMIT = 2**23 - 1


@cache
def tables() -> dict[str, dict[str, Any]]:
    """Return the tables of all chips and boards; a board has the limits of its chip."""
    read = parse_toml(files("nrf_loihi").joinpath("chips.toml").read_bytes())
    return {name: _filled_in(table, read) for name, table in read.items()}


def _filled_in(table: dict[str, Any], others: dict[str, Any]) -> dict[str, Any]:
    if "board_of" not in table:
        return table
    chip = others[table["board_of"]]
    overrides = {key: table[key] for key in ("chips", "cores") if key in table}
    return {**chip, **table, "limits": {**chip["limits"], **overrides}}


@dataclass(frozen=True)
class Chip:
    """Limits and features of one chip or board."""

    name: str
    graded_bits: int  # payload of a spike; 0 where spikes are binary
    thresholds_a_neuron: bool  # neurons of a layer may differ in their thresholds
    cores: int
    neurons: int
    in_axons: int
    shared_axons: int  # 1 if a convolution's axons address whole maps, not neurons
    neuron_groups: int  # layers that may share a core
    out_axons: int
    synaptic_words: int
    threshold: int
    decay: int
    bias_mantissa: int
    bias_exponent: int
    weight_bits: int
    chips: int = 1

    @staticmethod
    def load(name: str) -> Chip:
        table = tables()[name]
        limits = {key: limit["value"] for key, limit in table["limits"].items()}
        flags = {key: table[key] for key in ("graded_bits", "thresholds_a_neuron")}
        return Chip(name=name, **flags, **limits)

    @property
    def microcode(self) -> bool:
        """Return True if neurons are programs with individual parameters."""
        return self.thresholds_a_neuron

    @property
    def largest_payload(self) -> int:
        return 2 ** (self.graded_bits - 1) - 1 if self.graded_bits else 1

    def core_limits(self) -> dict[str, int]:
        budgets = ("neurons", "neuron_groups", "in_axons", "out_axons", "synaptic_words")
        return {budget: getattr(self, budget) for budget in budgets}
