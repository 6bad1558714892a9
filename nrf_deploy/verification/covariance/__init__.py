"""How covariant a bundle is: in time, in space and under motion, and what costs it most.

A covariant network answers to a transformed scene with its transformed answer: what one
channel gave, another one gives, which is the first one's kernel transformed. Four tests ask
for this, of the float model and of the emulated chip (docs/covariance.md).
"""

from .measure import covariance
from .nouns import (
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
