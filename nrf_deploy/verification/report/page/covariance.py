"""Covariance of the model at each stage, from `Covariance.as_json()`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .errors import bar
from .html import Markup, name, scrolled, section, table, tag

WIDTH, LEFT, RIGHT, BAR, GAP = 640, 190, 70, 14, 10


def covariance(measured: Mapping[str, Any]) -> Markup:
    """Return the section: for each test bars by depth, rows and causes, then the findings."""
    parts = [part for test in measured["tests"].values() for part in _test(test)]
    return section("covariance", "Covariance", parts, _findings(measured["findings"]))


def _test(test: Mapping[str, Any]) -> Iterator[object]:
    yield tag("h3", test["title"])
    rows: Sequence[Mapping[str, Any]] = test["rows"]
    if rows:
        stages = list(dict.fromkeys(s for row in rows for s in row["errors"]))
        yield tag("p", test["about"])
        yield _figure(test["title"], rows, stages)
        yield _rows(test["title"], rows, stages)
        yield _causes(test["title"], rows)
    yield _findings(test["findings"])


def _rows(title: str, rows: Sequence[Mapping[str, Any]], stages: Sequence[str]) -> Markup:
    largest = max((error for row in rows for error in row["errors"].values()), default=0.0)
    cells = [
        (
            _pair(row),
            name(row["transform"]),
            f"{row['depth']}",
            "-" if row["spikes"] is None else f"{row['spikes']:,}",
            *(bar(row["errors"].get(stage), largest) for stage in stages),
        )
        for row in rows
    ]
    header = ("channels", "to", "depth", "spikes", *stages)
    return table(f"{title}, row by row", header, cells, "llrr" + "r" * len(stages))


def _causes(title: str, rows: Sequence[Mapping[str, Any]]) -> Markup | None:
    """Return the error of each cause in isolation, by row; causes without an error are left out."""
    named = list(dict.fromkeys(c for row in rows for c, off in row["causes"].items() if off))
    if not named:
        return None
    largest = max(row["causes"].get(c, 0.0) for row in rows for c in named)
    cells = [
        (
            f"{_pair(row)}, {name(row['transform'])}",
            *(bar(row["causes"].get(c), largest) for c in named),
            row["dominant"] or "-",
        )
        for row in rows
    ]
    header = ("channels", *named, "most by")
    return table(f"{title}: each cause in isolation", header, cells, "l" + "r" * len(named) + "l")


def _pair(row: Mapping[str, Any]) -> str:
    if row["first"] == row["second"]:
        return name(row["first"])
    return f"{name(row['first'])} → {name(row['second'])}"


def _figure(title: str, rows: Sequence[Mapping[str, Any]], stages: Sequence[str]) -> Markup:
    """Draw the means over the rows of a depth, with a bar for each stage."""
    drawn: list[Markup] = []
    largest = max((error for row in rows for error in row["errors"].values()), default=0.0)
    y = 4.0
    for depth in sorted({row["depth"] for row in rows}):
        drawn.append(tag("text", f"depth {depth}", x=0, y=y + 11, class_="strong label"))
        y += BAR + 4
        for k, stage in enumerate(stages):
            errors = [
                r["errors"][stage] for r in rows if r["depth"] == depth and stage in r["errors"]
            ]
            if not errors:
                continue
            mean = sum(errors) / len(errors)
            drawn += _bar(y, stage, mean, mean / largest if largest else 0.0, k)
            y += BAR + 3
        y += GAP
    svg = tag(
        "svg",
        drawn,
        width=WIDTH,
        height=y,
        viewBox=f"0 0 {WIDTH} {y:g}",
        role="img",
        aria_label=f"{title}: means by depth and stage; the table below has the numbers",
    )
    return tag("figure", scrolled(f"{title}, by depth", svg))


def _bar(y: float, stage: str, mean: float, share: float, colour: int) -> tuple[Markup, ...]:
    long = max(share * (WIDTH - LEFT - RIGHT), 1.0)
    return (
        tag("text", stage, x=12, y=y + 11, class_="label"),
        tag("rect", x=LEFT, y=y, width=long, height=BAR, class_=f"c{colour % 12}"),
        tag("text", f"{mean:.2%}", x=LEFT + long + 6, y=y + 11, class_="label"),
    )


def _findings(findings: Sequence[Mapping[str, Any]]) -> Markup | None:
    if not findings:
        return None
    return tag("ul", map(_finding, findings), class_="findings")


def _finding(finding: Mapping[str, Any]) -> Markup:
    layer = finding.get("layer")
    head = (tag("strong", finding["code"]), f" layer {name(layer)}: " if layer else " ")
    more = [tag("p", f"{key}: {finding[key]}") for key in ("why", "fix") if finding.get(key)]
    return tag("li", tag("p", head, finding["what"]), more, class_=finding["severity"])
