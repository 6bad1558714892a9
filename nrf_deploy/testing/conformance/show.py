"""Results of a kit as a table for people, as JSON for programs and as JUnit XML for CI."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

from nrf_deploy.compare.comparison import Divergence
from nrf_deploy.diagnostics.findings import Finding
from nrf_deploy.diagnostics.text import finding_text, printable, table, wrap
from nrf_deploy.verification.judge import output_or_state

from .result import Conformance, Result
from .run import LEFT_OUT

SCHEMA_VERSION = 1
NOT_FOUND = "not found"


def text(c: Conformance) -> str:
    """Return the results in at most 80 columns; the first case of each cause is shown in full."""
    rows = [(r.case.title, r.status, _where(r), reason(r)) for r in c.results]
    parts = [
        wrap(f"{c.chip} on the engine {c.engine}", then="    "),
        table(("case", "result", "first divergence", "likely cause"), rows, "llll", names=True),
        *_in_full(c),
        wrap(_makers(c), then="  "),
        *(wrap(s) for s in _remarks(c)),
        f"verdict: {verdict(c)}",
    ]
    return "\n\n".join(part for part in parts if part)


def _in_full(c: Conformance) -> Iterator[str]:
    causes: dict[str, list[Result]] = {}
    for r in c.results:
        if r.bad:
            causes.setdefault(reason(r), []).append(r)
    for first, *others in causes.values():
        yield full_text(first, c.engine)
        if others:
            alike = "Alike" if first.cause else "Likewise, perhaps each with another cause"
            yield wrap(f"{alike}: {', '.join(r.case.title for r in others)}.", "  ")


def verdict(c: Conformance) -> str:
    bad = sum(r.bad for r in c.results)
    if bad:
        return f"failed: {bad} of {len(c.results)} cases"
    if not c.compared:
        return "nothing was compared: every case was refused"
    refused = c.count("refused")
    return f"passed: {c.count('ok')} cases" + (f", {refused} refused" if refused else "")


def full_text(r: Result, engine: str) -> str:
    """Return one case in full: the case, its first mismatch and the likely cause."""
    lines = [wrap(f"{r.case.title}: {r.case.about}", then="  ")]
    lines += [wrap(sentence, indent="  ") for sentence in _sentences(r, engine)]
    lines += [finding_text(f) for f in r.findings if f.severity == "error"]
    return "\n".join(lines)


def _sentences(r: Result, engine: str) -> Iterator[str]:
    d = _first(r)
    if d is not None:
        value = d.value
        yield (
            f"Layer {d.layer!r}, neuron {d.neuron}, step {d.step}: {output_or_state(d.variable)} "
            f"is {_number(value.left)} in {engine}, {_number(value.right)} is expected "
            f"({r.case.made_by})."
        )
        others = [v for v in d.values if v.variable != d.variable]
        for v in others:
            differs = "differs too" if v.left != v.right else "is equal"
            named = output_or_state(v.variable).capitalize()
            yield f"{named} {differs}: {_number(v.left)} and {_number(v.right)}."
    if r.cause or r.status == "differs":
        yield f"Likely cause: {r.cause or NOT_FOUND}."
    if r.hint:
        yield f"Seen: {r.hint}."


def _number(x: int | float) -> str:
    return f"{x:.6g}" if isinstance(x, float) else str(x)


def _first(r: Result) -> Divergence | None:
    return None if r.comparison is None else r.comparison.first_divergence


def _where(r: Result) -> str:
    d = _first(r) if r.status == "differs" else None
    if d is None:
        return "-"
    neuron = ",".join(map(str, d.neuron))
    return f"{d.layer}[{neuron}] {d.variable}, step {d.step}"


def reason(r: Result) -> str:
    """Return the likely cause of a difference, or the reason why nothing was compared."""
    if r.cause or not r.findings:
        return r.cause or (NOT_FOUND if r.status == "differs" else "")
    first = next((f for f in r.findings if f.severity == "error"), r.findings[0])
    return first.what


def _makers(c: Conformance) -> str:
    counts = Counter(r.case.made_by for r in c.results)
    counts.update(r.case.image.made_by for r in c.results if r.case.image)
    makers = ", ".join(f"{maker} ({n})" for maker, n in counts.items())
    return f"Expected values made by: {makers}." if makers else ""


def _remarks(c: Conformance) -> Iterator[str]:
    if c.count("refused"):
        yield (
            "refused: the target reports that it cannot hold this model, or the engine that it "
            "cannot run this program, with the reason; that is not a fault."
        )
    if blind := [r for r in c.results if r.unseen and r.status != "refused"]:
        names = dict.fromkeys(v for r in blind for v in r.unseen)
        where = ", ".join(r.case.title for r in blind[:3])
        more = f" and {len(blind) - 3} more" if len(blind) > 3 else ""
        yield f"States that were not shown, and not compared: {', '.join(names)} ({where}{more})."
    for f in {f for r in c.results for f in r.findings if f.code == LEFT_OUT}:
        yield f"{f.what[0].upper()}{f.what[1:]}: {f.why}."
    hidden = {
        f"{v} of {layer!r} in {r.case.title}: {unknown.why}"
        for r in c.results
        for layer, variables in r.case.hidden.items()
        for v, unknown in variables.items()
    }
    if hidden:
        yield f"Not shown by the recordings, and not compared: {'; '.join(sorted(hidden))}."


# --- for programs -----------------------------------------------------------------


def as_json(c: Conformance) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        "chip": c.chip,
        "engine": c.engine,
        "passed": c.passed,
        "verdict": verdict(c),
        "cases": [_case_json(r) for r in c.results],
    }


def _case_json(r: Result) -> dict[str, Any]:
    d = _first(r)
    return {
        "name": r.case.title,
        "about": r.case.about,
        "covers": list(r.case.covers),
        "made_by": r.case.made_by,
        "arithmetic": r.case.arithmetic,
        "status": r.status,
        "likely_cause": r.cause,
        "hint": r.hint,
        "unseen": list(r.unseen),
        "first_divergence": None if d is None else _divergence_json(d),
        "findings": [f.as_json() for f in r.findings],
    }


def _divergence_json(d: Divergence) -> dict[str, Any]:
    return {
        "layer": d.layer,
        "neuron": list(d.neuron),
        "step": d.step,
        "variable": d.variable,
        "value": d.value.left,
        "expected": d.value.right,
    }


def junit(c: Conformance) -> str:
    """Return a test for each case; a refusal is a skipped test."""
    bad = sum(r.bad for r in c.results)
    suite = ElementTree.Element(
        "testsuite",
        name="nrf-deploy conformance",
        tests=str(len(c.results)),
        failures=str(bad),
        errors="0",
        skipped=str(c.count("refused")),
    )
    for r in c.results:
        where = printable(f"{c.chip} on {c.engine}")
        case = ElementTree.SubElement(suite, "testcase", classname=where, name=r.case.title)
        if r.bad:
            message = printable(r.cause or reason(r))
            failure = ElementTree.SubElement(case, "failure", type=r.status, message=message)
            failure.text = "\n".join(map(printable, full_text(r, c.engine).splitlines()))
        elif r.status == "refused":
            ElementTree.SubElement(case, "skipped", message=printable(reason(r)))
    ElementTree.indent(suite)
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def findings(c: Conformance) -> list[Finding]:
    return [f for r in c.results for f in r.findings]
