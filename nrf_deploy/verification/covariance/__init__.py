"""Covariance of a bundle in time, in space and under motion, and the largest causes of errors.

The response of a covariant network to a transformed scene is its transformed response: another
channel, whose kernel is the transformed one, repeats the output of the first. Four tests check
this, for the float model and for the emulated chip (docs/covariance.md).
"""

from .measure import covariance
from .types import (
    ANCHORED,
    CHIP,
    CHIP_EXACT,
    CHIP_KERNELS,
    EULER,
    EXACT,
    KERNELS,
    NEAREST,
    Covariance,
    Part,
    Row,
    Trial,
)

__all__ = [
    "ANCHORED",
    "CHIP",
    "CHIP_EXACT",
    "CHIP_KERNELS",
    "EULER",
    "EXACT",
    "KERNELS",
    "NEAREST",
    "Covariance",
    "Part",
    "Row",
    "Trial",
    "covariance",
]
