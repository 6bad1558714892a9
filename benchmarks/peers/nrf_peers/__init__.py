"""Benchmark programs in the arithmetic of Loihi, and other tools that run the same networks."""

from .networks import cases
from .peers import peers

__all__ = ["cases", "peers"]
