"""Outcomes: how each model is read from its file and from its module, against expected.json."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from nrf_deploy.diagnostics.findings import Finding, NrfError
from nrf_deploy.io.model import Model, model_of, rule_findings

from .compare import Place, compare
from .records import Made

EXPECTED = Path(__file__).parent / "expected.json"
WAYS = ("file", "module")


@dataclass(frozen=True)
class Outcome:
    """The end of one reading of a model.

    `word` is "exact", "refused CODE", "not in the file" (the exporter leaves out what the network
    does otherwise, and the reader says so), "no file" (the exporter cannot write it), "no torch",
    or "wrong".
    """

    word: str
    detail: str = ""
    near: tuple[Place, ...] = ()


def of_file(made: Made) -> Outcome:
    """Read the file of the framework's exporter as its producer means it, and compare."""
    if made.nir is None:
        return Outcome("no file", made.about["nir"])
    data = made.nir
    done = _outcome(made, lambda: model_of(data, producer=made.framework, **made.options))
    return _not_in_file(made, data) if made.about["lost"] and done.word == "wrong" else done


def of_module(made: Made) -> Outcome:
    """Read the file that nrf-deploy exported from the module, and compare."""
    if made.framework == "spyx":
        return Outcome("no torch")
    if made.ours is None:
        return Outcome(" ".join(["refused", *made.codes]))
    data = made.ours
    return _outcome(made, lambda: model_of(data))


def _outcome(made: Made, read: Callable[[], Model]) -> Outcome:
    try:
        model = read()
    except NrfError as refusal:
        codes = sorted({f.code for f in refusal.findings if f.severity == "error"})
        return Outcome(" ".join(["refused", *codes]), refusal.findings[0].what)
    near, wrong = compare(model.network, made.record)
    if made.about["inputs"] == "quarters":  # every sum is exact: nothing rounds otherwise
        wrong += [str(place) for place in near]
    if wrong:
        return Outcome("wrong", wrong[0])
    return Outcome("exact", near=tuple(near))


def _not_in_file(made: Made, data: bytes) -> Outcome:
    """Return "not in the file" if the reader names what the exporter leaves out."""
    model = model_of(data, producer=made.framework, **made.options)
    lost = str(made.about["lost"])
    said = (_text(f).lower() for f in rule_findings(model.findings))
    if any(lost.lower() in text for text in said):
        return Outcome("not in the file", lost)
    return Outcome("wrong", f"no finding says that the exporter leaves out: {lost}")


def _text(finding: Finding) -> str:
    return f"{finding.what} {finding.why} {finding.fix}"


def expected() -> dict[str, dict[str, dict[str, str]]]:
    """Return by framework, model and way the word that is expected."""
    known: dict[str, dict[str, dict[str, str]]] = json.loads(EXPECTED.read_text())
    return known
