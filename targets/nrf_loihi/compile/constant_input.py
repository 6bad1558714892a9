"""What is added to a potential in every step: as this chip holds it."""

from __future__ import annotations

import numpy as np

from nrf_deploy.compiler.quantize.constant_input import constant
from nrf_deploy.ir.network import Array

from ..chip import Chip

__all__ = ["constant", "mantissa_and_exponent"]


def mantissa_and_exponent(bias: Array, chip: Chip) -> tuple[Array, Array]:
    """bias ~ mantissa << exponent, with the smallest exponent that lets the mantissa fit."""
    size = np.abs(bias)
    exponent = np.zeros(bias.shape, np.int64)
    for e in range(chip.bias_exponent):
        exponent += np.rint(size / 2**e) > chip.bias_mantissa
    return np.rint(bias / 2.0**exponent).astype(np.int64), exponent
