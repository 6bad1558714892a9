"""Errors of each layer, their causes, and the other numbers of a layer."""

from __future__ import annotations

import math
from collections.abc import Mapping

from nrf_deploy.compare.comparison import Comparison, LayerComparison
from nrf_deploy.verification.attribution.causes import Attribution

from ..report import Report
from .html import Markup, name, section, table, tag
from .layer_labels import Layers
from .raster import sides

Numbers = Mapping[str, Mapping[str, float | None]]
"""Values by layer and quantity; None if one was not measured."""


def errors(report: Report, layers: Layers) -> Markup:
    comparison = report.comparison
    left, right = sides(comparison)
    header = ("layer", "neurons", "steps", left, right, "differ", "off", "cosine", "exact")
    largest = max((_off(c) or 0.0 for c in comparison.layers), default=0.0)
    rows = [
        (
            (layers.key(c.layer), " ", name(c.layer)),
            f"{math.prod(c.shape):,}",
            f"{c.steps:,}",
            *_counted(c),
            bar(_off(c), largest),
            "-" if c.cosine is None else f"{c.cosine:.4f}",
            {True: "yes", False: "no", None: "-"}[c.exact],
        )
        for c in comparison.layers
    ]
    return section(
        "error",
        "Error by layer",
        table(f"Every layer in both runs: {left} against {right}", header, rows, "lrrrrrrrl"),
        tag(
            "p",
            "differ: mismatches (a neuron and step whose outputs differ); off: relative error of "
            "the spike count, or root mean square of values; cosine: of the mean activities.",
        ),
        _uncompared(comparison),
        _alone(report),
        _by_cause(report.attribution),
    )


def _counted(c: LayerComparison) -> tuple[str, str, str]:
    """Return the counts of spikes and mismatches; counts of values would say nothing."""
    if c.analogue:
        return "values", "values", "-"
    return f"{c.spikes_left:,}", f"{c.spikes_right:,}", f"{c.mismatches:,}"


def _alone(report: Report) -> list[Markup] | None:
    """Return each layer's error in the run, and in isolation (fed by the other run)."""
    if report.alone is None or not report.alone.layers:
        return None
    isolated = {c.layer: c for c in report.alone.layers}
    shares = {
        c.layer: {"in the run": _share(c), "in isolation": _share(isolated[c.layer])}
        for c in report.comparison.layers
        if c.layer in isolated
    }
    return [
        tag("h3", "In the run and in isolation"),
        numbers(
            "Mismatches per spike (of values: the relative error)",
            shares,
            _most(shares),
        ),
        tag(
            "p",
            "In the run a layer also shows the errors of the layers before it; in isolation its "
            "input is that of the other run.",
        ),
    ]


def _share(c: LayerComparison) -> float | None:
    return c.value_error if c.analogue else c.mismatches / max(c.spikes_right, 1)


def _by_cause(attribution: Attribution | None) -> list[Markup] | None:
    """Return the errors by cause; causes without an error are left out."""
    if attribution is None or not attribution.layers:
        return None
    named = dict.fromkeys(c for x in attribution.layers for c, off in x.causes.items() if off)
    shares = {
        x.layer: {"in all": x.error, **{c: x.causes.get(c, 0.0) for c in named}}
        for x in attribution.layers
    }
    return [
        tag("h3", "By cause"),
        numbers(
            "Each layer fed by the reference: in all, and with one cause at a time",
            shares,
            _most(shares),
        ),
        tag(
            "p",
            "Mismatches per spike of the model; of values, the relative error. Causes may hide one "
            "another, so their sum need not be the total.",
        ),
    ]


def _most(shares: Numbers) -> float:
    return max((v for row in shares.values() for v in row.values() if v is not None), default=0.0)


def _off(c: LayerComparison) -> float | None:
    return c.value_error if c.analogue else c.count_error


def _uncompared(comparison: Comparison) -> Markup | None:
    if not comparison.uncompared:
        return None
    names = ", ".join(map(name, comparison.uncompared))
    return tag("p", f"Not compared, as one run or both recorded no output: {names}.")


def metrics(comparison: Comparison) -> Markup | None:
    """Return the distances of spikes in time, and the steps by which they moved."""
    times = {c.layer: c.timing for c in comparison.layers if c.timing is not None}
    if not times:
        return None
    distances = {
        layer: {"van Rossum": t.van_rossum, "Victor-Purpura": t.victor_purpura}
        for layer, t in times.items()
    }
    steps = sorted({step for t in times.values() for step in t.offsets})
    moved = {
        layer: {
            **{f"{step:+d}" if step else "0": t.offsets.get(step, 0) for step in steps},
            "none near": t.alone,
        }
        for layer, t in times.items()
    }
    left, right = sides(comparison)
    return section(
        "metrics",
        "Metrics",
        numbers("Distances between the spikes of both runs, per spike", distances),
        numbers(
            f"Spikes of {left}, by how many steps they are later than the nearest of {right}", moved
        ),
    )


def numbers(caption: str, rows_of: Numbers, largest: float | None = None) -> Markup:
    """Return a table with a row for each layer and a column for each number or share."""
    heads = list(dict.fromkeys(k for row in rows_of.values() for k in row))
    rows = [
        (
            name(layer),
            *(
                bar(row.get(h), largest) if largest is not None else plain(row.get(h))
                for h in heads
            ),
        )
        for layer, row in rows_of.items()
    ]
    return table(caption, ("layer", *map(name, heads)), rows, "l" + "r" * len(heads))


def plain(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.4g}" if isinstance(value, float) else f"{value:,}"


def bar(value: float | None, largest: float) -> list[object]:
    """Return a share as a bar and a number."""
    if value is None or not math.isfinite(value):
        return ["-" if value is None else str(value)]
    width = 60 * min(abs(value) / largest, 1.0) if largest else 0
    return [
        tag("span", class_="bar", aria_hidden="true", style=f"width:{width:.0f}px"),
        f"{value:.2%}",
    ]
