"""How covariant the model is at each stage, as `Covariance.as_json()` tells it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .errors import bar
from .html import Markup, name, scrolled, section, table, tag

WIDTH, LEFT, RIGHT, BAR, GAP = 640, 190, 70, 14, 10


def covariance(told: Mapping[str, Any]) -> Markup:
    """For each test its bars by depth, its rows, the causes, and what is to be said."""
    parts = [part for test in told["tests"].values() for part in _test(test)]
    return section("covariance", "Covariance", parts, _findings(told["findings"]))


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
    most = max((error for row in rows for error in row["errors"].values()), default=0.0)
    held = [
        (
            _pair(row),
            name(row["transform"]),
            f"{row['depth']}",
            "-" if row["spikes"] is None else f"{row['spikes']:,}",
            *(bar(row["errors"].get(stage), most) for stage in stages),
        )
        for row in rows
    ]
    header = ("channels", "to", "depth", "spikes", *stages)
    return table(f"{title}, row by row", header, held, "llrr" + "r" * len(stages))


def _causes(title: str, rows: Sequence[Mapping[str, Any]]) -> Markup | None:
    """By row, what each cause makes by itself; causes without any error are left out."""
    named = list(dict.fromkeys(c for row in rows for c, off in row["causes"].items() if off))
    if not named:
        return None
    most = max(row["causes"].get(c, 0.0) for row in rows for c in named)
    held = [
        (
            f"{_pair(row)}, {name(row['transform'])}",
            *(bar(row["causes"].get(c), most) for c in named),
            row["dominant"] or "-",
        )
        for row in rows
    ]
    header = ("channels", *named, "most by")
    return table(f"{title}: each cause by itself", header, held, "l" + "r" * len(named) + "l")


def _pair(row: Mapping[str, Any]) -> str:
    if row["first"] == row["second"]:
        return name(row["first"])
    return f"{name(row['first'])} → {name(row['second'])}"


def _figure(title: str, rows: Sequence[Mapping[str, Any]], stages: Sequence[str]) -> Markup:
    """Means over the rows of a depth, a bar a stage."""
    drawn: list[Markup] = []
    most = max((error for row in rows for error in row["errors"].values()), default=0.0)
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
            drawn += _bar(y, stage, mean, mean / most if most else 0.0, k)
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


def _findings(found: Sequence[Mapping[str, Any]]) -> Markup | None:
    if not found:
        return None
    return tag("ul", map(_finding, found), class_="findings")


def _finding(finding: Mapping[str, Any]) -> Markup:
    layer = finding.get("layer")
    head = (tag("strong", finding["code"]), f" layer {name(layer)}: " if layer else " ")
    more = [tag("p", f"{key}: {finding[key]}") for key in ("why", "fix") if finding.get(key)]
    return tag("li", tag("p", head, finding["what"]), more, class_=finding["severity"])
