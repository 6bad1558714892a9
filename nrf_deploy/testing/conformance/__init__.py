"""Conformance cases for back ends: programs, inputs, and the expected traces."""

from .case import Case, Image, Kit, Unknown
from .result import Conformance, Result
from .run import kits_of, run_conformance
from .store import read_kit, write_kit

__all__ = [
    "Case",
    "Conformance",
    "Image",
    "Kit",
    "Result",
    "Unknown",
    "kits_of",
    "read_kit",
    "run_conformance",
    "write_kit",
]
