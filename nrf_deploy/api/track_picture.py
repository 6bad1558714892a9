"""Pictures of a track over its events: as SVG, and in the characters of a terminal.

Tracks are (steps, shapes, 2) arrays of x and y in pixels, by name: the first is the truth.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from nrf_deploy.diagnostics.text import WIDTH
from nrf_deploy.ir.network import Array
from nrf_deploy.ir.recording import Recording
from nrf_deploy.verification.report.page.html import Markup, join, tag

COLOURS = ("#111111", "#1f6fc4", "#e0700b")
DASHES = (None, None, "5 4")
WIDTHS = (5.0, 2.5, 2.5)
PALE = 0.35  # opacity of the broad line of the truth
SNAPSHOTS, PANEL, GAP, LEFT, TOP = 4, 210, 20, 62, 96
PLOT, APART = 120, 34  # height of the curves, and of the space above each
RECENT = 8  # steps of events in a snapshot
EVENTS = "#b9b9b9"
MARKS = ".o#"


@dataclass(frozen=True, eq=False)
class Tracks:
    """Tracks over a recording.

    `settled` is the first step that counts: before it the model's slow neurons still fill.
    """

    events: Recording
    tracks: Mapping[str, Array]
    settled: int
    title: str

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of the sensor."""
        height, width = self.events.shape[-2:]
        return height, width


def svg(picture: Tracks) -> str:
    """Draw snapshots of the sensor in a row, and x and y over time beneath them."""
    width = LEFT + SNAPSHOTS * (PANEL + GAP)
    height = TOP + PANEL + 2 * (APART + PLOT) + 50
    body = join(
        (
            tag("rect", width=width, height=height, fill="white"),
            _text(LEFT, 30, picture.title, size=18, weight="bold"),
            _legend(picture),
            _snapshots(picture),
            _curves(picture),
        )
    )
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"'
    return f'{head} width="{width}" font-family="sans-serif">\n{body}\n</svg>\n'


def _legend(picture: Tracks) -> Iterator[Markup]:
    x = float(LEFT)
    for k, name in enumerate(picture.tracks):
        yield _line([(x, 58.0), (x + 34, 58.0)], k)
        yield _text(x + 42, 63, name, fill=COLOURS[k])
        x += 42 + 8.2 * len(name) + 34
    yield tag("rect", x=x, y=52, width=10, height=10, fill=EVENTS)
    yield _text(x + 18, 63, f"events of the last {RECENT} steps; dot: the place at this step")


def _snapshots(picture: Tracks) -> Iterator[Markup]:
    """Yield the snapshots: the last events of the camera, and the tracks up to that step."""
    rows, columns = picture.size
    scale = PANEL / max(rows, columns)
    last = picture.events.steps - 1
    for k in range(SNAPSHOTS):
        left, now = LEFT + k * (PANEL + GAP), last * (k + 1) // SNAPSHOTS
        yield _text(left + PANEL / 2, TOP - 8, f"step {now}", anchor="middle")
        yield tag("rect", x=left, y=TOP, width=columns * scale, height=rows * scale, fill="#f6f6f6")
        yield _events(picture, now, left, scale)
        for n, track in enumerate(picture.tracks.values()):
            for way in track.transpose(1, 0, 2):
                seen = way[min(picture.settled, now) : now + 1]
                points = [(left + (x + 0.5) * scale, TOP + (y + 0.5) * scale) for x, y in seen]
                yield _line(points, n)
                yield tag("circle", cx=points[-1][0], cy=points[-1][1], r=6 - n, fill=COLOURS[n])
    if columns >= rows:
        yield _text(LEFT - 8, TOP + 12, "0", anchor="end", size=11)
        yield _text(LEFT - 8, TOP + rows * scale, f"{rows - 1}", anchor="end", size=11)
        yield _text(LEFT - 8, TOP + rows * scale / 2, "pixels", anchor="end", size=11)


def _events(picture: Tracks, now: int, left: float, scale: float) -> Markup:
    rows, columns = picture.size
    step = picture.events.step
    place = picture.events.index[(step > now - RECENT) & (step <= now)] % (rows * columns)
    dots = (
        f"M{left + x * scale:.1f} {TOP + y * scale:.1f}h{scale:.1f}v{scale:.1f}h{-scale:.1f}z"
        for y, x in (divmod(int(p), columns) for p in np.unique(place))
    )
    return tag("path", d="".join(dots), fill=EVENTS)


def _curves(picture: Tracks) -> Iterator[Markup]:
    steps, width = picture.events.steps, SNAPSHOTS * (PANEL + GAP) - GAP
    across = width / max(steps - 1, 1)
    for axis, name in enumerate("xy"):
        top = TOP + PANEL + APART + axis * (PLOT + APART)
        floor = top + PLOT
        largest = picture.size[1 - axis] - 1
        yield tag("rect", x=LEFT, y=top, width=width, height=PLOT, fill="none", stroke="#cccccc")
        if picture.settled:
            yield tag(
                "rect", x=LEFT, y=top, width=picture.settled * across, height=PLOT, fill="#eeeeee"
            )
            if axis == 0:
                yield _text(LEFT + 5, top + 15, "slow neurons still fill", size=11)
        for value in (0, largest):
            y = floor - PLOT * value / largest
            yield _text(LEFT - 8, y + 4, f"{value}", anchor="end", size=11)
        yield _text(LEFT - 8, top + PLOT / 2 + 4, f"{name}, pixels", anchor="end", size=11)
        for n, track in enumerate(picture.tracks.values()):
            for way in track[:, :, axis].T:
                yield _line(
                    [(LEFT + k * across, floor - PLOT * v / largest) for k, v in enumerate(way)], n
                )
    for step in np.linspace(0, steps - 1, 5).round().astype(int):
        yield _text(LEFT + step * across, floor + 18, f"{step}", anchor="middle", size=11)
    yield _text(LEFT + width / 2, floor + 40, "time, in steps", anchor="middle")


def _line(points: list[tuple[float, float]], kind: int) -> Markup:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return tag(
        "polyline",
        points=path,
        fill="none",
        stroke=COLOURS[kind],
        stroke_width=WIDTHS[kind],
        stroke_dasharray=DASHES[kind],
        stroke_opacity=PALE if kind == 0 else None,
        stroke_linejoin="round",
    )


def _text(
    x: float,
    y: float,
    words: str,
    anchor: str | None = None,
    size: int = 13,
    fill: str = "#333333",
    weight: str | None = None,
) -> Markup:
    return tag(
        "text",
        words,
        x=x,
        y=y,
        text_anchor=anchor,
        font_size=size,
        fill=fill,
        font_weight=weight,
    )


def in_characters(picture: Tracks) -> str:
    """Draw the tracks in characters, which are about twice as high as wide.

    Later tracks cover earlier ones.
    """
    rows, columns = picture.size
    wide = min(WIDTH - 4, columns)
    high = max(1, round(rows * wide / columns / 2.2))
    field = np.full((high, wide), " ")
    for mark, track in zip(MARKS, picture.tracks.values(), strict=False):
        places = track[picture.settled :].reshape(-1, 2)
        x = np.clip((places[:, 0] + 0.5) * wide / columns, 0, wide - 1).astype(int)
        y = np.clip((places[:, 1] + 0.5) * high / rows, 0, high - 1).astype(int)
        field[y, x] = mark
    edge = "+" + "-" * wide + "+"
    legend = ", ".join(f"{m} {name}" for m, name in zip(MARKS, picture.tracks, strict=False))
    return "\n".join([edge, *("|" + "".join(row) + "|" for row in field), edge, legend])
