"""Findings of many runs as text: equal ones of several runs and layers are one block."""

from __future__ import annotations

from collections.abc import Iterator

from nrf_deploy.diagnostics.findings import Finding, error, merged

from .compare_engines import Engines, Row

COUNT = "VERIFY-COUNT"
Layers = tuple[tuple[str, int, int], ...]
"""Layers beyond their limit: (layer, spikes of the run, spikes of the reference)."""


def shown_findings(engines_result: Engines) -> list[Finding]:
    """Return the findings; spike counts that runs have in common are one finding."""
    counts = {id(f) for row in engines_result.rows for f in row.findings if f.code == COUNT}
    return [
        *merged(f for f in engines_result.findings if id(f) not in counts),
        *_counts(engines_result),
    ]


def _counts(engines_result: Engines) -> Iterator[Finding]:
    alike: dict[tuple[str, Layers], list[str]] = {}
    for row in engines_result.rows:
        for fix, layers in _by_fix(row).items():
            alike.setdefault((fix, layers), []).append(row.name)
    for (fix, layers), names in alike.items():
        beyond = ", ".join(_layer(engines_result, *layer) for layer in layers)
        yield error(
            COUNT, f"spikes of {', '.join(names)}, for those of the reference: {beyond}", fix=fix
        )


def _by_fix(row: Row) -> dict[str, Layers]:
    layers_of = {x.layer: x for x in row.against.layers}
    by_fix: dict[str, Layers] = {}
    for f in row.findings:
        if f.code == COUNT and f.layer in layers_of:
            x = layers_of[f.layer]
            by_fix[f.fix] = (*by_fix.get(f.fix, ()), (x.layer, x.spikes_left, x.spikes_right))
    return by_fix


def _layer(engines_result: Engines, name: str, left: int, right: int) -> str:
    off, limit = abs(left - right) / max(right, 1), engines_result.limits.of(name).spike_count_error
    return f"layer {name!r} {left:,} for {right:,} ({off:.1%} off, limit {limit:.0%})"
