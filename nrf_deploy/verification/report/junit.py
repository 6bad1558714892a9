"""Verification as JUnit XML, with one test a layer, so that a CI shows which one failed."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree

from nrf_deploy.diagnostics.findings import Finding, error
from nrf_deploy.diagnostics.text import printable
from nrf_deploy.io.model import rule_findings

from ..trained import TrainedReport
from .report import Report


def junit(report: Report) -> str:
    """Return a report as JUnit XML without times: the same text for the same report."""
    c = report.comparison
    errors = [f for f in report.findings if f.severity == "error"]
    layers = {layer.layer for layer in c.layers}
    cases: list[tuple[str, list[Finding]]] = [
        (layer.layer, [f for f in errors if f.layer == layer.layer]) for layer in c.layers
    ]
    others = [f for f in errors if f.layer not in layers]
    if others or not cases:
        cases.append(("beside the layers", others))
    suite = ElementTree.Element(
        "testsuite",
        name="nrf-deploy verify",
        tests=str(len(cases)),
        failures=str(sum(bool(case) for _, case in cases)),
        errors="0",
        skipped="0",
    )
    if report.chain:
        properties = ElementTree.SubElement(suite, "properties")
        for link in report.chain:
            ElementTree.SubElement(
                properties, "property", name=link.name, value=printable(link.text)
            )
    for name, case in cases:
        _case(suite, f"{c.left} against {c.right}", name, case)
    remarks = [_text(f) for f in rule_findings(report.findings)]
    if remarks := [*remarks, *(printable(link.sentence) for link in report.chain)]:
        ElementTree.SubElement(suite, "system-out").text = "\n".join(remarks)
    ElementTree.indent(suite)
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def junit_trained(report: TrainedReport) -> str:
    """Return the comparison of a model with its framework as JUnit XML, one test a layer."""
    bad = [layer for layer in report.layers if layer.first is not None]
    suite = ElementTree.Element(
        "testsuite",
        name="nrf-deploy verify",
        tests=str(len(report.layers)),
        failures=str(len(bad)),
        errors="0",
        skipped="0",
    )
    properties = ElementTree.SubElement(suite, "properties")
    ElementTree.SubElement(
        properties, "property", name="trained = read", value=printable(report.trained.text)
    )
    for layer in report.layers:
        findings = [f for f in report.findings if f.severity == "error" and f.layer == layer.name]
        if layer.first is not None and not findings:
            findings = [error("WITNESS-DIFFERS", layer.first.what, layer=layer.name)]
        _case(suite, "model against framework", layer.name, findings)
    ElementTree.indent(suite)
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def _case(suite: ElementTree.Element, engines: str, name: str, errors: Sequence[Finding]) -> None:
    case = ElementTree.SubElement(
        suite, "testcase", classname=printable(engines), name=printable(name)
    )
    if errors:
        message = printable("; ".join(f.what for f in errors))
        failure = ElementTree.SubElement(case, "failure", type=errors[0].code, message=message)
        failure.text = "\n".join(map(_text, errors))


def _text(finding: Finding) -> str:
    return "\n".join(map(printable, finding.text().splitlines()))
