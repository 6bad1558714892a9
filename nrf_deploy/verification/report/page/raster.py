"""Rasters: both runs of a layer, and below them their differences."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from nrf_deploy.bundle.bundle import Bundle
from nrf_deploy.bundle.pipeline import unit
from nrf_deploy.compare.alignment import Window, window
from nrf_deploy.compare.comparison import Comparison, Divergence, LayerComparison
from nrf_deploy.compare.units import an_event
from nrf_deploy.diagnostics.text import dims
from nrf_deploy.ir.network import Array
from nrf_deploy.ir.recording import Trace
from nrf_deploy.verification.judge import output_or_state

from .bins import Grid, Pictures, levels, spikes, values
from .html import Markup, name, scrolled, section, tag
from .layer_labels import Layers
from .png import Colour, data_uri

PIXELS = 450_000
"""Limit of the pixels of all pictures: at half a byte each, about 300 kB as text."""
COLUMNS, ROWS = 640, 120
OPEN = 12
"""Number of layers from which layers without a difference are folded."""
LEFT, RIGHT, BOTH = (37, 112, 201), (190, 98, 0), (192, 38, 170)
EDGE, WIDTH, TICKS = 118.0, 1000.0, 8

Rgb = tuple[int, int, int]


def _shades(rgb: Rgb, count: int, faintest: int) -> list[Colour]:
    step = (255 - faintest) / max(count - 1, 1)
    return [(*rgb, round(faintest + step * k)) for k in range(count)]


CLEAR: Colour = (0, 0, 0, 0)
DENSITY = 8
OFF = 5  # shades of a difference
SIDES = [[CLEAR, *_shades(rgb, DENSITY, 70)] for rgb in (LEFT, RIGHT)]
DIFFERENCE = [CLEAR, *(c for rgb in (LEFT, RIGHT, BOTH) for c in _shades(rgb, OFF, 140))]


def rasters(comparison: Comparison, traces: tuple[Trace, Trace], layers: Layers) -> Markup:
    compared = [c for c in comparison.layers if c.steps]
    room = PIXELS // (3 * max(len(compared), 1))
    figures = [
        _folded(c, _figure(comparison, c, traces, layers, room), k, layers)
        for k, c in enumerate(compared)
    ]
    none = tag("p", "No layer has steps that both runs share.") if not figures else None
    return section(
        "runs",
        "Both runs",
        tag(
            "p",
            "Steps go to the right, neurons go down. If several share a point, their outputs are "
            "added, and a stronger colour is more. The steps are the model's: the latency of "
            "each run is subtracted.",
        ),
        _legend(comparison),
        none,
        figures,
    )


def _legend(c: Comparison) -> Markup:
    left, right = sides(c)
    entries = ((LEFT, f"{left}, or only there"), (RIGHT, f"{right}, or only there"),
            (BOTH, "differences of both kinds on one point"))  # fmt: skip
    return tag(
        "ul",
        (
            tag("li", tag("span", class_="swatch", style=f"background:rgb{rgb}"), words)
            for rgb, words in entries
        ),
        class_="legend",
    )


def sides(c: Comparison) -> tuple[str, str]:
    """Return the engines' names, made different if they are equal."""
    left, right = name(c.left, 24), name(c.right, 24)
    return (left, right) if left != right else (f"{left} (left)", f"{right} (right)")


def _folded(c: LayerComparison, figure: Markup, k: int, layers: Layers) -> Markup:
    number = layers.numbers.get(c.layer, k + 1)
    n = c.mismatches
    differ = "1 mismatch" if n == 1 else f"{n:,} mismatches" if n else "no difference"
    if c.analogue:
        off = "unknown" if c.value_error is None else f"{c.value_error:.2%}"
        differ = f"values, {off} off"
    head = tag("h3", f"{number}. {name(c.layer)} ", tag("small", f"{dims(c.shape)}, {differ}"))
    return tag("details", tag("summary", head), figure, open=k < OPEN or bool(c.mismatches))


def _figure(
    comparison: Comparison,
    c: LayerComparison,
    traces: tuple[Trace, Trace],
    layers: Layers,
    room: int,
) -> Markup:
    late = (c.latency_left, c.latency_right)
    a, b = (window(t.outputs[c.layer], k, c.steps) for t, k in zip(traces, late, strict=True))
    grid = Grid.of(c.steps, a.size, *_room(room, c.steps))
    if c.analogue:
        pictures = values(grid, *_in_units(layers.bundle, c, a, b))
    else:
        pictures = spikes(grid, a, b)
    panels = list(_panels(comparison, c, pictures))
    return tag(
        "figure",
        scrolled(f"rasters of {name(c.layer)}", _svg(c, pictures.grid, panels)),
        tag("figcaption", _caption(comparison, c)),
    )


