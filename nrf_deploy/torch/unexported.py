"""Parts of a module that are in no layer of the exported graph."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from nrf_deploy.diagnostics.findings import Finding, error

from . import members
from .connections import is_layer
from .delay import is_delay
from .frameworks import framework_of

SHOWN = 8


def lost(module: Any, called: Iterable[Any]) -> Iterator[Finding]:
    """Yield an error for parameters, buffers of layers, and neurons that are not in the graph."""
    called = [m for m in called if m is not None]
    exported = {
        id(t) for m in called for t in (*members.parameters(m), *members.buffers(m), *_numbers(m))
    }
    exported |= {i for m in called for i in getattr(m, "nrf_from", ())}
    inside = {id(m) for whole in called for m in members.modules(whole)}
    for container in members.modules(module):
        framework = framework_of(container)
        for never in () if framework is None else framework.idle(container):
            exported |= {id(t) for t in members.parameters(never)}
            inside |= {id(m) for m in members.modules(never)}
    names = [n for n, p in module.named_parameters() if id(p) not in exported]
    for name, layer in module.named_modules():
        if id(layer) in inside:
            continue
        if is_layer(layer):
            names += [f"{name}.{n}" for n, b in layer.named_buffers() if id(b) not in exported]
        elif _neurons(layer) or is_delay(layer):
            names.append(name or "the model itself")
    if names:
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        yield error(
            "EXPORT-LOST",
            f"{', '.join(names[:SHOWN])}{more} {'are' if names[1:] else 'is'} in no exported layer",
            layer=names[0].rpartition(".")[0] or None,
            why="the output depends on it in no step that was followed",
            fix="delete the attribute before the export, if no output needs it",
        )


def _neurons(module: Any) -> bool:
    """Return True for a layer of a framework that keeps a state or has parameters."""
    framework = framework_of(module)
    if framework is None or not framework.leaf(module):
        return False
    return "dropout" not in type(module).__name__.lower()


def _numbers(cell: Any) -> Iterator[Any]:
    """Yield a cell's time constants and voltages; they may be parameters of another module."""
    parameters = getattr(cell, "p", ())
    if isinstance(parameters, tuple):
        for value in parameters:
            yield from value if isinstance(value, tuple) else (value,)
