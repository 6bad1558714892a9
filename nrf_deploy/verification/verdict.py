"""The verdict in words: a run beyond a default limit differs, beyond a chosen one it failed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from ..findings import Finding
from ..text import several
from .limits import Limits

METRIC = {
    "VERIFY-COUNT": "spike_count_error",
    "VERIFY-VALUE": "value_error",
    "VERIFY-DIVERGED": "exact",
}
"""The limit that an error of this code is about, of those that have a default."""


def by_default(finding: Finding, limits: Limits) -> bool:
    """Is this error one of a limit that nobody chose?"""
    metric = METRIC.get(finding.code)
    own = limits if finding.layer is None else limits.of(finding.layer)
    return metric in own.defaults


def verdict(findings: Iterable[Finding], limits: Limits, layers: Collection[str]) -> str:
    """Return the errors in words; empty where there are none."""
    errors = [f for f in findings if f.severity == "error"]
    failed = [f for f in errors if not by_default(f, limits)]
    said = [f"failed: {several(len(failed), 'error')}"] if failed else []
    beyond = [f for f in errors if f not in failed]
    return "; ".join([*said, *_differences(beyond, limits, layers)])


def _differences(
    beyond: Iterable[Finding], limits: Limits, layers: Collection[str]
) -> Iterator[str]:
    where: dict[str, dict[str, None]] = {}
    for f in beyond:
        where.setdefault(distance(f, limits), {})[f.layer or ""] = None
    for far, names in where.items():
        yield f"{far} in {_among(list(names), layers)}"


def distance(finding: Finding, limits: Limits) -> str:
    """ "differs by more than 10 %", and "differs" where every value must be equal."""
    metric = METRIC[finding.code]
    return "differs" if metric == "exact" else f"differs by more than {share(limits, metric)}"


def share(limits: Limits, metric: str) -> str:
    return f"{100 * getattr(limits, metric):g} %"


def _among(names: list[str], layers: Collection[str]) -> str:
    if len(names) == 1:
        return f"layer {names[0]!r}"
    return f"{len(names)} of {several(len(layers), 'layer')}"
