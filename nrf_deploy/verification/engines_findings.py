"""Findings of many runs for people: what is alike in several runs and layers is one block."""

from __future__ import annotations

from collections.abc import Iterator

from ..findings import Finding, error, merged
from .engines import Engines, Row

COUNT = "VERIFY-COUNT"
Layers = tuple[tuple[str, int, int], ...]
"""(layer, spikes of the run, spikes of the reference) of each that is beyond its limit."""


def told(found: Engines) -> list[Finding]:
    """Return the findings; spike counts that runs have in common are one finding."""
    counts = {id(f) for row in found.rows for f in row.findings if f.code == COUNT}
    return [*merged(f for f in found.findings if id(f) not in counts), *_counts(found)]


def _counts(found: Engines) -> Iterator[Finding]:
    alike: dict[tuple[str, Layers], list[str]] = {}
    for row in found.rows:
        for fix, layers in _by_fix(row).items():
            alike.setdefault((fix, layers), []).append(row.name)
    for (fix, layers), names in alike.items():
        beyond = ", ".join(_layer(found, *layer) for layer in layers)
        yield error(
            COUNT, f"spikes of {', '.join(names)}, for those of the reference: {beyond}", fix=fix
        )


def _by_fix(row: Row) -> dict[str, Layers]:
    held = {x.layer: x for x in row.against.layers}
    found: dict[str, Layers] = {}
    for f in row.findings:
        if f.code == COUNT and f.layer in held:
            x = held[f.layer]
            found[f.fix] = (*found.get(f.fix, ()), (x.layer, x.spikes_left, x.spikes_right))
    return found


def _layer(found: Engines, name: str, left: int, right: int) -> str:
    off, limit = abs(left - right) / max(right, 1), found.limits.of(name).spike_count_error
    return f"layer {name!r} {left:,} for {right:,} ({off:.1%} off, limit {limit:.0%})"
