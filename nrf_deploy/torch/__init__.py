"""Conversion of a trained torch or Norse module to a Network.

`from_torch` follows a module through one time step and records it as a Network: Norse's cells
as populations, torch's layers as connections, every parameter in full shape. A part without an
exact counterpart is refused, with its layer and a fix. `load` finds the module.

This is the only package that needs torch and Norse (the extra `models`), and it imports
them when it is called.
"""

from .build import from_torch
from .source import load

__all__ = ["from_torch", "load"]
