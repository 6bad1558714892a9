"""Collection of the tests: bundles, recordings and kits are read once, before any test runs."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any

import pytest

from nrf_deploy.bundle import pipeline
from nrf_deploy.bundle.bundle import Bundle
from nrf_deploy.bundle.inputs import as_bundle, recording_for
from nrf_deploy.diagnostics.findings import Finding, NrfError, UsageError, error, merged, refuse
from nrf_deploy.diagnostics.option_types import fraction, window
from nrf_deploy.diagnostics.text import WIDTH, printable, several
from nrf_deploy.io.labels import Labels
from nrf_deploy.io.model import rule_findings
from nrf_deploy.ir.recording import Recording
from nrf_deploy.verification.engine_pair import pair_faults
from nrf_deploy.verification.limits import Limits, unknown_layers
from nrf_deploy.verification.options import as_labels, chosen_limits
from nrf_deploy.verification.recorded import about_no_recording, is_recording, recorded
from nrf_deploy.verification.report.chain import trained_link
from nrf_deploy.verification.task.task import kind_of, limit_faults

from ..conformance.run import task
from .items import BundleTests, KitTests, Question, findings_text


class Collected:
    """The part of the plug-in that collects tests, registered if an option selects any."""

    def __init__(self, config: pytest.Config):
        self.option = config.getoption
        try:
            self.questions = list(self._bundles())
            self.tasks = [
                task(chip, self.option("nrf_engine"), self.option("nrf_kit"))
                for chip in self.option("nrf_target")
            ]
        except NrfError as refusal:
            errors = (f for f in refusal.findings if f.severity == "error")
            raise pytest.UsageError(findings_text(errors, WIDTH - len("ERROR: "))) from None

    def pytest_report_header(self) -> list[str]:
        lines = []
        for q in self.questions:
            link = printable(trained_link(q.bundle.trained).sentence)
            lines += [f"nrf-deploy: {q.name}, {q.engine} against {q.against}", f"    {link}"]
        lines += [f"nrf-deploy: {t.chip} on {t.engine}, {len(t.cases)} cases" for t in self.tasks]
        every = [f for q in self.questions for f in q.findings]
        lines += dict.fromkeys(f"nrf-deploy: {f.what}" for f in every if f.code == "RECORDING-STEP")
        return [*lines, *map(findings_text, ([f] for f in self._shown()))]

    def _shown(self) -> list[Finding]:
        """Return the warnings about bundles and inputs, and where firing rules come from."""
        every = [f for q in self.questions for f in q.findings]
        return merged(f for f in every if f.severity == "warning" or rule_findings([f]))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Repeat the header at the end if -q or --no-header leaves it out."""
        quiet = terminalreporter.verbosity < 0 or terminalreporter.no_header
        if quiet and (shown := self._shown()):
            terminalreporter.section("nrf-deploy")
            for finding in shown:
                terminalreporter.write_line(findings_text([finding]))

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(
        self, collector: pytest.Collector
    ) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        """Add our tests to a session's, so that -k, -x and --collect-only apply to them."""
        report = yield
        if isinstance(collector, pytest.Session) and report.result is not None:
            bundles = (BundleTests.of(collector, question) for question in self.questions)
            kits = (KitTests.of(collector, kit_task) for kit_task in self.tasks)
            report.result = [*report.result, *bundles, *kits]
        return report

    def _bundles(self) -> Iterator[Question]:
        paths, inputs = self.option("nrf_bundle"), self.option("nrf_input")
        refuse(self._misfits(paths, inputs), UsageError)
        if len(inputs) == 1:
            inputs = inputs * len(paths)
        labels = self.option("nrf_labels") or [None]
        if len(labels) == 1:
            labels = labels * len(paths)
        for path, input_path, truth in zip(paths, inputs, labels, strict=True):
            bundle = as_bundle(path)
            recording, messages = self._recording(bundle, input_path)
            known = as_labels(truth or None)
            yield Question(
                name=path if len(set(inputs)) == 1 else f"{path} with {input_path}",
                path=path,
                bundle=bundle,
                recording=recording,
                engine=self.option("nrf_engine"),
                against=self.option("nrf_against"),
                layer=self.option("nrf_layer"),
                behind=self.option("nrf_behind"),
                limits=self._limits(bundle, known),
                labels=known,
                findings=(*rule_findings(bundle.findings), *messages),
            )

    def _misfits(self, paths: Sequence[str], inputs: Sequence[str]) -> Iterator[Finding]:
        if len(inputs) not in ({1, len(paths)} if paths else {0}):
            yield error(
                "PYTEST-INPUT",
                f"{several(len(paths), 'bundle')} and {several(len(inputs), 'input')} are given",
                fix="give --nrf-input once for all bundles, or once for each --nrf-bundle",
            )
        if len(self.option("nrf_labels")) not in {0, 1, len(paths)} or (
            self.option("nrf_labels") and not paths
        ):
            yield error(
                "PYTEST-LABELS",
                f"{several(len(paths), 'bundle')} and {len(self.option('nrf_labels'))} files of "
                "labels are given",
                fix="give --nrf-labels once for all bundles, or once for each --nrf-bundle",
            )
        if self.option("nrf_kit") and not self.option("nrf_target"):
            yield error(
                "PYTEST-KIT", "--nrf-kit is given without a chip", fix="add --nrf-target CHIP"
            )

    def _recording(self, bundle: Bundle, path: str) -> tuple[Recording, tuple[Finding, ...]]:
        recording, messages = recording_for(
            bundle.network,
            path,
            bin=self.option("nrf_bin"),
            merge=self.option("nrf_merge"),
            clip=self.option("nrf_clip"),
            crop=self._value("crop", window),
            downsample=self.option("nrf_downsample"),
            origin=self.option("nrf_origin"),
            layout=self.option("nrf_layout"),
            part=self.option("nrf_part"),
            start=self.option("nrf_from"),
            until=self.option("nrf_until"),
        )
        known = pipeline.engines_of(bundle)
        for engine in (self.option("nrf_engine"), self.option("nrf_against")):
            if engine not in known and not is_recording(bundle, engine):
                raise UsageError(
                    error(
                        "ENGINE-UNKNOWN",
                        f"there is no engine {engine!r} for {bundle.chip}",
                        fix=f"choose one of: {', '.join(known)}",
                    )
                )
        self._demand_recording(bundle, recording)
        return recording, messages

    def _demand_recording(self, bundle: Bundle, recording: Recording) -> None:
        """Refuse a recording of an unknown layer, and options of recordings for an engine."""
        against, layer = self.option("nrf_against"), self.option("nrf_layer")
        behind = self.option("nrf_behind")
        refuse(pair_faults(self.option("nrf_engine"), against), UsageError)
        if is_recording(bundle, against):
            recorded(bundle, against, recording, behind, layer)
        else:
            refuse(about_no_recording(against, layer, behind), UsageError)

    def _value(self, name: str, kind: Callable[[str], Any]) -> Any:
        """Read an option as the command line does."""
        text = self.option(f"nrf_{name}")
        try:
            return None if text is None else kind(text)
        except argparse.ArgumentTypeError as problem:
            raise UsageError(error("USAGE", f"--{name}: {problem}")) from None

    def _limits(self, bundle: Bundle, labels: Labels | None) -> Limits:
        limits = chosen_limits(
            self.option("nrf_engine"),
            self.option("nrf_against"),
            exact=self.option("nrf_exact"),
            limit=self._value("limit", fraction),
            limits=self.option("nrf_limits") or None,
        )
        refuse(unknown_layers(limits, pipeline.populations(bundle)), UsageError)
        refuse(limit_faults(kind_of(bundle, labels), labels, limits), UsageError)
        return limits
