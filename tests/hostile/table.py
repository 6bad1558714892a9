"""The table of a campaign, printed and written into docs/robustness.md."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from .case import Family
from .judge import FAILURES, Outcome

BEGIN, END = "<!-- campaign -->", "<!-- end of campaign -->"


def markdown(outcomes: Sequence[Outcome], families: Sequence[Family]) -> str:
    head = ["family", "tried", "good", "refused", *FAILURES, "slowest, CPU s", "most MB"]
    rows = [_row(f.name, [o for o in outcomes if o.family == f.name]) for f in families]
    rows.append(_row("**all**", outcomes))
    lines = [" | ".join(row) for row in ([*head], ["---"] * len(head), *rows)]
    return "\n".join(f"| {line} |" for line in lines)


def _row(name: str, outcomes: Sequence[Outcome]) -> list[str]:
    kinds = Counter(o.kind for o in outcomes)
    failed = Counter(name for o in outcomes for name in o.failures)
    return [
        name,
        str(len(outcomes)),
        str(kinds["good"]),
        str(kinds["refused"]),
        *(str(failed[f]) for f in FAILURES),
        f"{max((o.cpu for o in outcomes), default=0):.2f}",
        f"{max((o.mb for o in outcomes), default=0):.0f}",
    ]


def codes(outcomes: Sequence[Outcome], families: Sequence[Family]) -> str:
    """Return the refusals that a family met: whether mutations pass the first check."""
    lines = []
    for family in families:
        count = Counter(o.refusal for o in outcomes if o.family == family.name and o.refusal)
        lines += [f"{family.name}:", *(f"  {n:5} {code}" for code, n in count.most_common())]
    return "\n".join(lines)


def summary(outcomes: Sequence[Outcome], cpu: float) -> str:
    failed = sum(1 for o in outcomes if o.failures)
    each = 1000 * cpu / max(1, len(outcomes))
    return (
        f"{len(outcomes):,} cases, {failed} failed; {cpu / 60:.1f} minutes of the processor, "
        f"{each:.0f} ms a case."
    )


def write(page: Path, text: str, said: str) -> None:
    """Write the table between the marks of the page."""
    old = page.read_text()
    before, _, rest = old.partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n{said}\n\n{text}\n{END}{after}")