def _room(room: int, steps: int) -> tuple[int, int]:
    """Return columns and rows of a picture of at most `room` points, near its shown height."""
    columns = min(COLUMNS, steps, max(40, math.isqrt(room * 6)))
    return columns, max(1, min(ROWS, room // columns))


def _in_units(bundle: Bundle, c: LayerComparison, a: Window, b: Window) -> Iterator[Window]:
    """Yield both sides; integers in the model's units if their scale is known."""
    scale = unit(bundle, c.layer)
    for w in (a, b):
        if scale is None or w.value.dtype.kind == "f":
            yield w
        else:
            yield replace(w, value=w.value / an_event(scale, c.shape, w.index))


@dataclass(frozen=True, eq=False)
class Panel:
    title: str
    more: str
    uri: str


def _panels(comparison: Comparison, c: LayerComparison, p: Pictures) -> Iterator[Panel]:
    top = float(max(np.abs(p.left).max(initial=0), np.abs(p.right).max(initial=0)))
    counts = (c.spikes_left, c.spikes_right)
    what = "values" if c.analogue else "spikes"
    for title, density, colours, count in zip(
        sides(comparison), (p.left, p.right), SIDES, counts, strict=True
    ):
        yield Panel(title, f"{count:,} {what}", data_uri(levels(density, DENSITY, top), colours))
    yield Panel(
        "difference", f"{c.mismatches:,} places", data_uri(_off(p, c.analogue, top), DIFFERENCE)
    )


def _off(p: Pictures, analogue: bool, top: float) -> Array:
    """Return indices of colours: only left, only right, or both.

    Values are never quite equal: differences below a hundredth of the largest are left out.
    """
    left, right = p.left_only, p.right_only
    if analogue:
        left, right = (np.where(x > top / 100, x, 0) for x in (left, right))
    largest = top if analogue else None
    code = levels(left + right, OFF, largest)
    side = np.where(right == 0, 0, np.where(left == 0, 1, 2))
    return np.where(code > 0, code + OFF * side, 0).astype(np.uint8)


def _svg(c: LayerComparison, grid: Grid, panels: Sequence[Panel]) -> Markup:
    height = float(min(max(grid.rows * 6, 36), 110))
    parts: list[Markup] = []
    for k, panel in enumerate(panels):
        y = 4 + k * (height + 8)
        parts += [
            tag("text", panel.title, x=0, y=y + height / 2 - 2, class_="label strong"),
            tag("text", panel.more, x=0, y=y + height / 2 + 13, class_="label"),
            tag("rect", x=EDGE, y=y, width=WIDTH, height=height, class_="ground"),
            tag("image", href=panel.uri, x=EDGE, y=y, width=WIDTH, height=height,
                preserveAspectRatio="none"),
        ]  # fmt: skip
        if c.first is not None:
            parts += _mark(c.first, c, grid, y, height)
    foot = 4 + len(panels) * (height + 8)
    parts += _axis(c.steps, foot)
    total = foot + 30
    return tag(
        "svg",
        tag("title", f"rasters of {name(c.layer)} in both runs; the caption has the same numbers"),
        parts,
        class_="raster",
        role="img",
        viewBox=f"0 0 {EDGE + WIDTH + 24:g} {total:g}",
        width=round(EDGE + WIDTH + 24),
        height=round(total),
    )


def _mark(
    first: Divergence, c: LayerComparison, grid: Grid, y: float, height: float
) -> Iterator[Markup]:
    """Yield a line at the step and a ring around the neuron of the first mismatch."""
    neuron = int(np.ravel_multi_index(first.neuron, c.shape))
    x = EDGE + (grid.column(first.step) + 0.5) * WIDTH / grid.columns
    down = y + (grid.row(neuron) + 0.5) * height / grid.rows
    yield tag("line", x1=x, x2=x, y1=y - 4, y2=y + height + 4, class_="mark")
    yield tag("circle", cx=x, cy=down, r=6, class_="mark")


def _axis(steps: int, y: float) -> Iterator[Markup]:
    for step in _ticks(steps):
        x = EDGE + step * WIDTH / steps
        yield tag("line", x1=x, x2=x, y1=y - 4, y2=y + 1, class_="tick")
        yield tag("text", f"{step:,}", x=x, y=y + 14, class_="label mid")
    yield tag("text", "step", x=0, y=y + 14, class_="label")


def _ticks(steps: int) -> list[int]:
    """Return about eight round steps."""
    raw = max(steps / TICKS, 1)
    power = 10 ** math.floor(math.log10(raw))
    unit = next(power * k for k in (1, 2, 5, 10) if power * k >= raw)
    return list(range(0, steps + 1, unit))


def _caption(comparison: Comparison, c: LayerComparison) -> str:
    left, right = sides(comparison)
    text = f"{left}: {c.spikes_left:,} events; {right}: {c.spikes_right:,}; {c.steps:,} steps. "
    if c.first is None:
        return text + ("Only values were compared." if c.analogue else "They agree everywhere.")
    return text + (
        f"The dashed line and the rings: the first difference, at step {c.first.step:,}, "
        f"neuron {c.first.neuron}, in {output_or_state(c.first.variable)}."
    )
