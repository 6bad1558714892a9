"""Results of covariance tests: tests of rows, each with errors by stage and causes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nrf_deploy.diagnostics.findings import Finding

EXACT, EULER, CHIP = "float, exact decay", "float, as trained", "chip, as compiled"
CHIP_EXACT, ANCHORED = "chip, exact decay", "chip, exact, anchored"
NEAREST = "chip, nearest weights"
KERNELS, CHIP_KERNELS = "float, kernels", "chip, kernels"
SCHEMA_VERSION = 2


@dataclass(frozen=True)
class Part:
    """A pair of channels of the two populations of a row, with its errors by stage."""

    first: int
    second: int
    errors: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class Row:
    """A row: `second` should respond to the transformed input as `first` to the input.

    `errors` are by stage: for spikes the share that is missing, extra or moved, for values
    their relative distance (root mean square). `lost` is by stage the share of the spikes that
    `second` has less (below 0: more). `causes` are the errors of the causes in isolation;
    they may hide one another, so their sum need not be the error.
    """

    first: str
    second: str
    transform: str
    depth: int  # populations between it and the input
    spikes: int | None  # of `first`, in the first stage with spikes; None if values are compared
    errors: Mapping[str, float]
    lost: Mapping[str, float] = field(default_factory=dict)
    causes: Mapping[str, float] = field(default_factory=dict)
    parts: tuple[Part, ...] = ()

    @property
    def dominant(self) -> str | None:
        largest = max(self.causes, key=lambda c: self.causes[c], default=None)
        return largest if largest is not None and self.causes[largest] > 0 else None

    def as_json(self) -> dict[str, Any]:
        return {
            "first": self.first,
            "second": self.second,
            "transform": self.transform,
            "depth": self.depth,
            "spikes": self.spikes,
            "errors": dict(self.errors),
            "lost": dict(self.lost),
            "causes": dict(self.causes),
            "dominant": self.dominant,
            "channels": [
                {"first": p.first, "second": p.second, "errors": dict(p.errors)} for p in self.parts
            ],
        }


@dataclass(frozen=True, eq=False)
class Trial:
    """A test. `said` are its findings, or why it could not run."""

    key: str
    title: str
    about: str
    rows: tuple[Row, ...]
    said: tuple[Finding, ...] = ()

    @property
    def stages(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(stage for row in self.rows for stage in row.errors))

    def mean(self, stage: str) -> float | None:
        """Return the mean error over the rows that have this stage."""
        errors = [row.errors[stage] for row in self.rows if stage in row.errors]
        return sum(errors) / len(errors) if errors else None

    def causes(self) -> dict[str, float]:
        """Return the mean error of each cause over the rows; the largest first."""
        names = dict.fromkeys(cause for row in self.rows for cause in row.causes)
        rows = [row for row in self.rows if row.causes]
        means = {c: sum(row.causes.get(c, 0.0) for row in rows) / len(rows) for c in names}
        return dict(sorted(means.items(), key=lambda c: -c[1]))

    def as_json(self) -> dict[str, Any]:
        return {
            "title": self.title,
            "about": self.about,
            "ran": bool(self.rows),
            "rows": [row.as_json() for row in self.rows],
            "findings": [f.as_json() for f in self.said],
        }


@dataclass(frozen=True, eq=False)
class Covariance:
    """The tests of one bundle for covariance.

    Attributes:
        chip: The full name of the chip.
        tests: The tests by key, each with its rows of errors.
        findings: Why other tests cannot run.
    """

    chip: str
    tests: Mapping[str, Trial]
    findings: tuple[Finding, ...]

    def text(self) -> str:
        """Return the tests as text of at most 80 columns."""
        from .text_report import text

        return text(self)

    def as_json(self) -> dict[str, Any]:
        """Return the tests as plain data."""
        return {
            "schema_version": SCHEMA_VERSION,
            "chip": self.chip,
            "tests": {key: test.as_json() for key, test in self.tests.items()},
            "findings": [f.as_json() for f in self.findings],
        }
