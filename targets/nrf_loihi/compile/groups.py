"""The grid of a group's weights; groups themselves are told in nrf_deploy."""

from __future__ import annotations

from nrf_deploy.compiler.quantize.grid import Grid
from nrf_deploy.compiler.quantize.groups import Group, groups, rows, shaped
from nrf_deploy.ir.network import Array

__all__ = ["Group", "grid_of", "groups", "rows", "shaped"]


def grid_of(weights: Array, bits: int) -> Grid:
    """The grid of a weight: mixed signs cost one bit, and then values are even at 8 bits."""
    low, high = float(weights.min()), float(weights.max())
    step = 2 ** (8 - bits + (low < 0 < high))
    return Grid(step, step - 256 if low < 0 else 0, 256 - step if high > 0 else 0)
