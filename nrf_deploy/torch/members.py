"""Modules, parameters and buffers of a module, by torch's own methods.

Rockpool's modules have methods of the same names that return dictionaries.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def modules(root: Any) -> Iterator[Any]:
    """Yield a module and all modules inside it."""
    from torch import nn

    yield from nn.Module.modules(root)


def parameters(root: Any) -> Iterator[Any]:
    """Yield the parameters of a module and of all modules inside it."""
    from torch import nn

    yield from nn.Module.parameters(root)


def buffers(root: Any) -> Iterator[Any]:
    """Yield the buffers of a module and of all modules inside it."""
    from torch import nn

    yield from nn.Module.buffers(root)
