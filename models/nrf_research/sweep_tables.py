"""Sections of the model card about the sweeps: ladders of time constants, and starts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from nrf_models.covariant.description import NEURONS, Config

from .sweep import LADDERS, Row
from .sweep import starts as variants

TIMES = """
## Time constants

Found, not assumed: the same tracker with each ladder, after {batches} batches. Mean error in pixels
over {seeds} seeds (best-worst) by velocity; the last column is the mean over the velocities of
training. The last ladder of each tracker is the paper's. Best in the last column: {best}.
"""
STARTS = """
## What the start does

The kernels of the first block, and the time constants, by theory or uniform: each alone and both,
after {batches} batches, {seeds} seeds. A short training shows a start best; the first table of this
page shows what is left of it after a whole one. Over the velocities of training:

{effects}
"""
Label = tuple[str, ...]
Groups = Mapping[Label, Sequence[Row]]


def times(swept: Sequence[Row], trained: Sequence[float]) -> Iterator[str]:
    """Yield the section on ladders, from trackers with every ladder and starts by theory."""
    groups = _grouped([r for r in swept if _start(r) == ("theory", "theory")], _ladder)
    if not set(LADDERS) <= {r.config.tracker.time_constants for g in groups.values() for r in g}:
        return
    best = []
    for neuron in dict.fromkeys(label[0] for label in groups):
        away = {label[1]: _over(g, trained) for label, g in groups.items() if label[0] == neuron}
        best.append(f"{{{min(away, key=lambda name: away[name])}}} for {neuron}")
    yield TIMES.format(**_counts(groups), best="; ".join(best))
    yield from _table(("tracker", "time constants"), groups, trained)


def starts(swept: Sequence[Row], trained: Sequence[float]) -> Iterator[str]:
    """Yield the section on starts, from trackers with every start.

    It uses the rows whose ladder the uniform starts have too.
    """
    ladders = {r.config.tracker.time_constants for r in swept if _start(r) != ("theory", "theory")}
    rows = [r for r in swept if r.config.tracker.time_constants in ladders]
    tried = {_named(r.config) for r in rows}
    whole = [r for r in rows if tried >= {_named(c) for c in variants(r.config)}]
    groups = _grouped(whole, _start)
    if not groups:
        return
    effects = "\n".join(_effects(groups, trained))
    yield STARTS.format(**_counts(groups), effects=effects)
    shown: Groups = {
        (neuron, space, time if neuron in ("li", "lif") else "none"): group
        for (neuron, space, time), group in groups.items()
    }
    yield from _table(("tracker", "kernels", "time constants"), shown, trained)


def spread(errors: Sequence[float], digits: int = 1) -> str:
    """Return the mean, and the best and the worst, as text."""
    low, high = f"{min(errors):.{digits}f}", f"{max(errors):.{digits}f}"
    return f"{np.mean(errors):.{digits}f}" + (f" ({low}-{high})" if len(errors) > 1 else "")


def _effects(groups: Groups, trained: Sequence[float]) -> Iterator[str]:
    """Yield the effect of each part of a start, by tracker."""
    for neuron in dict.fromkeys(label[0] for label in groups):
        theory = _over(groups[neuron, "theory", "theory"], trained)
        parts = (("kernels", "uniform", "theory"), ("time constants", "theory", "uniform"))
        for what, *start in parts:
            if (neuron, *start) in groups:
                other = _over(groups[neuron, *start], trained)
                more = round(100 * (other / theory - 1))
                yield (
                    f"- {neuron}, uniform {what} alone: {other:.2f} px where theory has "
                    f"{theory:.2f} ({f'{more:+}' if more else '0'} %)."
                )


def _table(head: Label, groups: Groups, trained: Sequence[float]) -> Iterator[str]:
    velocities = sorted(map(float, next(iter(groups.values()))[0].errors))
    yield f"| {' | '.join((*head, *(f'{v:g}' for v in velocities)))} | mean |"
    yield f"|{'---|' * (len(head) + len(velocities) + 1)}"
    for label, group in groups.items():
        cells = [spread([r.errors[f"{v:g}"] for r in group]) for v in velocities]
        whole = spread([_over([row], trained) for row in group], 2)
        yield f"| {' | '.join((*label, *cells))} | {whole} |"


def _grouped(swept: Sequence[Row], label: Callable[[Row], Label]) -> Groups:
    """Group rows by tracker and label, with only the seeds that all groups have."""
    groups: dict[Label, list[Row]] = {}
    for row in sorted(swept, key=lambda r: NEURONS.index(r.config.tracker.neuron)):
        groups.setdefault((row.config.tracker.neuron, *label(row)), []).append(row)
    seeds = [{_seed(row) for row in group} for group in groups.values()]
    common = set[int]().union(*seeds).intersection(*seeds)
    shared = {name: [r for r in group if _seed(r) in common] for name, group in groups.items()}
    return shared if common else {}


def _seed(row: Row) -> int:
    return row.config.training.seed


def _ladder(row: Row) -> Label:
    return (", ".join(f"{mu:g}" for mu in row.config.tracker.time_constants),)


def _start(row: Row) -> Label:
    return _named(row.config)[1:]


def _named(config: Config) -> Label:
    return config.tracker.neuron, config.tracker.space, config.tracker.time


def _over(group: Sequence[Row], velocities: Sequence[float]) -> float:
    return float(np.mean([[r.errors[f"{v:g}"] for v in velocities] for r in group]))


def _counts(groups: Groups) -> dict[str, str]:
    """Return the numbers of batches and seeds; refuse trainings of several lengths."""
    batches = {r.config.training.batches for g in groups.values() for r in g}
    seeds = {len(g) for g in groups.values()}
    if len(batches) > 1:
        raise ValueError(
            f"sweeps of {sorted(batches)} batches cannot share a table: write them to two files"
        )
    return {"batches": str(batches.pop()), "seeds": str(seeds.pop())}
