"""Text that people read: tables, wrapped paragraphs, numbers, and progress on a terminal."""

from __future__ import annotations

import shutil
import sys
import textwrap
import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, TextIO

from .findings import Finding

WIDTH = 80
GAP = "  "
NARROWEST = 5  # columns: no cell is shortened below this width
NAME = 24  # the widest first column for which `tables` reserves space
PROSE = 24  # the narrowest column of wrapped sentences
SURE = 0.1  # the share of the work after which the time left is estimated


def table(
    header: Sequence[str],
    rows: Sequence[Sequence[object]],
    align: str | None = None,
    width: int = WIDTH,
    *,
    names: bool = False,
) -> str:
    """Return columns under a ruled header; text too wide for `width` is shortened in the middle.

    Sentences in the last column are wrapped instead. With `names`, the first column is not
    shortened: a name that is too wide has a line of its own, before its row.

    `align` has "l" or "r" for each column; without it, columns of numbers are right-aligned.
    Right-aligned cells are never shortened: a shortened number is a wrong number.
    """
    align = align or "".join("r" if _numeric(column) else "l" for column in _columns(header, rows))
    cells = [[printable(str(c)) for c in row] for row in (header, *rows)]
    columns = list(zip(*cells, strict=True))
    widths = [max(len(c) for c in column) for column in columns]
    prose = align[-1:] == "l" and any(" " in cell for cell in columns[-1])
    while sum(widths) + len(GAP) * (len(widths) - 1) > width:
        widest = max(
            (i for i, a in enumerate(align) if a == "l" and widths[i] > NARROWEST),
            key=lambda i: widths[i],
            default=None,
        )
        if widest is None:
            break
        last = len(widths) - 1
        widths[last if prose and widths[last] > PROSE else widest] -= 1
    own = names and align[0] == "l"
    lines = [line for row in cells for line in _with_name(row, widths, align, width if own else 0)]
    rule = GAP.join("-" * w for w in widths)
    return "\n".join([lines[0], rule, *lines[1:]])


def tables(header: Sequence[str], rows: Sequence[Sequence[object]], width: int = WIDTH) -> str:
    """Return tables below each other, each with the first column; no cell is shortened."""
    cells = [[printable(str(c)) for c in row] for row in (header, *rows)]
    name, *widths = (max(len(c) for c in column) for column in zip(*cells, strict=True))
    name, groups, used = min(name, NAME), [[0]], width
    for column, wide in enumerate(widths, 1):
        if used + len(GAP) + wide > width:
            groups.append([0])
            used = name
        groups[-1].append(column)
        used += len(GAP) + wide
    return "\n\n".join(
        table(
            [header[c] for c in group],
            [[row[c] for c in group] for row in rows],
            "l" + "r" * (len(group) - 1),
            width,
            names=True,
        )
        for group in groups[1:]
    )


def _columns(header: Sequence[str], rows: Sequence[Sequence[object]]) -> list[list[object]]:
    return [[row[i] for row in rows] for i in range(len(header))]


def _numeric(column: Sequence[object]) -> bool:
    return bool(column) and all(isinstance(c, int | float) for c in column)


def _with_name(row: Sequence[str], widths: Sequence[int], align: str, whole: int) -> list[str]:
    """Put a name that is too wide for its column on lines of its own, `whole` columns wide."""
    if not whole or len(row[0]) <= widths[0]:
        return _lines(row, widths, align)
    return [*textwrap.wrap(row[0], whole), *_lines(["", *row[1:]], widths, align)]


def _lines(row: Sequence[str], widths: Sequence[int], align: str) -> list[str]:
    """Return a row as one line, or as more if its last cell is a sentence that needs them."""
    if align[-1:] != "l" or " " not in row[-1] or len(row[-1]) <= widths[-1]:
        return [_line(row, widths, align)]
    first, *more = textwrap.wrap(row[-1], widths[-1], break_on_hyphens=False) or [""]
    blank = [""] * (len(row) - 1)
    rest = [_line([*blank, part], widths, align) for part in more]
    return [_line([*row[:-1], first], widths, align), *rest]


