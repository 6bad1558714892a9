"""What a back end is held against: programs, inputs, and the traces that they must give."""

from .case import Case, Image, Kit, Unknown
from .result import Conformance, Result
from .run import conform, kits_of
from .store import read_kit, write_kit

__all__ = [
    "Case",
    "Conformance",
    "Image",
    "Kit",
    "Result",
    "Unknown",
    "conform",
    "kits_of",
    "read_kit",
    "write_kit",
]
