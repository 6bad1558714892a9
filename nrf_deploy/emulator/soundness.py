"""The one question that every engine asks before it runs a program, and a bundle when it is read.

Program.faults() knows shapes, indices and delays; the arithmetic knows its models and parameters
(parameters.py). The answer is kept with the program, so that another run costs nothing.
"""

from __future__ import annotations

from typing import Any

from ..findings import Finding, NrfError, TargetError, error, refuse
from ..program import Program

BROKEN = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""Exceptions that a check of unsound parts may raise."""


def demand_sound(program: Program, arithmetic: Any) -> None:
    """Refuse a program that golden could not run by these rules."""
    refuse(findings(program, arithmetic), TargetError)


def findings(program: Program, arithmetic: Any) -> tuple[Finding, ...]:
    """Return every fault of the program by the rules of this Arithmetic or EventRule."""
    known: tuple[Finding, ...] | None = program.kept.get(arithmetic)
    if known is None:
        known = program.kept[arithmetic] = tuple(_found(program, arithmetic))
    return known


def _found(program: Program, arithmetic: Any) -> list[Finding]:
    try:
        found = [error("PROGRAM-UNSOUND", fault) for fault in program.faults()]
        return found or _by_rules(program, arithmetic)
    except NrfError:
        raise
    except BROKEN as problem:
        return [error("PROGRAM-UNSOUND", f"its parts make no sense ({problem!r:.200})")]


def _by_rules(program: Program, arithmetic: Any) -> list[Finding]:
    from . import events_golden

    if callable(check := getattr(arithmetic, "faults", None)):
        found = [f for f in check(program) if f.severity == "error"]
        events = isinstance(arithmetic, events_golden.EventRule)
        return [*found, *events_golden.faults(program)] if events else found
    return [
        error(
            "ARITHMETIC-UNDECLARED",
            f"the arithmetic {program.arithmetic!r:.80} does not declare its parameters",
            why="without them nobody can tell whether it can run this program",
            fix="in a target of your own, declare them (docs/add-a-target.md)",
        )
    ]