def _line(row: Sequence[str], widths: Sequence[int], align: str) -> str:
    cells = (
        shorten(cell, w).ljust(w) if a == "l" else cell.rjust(w)
        for cell, w, a in zip(*_roomy(row, widths, align), strict=True)
    )
    return GAP.join(cells).rstrip()


def _roomy(
    row: Sequence[str], widths: Sequence[int], align: str
) -> tuple[Sequence[str], Sequence[int], str]:
    """Give the empty cells after a first cell that is too wide to it."""
    taken, width = 1, widths[0]
    while len(row[0]) > width and taken < len(row) and not row[taken]:
        width += len(GAP) + widths[taken]
        taken += 1
    if align[0] == "r" or taken == 1:
        return row, widths, align
    return [row[0], *row[taken:]], [width, *widths[taken:]], align[0] + align[taken:]


def shorten(text: str, width: int) -> str:
    """Cut out the middle of a text of more than `width` characters: both ends identify a name."""
    if len(text) <= width:
        return text
    tail = (width - 1) // 2
    return f"{text[: width - 1 - tail]}…{text[len(text) - tail :]}"


def printable(text: str) -> str:
    """Write control characters as escapes: names come from files that others wrote."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def wrap(text: str, indent: str = "", then: str | None = None, width: int = WIDTH) -> str:
    """Fill one paragraph, control characters escaped; `then` indents its lines after the first."""
    return textwrap.fill(
        printable(text),
        width,
        initial_indent=indent,
        subsequent_indent=indent if then is None else then,
        break_on_hyphens=False,
    )


def finding_text(finding: Finding, width: int = WIDTH) -> str:
    """Return a finding within `width` columns; a path is not broken."""

    def paragraph(line: str, indent: str, then: str) -> str:
        return textwrap.fill(
            printable(line),
            width,
            initial_indent=indent,
            subsequent_indent=then,
            break_on_hyphens=False,
            break_long_words="/" not in line,
        )

    head, *more = finding.text().split("\n")
    lines = [paragraph(head, "", "    ")]
    lines += [paragraph(line.strip(), "    ", " " * 9) for line in more]
    return "\n".join(lines)


def number(value: float) -> str:
    """Format 1234567 as 1.23 M, and whole numbers below a thousand unchanged."""
    return _scaled(value, 1000, ("", " k", " M", " G", " T"))


def several(count: int, what: str) -> str:
    """Format a count with its noun: 1 place, 2 places."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def size(count: int) -> str:
    """Format a number of bytes in powers of 1024."""
    return _scaled(count, 1024, (" B", " KiB", " MiB", " GiB", " TiB"))


def _scaled(value: float, base: int, units: Sequence[str]) -> str:
    scaled, unit = float(value), 0
    while abs(scaled) >= base - 0.5 and unit < len(units) - 1:
        scaled /= base
        unit += 1
    if unit == 0 and scaled == int(scaled):
        return f"{int(scaled)}{units[0]}"
    return f"{_three_digits(scaled)}{units[unit]}"


def _three_digits(value: float) -> str:
    places = next((p for p, top in ((2, 9.995), (1, 99.95)) if abs(value) < top), 0)
    return f"{value:.{places}f}"


def duration(seconds: float) -> str:
    """Format 0.0123 as 12.3 ms, 200 as 3 min 20 s, 4000 as 1 h 06 min."""
    for unit, factor in (("µs", 1e-6), ("ms", 1e-3)):
        if abs(seconds) < 999.5 * factor:
            return f"{_three_digits(seconds / factor)} {unit}" if seconds else "0 s"
    if abs(seconds) < 59.95:
        return f"{_three_digits(seconds)} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02} min"


