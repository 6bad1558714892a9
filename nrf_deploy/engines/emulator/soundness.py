"""Check of a program that every engine makes before a run, and a bundle when it is read.

Program.faults() checks shapes, indices and delays; the arithmetic checks its models and
parameters (parameters.py). The result is kept with the program, so that another run is free.
"""

from __future__ import annotations

from typing import Any

from nrf_deploy.diagnostics.findings import Finding, NrfError, TargetError, error, refuse
from nrf_deploy.ir.program import Program

BROKEN = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""Exceptions that a check of unsound parts may raise."""


def demand_sound(program: Program, arithmetic: Any) -> None:
    """Refuse a program that golden cannot run by these rules."""
    refuse(findings(program, arithmetic), TargetError)


def findings(program: Program, arithmetic: Any) -> tuple[Finding, ...]:
    """Return every fault of the program by the rules of this Arithmetic or EventRule."""
    known: tuple[Finding, ...] | None = program.kept.get(arithmetic)
    if known is None:
        known = program.kept[arithmetic] = tuple(_faults(program, arithmetic))
    return known


def _faults(program: Program, arithmetic: Any) -> list[Finding]:
    try:
        faults = [error("PROGRAM-UNSOUND", fault) for fault in program.faults()]
        return faults or _by_rules(program, arithmetic)
    except NrfError:
        raise
    except BROKEN as problem:
        return [error("PROGRAM-UNSOUND", f"its parts contradict each other ({problem!r:.200})")]


def _by_rules(program: Program, arithmetic: Any) -> list[Finding]:
    from . import events_golden

    if callable(check := getattr(arithmetic, "faults", None)):
        faults = [f for f in check(program) if f.severity == "error"]
        events = isinstance(arithmetic, events_golden.EventRule)
        return [*faults, *events_golden.faults(program)] if events else faults
    return [
        error(
            "ARITHMETIC-UNDECLARED",
            f"the arithmetic {program.arithmetic!r:.80} does not declare its parameters",
            why="without them it is unknown whether it can run this program",
            fix="declare them in the target (docs/add-a-target.md)",
        )
    ]
