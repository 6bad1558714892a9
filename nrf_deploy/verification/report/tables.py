"""Further tables of a report: errors in whole runs and in isolation, and their causes."""

from __future__ import annotations

from collections.abc import Iterator

from nrf_deploy.compare.comparison import Comparison, LayerComparison
from nrf_deploy.diagnostics.text import table, wrap

from ..attribution.causes import Attribution

ALONE = (
    "run: mismatches per spike, with the errors of the layers before it; alone: the same in "
    "isolation, fed by the other run; moves: Victor and Purpura's per spike; cosine: of the "
    "activities"
)
CAUSES = (
    "mismatches per spike of the model, each layer fed by the reference: in all, and "
    "with one kind of the chip's numbers at a time"
)


def explained(
    whole: Comparison, isolated_layers: Comparison | None, shares: Attribution | None
) -> Iterator[str]:
    if isolated_layers is not None and isolated_layers.layers:
        yield errors_table(whole, isolated_layers)
        yield wrap(ALONE)
    if shares is not None and shares.layers:
        yield causes_table(shares)
        yield wrap(CAUSES)


def errors_table(whole: Comparison, isolated_layers: Comparison) -> str:
    isolated = {layer.layer: layer for layer in isolated_layers.layers}
    rows = [
        (x.layer, *_error(x), *_error(isolated[x.layer]))
        for x in whole.layers
        if x.layer in isolated
    ]
    header = ("layer", "run", "run moves", "run cosine", "alone", "alone moves", "alone cosine")
    return table(header, rows, "lrrrrrr", names=True)


def _error(layer: LayerComparison) -> tuple[str, str, str]:
    cosine = "-" if layer.cosine is None else f"{layer.cosine:.4f}"
    if layer.analogue:
        off = "-" if layer.value_error is None else f"{layer.value_error:.2%}"
        return off, "-", cosine
    moves = "-" if layer.timing is None else f"{layer.timing.victor_purpura:.3f}"
    return f"{layer.mismatches / max(layer.spikes_right, 1):.3f}", moves, cosine


def causes_table(shares: Attribution) -> str:
    """Return the table of causes; causes without an error are left out."""
    named = [
        cause
        for cause in dict.fromkeys(c for x in shares.layers for c in x.causes)
        if any(x.causes.get(cause) for x in shares.layers)
    ]
    rows = [
        (x.layer, f"{x.error:.3g}", *(f"{x.causes.get(c, 0):.3g}" for c in named))
        for x in shares.layers
    ]
    return table(("layer", "in all", *named), rows, "lr" + "r" * len(named), names=True)
