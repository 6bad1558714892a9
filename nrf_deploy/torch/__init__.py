"""Conversion of a trained torch module to a Network.

`from_torch` runs a module of any known framework and follows its layers from step to step: their
neurons become populations, torch's layers connections, every parameter in full shape. A part
without an exact counterpart is refused, with its layer and a fix. What the module itself gives
on a short input goes along as its witness. `load` finds the module.

This is the only package that needs torch (the extra `models`), and it imports it when it is
called. Frameworks are recognised by the names of their modules and never imported for that.
"""

from .build import from_torch
from .source import load

__all__ = ["from_torch", "load"]
