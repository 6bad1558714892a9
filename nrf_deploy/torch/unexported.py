"""Parts of a module that are in no layer of the exported graph."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nrf_deploy.diagnostics.findings import Finding, error

from .cells import is_cell
from .connections import is_layer
from .trace import Step

SHOWN = 8


def lost(module: Any, step: Step) -> Iterator[Finding]:
    """Yield an error for parameters, buffers of layers, and cells that are not in the graph."""
    from .delay import is_delay

    called = [c.module for c in step.calls if c.module is not None]
    exported = {id(t) for m in called for t in (*m.parameters(), *m.buffers(), *_numbers(m))}
    inside = {id(m) for whole in called for m in whole.modules()}
    names = [n for n, p in module.named_parameters() if id(p) not in exported]
    for name, layer in module.named_modules():
        if id(layer) in inside:
            continue
        if is_layer(layer):
            names += [f"{name}.{n}" for n, b in layer.named_buffers() if id(b) not in exported]
        elif is_cell(layer) or is_delay(layer):
            names.append(name)
    if names:
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        yield error(
            "EXPORT-LOST",
            f"{', '.join(names[:SHOWN])}{more} {'are' if names[1:] else 'is'} in no exported layer",
            layer=names[0].rpartition(".")[0] or None,
            why="the output of the first step, where the state is None, does not depend on it; a "
            "connection that works from the second step on (recurrence) cannot be exported",
            fix="train without this connection, or delete the attribute if no output needs it",
        )


def _numbers(cell: Any) -> Iterator[Any]:
    """Yield a cell's time constants and voltages; they may be parameters of another module."""
    yield from getattr(cell, "p", ()) if is_cell(cell) else ()
