"""Findings: facts about a model or a run, and the errors that carry them.

A Finding is one fact: where, what, why, and the fix. Every refusal of the
toolchain is an `NrfError` that carries all findings of its stage at once, so
that nobody has to repair a model one error at a time. Where Python has an exception
for a case (ValueError, TypeError, FileNotFoundError), the refusal is one of these too.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, Self

Severity = Literal["error", "warning", "info"]


@dataclass(frozen=True)
class Finding:
    """One fact about a model or a run.

    Attributes:
        severity: "error", "warning" or "info".
        code: The stable name of the kind of fact, such as "NIR-DT-MISSING".
        what: The fact, with the value and the limit.
        why: The reason; empty if there is none to give.
        fix: What to do about it, a command or an edit; empty if there is nothing.
        layer: The layer; None if it concerns none.
        neuron: The index of the neuron in the layer's shape; None if it concerns none.
        step: The step; None if it concerns none.
    """

    severity: Severity
    code: str
    what: str
    why: str = ""
    fix: str = ""
    layer: str | None = None
    neuron: tuple[int, ...] | None = None
    step: int | None = None

    def place(self) -> str:
        """Return the layer, the neuron and the step in words; empty without any."""
        parts = []
        if self.layer is not None:
            parts.append(f"layer {self.layer!r}")
        if self.neuron is not None:
            parts.append(f"neuron {self.neuron}")
        if self.step is not None:
            parts.append(f"step {self.step}")
        return ", ".join(parts)

    def text(self) -> str:
        """Return the finding as text: severity, code, place and fact, then why, then fix."""
        head = f"{self.severity}[{self.code}]"
        place = self.place()
        lines = [f"{head} {place}: {self.what}" if place else f"{head} {self.what}"]
        if self.why:
            lines.append(f"    why: {self.why}")
        if self.fix:
            lines.append(f"    fix: {self.fix}")
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        """Return the fields that are set as plain data."""
        return {k: v for k, v in dataclasses.asdict(self).items() if v not in (None, "")}


def error(code: str, what: str, **more: Any) -> Finding:
    return Finding("error", code, what, **more)


def warning(code: str, what: str, **more: Any) -> Finding:
    return Finding("warning", code, what, **more)


def info(code: str, what: str, **more: Any) -> Finding:
    return Finding("info", code, what, **more)


def merged(findings: Iterable[Finding]) -> list[Finding]:
    """Merge findings that differ only in their layer into one that lists the layers."""
    groups: dict[tuple[Finding, bool], dict[str | None, Finding]] = {}
    for f in findings:
        alike = (dataclasses.replace(f, layer=None), f.layer is None)
        groups.setdefault(alike, {}).setdefault(f.layer, f)
    return [_of_layers(list(by.values())) for by in groups.values()]


def _of_layers(alike: list[Finding]) -> Finding:
    first = alike[0]
    if len(alike) == 1:
        return first
    names = ", ".join(repr(f.layer) for f in alike)
    return dataclasses.replace(first, what=f"layers {names}: {first.what}", layer=None)


OPTION = re.compile(r"(?<![\w-])--([a-z]+(?:-[a-z]+)*)(?: (?=[-+.\d]|\w+\|))?")
ARGUMENTS = {"from": "start", "as": "form"}
"""Options whose argument in Python has another name."""


def _in_python(text: str) -> str:
    """Return a text with `--per-step` as `per_step=`, but for the commands in it."""

    def argument(option: re.Match[str]) -> str:
        name = option[1].replace("-", "_")
        return f"{ARGUMENTS.get(name, name)}="

    lines = text.splitlines()
    return "\n".join(x if "nrf-deploy " in x else OPTION.sub(argument, x) for x in lines)


class NrfError(Exception):
    """A refusal with every finding of the stage that refused.

    Attributes:
        findings: All findings of the stage, errors and others, in the order of the checks.
        exit_code: The exit code of the command line for this refusal.
    """

    exit_code = 70

    def __init__(self, findings: Finding | Iterable[Finding]):
        self.findings = (findings,) if isinstance(findings, Finding) else tuple(findings)
        super().__init__("\n".join(f.text() for f in self.findings))

    def __str__(self) -> str:
        """Return the findings as text, with options by their names in Python.

        The command line prints the findings themselves.
        """
        return "\n".join(_in_python(f.text()) for f in self.findings)

    def __reduce__(self) -> tuple[type[Self], tuple[tuple[Finding, ...]]]:
        """Return the parts from which another process builds this error again."""
        return type(self), (self.findings,)

    def of(self, path: str | os.PathLike[str]) -> NrfError:
        """Return the same error with the file's name in findings without a layer or file."""
        name, base = os.fspath(path), os.path.basename(path)
        return type(self)(
            f
            if f.layer is not None or base in f.what
            else dataclasses.replace(f, what=f"{name}: {f.what}")
            for f in self.findings
        )


@contextmanager
def naming(path: str | os.PathLike[str]) -> Iterator[None]:
    """Add the file's name to errors about its content."""
    try:
        yield
    except NrfError as refusal:
        raise refusal.of(path) from refusal


class UnjudgedError(NrfError):
    """A verification without anything to judge, which did not pass."""

    exit_code = 1


class UsageError(NrfError, ValueError):
    """A wrong call: an option or an argument that does not fit."""

    exit_code = 2


class ArgumentTypeError(UsageError, TypeError):
    """An argument of a wrong type."""


class MissingFileError(UsageError, FileNotFoundError):
    """A file to read, or a folder to write to, that does not exist."""


class InputError(NrfError, ValueError):
    """A file or data that cannot be read, is hostile, or does not state what it must."""

    exit_code = 3


class TargetError(NrfError):
    """The model is sound, but it cannot go on this target as it is."""

    exit_code = 4


class MissingError(NrfError):
    """An SDK or a board is missing or failed."""

    exit_code = 5


def refuse(findings: Iterable[Finding], kind: type[NrfError]) -> None:
    """Raise `kind` with all findings if any of them is an error."""
    findings = tuple(findings)
    if any(f.severity == "error" for f in findings):
        raise kind(findings)
