"""How far each layer is off, what causes it, and every other number there is a layer."""

from __future__ import annotations

import math
from collections.abc import Mapping

from ..causes import Attribution
from ..comparison import Comparison, LayerComparison
from ..report import Report
from .html import Markup, name, section, table, tag
from .layers import Layers
from .raster import sides

Numbers = Mapping[str, Mapping[str, float | None]]
"""{layer: {what: value}}; None where it could not be measured."""


def errors(report: Report, layers: Layers) -> Markup:
    comparison = report.comparison
    left, right = sides(comparison)
    header = ("layer", "neurons", "steps", left, right, "differ", "off", "cosine", "exact")
    most = max((_off(c) or 0.0 for c in comparison.layers), default=0.0)
    rows = [
        (
            (layers.key(c.layer), " ", name(c.layer)),
            f"{math.prod(c.shape):,}",
            f"{c.steps:,}",
            *_counted(c),
            bar(_off(c), most),
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
            "differ: places (a neuron in a step) with unequal outputs; off: of the number of "
            "spikes, and of values their root mean square; cosine: of the mean activities.",
        ),
        _uncompared(comparison),
        _alone(report),
        _by_cause(report.attribution),
    )


def _counted(c: LayerComparison) -> tuple[str, str, str]:
    """How many values there are, and that they are not equal, says nothing."""
    if c.analogue:
        return "values", "values", "-"
    return f"{c.spikes_left:,}", f"{c.spikes_right:,}", f"{c.mismatches:,}"


def _alone(report: Report) -> list[Markup] | None:
    """What a layer adds itself, beside what it was given."""
    if report.alone is None or not report.alone.layers:
        return None
    by_itself = {c.layer: c for c in report.alone.layers}
    shares = {
        c.layer: {"in the run": _share(c), "alone": _share(by_itself[c.layer])}
        for c in report.comparison.layers
        if c.layer in by_itself
    }
    return [
        tag("h3", "In the run and alone"),
        numbers(
            "Places that differ, for a spike (of values, how far they are off)",
            shares,
            _most(shares),
        ),
        tag(
            "p",
            "In the run a layer also shows the errors of those before it; alone it was fed "
            "with what the other run gave.",
        ),
    ]


def _share(c: LayerComparison) -> float | None:
    return c.value_error if c.analogue else c.mismatches / max(c.spikes_right, 1)


def _by_cause(found: Attribution | None) -> list[Markup] | None:
    """Causes without any error are left out."""
    if found is None or not found.layers:
        return None
    named = dict.fromkeys(c for x in found.layers for c, off in x.causes.items() if off)
    shares = {
        x.layer: {"in all": x.error, **{c: x.causes.get(c, 0.0) for c in named}}
        for x in found.layers
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
            "Places that differ for a spike of the model; of values, how far they are off. "
            "Causes may hide one another: they need not add up.",
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
    """Distances in time, and by how many steps spikes moved."""
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
        numbers("Distances between the spikes of both runs, for a spike", distances),
        numbers(
            f"Spikes of {left}, by how many steps they are later than the nearest of {right}", moved
        ),
    )


def numbers(caption: str, found: Numbers, most: float | None = None) -> Markup:
    """A row a layer, a column a number; as bars where they are shares of one whole."""
    heads = list(dict.fromkeys(k for row in found.values() for k in row))
    rows = [
        (
            name(layer),
            *(bar(row.get(h), most) if most is not None else plain(row.get(h)) for h in heads),
        )
        for layer, row in found.items()
    ]
    return table(caption, ("layer", *map(name, heads)), rows, "l" + "r" * len(heads))


def plain(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.4g}" if isinstance(value, float) else f"{value:,}"


def bar(value: float | None, most: float) -> list[object]:
    """A share as a number, and as a bar beside it."""
    if value is None or not math.isfinite(value):
        return ["-" if value is None else str(value)]
    width = 60 * min(abs(value) / most, 1.0) if most else 0
    return [
        tag("span", class_="bar", aria_hidden="true", style=f"width:{width:.0f}px"),
        f"{value:.2%}",
    ]
