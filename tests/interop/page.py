"""The page of outcomes, docs/interop.md, 80 columns wide."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence

from .outcomes import Outcome
from .records import Made

Row = tuple[Made, Outcome, Outcome]
TITLES = {
    "snntorch": "snnTorch 1.0.0",
    "spikingjelly": "SpikingJelly 2.0.0",
    "sinabs": "sinabs 3.1.3",
    "rockpool": "Rockpool 3.1.0",
    "norse": "Norse 1.1.0",
    "spyx": "Spyx 1.0.0",
}
HEAD = """\
# Models of six frameworks, spike by spike

`make interop` builds {models} models in their own frameworks and runs each for 48
steps on a seeded input. It reads each from the file of the framework's own
exporter (`--producer`, with the options that the exporter does not write) and
from its torch module (`nrf-deploy export`), runs the float reference on the
same input, and compares every spike of every layer. This page is its output.
`tests/interop/` has the models and the recorded spikes, which every test run
compares again.

- **exact**: every spike of every layer is equal, and every value of a readout
  to 1e-5.
- **refused**: an error names what is not supported, and nothing is read.
- **lost**: the framework's exporter leaves out what makes the difference, and
  no reader can see it. `--producer` names it. Export the module instead, or
  compare the file with a recording (`verify --against`).
- **no file**: the framework's exporter cannot write this model.
- **-**: the framework has no torch modules.

Inputs: random spikes; strong (1 to 6 a step); negative (-2 to 2); real
numbers; quarters, where weights and inputs are multiples of 1/4, so that sums
are exact and potentials meet their thresholds exactly.

| reading              | exact | refused | lost | no file | wrong |
|----------------------|------:|--------:|-----:|--------:|------:|
{summary}

- Mismatches through a connection, at most 1e-5 from the threshold: {near}.
- Of these on quarters: {near_quarters}.
"""
WIDE = 35
FILE = ("exact", "refused", "lost", "no file", "wrong")


def page(results: Mapping[str, Sequence[Row]]) -> str:
    """Return the whole page."""
    rows = [row for many in results.values() for row in many]
    near = [(m, p) for m, *both in rows for outcome in both for p in outcome.near]
    quarters = [p for m, p in near if m.about["inputs"] == "quarters"]
    summary = []
    for title, which in (("file, `--producer`", 1), ("torch module", 2)):
        count = Counter(_kind(row[which]) for row in rows)
        cells = [f"{count[k]:{n}}" for k, n in zip(FILE, (5, 7, 4, 7, 5), strict=True)]
        summary.append(f"| {title:20} | {' | '.join(cells)} |")
    text = HEAD.format(
        models=len(rows),
        summary="\n".join(summary),
        near="; ".join(f"{m.framework} {m.name}: {p}" for m, p in near) or "none",
        near_quarters=len(quarters) or "none",
    )
    for framework, many in results.items():
        text += f"\n## {TITLES[framework]}\n\n" + "\n".join(table(many)) + "\n" + _notes(many)
    return text


def table(rows: Sequence[Row]) -> list[str]:
    """Return the table of a framework."""
    lines = [
        f"| {'model':{WIDE}} | input    | spikes | file    | module  |",
        f"|{'-' * (WIDE + 2)}|----------|-------:|---------|---------|",
    ]
    for made, file, module in rows:
        spikes = sum(float(abs(s).sum()) for s in made.record.spikes.values())
        cells = [f"{_form(made):{WIDE}}", f"{made.about['inputs']:8}", f"{spikes:6.0f}"]
        cells += [f"{_kind(outcome):7}" for outcome in (file, module)]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _form(made: Made) -> str:
    return str(made.about["form"]).removesuffix(": to refuse")


def _kind(outcome: Outcome) -> str:
    """Return the outcome in one word."""
    if outcome.word.startswith("refused"):
        return "refused"
    return {"not in the file": "lost", "no torch": "-"}.get(outcome.word, outcome.word)


def _notes(rows: Sequence[Row]) -> str:
    """Return a list of what is refused with which code, and of what is lost."""
    lines = []
    for made, *both in rows:
        for way, outcome in zip(("file", "module"), both, strict=True):
            if _kind(outcome) == "refused":
                lines.append(f"- {_form(made)} ({way}): {', '.join(outcome.word.split()[1:])}")
            elif _kind(outcome) == "lost":
                lines.append(f"- {_form(made)} (file): lost is {outcome.detail}")
    wrapped = [textwrap.fill(line, 80, subsequent_indent="  ") for line in lines]
    return "\n" + "\n".join(wrapped) + "\n" if lines else ""
