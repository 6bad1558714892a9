"""Picture of all fields in space, in time, and moving, as one SVG without a library."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from itertools import pairwise

import numpy as np

from nrf_deploy.ir.network import Array
from nrf_deploy.verification.report.page.png import Colour, data_uri
from nrf_models.covariant.receptive_fields import Convention, Field, Velocity, kernel, size_needed
from nrf_models.covariant.velocity import Moving, exponential, taps

from .limit_kernel import impulse, means

WIDTH, MARGIN, GAP = 940, 24, 56
LEVELS = 7  # of blue and of red; with white and the lines between tiles a palette of 16
LINES = 2 * LEVELS + 1
INK = ("#1b6ca8", "#c8553d", "#588157", "#7b4b94", "#8a6d1d", "#3d7a7a")
VELOCITIES: tuple[Velocity, ...] = ((0.0, 0.0), (1.0, 0.0), (0.0, -1.0), (0.5, 0.25))
TAPS = 6
SEEN = 0.7  # of the reach of a kernel: 2.5 of 3.5 standard deviations


def picture(
    fields: Sequence[Field], times: Sequence[float], convention: Convention = "sigma"
) -> str:
    """Draw the fields by order, the temporal kernels, and a moving first derivative."""
    top, parts = 40, list[str]()
    for drawn in (
        _space(fields, convention, top),
        _time(times, top + _space_height(fields) + GAP),
        _motion(min(f.scale for f in fields), top + _space_height(fields) + GAP + 250 + GAP),
    ):
        parts += drawn
    height = top + _space_height(fields) + 2 * GAP + 250 + _motion_height() + MARGIN
    text = (
        f"{len(fields)} spatial fields, the temporal kernels of {len(times)} time constants, and "
        f"velocity-adapted fields. Normalisation: {convention}."
    )
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
            f'font-family="sans-serif" role="img" width="{WIDTH}">',
            f"<title>Receptive fields</title><desc>{escape(text)}</desc>",
            f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
            *parts,
            "</svg>",
            "",
        )
    )


# --- in space --------------------------------------------------------------------


def _space(fields: Sequence[Field], convention: Convention, top: int) -> Iterator[str]:
    """Draw a block for each order, two side by side: a row is a scale, a column a shape."""
    factor = "sigma^(m+n)" if convention == "sigma" else "s^(m+n), as published"
    heading = f"{len(fields)} fields in space, derivatives times {factor}"
    yield _text(MARGIN, top - 16, heading, size=15)
    half = (WIDTH - 3 * MARGIN) // 2
    for k, ((along, across), block) in enumerate(_blocks(fields).items()):
        x, y = MARGIN + k % 2 * (half + MARGIN), top + k // 2 * _block_height(fields)
        scales, shapes = _axes(block)
        tile = _tile(fields)
        yield _text(x + 46, y + 14, f"m = {along} along, n = {across} across", size=13)
        yield from _shape_names(shapes, x + 46, y + 30, tile)
        yield from (
            _text(x + 40, y + 48 + (row + 0.5) * tile + 4, f"s = {scale:g}", "end")
            for row, scale in enumerate(scales)
        )
        kernels = {f: f.scale * _middle(f, fields, convention) for f in block}
        table = [[kernels.get(Field(s, a, r, along, across)) for r, a in shapes] for s in scales]
        yield _image(_tiles(table), x + 46, y + 48, len(shapes) * tile, len(scales) * tile)


def _blocks(fields: Sequence[Field]) -> Mapping[tuple[int, int], list[Field]]:
    blocks: dict[tuple[int, int], list[Field]] = {}
    for field in fields:
        blocks.setdefault((field.along, field.across), []).append(field)
    return blocks


def _middle(field: Field, fields: Sequence[Field], convention: Convention) -> Array:
    """Return the field's kernel, cut to the visible part of the largest one."""
    size = max(size_needed(f) for f in fields)
    cut = size // 2 - math.ceil(size // 2 * SEEN)
    whole = kernel(field, size, convention=convention)
    return whole[cut : size - cut, cut : size - cut]


def _axes(fields: Sequence[Field]) -> tuple[list[float], list[tuple[float, float]]]:
    scales = sorted({f.scale for f in fields})
    return scales, sorted({(f.ratio, f.angle) for f in fields})


