"""Benchmarks in the arithmetic of this chip, and the tools that can run the same networks."""

from .networks import cases
from .peers import peers

__all__ = ["cases", "peers"]
