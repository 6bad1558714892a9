"""Verdict as text: beyond a default limit a run differs, beyond a chosen one it failed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from nrf_deploy.diagnostics.findings import Finding
from nrf_deploy.diagnostics.text import several

from ..limits import Limits

METRIC = {
    "VERIFY-COUNT": "spike_count_error",
    "VERIFY-VALUE": "value_error",
    "VERIFY-DIVERGED": "exact",
}
"""Limits with a default, by the code of their error."""


def by_default(finding: Finding, limits: Limits) -> bool:
    """Return whether an error is about a default limit."""
    metric = METRIC.get(finding.code)
    layer_limits = limits if finding.layer is None else limits.of(finding.layer)
    return metric in layer_limits.defaults


def verdict(findings: Iterable[Finding], limits: Limits, layers: Collection[str]) -> str:
    """Return the errors as text; empty if there are none."""
    errors = [f for f in findings if f.severity == "error"]
    failed = [f for f in errors if not by_default(f, limits)]
    texts = [f"failed: {several(len(failed), 'error')}"] if failed else []
    beyond = [f for f in errors if f not in failed]
    return "; ".join([*texts, *_differences(beyond, limits, layers)])


def _differences(
    beyond: Iterable[Finding], limits: Limits, layers: Collection[str]
) -> Iterator[str]:
    where: dict[str, dict[str, None]] = {}
    for f in beyond:
        where.setdefault(distance(f, limits), {})[f.layer or ""] = None
    for far, names in where.items():
        yield f"{far} in {_among(list(names), layers)}"


def distance(finding: Finding, limits: Limits) -> str:
    """Return "differs by more than 10 %", or "differs" if every value must be equal."""
    metric = METRIC[finding.code]
    return "differs" if metric == "exact" else f"differs by more than {share(limits, metric)}"


def share(limits: Limits, metric: str) -> str:
    return f"{100 * getattr(limits, metric):g} %"


def _among(names: list[str], layers: Collection[str]) -> str:
    if len(names) == 1:
        return f"layer {names[0]!r}"
    return f"{len(names)} of {several(len(layers), 'layer')}"
