"""First part of the page: the verdict, the largest error, and every finding."""

from __future__ import annotations

from collections.abc import Iterable

from nrf_deploy.diagnostics.findings import Finding, merged
from nrf_deploy.diagnostics.text import printable

from ..chain import one_line
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
            "mismatches of spikes",
        ),
        (_worst(report), "off in the layer with the largest error"),
        (f"{sum(x.spikes_left for x in c.layers if not x.analogue):,}", f"spikes in {left}"),
    )
    return tag(
        "section",
        tag("p", task) if (task := labelled_sentence(report)) else None,
        tag("p", report.verdict, class_=f"verdict {_colour(report)}"),
        tag("p", f"{left} against {right}; the limits: {_limits(report)}."),
        tag("p", printable(one_line(report.chain))) if report.chain else None,
        tag("p", f"Silicon: {follows}.") if (follows := silicon_of(report)) else None,
        tag("dl", (tag("div", tag("dt", k), tag("dd", v)) for k, v in facts), class_="facts"),
        [tag("p", s) for s in (*divergence_sentences(c), *task_sentences(report))],
        id="verdict",
        aria_label="Verdict",
    )


def _colour(report: Report) -> str:
    """Return the verdict's colour; a run beyond only a default limit is not a failure."""
    if report.passed:
        return "good"
    return "differs" if report.verdict.startswith("differs") else "bad"


def _worst(report: Report) -> str:
    off = [x.value_error if x.analogue else x.count_error for x in report.comparison.layers]
    return f"{max((x for x in off if x is not None), default=0.0):.2%}"


def _limits(report: Report) -> str:
    limits = report.limits
    texts = [f"values at most {limits.value_error:.0%} off"]
    if limits.exact:
        texts.insert(0, "every spike equal")
    else:
        texts.insert(0, f"spike counts at most {limits.spike_count_error:.0%} off")
    return f"{', '.join(texts)}; all of them are under To reproduce"


def findings(report: Report) -> Markup:
    """Return the findings, errors first, without those of one run such as compile times.

    So equal runs have equal pages.
    """
    rank = {"error": 0, "warning": 1, "info": 2}
    merged_findings = sorted(merged(report.findings), key=lambda f: rank[f.severity])
    facts = [f for f in merged_findings if f.severity == "info"]
    worse = [f for f in merged_findings if f.severity != "info"]
    return section(
        "findings",
        "Findings",
        _list(worse) if worse else tag("p", "There are no errors and no warnings."),
        details(f"For information: {len(facts)}", _list(facts)) if facts else None,
    )


def _list(shown: Iterable[Finding]) -> Markup:
    return tag("ul", map(_finding, shown), class_="findings")


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
