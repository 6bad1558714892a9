"""How covariant in time the model is at each stage, as `Covariance.as_json()` tells it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .errors import bar
from .html import Markup, name, section, table, tag


def covariance(told: Mapping[str, Any]) -> Markup:
    """A row a rung, a column a stage: the part of its spikes that is not where it should be."""
    stages: Mapping[str, Any] = told["stages"]
    rungs = list(zip(*stages.values(), strict=True))
    most = max((d["error"] for rung in rungs for d in rung), default=0.0)
    rows = [
        (
            f"{name(rung[0]['faster'])} → {name(rung[0]['slower'])}",
            f"{rung[0]['stretch']}",
            *(bar(d["error"], most) for d in rung),
        )
        for rung in rungs
    ]
    header = ("channels", "stretch", *map(name, stages))
    return section(
        "covariance",
        "Covariance in time",
        tag(
            "p",
            "The input is stretched in time. Each number is the part of a channel's spikes that is "
            "then not where it should be in the next slower channel (of values their relative "
            "distance).",
        ),
        table("Each step of the ladder at each stage", header, rows, "lr" + "r" * len(stages)),
        [tag("p", f["what"]) for f in told["findings"]],
    )
