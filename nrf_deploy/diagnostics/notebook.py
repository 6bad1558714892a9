"""Small HTML tables for notebooks: escaped, bounded in size, without scripts or links."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .findings import Finding, merged
from .text import printable, shorten

ROWS = 50
"""Rows that a table shows at most."""
CELL = 80
"""Characters that a cell shows at most."""
SENTENCE = 400
"""Characters that a finding shows at most."""
FINDINGS = 20
"""Findings that are shown at most."""
CELL_STYLE = "padding:2px 8px;border-bottom:1px solid #ccc;"
COLORS = {"error": "#b00020", "warning": "#8a5a00", "info": "#555"}


@dataclass(frozen=True)
class Table:
    """A heading a column, and rows of values; numbers are aligned to the right."""

    header: Sequence[str]
    rows: Sequence[Sequence[object]]


def page(title: str, *tables: Table, findings: Iterable[Finding] = ()) -> str:
    """Return a title, tables and findings as one HTML element."""
    parts = [f"<p><b>{escaped(title, SENTENCE)}</b></p>", *map(_table, tables)]
    shown = merged(findings)
    parts += map(_finding, shown[:FINDINGS])
    parts += _more(len(shown) - FINDINGS, "findings")
    return f"<div>{''.join(parts)}</div>"


def escaped(value: object, limit: int = CELL) -> str:
    """Return a value as text that a browser shows and does not interpret."""
    return html.escape(shorten(printable(str(value)), limit))


def _table(table: Table) -> str:
    head = "".join(
        f'<th style="{CELL_STYLE}text-align:left">{escaped(h)}</th>' for h in table.header
    )
    rows = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in table.rows[:ROWS])
    body = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    return "".join((body, *_more(len(table.rows) - ROWS, "rows")))


def _cell(value: object) -> str:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    text = f"{value:,}" if isinstance(value, int) and number else value
    side = "right" if number or str(value)[-1:] == "%" else "left"
    return f'<td style="{CELL_STYLE}text-align:{side}">{escaped(text)}</td>'


def _finding(finding: Finding) -> str:
    parts = (finding.place(), finding.what, finding.why, finding.fix and f"fix: {finding.fix}")
    text = escaped("; ".join(filter(None, parts)), SENTENCE)
    head = f"{finding.severity}[{finding.code}]"
    return f'<p><b style="color:{COLORS[finding.severity]}">{escaped(head)}</b> {text}</p>'


def _more(count: int, what: str) -> list[str]:
    return [f"<p>and {count:,} more {what}</p>"] if count > 0 else []
