"""The tests: a layer of a bundle, or a case of a kit. Failures read like the verifier's."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from nrf_deploy.bundle.bundle import Bundle
from nrf_deploy.bundle.pipeline import populations
from nrf_deploy.diagnostics.findings import Finding, NrfError, merged
from nrf_deploy.diagnostics.text import WIDTH, finding_text, printable, wrap
from nrf_deploy.io.labels import Labels
from nrf_deploy.io.model import rule_findings
from nrf_deploy.ir.recording import Recording
from nrf_deploy.verification import Limits, Report
from nrf_deploy.verification.report.chain import trained_link
from nrf_deploy.verification.report.report import divergence_sentences, labelled_sentence
from nrf_deploy.verification.verify import verify

from ..conformance import show
from ..conformance.case import Case
from ..conformance.result import Result
from ..conformance.run import Task, run_case, with_cause

WHOLE = "beside the layers"
"""The test of findings that do not concern one layer; it can pass if a layer fails."""
OPTION = re.compile(
    r"(?<![\w-])--(bin|merge|clip|crop|downsample|origin|layout|part|from|until|limits?|exact|labels|layer"
    r"|behind|engine|against|input|target|kit)\b(?!-)"
)
"""Options that commands and this plug-in have in common."""
COMMAND = re.compile(r"(nrf-deploy [a-z].*?(?=, or |; |$))")
"""A command of nrf-deploy in a sentence, which keeps its own options."""


class UnmetError(Exception):
    """The text of a failed test, ready to be printed."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Question:
    """A bundle, its input, two engines and the limits between them."""

    name: str
    path: str
    bundle: Bundle
    recording: Recording
    engine: str
    against: str
    layer: str | None
    behind: int
    limits: Limits
    labels: Labels | None
    findings: tuple[Finding, ...]

    @cached_property
    def report(self) -> Report:
        """The report of both engines, which run when the first layer's test does."""
        return verify(
            self.bundle,
            self.recording,
            self.engine,
            self.against,
            limits=self.limits,
            layer=self.layer,
            behind=self.behind,
            labels=self.labels,
        )


class _PlainItem(pytest.Item):
    """A test whose failure is a text; only an error in nrf-deploy shows a traceback."""

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        if isinstance(excinfo.value, UnmetError):
            return str(excinfo.value)
        if isinstance(excinfo.value, NrfError):
            return findings_text(f for f in excinfo.value.findings if f.severity == "error")
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[os.PathLike[str] | str, int | None, str]:
        return self.path, None, self.name


class BundleTests(pytest.Collector):
    """A test for each layer, and one for findings that do not concern one layer."""

    question: Question

    @classmethod
    def of(cls, session: pytest.Session, question: Question) -> BundleTests:
        nodeid = question.name.replace("::", ":")
        tests: BundleTests = cls.from_parent(
            session, name=question.name, path=Path(question.path).absolute(), nodeid=nodeid
        )
        tests.question = question
        return tests

    def collect(self) -> list[pytest.Item]:
        names = [*populations(self.question.bundle), WHOLE]
        return [LayerTest.from_parent(self, name=name) for name in names]


class LayerTest(_PlainItem):
    parent: BundleTests

    def setup(self) -> None:
        """Store the origin of the firing rule and the first link, for --junitxml."""
        rules = rule_findings(self.parent.question.findings)
        self.user_properties += [(f.code, printable(f.what)) for f in merged(rules)]
        link = trained_link(self.parent.question.bundle.trained)
        self.user_properties.append((link.name, printable(link.text)))

    def runtest(self) -> None:
        report = self.parent.question.report
        layers = {layer.layer for layer in report.comparison.layers}
        errors = [f for f in report.findings if f.severity == "error" and self._mine(f, layers)]
        if not errors and self.name not in (*layers, WHOLE):
            pytest.skip(f"{self.parent.question.against} has no output of it")
        if not errors:
            return
        first = report.comparison.first_divergence
        sentences = divergence_sentences(report.comparison)
        here = first is not None and first.layer == self.name
        where = "\n".join(wrap(s) for s in sentences) if here else ""
        task = wrap(labelled_sentence(report))
        raise UnmetError("\n\n".join(part for part in (findings_text(errors), where, task) if part))

    def _mine(self, finding: Finding, layers: set[str]) -> bool:
        return finding.layer == self.name or (self.name == WHOLE and finding.layer not in layers)


class KitTests(pytest.Collector):
    """A test for each case of a kit."""

    task: Task

    @classmethod
    def of(cls, session: pytest.Session, task: Task) -> KitTests:
        name = f"{task.chip} on {task.engine}"
        tests: KitTests = cls.from_parent(session, name=name, nodeid=name)
        tests.task, tests.results = task, {}
        return tests

    results: dict[Case, Result]

    def collect(self) -> list[pytest.Item]:
        return [CaseTest.of(self, case) for case in self.task.cases]

    def result(self, case: Case) -> Result:
        if case not in self.results:
            self.results[case] = run_case(self.task, case)
        return self.results[case]

    def explained(self, case: Case) -> Result:
        """Run the other cases too if nothing else names the cause."""
        others = (self.result(other) for other in self.task.cases)
        return with_cause(self.task, self.result(case), others)


class CaseTest(_PlainItem):
    parent: KitTests
    case: Case

    @classmethod
    def of(cls, parent: KitTests, case: Case) -> CaseTest:
        test: CaseTest = cls.from_parent(parent, name=case.title)
        test.case = case
        return test

    def runtest(self) -> None:
        result = self.parent.result(self.case)
        if result.status == "refused":
            pytest.skip(show.reason(result))
        if result.bad:
            raise UnmetError(
                show.full_text(self.parent.explained(self.case), self.parent.task.engine)
            )


def findings_text(findings: Iterable[Finding], width: int = WIDTH) -> str:
    """Return findings as text, with this plug-in's names of the options."""
    return "\n".join(finding_text(_renamed(f), width) for f in findings)


def _renamed(finding: Finding) -> Finding:
    def named(text: str) -> str:
        parts = COMMAND.split(text)
        return "".join(p if k % 2 else OPTION.sub(r"--nrf-\1", p) for k, p in enumerate(parts))

    return replace(
        finding, what=named(finding.what), why=named(finding.why), fix=named(finding.fix)
    )
