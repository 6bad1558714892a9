"""What the page says first: good or not, by how much, and every finding."""

from __future__ import annotations

from collections.abc import Iterable

from ...findings import Finding, merged
from ...text import printable
from ..report import Report, divergence_sentences, labelled_sentence, silicon_of, task_sentences
from .html import Markup, details, section, tag
from .raster import sides


def verdict(report: Report) -> Markup:
    c = report.comparison
    left, right = sides(c)
    exact = sum(layer.exact is True for layer in c.layers)
    facts = (
        (f"{exact} of {len(c.layers)}", "layers are equal in every bit that was compared"),
        (
            f"{sum(x.mismatches for x in c.layers if not x.analogue):,}",
            "places where spikes differ",
        ),
        (_worst(report), "off in the layer that is farthest off"),
        (f"{sum(x.spikes_left for x in c.layers if not x.analogue):,}", f"spikes in {left}"),
    )
    return tag(
        "section",
        tag("p", task) if (task := labelled_sentence(report)) else None,
        tag("p", report.verdict, class_=f"verdict {_colour(report)}"),
        tag("p", f"{left} against {right}; the limits: {_limits(report)}."),
        tag("p", f"Silicon: {follows}.") if (follows := silicon_of(report)) else None,
        tag("dl", (tag("div", tag("dt", k), tag("dd", v)) for k, v in facts), class_="facts"),
        [tag("p", s) for s in (*divergence_sentences(c), *task_sentences(report))],
        id="verdict",
        aria_label="Verdict",
    )


def _colour(report: Report) -> str:
    """Beyond a default limit a run differs: that informs, and is no alarm."""
    if report.passed:
        return "good"
    return "differs" if report.verdict.startswith("differs") else "bad"


def _worst(report: Report) -> str:
    off = [x.value_error if x.analogue else x.count_error for x in report.comparison.layers]
    return f"{max((x for x in off if x is not None), default=0.0):.2%}"


def _limits(report: Report) -> str:
    limits = report.limits
    said = [f"values at most {limits.value_error:.0%} off"]
    if limits.exact:
        said.insert(0, "every spike equal")
    else:
        said.insert(0, f"spike counts at most {limits.spike_count_error:.0%} off")
    return f"{', '.join(said)}; all of them stand under To reproduce"


def findings(report: Report) -> Markup:
    """The worst first. What the engines said of this one run, such as how long they compiled,
    is left out: equal runs have equal pages."""
    rank = {"error": 0, "warning": 1, "info": 2}
    found = sorted(merged(report.findings), key=lambda f: rank[f.severity])
    facts = [f for f in found if f.severity == "info"]
    worse = [f for f in found if f.severity != "info"]
    return section(
        "findings",
        "Findings",
        _list(worse) if worse else tag("p", "There are no errors and no warnings."),
        details(f"For information: {len(facts)}", _list(facts)) if facts else None,
    )


def _list(found: Iterable[Finding]) -> Markup:
    return tag("ul", map(_finding, found), class_="findings")


def _finding(f: Finding) -> Markup:
    place = f.place()
    return tag(
        "li",
        tag("p", tag("strong", f"{f.severity} {f.code}"), f" {place}: " if place else " ",
            printable(f.what)),
        tag("p", "why: ", f.why) if f.why else None,
        tag("p", "fix: ", f.fix) if f.fix else None,
        class_=f.severity,
    )  # fmt: skip
