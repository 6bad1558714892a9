"""Integer operations that all rules of this chip use."""

from __future__ import annotations

import numpy as np

from nrf_deploy.ir.network import Array

LIMIT = 2**23
"""u and v are 24 bits wide."""
VTH_MAX = 131071
"""The highest threshold: 17 bits."""


def i32(x: Array) -> Array:
    return np.asarray(x, np.int64).astype(np.int32).astype(np.int64)


def shr0(x: Array, n: Array | int) -> Array:
    rounded: Array = np.sign(x) * (np.abs(x) >> n)
    return rounded


def shift(x: Array, exponent: Array | int) -> Array:
    """Return x * 2^exponent, rounded down."""
    exponent = np.asarray(exponent)
    return np.where(exponent >= 0, x << np.maximum(exponent, 0), x >> np.maximum(-exponent, 0))
