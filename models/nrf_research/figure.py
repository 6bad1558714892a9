"""Figure of the error of every tracker against velocity: the seeds' mean, best and worst."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape

import numpy as np

from nrf_models.covariant.description import Neuron, Tracker

Curves = Mapping[str, Mapping[float, Sequence[float]]]
"""Errors of the seeds, by tracker and velocity."""
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 680, 400, 60, 150, 40, 56
COLOURS: Mapping[Neuron, str] = {
    "li": "#1b6ca8",
    "lif": "#c8553d",
    "relu": "#6b6b6b",
    "relu-frames": "#588157",
}
TICKS = (0.5, 1, 2, 5, 10, 20, 50)


def figure(curves: Curves, trackers: Mapping[str, Tracker], trained: tuple[float, float]) -> str:
    """Draw the curves with logarithmic axes; velocities outside `trained` are shaded.

    The colour is the neuron's; trackers whose kernels start uniform are dashed.
    """
    velocities = sorted({v for curve in curves.values() for v in curve})
    every = [e for curve in curves.values() for seeds in curve.values() for e in seeds]
    low, high = _round(min(every), max(every))
    scale = _Scale(velocities[0], velocities[-1], low, high)
    title = "Error against velocity: mean, best and worst seed"
    text = (
        "Mean distance in pixels by velocity in pixels a step: "
        + "; ".join(f"{name} {_values_text(curve)}" for name, curve in curves.items())
        + "."
    )
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'font-family="sans-serif" role="img" width="{WIDTH}">',
        f"<title>{escape(title)}</title>",
        f"<desc>{escape(text)}</desc>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        *_shades(scale, trained),
        *_axes(scale, velocities, low, high),
        _text((LEFT + WIDTH - RIGHT) / 2, 22, title, size=14),
    ]
    for k, (name, curve) in enumerate(curves.items()):
        style = _style(trackers[name])
        parts += _curve(scale, curve, style)
        parts += _key(k, name, style)
    return "\n".join([*parts, "</svg>", ""])


class _Scale:
    """Scale from velocity and error to the page."""

    def __init__(self, left: float, right: float, low: float, high: float):
        self.x = math.log(left), math.log(right)
        self.y = math.log(low), math.log(high)

    def __call__(self, velocity: float, error: float) -> tuple[float, float]:
        x = (math.log(velocity) - self.x[0]) / (self.x[1] - self.x[0])
        y = (math.log(error) - self.y[0]) / (self.y[1] - self.y[0])
        inner = 14  # so that no mark stands on the frame
        return (
            LEFT + inner + x * (WIDTH - LEFT - RIGHT - 2 * inner),
            HEIGHT - BOTTOM - y * (HEIGHT - TOP - BOTTOM),
        )


def _round(low: float, high: float) -> tuple[float, float]:
    """Return the nearest ticks below and above, if there are any."""
    below, above = [t for t in TICKS if t <= low], [t for t in TICKS if t >= high]
    return max(below, default=low), min(above, default=high)


def _values_text(curve: Mapping[float, Sequence[float]]) -> str:
    return ", ".join(f"{np.mean(seeds):.1f} at {v:g}" for v, seeds in sorted(curve.items()))


def _shades(scale: _Scale, trained: tuple[float, float]) -> Iterator[str]:
    edges = [scale(v, math.exp(scale.y[0]))[0] for v in trained]
    for left, right in ((LEFT, edges[0]), (edges[1], WIDTH - RIGHT)):
        if right > left:
            yield (
                f'<rect x="{left:.1f}" y="{TOP}" width="{right - left:.1f}" '
                f'height="{HEIGHT - TOP - BOTTOM}" fill="#f1f1f1"/>'
            )
    yield _text(WIDTH - RIGHT + 12, HEIGHT - BOTTOM - 4, "grey: not trained", "start", size=11)


def _axes(scale: _Scale, velocities: Sequence[float], low: float, high: float) -> Iterator[str]:
    for tick in (t for t in TICKS if low <= t <= high):
        _, y = scale(velocities[0], tick)
        yield _line(LEFT, y, WIDTH - RIGHT, y)
        yield _text(LEFT - 8, y + 4, f"{tick:g}", "end")
    for v in velocities:
        x, _ = scale(v, low)
        yield _line(x, TOP, x, HEIGHT - BOTTOM)
        yield _text(x, HEIGHT - BOTTOM + 18, f"{v:g}")
    yield _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 14, "velocity (pixels a step)")
    middle = (TOP + HEIGHT - BOTTOM) / 2
    yield _text(18, middle, "error (pixels)", more=f' transform="rotate(-90 18 {middle:g})"')


def _curve(
    scale: _Scale, curve: Mapping[float, Sequence[float]], style: tuple[str, str]
) -> Iterator[str]:
    colour, dash = style
    order = sorted(curve)
    upper = [scale(v, max(curve[v])) for v in order]
    lower = [scale(v, min(curve[v])) for v in reversed(order)]
    yield f'<polygon points="{_points([*upper, *lower])}" fill="{colour}" opacity="0.15"/>'
    middle = [scale(v, float(np.mean(curve[v]))) for v in order]
    yield (
        f'<polyline points="{_points(middle)}" fill="none" stroke="{colour}" '
        f'stroke-width="2"{dash}/>'
    )
    dots = (f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3"/>' for x, y in middle)
    yield f'<g fill="{colour}">{"".join(dots)}</g>'


def _key(k: int, name: str, style: tuple[str, str]) -> Iterator[str]:
    colour, dash = style
    x, y = WIDTH - RIGHT + 12, TOP + 10 + 20 * k
    yield f'<path d="M{x} {y}h26" stroke="{colour}" stroke-width="2"{dash}/>'
    yield _text(x + 34, y + 4, name, "start")


def _style(tracker: Tracker) -> tuple[str, str]:
    uniform = tracker.remembers and tracker.space == "uniform"
    return COLOURS[tracker.neuron], ' stroke-dasharray="6 4"' if uniform else ""


def _points(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}" stroke="#d8d8d8"/>'


def _text(
    x: float, y: float, words: str, anchor: str = "middle", size: int = 12, more: str = ""
) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}"'
    return f'<text {place} fill="#333333"{more}>{escape(words)}</text>'
