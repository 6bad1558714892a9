"""Labels of a recording, from a small file: a class, or places over time.

    class            step,x,y          t,x0,y0,x1,y1
    4                60,31.5,12.0      0.06,31.5,12.0,7.0,40.0

The first line says which it is. A class is a number or one of the readout's `names`. Places are
in pixels of the model's input, a pair for each of the readout's maps; `step` counts from 0, `t`
is seconds from the recording's first step. Steps without a line have no label.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from nrf_deploy.diagnostics.argument_types import demand_text
from nrf_deploy.diagnostics.findings import Finding, InputError, error, refuse
from nrf_deploy.ir.network import Array

WAY = "docs/report-schema.md shows what it holds: a class, or lines of step,x,y or t,x,y"
LABELS_LIMIT = 8 << 20  # bytes
LARGEST = 2.0**53  # step, time or place
MOST_FAULTS = 20  # shown one by one
CLOSE = 1e-6
"""Share of a step: a time this near to the next step's begin belongs to it."""


@dataclass(frozen=True)
class ClassLabel:
    name: str

    def number(self, names: Sequence[str]) -> int:
        if self.name in names:
            return list(names).index(self.name)
        if re.fullmatch(r"\d{1,9}", self.name):
            return int(self.name)
        known = f"the readout's names are {', '.join(names)}" if names else "the readout has none"
        what = f"the class {self.name!r:.40} is neither a number nor a name; {known}"
        raise InputError(error("LABELS-CLASS", what, fix=WAY))


@dataclass(frozen=True, eq=False)
class PlaceLabels:
    """Labels of places. `place` is (labels, maps, 2), `when` their steps, or seconds."""

    when: Array
    seconds: bool
    place: Array

    def steps(self, dt: float | None) -> Array:
        if not self.seconds:
            return self.when.astype(np.int64)
        if dt is None:
            what = (
                "the labels are in seconds, and the recording does not state the length of a step"
            )
            raise InputError(error("LABELS-TIME", what, fix="label steps: step,x,y"))
        with np.errstate(over="ignore"):
            step = np.floor(self.when / dt + CLOSE)
        return np.minimum(step, 2.0**62).astype(np.int64)  # beyond every recording, and counted so

    def csv(self) -> str:
        """Return the text that `parse_labels` reads, with places to a thousandth of a pixel."""
        maps = self.place.shape[1]
        names = ["x,y"] if maps == 1 else [f"x{k},y{k}" for k in range(maps)]
        rows = zip(self.when.tolist(), self.place.reshape(len(self.when), -1), strict=True)
        lines = [f"{when},{','.join(f'{v:.3f}' for v in place)}" for when, place in rows]
        return "\n".join([",".join(["t" if self.seconds else "step", *names]), *lines, ""])


Labels = ClassLabel | PlaceLabels


def parse_labels(text: bytes | str) -> Labels:
    """Return the labels in the text of a .csv file.

    Args:
        text: The text: a class, or places over time in pixels of the model's input
            (docs/report-schema.md).

    Returns:
        A ClassLabel or PlaceLabels, for `labels` of `verify`.

    Raises:
        InputError: A text without labels; `findings` names every wrong line.
    """
    demand_text(text, "labels")
    lines = list(_lines(text))
    head = [c.lower() for c in lines[0][1]] if lines else []
    rows = lines[1:]
    if head == ["class"] and len(rows) == 1 and len(rows[0][1]) == 1:
        return ClassLabel(rows[0][1][0])
    if not _places(head):
        what = "the labels begin with neither class and one class, nor step,x,y or t,x,y"
        raise InputError(error("LABELS-MALFORMED", what, fix=WAY))
    whole = head[0] == "step"
    faults = list(islice(_faults(rows, len(head), whole), MOST_FAULTS + 1))
    if len(faults) > MOST_FAULTS:
        more = f"more than {MOST_FAULTS} lines of the labels are wrong"
        faults[MOST_FAULTS:] = [error("LABELS-MALFORMED", more, fix=WAY)]
    refuse(faults, InputError)
    values = np.array([[float(c) for c in row] for _, row in rows])
    return PlaceLabels(values[:, 0], not whole, values[:, 1:].reshape(len(rows), -1, 2))


def _lines(text: bytes | str) -> Iterator[tuple[int, list[str]]]:
    """Yield the number and the cells of every line that is not blank."""
    try:
        plain = text.decode("utf-8") if isinstance(text, bytes) else text
        for number, row in enumerate(csv.reader(plain.split("\n")), 1):
            cells = [cell.strip() for cell in row]
            if any(cells):
                yield number, cells
    except (csv.Error, UnicodeDecodeError) as problem:
        raise InputError(
            error("LABELS-MALFORMED", f"the labels are not CSV: {problem}", fix=WAY)
        ) from problem


def _places(head: Sequence[str]) -> bool:
    axes = [name[:1] for name in head[1:]]
    return bool(axes) and head[0] in ("step", "t") and axes == ["x", "y"] * (len(axes) // 2)


def _faults(
    rows: Sequence[tuple[int, Sequence[str]]], width: int, whole: bool
) -> Iterator[Finding]:
    if not rows:
        yield error("LABELS-MALFORMED", "the labels have only a first line", fix=WAY)
    for line, row in rows:
        if len(row) != width or not all(map(_number, row)):
            what_wrong = f"line {line} of the labels is not {width} numbers: {','.join(row)[:60]}"
            yield error("LABELS-MALFORMED", what_wrong, fix=WAY)
        elif float(row[0]) < 0 or (whole and float(row[0]) % 1):
            what = f"line {line} of the labels begins with {row[0]:.20}"
            why = "steps are whole and count from 0" if whole else "times count from 0"
            yield error("LABELS-MALFORMED", what, why=why, fix=WAY)


def _number(cell: str) -> bool:
    """Return True if a cell is a number that a float holds to the last unit."""
    try:
        return abs(float(cell)) < LARGEST
    except ValueError:
        return False
