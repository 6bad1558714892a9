"""Text of the tests in 80 columns: a table for each, then its findings."""

from __future__ import annotations

from collections.abc import Iterator

from nrf_deploy.diagnostics.findings import Finding
from nrf_deploy.diagnostics.text import WIDTH, finding_text, table, wrap

from .types import Covariance, Row, Trial


def text(results: Covariance) -> str:
    printed: set[Finding] = set()
    parts = [part for test in results.tests.values() for part in _test(test, printed)]
    return "\n\n".join((*parts, *(finding_text(f) for f in results.findings)))


def _test(test: Trial, printed: set[Finding]) -> Iterator[str]:
    """Yield the text of a test; findings that are in `printed` are only named."""
    yield f"{test.title}\n{'=' * len(test.title)}"
    if test.rows:
        yield _table(test)
        legend = "; ".join(f"{k + 1}: {name}" for k, name in enumerate(test.stages))
        yield wrap(f"In %. {legend}. {test.about}")
    for finding in test.said:
        yield f"{finding.code}, as above" if finding in printed else finding_text(finding)
    printed.update(test.said)


def _table(test: Trial) -> str:
    causes = any(row.causes for row in test.rows)
    heads = ["channel", "to", "depth", "spikes", *(str(k + 1) for k in range(len(test.stages)))]
    heads += ["most by"] if causes else []
    rows = [_row(test, row, causes) for row in test.rows]
    align = "llrr" + "r" * len(test.stages) + ("l" if causes else "")
    whole = table(heads, rows, align)
    if all(cell in whole for row in rows for cell in row[:2]):
        return whole
    heads[:2] = ["row"]
    blank = [""] * (len(heads) - 1)
    apart = [line for row in rows for line in ((f"{row[0]}, {row[1]}", *blank), ("", *row[2:]))]
    return table(heads, apart, align[1:], max(WIDTH, *(len(line[0]) for line in apart)))


def _row(test: Trial, row: Row, causes: bool) -> tuple[str, ...]:
    errors = (f"{100 * row.errors[s]:.2f}" if s in row.errors else "-" for s in test.stages)
    head = (row.first, row.transform, str(row.depth))
    spikes = "-" if row.spikes is None else f"{row.spikes:,}"
    return (*head, spikes, *errors, *((row.dominant or "-",) if causes else ()))
