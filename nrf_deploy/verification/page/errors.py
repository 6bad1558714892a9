"""How far each layer is off, what causes it, and every other number there is a layer."""

from __future__ import annotations

import math
from collections.abc import Mapping

from ..comparison import Comparison, LayerComparison
from .html import Markup, name, section, table, tag
from .layers import Layers
from .raster import sides

Numbers = Mapping[str, Mapping[str, float | None]]
"""{layer: {what: value}}; None where it could not be measured."""


def errors(comparison: Comparison, layers: Layers, causes: Numbers | None) -> Markup:
    left, right = sides(comparison)
    header = ("layer", "neurons", "steps", left, right, "differ", "off", "cosine", "exact")
    most = max((_off(c) or 0.0 for c in comparison.layers), default=0.0)
    rows = [
        (
            (layers.key(c.layer), " ", name(c.layer)),
            f"{math.prod(c.shape):,}",
            f"{c.steps:,}",
            f"{c.spikes_left:,}",
            f"{c.spikes_right:,}",
            f"{c.mismatches:,}",
            bar(_off(c), most),
            "-" if c.cosine is None else f"{c.cosine:.4f}",
            {True: "yes", False: "no", None: "-"}[c.exact],
        )
        for c in comparison.layers
    ]  # fmt: skip
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
        _by_cause(causes) if causes else None,
    )


def _off(c: LayerComparison) -> float | None:
    return c.value_error if c.analogue else c.count_error


def _uncompared(comparison: Comparison) -> Markup | None:
    if not comparison.uncompared:
        return None
    names = ", ".join(map(name, comparison.uncompared))
    return tag("p", f"Not compared, as one run or both recorded no output: {names}.")


def _by_cause(causes: Numbers) -> list[Markup]:
    most = max(
        (abs(v) for row in causes.values() for v in row.values() if v is not None), default=0.0
    )
    return [
        tag("h3", "By cause"),
        numbers("The error of each layer with one cause switched on at a time", causes, most),
    ]


def metrics(found: Numbers) -> Markup:
    return section("metrics", "Metrics", numbers("Every metric of every layer", found))


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
    return "-" if value is None else f"{value:,.4g}"


def bar(value: float | None, most: float) -> list[object]:
    """A share as a number, and as a bar beside it."""
    if value is None or not math.isfinite(value):
        return ["-" if value is None else str(value)]
    width = 60 * min(abs(value) / most, 1.0) if most else 0
    return [
        tag("span", class_="bar", aria_hidden="true", style=f"width:{width:.0f}px"),
        f"{value:.2%}",
    ]
