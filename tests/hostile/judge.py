"""Count of an ended case: refused, good, or one or several failures."""

from __future__ import annotations

import re
import signal
import unicodedata
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

MOST_MB = 1536
CPU_S = 20
"""Seconds of the processor for one call; more is a hang."""
FAILURES = {
    "signal": "ended by a signal (SIGSEGV, SIGABRT, ...)",
    "traceback": "a Python traceback, or exit code 70",
    "hang": "more than 20 s of the processor, or blocked",
    "memory": "more than 1.5 GB",
    "differs": "the compiled engine and the plain emulator differ, or the plain one cannot run",
    "code": "an exit code that this kind of input may not give",
    "left": "an output beside a refusal, a temporary file or a process left behind",
    "escape": "a control character of the input on the terminal",
    "outside": "another file was opened, or content of a file was executed",
    "markup": "HTML or XML that is not well-formed, or a name that became a tag",
}


@dataclass
class Outcome:
    """One case after its end."""

    family: str
    seed: int
    number: int
    words: list[str] = field(default_factory=list)
    about: str = ""
    code: int | None = None
    cpu: float = 0.0
    mb: float = 0.0
    refusal: str = ""
    """The code of the first error that was printed."""
    failures: dict[str, str] = field(default_factory=dict)
    """By the keys of FAILURES: what was seen."""

    @property
    def kind(self) -> str:
        if self.failures:
            return "failed"
        return "good" if self.code in (0, None) else "refused"

    def text(self) -> str:
        seen = "\n".join(f"  {name}: {what}" for name, what in self.failures.items())
        return (
            f"{self.family} {self.number} (seed {self.seed}): {self.about}\n"
            f"  nrf-deploy {' '.join(self.words)}\n  exit code {self.code}, {self.cpu:.2f} s, "
            f"{self.mb:.0f} MB\n{seen}\n  again: {self.again}"
        )

    @property
    def again(self) -> str:
        return (
            f"python -m tests.hostile {self.family} --seed {self.seed} --number {self.number} "
            "--keep FOLDER"
        )


def judged(
    outcome: Outcome, said: dict[str, Any], folder: Path, ended: int, before: set[str], orphans: int
) -> Outcome:
    """Count a case: `said` is the child's output, `ended` its status, `before` its inputs."""
    outcome.words, outcome.about = list(said.get("words", ())), said.get("about", "")
    outcome.code = said.get("code")
    outcome.cpu = said.get("cpu", outcome.cpu)
    outcome.mb = said.get("mb", outcome.mb)
    seen = outcome.failures
    if "harness" in said:
        seen["traceback"] = "in the campaign itself: " + said["harness"]
        return outcome
    _ending(outcome, said, ended)
    if outcome.cpu > CPU_S and outcome.code is not None:
        seen["hang"] = f"{outcome.cpu:.0f} s of the processor"
    if outcome.mb > MOST_MB:
        seen["memory"] = f"{outcome.mb:.0f} MB"
    if said.get("golden"):
        seen["differs"] = said["golden"]
    if said.get("opened"):
        seen["outside"] = "the decoy was opened"
    if (folder / "PWNED").exists() or (folder / "in" / "PWNED").exists():
        seen["outside"] = "content of a file was executed"
    _printed(outcome, folder)
    _files(outcome, said, folder, before, orphans)
    if outcome.code in (0, *said.get("beside", ())):
        for page in said.get("pages", ()):
            if (folder / page).exists() and (wrong := _markup(folder / page)):
                seen["markup"] = f"{page}: {wrong}"
    return outcome


def _ending(outcome: Outcome, said: dict[str, Any], ended: int) -> None:
    number = ended & 0x7F
    answered = said.get("code") is not None
    if number == signal.SIGXCPU or "blocked" in said:
        what = "in the plain emulator" if answered else "in the call"
        name = "differs" if answered else "hang"
        outcome.failures[name] = f"{'blocked' if 'blocked' in said else 'no end'} {what}"
    elif number:
        after = " while the plain emulator ran" if answered else ""
        outcome.failures["signal"] = f"{signal.Signals(number).name}{after}"
    elif outcome.code == 70:
        outcome.failures["traceback"] = "exit code 70"
    elif outcome.code is None:
        outcome.failures["traceback"] = "the process ended without an answer"
    elif outcome.code != 0 and outcome.code not in said["refusals"]:
        outcome.failures["code"] = f"exit code {outcome.code}"


def _printed(outcome: Outcome, folder: Path) -> None:
    for name in ("stdout", "stderr"):
        path = folder / name
        if not path.exists():
            continue
        text = path.read_bytes()[-(1 << 20) :].decode("utf-8", "replace")
        if "Traceback (most recent call last)" in text:
            outcome.failures["traceback"] = text[-600:].strip()
        if not outcome.refusal and (found := re.search(r"error\[([A-Z0-9-]+)\]", text)):
            outcome.refusal = found[1]
        raw = {c for c in set(text) - {"\n"} if unicodedata.category(c) in ("Cc", "Zl", "Zp")}
        raw |= set(text) & set("\u202a\u202b\u202d\u202e\u2066\u2067\u2068")
        if raw:
            outcome.failures["escape"] = f"{name}: {sorted(map(ascii, raw))}"


def _files(
    outcome: Outcome, said: dict[str, Any], folder: Path, before: set[str], orphans: int
) -> None:
    killed = outcome.failures.keys() & {"signal", "hang"}
    out = sorted(p.name for p in (folder / "out").iterdir()) if (folder / "out").exists() else []
    if outcome.code not in (None, 0, *said.get("beside", ())) and out:
        outcome.failures["left"] = f"exit code {outcome.code} and {', '.join(out)}"
    if hidden := [name for name in out if name.startswith(".nrf-")]:
        outcome.failures["left"] = f"{hidden[0]} beside the output"
    if killed:
        return
    for name in ("tmp", "in"):
        here = {str(p.relative_to(folder)) for p in (folder / name).rglob("*")}
        if new := sorted(here - before):
            outcome.failures["left"] = f"{new[0]} is left"
    if orphans:
        outcome.failures["left"] = f"{orphans} processes are left"


class _Tags(HTMLParser):
    """The marks of a hostile name: an attribute or a tag that no page of ours has."""

    def __init__(self) -> None:
        super().__init__()
        self.wrong = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        hostile = [n for n, _ in attrs if n.startswith("on")]
        where = [v for n, v in attrs if n in ("href", "src") and v and "javascript" in v.lower()]
        if hostile or where or tag == "img":
            self.wrong = f"<{tag}> with {attrs!r:.80}"


def _markup(path: Path) -> str:
    text = path.read_bytes()
    if path.suffix == ".xml":
        try:
            ET.fromstring(text)
        except ET.ParseError as problem:
            return str(problem)
        return ""
    parser = _Tags()
    parser.feed(text.decode("utf-8", "replace"))
    return parser.wrong
