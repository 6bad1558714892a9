"""From a trained torch or Norse module to a Network.

`from_torch` follows a module through one step of time and writes down what happens
as a Network: Norse's cells as populations, torch's layers as connections, every
parameter in full shape. What has no exact counterpart is refused, with the layer and
the way out. `load` finds the module in the first place.

This is the only room that needs torch and Norse (the extra `models`), and it imports
them when it is called.
"""

from .build import from_torch
from .source import load

__all__ = ["from_torch", "load"]