class Progress:
    """A bar on standard error, callable as progress(done, of).

    In a pipe or a log it is a plain line, at most every `pace` seconds, so that short runs write
    nothing. It is drawn at most ten times a second, with the time left, and erased at the end. A
    `done` that falls begins the next stage: a new bar, under the next label if there is one.
    `part` names a stage without a label.
    `waiting` has a line for each label, shown in place of a bar if a stage has done nothing for
    `patience` seconds.
    """

    interval = 0.1
    pace = 10.0
    patience = 1.0

    def __init__(
        self,
        label: str | Sequence[str],
        stream: TextIO | None = None,
        *,
        waiting: Sequence[str] = (),
    ):
        self.labels = [printable(each) for each in ([label] if isinstance(label, str) else label)]
        self.stream = sys.stderr if stream is None else stream
        self.shown = self.stream.isatty()
        self.began = self.drawn = self.reported_at = 0.0
        self.reported = False
        self.last = 0
        self.width = 0
        self.waiting = list(waiting)
        self.timer: threading.Timer | None = None

    def __enter__(self) -> Progress:
        self.began = self.reported_at = time.monotonic()
        self._await()
        return self

    def part(self, name: str) -> Progress:
        self.labels, self.waiting, self.last = [printable(name)], [], 0
        self._stop_waiting()
        self.began, self.drawn = time.monotonic(), 0.0
        self(0, 1)
        return self

    def __call__(self, done: int, of: int) -> None:
        now = time.monotonic()
        if done < self.last:
            self.began, self.drawn = now, 0.0
            self.labels = self.labels[1:] or self.labels
            self.waiting = self.waiting[1:]
            self._await()
        self.last = done
        if done:
            self._stop_waiting()
        if not self.shown:
            if now - self.reported_at >= self.pace:
                self.reported_at = now
                self._tell(done, of, now - self.began)
        elif now - self.drawn >= self.interval and self.timer is None:
            self.drawn = now
            self._draw(self._bar(done, of, now - self.began))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exception: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop_waiting()
        if self.reported and kind is None:  # a log that ends at 82% would look interrupted
            self.stream.write(f"{self.labels[0]}: 100%\n")
            self.stream.flush()
        if self.width:
            self._draw("")
            self.stream.write("\r")
            self.stream.flush()

    def _await(self) -> None:
        """Start the timer of the line that is shown if the first step takes long."""
        self._stop_waiting()
        if self.shown and self.waiting and self.waiting[0]:
            line = shorten(printable(self.waiting[0]), _columns_here() - 1)
            self.timer = threading.Timer(self.patience, self._draw, [line])
            self.timer.daemon = True
            self.timer.start()

    def _stop_waiting(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer.join()
            self.timer = None

    def _tell(self, done: int, of: int, elapsed: float) -> None:
        share, left = _left(done, of, elapsed)
        self.reported = share < 1
        more = f", {left}" if left else ""
        self.stream.write(f"{self.labels[0]}: {share:.0%}{more}\n")
        self.stream.flush()

    def _bar(self, done: int, of: int, elapsed: float) -> str:
        share, left = _left(done, of, elapsed)
        tail = f" {share:4.0%}  {left}"
        room = _columns_here() - 1
        label = shorten(self.labels[0], max(room - 40, NARROWEST))
        cells = max(min(room - len(label) - 30, 30), 5)
        full = round(cells * share)
        return f"{label} [{'#' * full}{'.' * (cells - full)}]{tail}"[:room]

    def _draw(self, line: str) -> None:
        self.stream.write("\r" + line.ljust(self.width))
        self.stream.flush()
        self.width = len(line)


def _left(done: int, of: int, elapsed: float) -> tuple[float, str]:
    """Return the share that is done, and the time left if enough is done to estimate it."""
    share = min(done / of, 1.0) if of > 0 else 0.0
    return share, f"{duration(elapsed / share * (1 - share))} left" if share >= SURE else ""


def _columns_here() -> int:
    return min(WIDTH, shutil.get_terminal_size().columns)


def dims(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) or "1"


def span(values: Any) -> str:
    """Format the smallest and the largest value, or one number if they are equal."""
    if not values.size:
        return "none"
    low, high = values.min(), values.max()
    return f"{low:g}" if low == high else f"{low:g}..{high:g}"