def _tile(fields: Sequence[Field]) -> int:
    """Return the width of a field, so that two blocks fit side by side."""
    shapes = len(_axes(fields)[1])
    return min(64, ((WIDTH - 3 * MARGIN) // 2 - 46) // shapes)


def _block_height(fields: Sequence[Field]) -> int:
    return len(_axes(fields)[0]) * _tile(fields) + 66


def _space_height(fields: Sequence[Field]) -> int:
    return math.ceil(len(_blocks(fields)) / 2) * _block_height(fields)


def _shape_names(
    shapes: Sequence[tuple[float, float]], x: float, y: float, tile: int
) -> Iterator[str]:
    yield _text(x - 6, y, "ratio", "end", 10)
    yield _text(x - 6, y + 12, "angle", "end", 10)
    for k, (ratio, angle) in enumerate(shapes):
        at = x + (k + 0.5) * tile
        yield _text(at, y, f"{ratio:g}", "middle", 10)
        yield _text(at, y + 12, f"{math.degrees(angle):.0f}°", "middle", 10)


# --- in time ---------------------------------------------------------------------


def _time(times: Sequence[float], top: int) -> Iterator[str]:
    """Draw exponentials, and beside them cascades with the same standard deviations."""
    steps = math.ceil(4 * max(times))
    yield _text(MARGIN, top - 16, "Temporal kernels, by the step", size=15)
    half = (WIDTH - 3 * MARGIN) // 2
    integrators = [exponential(mu, 40 * steps)[:steps] for mu in times]
    yield from _curves("one leaky integrator, mu", times, integrators, MARGIN, top, half)
    ratio = _ratio(times)
    if ratio:
        m = means(max(times) ** 2, ratio, len(times))
        stages = list(impulse(m, steps))
        title = "time-causal limit kernel, sqrt(tau)"
        yield from _curves(title, times, stages, 2 * MARGIN + half, top, half)


def _ratio(times: Sequence[float]) -> float | None:
    """Return the ratio of neighbours if the times are a ladder."""
    ordered = sorted(times)
    ratios = [b / a for a, b in pairwise(ordered)]
    if not ratios or ordered != list(times) or max(ratios) > 1.01 * min(ratios):
        return None
    return max(1.0001, sum(ratios) / len(ratios))


def _curves(
    title: str, times: Sequence[float], kernels: Sequence[Array], left: int, top: int, width: int
) -> Iterator[str]:
    high, steps, height = max(float(k.max()) for k in kernels), len(kernels[0]), 200
    yield _text(left + 46, top + 14, title, size=13)
    x0, y0, w = left + 46, top + 26 + height - 10, width - 46
    yield f'<path d="M{x0} {top + 26}V{y0}H{x0 + w}" fill="none" stroke="#999999"/>'
    for t in np.linspace(0, steps, 5):
        yield _text(x0 + w * t / steps, y0 + 16, f"{t:.0f}", "middle", 11)
    for value in (0.0, high):
        yield _text(x0 - 6, y0 - value / high * (height - 10) + 4, f"{value:.2g}", "end", 11)
    for k, (mu, h) in enumerate(zip(times, kernels, strict=True)):
        points = " ".join(
            f"{x0 + w * t / steps:.1f},{y0 - v / high * (height - 10):.1f}" for t, v in enumerate(h)
        )
        ink = INK[k % len(INK)]
        yield f'<polyline points="{points}" fill="none" stroke="{ink}" stroke-width="2"/>'
        yield _text(x0 + w - 4, top + 40 + 18 * k, f"{mu:g}", "end", 12, ink)


# --- in motion -------------------------------------------------------------------

FRAME, SLICE = 100, 150  # how wide a tap is drawn, and the cut through x and t


def _motion_height() -> int:
    return len(VELOCITIES) * (FRAME + 8) + 30


def _motion(scale: float, top: int) -> Iterator[str]:
    """Draw a row for each velocity: its taps, and the section through x and time."""
    yield _text(MARGIN, top - 16, f"Velocity-adapted: s = {scale:g}, m = 1 along x", size=15)
    for d in range(TAPS):
        words = "this step" if d == 0 else f"{d} step{'s' if d > 1 else ''} ago"
        yield _text(MARGIN + 76 + (d + 0.5) * FRAME, top + 10, words, "middle", 11)
    cut = MARGIN + 76 + TAPS * FRAME + 20
    yield _text(cut + SLICE / 2, top + 10, "over x, and back in time", "middle", 11)
    moving = [Moving(Field(scale, along=1), velocity) for velocity in VELOCITIES]
    stack = taps(moving, exponential(3.0, TAPS))
    size = max(k.shape[-1] for k in stack)
    for row, (x, y) in enumerate(VELOCITIES):
        at = top + 20 + row * (FRAME + 8)
        framed = [np.pad(k[row], (size - len(k[row])) // 2) for k in stack]
        yield _text(MARGIN + 68, at + FRAME / 2 + 4, f"({x:g}, {y:g})", "end")
        yield _image(_tiles([framed]), MARGIN + 76, at, TAPS * FRAME, FRAME)
        lines = np.stack([k.sum(0) for k in framed])
        yield _image(_shades(lines, np.abs(lines).max()), cut, at, SLICE, FRAME)


# --- pixels ----------------------------------------------------------------------


def _tiles(table: Sequence[Sequence[Array | None]]) -> Array:
    """Return all tiles on one scale of colours, with lines between them."""
    tiles = [k for row in table for k in row if k is not None]
    largest, size = max(float(np.abs(k).max()) for k in tiles), len(tiles[0])
    rows = len(table), len(table[0])
    out = np.full((rows[0] * (size + 1) + 1, rows[1] * (size + 1) + 1), LINES)
    for r, row in enumerate(table):
        for c, k in enumerate(row):
            y, x = 1 + r * (size + 1), 1 + c * (size + 1)
            out[y : y + size, x : x + size] = LEVELS if k is None else _shades(k, largest)
    return out


def _shades(values: Array, largest: float) -> Array:
    return np.asarray(np.rint(values / largest * LEVELS).astype(int) + LEVELS)


def _palette() -> list[Colour]:
    """Return colours from blue through white to red, and grey for lines."""
    low, high = np.array((27, 108, 168)), np.array((200, 60, 40))
    shades = []
    for k in range(-LEVELS, LEVELS + 1):
        end = low if k < 0 else high
        mixed = 255 + (end - 255) * (abs(k) / LEVELS)
        shades.append((int(mixed[0]), int(mixed[1]), int(mixed[2]), 255))
    return [*shades, (224, 224, 224, 255)]


def _image(pixels: Array, x: float, y: float, width: float, height: float) -> str:
    return (
        f'<image x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" '
        f'preserveAspectRatio="none" image-rendering="pixelated" '
        f'href="{data_uri(pixels, _palette())}"/>'
    )


def _text(
    x: float, y: float, words: str, anchor: str = "start", size: int = 12, ink: str = "#333333"
) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}"'
    return f'<text {place} fill="{ink}">{escape(words)}</text>'
