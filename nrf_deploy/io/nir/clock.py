"""Time step of a file: from the file itself, from the caller, and from the producer's dialect."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from nrf_deploy.diagnostics.findings import Finding, error
from nrf_deploy.ir.time_constants import TIMES, step_faults

from .dialects import NIR, Clock, Dialect, ForeignError, likely
from .graph import RawGraph, RawNode

SAME_DT = 1e-6  # relative: the error of a dt that is stored as float32


def clock_of(
    graph: RawGraph, dt: float | None, dialect: Dialect | None, findings: list[Finding]
) -> Clock | None:
    """Return the length of a step; None (and an error) if it is unclear.

    Args:
        graph: the graph of the file
        dt: the time step that the caller states
        dialect: the dialect of the producer that the caller states
        findings: where errors are added
    """
    before = len(findings)
    stated = _stated(graph, dt, findings)
    if len(findings) > before:
        return None
    if dialect is None or dialect is NIR:
        if stated is not None:
            return Clock(stated[1], stated[1])
        findings.append(_missing(graph, dialect))
        return None
    neurons = [n for n in graph.nodes.values() if n.kind in dialect.kinds]
    try:
        with np.errstate(all="ignore"):  # absurd values overflow; the checks then refuse them
            own = dialect.own_step(neurons)
    except ForeignError as foreign:
        findings.append(error("NIR-PRODUCER", str(foreign), fix=WRONG))
        return None
    if own is not None and not (math.isfinite(own) and own > 0):
        what = f"the neurons imply the time step {own:g}; expected a finite number above 0"
        findings.append(error("NIR-PRODUCER", what, fix=WRONG))
        return None
    if own is None and stated is None:
        findings.append(_missing(graph, dialect))
        return None
    if own is None:
        assert stated is not None
        return Clock(dialect.in_file(stated[1]), stated[1])
    if dialect.counts:
        return Clock(own, own if stated is None else stated[1])
    if stated is not None and not math.isclose(stated[1], own, rel_tol=1e-5):
        findings.append(_contradicts(dialect, own, *stated))
        return None
    step = own if stated is None else stated[1]
    return Clock(dialect.in_file(step), step)


WRONG = "state the producer that wrote the file"


def _stated(graph: RawGraph, dt: float | None, findings: list[Finding]) -> tuple[str, float] | None:
    """Return (who states it, dt) of file, nested graphs and caller; None if nobody states it."""
    stated: list[tuple[str, object]] = [] if dt is None else [("the caller", float(dt))]
    stated += [
        (f"the file{f' in {n!r}' if n else ''}", m["dt"]) for n, m in graph.metadata if "dt" in m
    ]
    if wrong := [f for who, value in stated for f in step_faults(_number(value), who, value)]:
        findings += wrong
        return None
    known = [(who, _number(value)) for who, value in stated]
    for who, other in known[1:]:
        if not math.isclose(other, known[0][1], rel_tol=SAME_DT):
            what = f"dt is {known[0][1]:g} according to {known[0][0]}, {other:g} according to {who}"
            fix = "leave dt out, or export the model again"
            findings.append(error("NIR-DT-CONFLICT", what, fix=fix))
            return None
    return known[0] if known else None


def _missing(graph: RawGraph, dialect: Dialect | None) -> Finding:
    more = ""
    if dialect is None and (guess := likely(graph)):
        more = f", or --producer {guess[0].name} if {guess[0].framework} wrote it"
    who = "" if dialect in (None, NIR) else f" of {dialect.framework}" if dialect else ""
    return error(
        "NIR-DT-MISSING",
        f"the file{who} has no time step{_some_tau(list(graph.nodes.values()))}",
        why="NIR describes neurons in continuous time; any dt would be a guess",
        fix=(
            f"give the --dt that {dialect.framework}'s exporter was given (its default is 1e-4)"
            if dialect is not None and dialect.name == "spikingjelly"
            else "give --dt in the unit of the file's time constants (1 if it counts in steps)"
        )
        + more,
    )


def _contradicts(dialect: Dialect, own: float, who: str, dt: float) -> Finding:
    return error(
        "NIR-DT-CONFLICT",
        f"dt is {dt:g} according to {who}; a file of {dialect.framework} with these constants "
        f"has {own:g}",
        why=dialect.step_from,
        fix="leave dt out",
    )


def _some_tau(nodes: Sequence[RawNode]) -> str:
    """Return a time constant of the file in words, which shows its unit to the user."""
    for node in nodes:
        for key in TIMES:
            value = np.asarray(node.fields.get(key, ()))
            if value.size and value.dtype.kind in "fiu":
                return f"; its neuron {node.name!r} has {key} = {value.flat[0]:g}"
    return ""


def _number(value: Any) -> float:
    """Return a value as a float; NaN if it is not a single number."""
    array = np.asarray(value)
    return float(array.item()) if array.size == 1 and array.dtype.kind in "fiu" else math.nan
