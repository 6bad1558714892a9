"""Small pictures with logarithmic axes, as SVG: lines, marks and roofs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

Points = Sequence[tuple[float, float]]
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 560, 360, 76, 16, 34, 52
COLOURS = ("#1b6ca8", "#7b4b94", "#b07d2b", "#444444")
OWN = {"emulator": "#c8553d", "C loop": "#588157"}
"""Colours by name, so that a peer has the same colour in all pictures."""


@dataclass(frozen=True)
class Axis:
    name: str
    low: float
    high: float

    @staticmethod
    def of(name: str, values: Sequence[float]) -> Axis:
        """Return an axis over whole powers of ten around the values."""
        low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
        return Axis(name, low, high if high > low else low + 1)

    def place(self, value: float) -> float:
        return (math.log10(value) - self.low) / (self.high - self.low)


def picture(
    title: str,
    x_name: str,
    y_name: str,
    lines: Mapping[str, Points],
    marks: Mapping[str, Points] | None = None,
    names: Sequence[tuple[float, float, str]] = (),
) -> str:
    """Draw `lines` through points, `marks` as points, and `names` as words at points."""
    marks = marks or {}
    every = [p for points in (*lines.values(), *marks.values()) for p in points]
    x, y = Axis.of(x_name, [p[0] for p in every]), Axis.of(y_name, [p[1] for p in every])
    parts = [_frame(title, x, y)]
    for k, (name, points) in enumerate((*lines.items(), *marks.items())):
        at = [_at(x, y, point) for point in points]
        colour = OWN.get(name, COLOURS[k % len(COLOURS)])
        if name in lines:
            path = " ".join(f"{px:.1f},{py:.1f}" for px, py in at)
            style = f'fill="none" stroke="{colour}" stroke-width="2"'
            parts.append(f'<polyline points="{path}" {style}/>')
        dots = (f'<circle cx="{px:.1f}" cy="{py:.1f}" r="4"/>' for px, py in at)
        parts.append(f'<g fill="{colour}">{"".join(dots)}</g>')
        parts.append(_text(LEFT + 12, TOP + 18 + 16 * k, name, fill=colour))
    named = [(*_at(x, y, (px, py)), words) for px, py, words in names]
    for ax, ay, words in named:
        beside = any(0 < bx - ax < 90 and abs(by - ay) < 12 for bx, by, _ in named)
        end = "end" if beside or ax > WIDTH - 130 else "start"
        parts.append(_text(ax + (-7 if end == "end" else 7), ay + 4, words, anchor=end, size=11))
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
    return "\n".join([head + f'font-family="sans-serif" width="{WIDTH}">', *parts, "</svg>", ""])


def _at(x: Axis, y: Axis, point: tuple[float, float]) -> tuple[float, float]:
    across = LEFT + x.place(point[0]) * (WIDTH - LEFT - RIGHT)
    return across, HEIGHT - BOTTOM - y.place(point[1]) * (HEIGHT - TOP - BOTTOM)


def _frame(title: str, x: Axis, y: Axis) -> str:
    floor = HEIGHT - BOTTOM
    parts = [f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>']
    for power in range(int(x.low), int(x.high) + 1):
        px = LEFT + (power - x.low) / (x.high - x.low) * (WIDTH - LEFT - RIGHT)
        parts.append(_line(px, TOP, px, floor))
        parts.append(_text(px, floor + 16, _power(power), anchor="middle"))
    for power in range(int(y.low), int(y.high) + 1):
        py = floor - (power - y.low) / (y.high - y.low) * (floor - TOP)
        parts.append(_line(LEFT, py, WIDTH - RIGHT, py))
        parts.append(_text(LEFT - 6, py + 4, _power(power), anchor="end"))
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(_text(middle, HEIGHT - 12, x.name, anchor="middle"))
    parts.append(_text(middle, 20, title, anchor="middle", size=14))
    turned = f'transform="rotate(-90 16 {(TOP + floor) / 2})"'
    parts.append(_text(16, (TOP + floor) / 2, y.name, anchor="middle", more=turned))
    return "\n".join(parts)


def _power(power: int) -> str:
    return f"{10**power:g}" if -3 <= power <= 4 else f"1e{power}"


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    place = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {place} stroke="#dddddd"/>'


def _text(
    x: float,
    y: float,
    words: str,
    anchor: str = "start",
    fill: str = "#333333",
    size: int = 12,
    more: str = "",
) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text {place} font-size="{size}" fill="{fill}" {more}>{escape(words)}</text>'
