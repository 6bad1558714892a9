"""Comparison of one model on every engine of several bundles.

Each run is compared with the float reference, and with the simulator of its chip's vendor. A
vendor's simulator need not have the arithmetic of the chip (it may have time steps and the chip
none): only runs with the same arithmetic must agree in every bit.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from nrf_deploy.bundle.bundle import Bundle
from nrf_deploy.bundle.inputs import as_bundle, as_recording
from nrf_deploy.bundle.pipeline import latency, populations, silicon, target_engines, target_of
from nrf_deploy.bundle.run_bundle import run_engine
from nrf_deploy.compare.comparison import Comparison
from nrf_deploy.diagnostics.argument_types import listed
from nrf_deploy.diagnostics.findings import (
    Finding,
    MissingError,
    TargetError,
    UsageError,
    error,
    info,
    refuse,
    warning,
)
from nrf_deploy.diagnostics.progress import Progress, quiet
from nrf_deploy.diagnostics.text import several
from nrf_deploy.engines.reference.neurons import Decay
from nrf_deploy.io.labels import Labels
from nrf_deploy.io.model import rule_findings
from nrf_deploy.io.recordings.model_fit import other_steps, without_steps
from nrf_deploy.ir.network import Network, Population
from nrf_deploy.ir.recording import Recording, Trace
from nrf_deploy.ir.trained import UNKNOWN, Trained, trained_json

from ..advice import Advice, attributing, ways
from ..judge import judge, judge_task
from ..limits import Limits, unknown_layers
from ..options import as_labels, chosen_limits
from ..report.chain import CHIP, VENDOR, Link, image_link, trained_link, weakest
from ..report.report import comparison_json, plain
from ..task.task import Answer, Task, kind_of, limit_faults, task
from ..verify import compared, spiking, states_kept

REFERENCE = "reference"
ARITHMETIC = "arithmetic"
"""Key of the note in a trace whose arithmetic is not that of the bundle."""


@dataclass(frozen=True, eq=False)
class Row:
    """An engine's run of a bundle. `simulator` is the vendor's among the bundle's engines, and
    `vendor` the comparison with it; `alike` is whether both have the same arithmetic. `silicon`
    is the one of the bundle's engines that the chip follows."""

    chip: str
    engine: str
    arithmetic: str
    spikes: Mapping[str, int]
    against: Comparison
    simulator: str | None
    alike: bool
    vendor: Comparison | None
    task: Task | None
    silicon: str = ""
    findings: tuple[Finding, ...] = ()
    """Errors of this run, by the limits and against the vendor's simulator."""

    @property
    def name(self) -> str:
        return f"{self.chip} {self.engine}"

    @property
    def agrees(self) -> bool | None:
        """True if the run equals the vendor's simulator bit for bit; None if this is unknown."""
        return self.vendor.exact if self.vendor is not None and self.alike else None


@dataclass(frozen=True, eq=False)
class Engines:
    """One model on every engine of several bundles.

    Attributes:
        layers: The layers that are compared.
        spikes: The spikes of the reference by layer.
        answer: The answer of the reference, where the model has a readout.
        rows: One run each, held against the reference and the vendor's simulator.
        findings: What is beyond the limits, and which engines are missing.
        said: What the engines reported on their runs.
        limits: The limits that the rows were held to.
        trained: How it is known that the model as read is what was trained.
        chain: The links from the trained model to the images of the chips.
    """

    layers: tuple[str, ...]
    spikes: Mapping[str, int]
    answer: Answer | None
    rows: tuple[Row, ...]
    findings: tuple[Finding, ...]
    said: tuple[Finding, ...]
    limits: Limits
    trained: Trained = UNKNOWN
    chain: tuple[Link, ...] = ()

    @property
    def passed(self) -> bool:
        """True if no finding is an error."""
        return not any(f.severity == "error" for f in self.findings)

    def text(self) -> str:
        """Return the table, the findings and the verdict as text of at most 80 columns."""
        from .text import engines_text

        return engines_text(self)

    def as_json(self) -> dict[str, Any]:
        """Return the table and the findings as plain data."""
        return as_json(self)


def compare_engines(
    bundles: Sequence[Bundle | str | Path],
    input: Recording,
    *,
    limit: float | None = None,
    limits: Limits | str | Path | None = None,
    labels: Labels | str | Path | None = None,
    decay: Decay = "euler",
    progress: Progress = quiet,
) -> Engines:
    """Run the bundles of one model on every installed engine, and compare them in one table.

    A missing engine is reported as a finding, and the others continue.

    Args:
        bundles: Bundles of one model, or the paths of .nrfb files.
        input: What `read_recording` returns for the model.
        limit: Largest relative error of a layer's spike count against the reference, 0.1 for
            10 %. Default: 0.1.
        limits: Limits, or the path of a .toml file with them, in place of `limit`. Default:
            none.
        labels: What the recording shows (`parse_labels`), or the path of a .csv file.
            Default: none.
        decay: How the reference steps: "euler" or "exact", as in `run`. Default: "euler".
        progress: Called as progress(done, of) with steps of each run. Default: silent.

    Returns:
        The Engines: one row for each run, held against the reference and against the
        simulator of the chip's vendor, and the findings.

    Raises:
        UsageError: No bundle, or bundles of two models (a ValueError), or an argument of a
            wrong type (a TypeError).
        InputError: A file that cannot be read, or a recording that does not fit.
    """
    opened_bundles = [as_bundle(b) for b in listed("bundles", bundles)]
    if not opened_bundles:
        what = "bundles is an empty list; expected at least 1"
        raise UsageError(error("ENGINES-NONE", what, fix="pass the bundles of one model"))
    recording = as_recording(input)
    limits = chosen_limits("emulator", REFERENCE, limit=limit, limits=limits)
    labels = as_labels(labels)
    refuse(_faults(opened_bundles, limits, labels), UsageError)
    first = opened_bundles[0]
    kept, findings = states_kept(first, recording, populations(first))
    every_rule = (f for bundle in opened_bundles for f in rule_findings(bundle.findings))
    paced = other_steps(first.network, recording)
    findings = [*dict.fromkeys(every_rule), *paced, *findings]
    model = _run(first, recording, REFERENCE, kept, decay, progress)
    rows: list[Row] = []
    messages: list[Finding] = []
    for bundle in opened_bundles:
        kept, _ = states_kept(bundle, recording, populations(bundle))
        traces: dict[str, Trace] = {}
        for engine in target_engines(target_of(bundle))[1:]:
            try:
                traces[engine] = _run(bundle, recording, engine, kept, decay, progress)
            except (MissingError, TargetError) as refused:
                findings += [_lacking(f, bundle, engine) for f in refused.findings]
        messages += without_steps(f for trace in traces.values() for f in trace.findings)
        rows += _rows(bundle, recording, model, traces, labels)
    of = {b.chip: b for b in opened_bundles}
    rows = [
        replace(r, findings=tuple(_judged(r, limits, _advice(of[r.chip], r.engine)))) for r in rows
    ]
    findings += [f for row in rows for f in row.findings]
    answers = [row.task.right for row in rows if row.task is not None]
    return Engines(
        populations(first),
        _spikes(first, model),
        answers[0] if answers else None,
        tuple(rows),
        tuple(findings),
        tuple(messages),
        limits,
        trained := weakest(b.trained for b in opened_bundles),
        (trained_link(trained), *between(rows), *map(image_link, opened_bundles)),
    )


def between(rows: Sequence[Row]) -> Iterator[Link]:
    """Yield the links from the model to the chips, and to the simulators of their vendors."""
    equal = sum(row.against.exact for row in rows)
    state = "exact" if rows and equal == len(rows) else "differs"
    yield Link(CHIP, state, f"{equal} of {several(len(rows), 'run')} exact")
    alike = [row.agrees for row in rows if row.agrees is not None]
    if not alike:
        yield Link(VENDOR, "not compared", "not compared: no simulator of a vendor ran")
        return
    state = "exact" if all(alike) else "differs"
    yield Link(VENDOR, state, f"{sum(alike)} of {several(len(alike), 'run')} exact")


def same_neurons(a: Network, b: Network) -> bool:
    """Return whether two readings of one file have the same neurons."""
    ours, theirs = list(a.of(Population)), list(b.of(Population))
    if [n.name for n in ours] != [n.name for n in theirs]:
        return False
    return all(_same(x, y) for x, y in zip(ours, theirs, strict=True))


def _same(a: Population, b: Population) -> bool:
    if type(a.membrane) is not type(b.membrane) or a.features != b.features:
        return False
    pairs = zip(a.every_part(), b.every_part(), strict=True)
    return all(
        np.array_equal(x, y)
        for p, q in pairs
        for (_, _, x), (_, _, y) in zip(p.numbers(), q.numbers(), strict=True)
    )


def _faults(bundles: Sequence[Bundle], limits: Limits, labels: Labels | None) -> Iterator[Finding]:
    first = bundles[0]
    for other in bundles[1:]:
        same_file = other.source_sha256 is not None and other.source_sha256 == first.source_sha256
        same_dt = other.network.dt == first.network.dt
        alike = same_file and same_dt and same_neurons(first.network, other.network)
        if other.network is not first.network and not alike:
            yield error(
                "ENGINES-MODELS",
                f"the bundles for {first.chip} and {other.chip} are of two models",
                why="the models would differ, not the engines",
                fix="compile both from one .nir file, with one --dt and one reading of its neurons",
            )
    yield from unknown_layers(limits, populations(first))
    yield from limit_faults(kind_of(first, labels), labels, limits)


def _run(
    bundle: Bundle,
    recording: Recording,
    engine: str,
    states: Sequence[str],
    decay: Decay,
    progress: Progress,
) -> Trace:
    progress(0, recording.steps)
    how: Decay = decay if engine == REFERENCE else "euler"
    return run_engine(
        bundle,
        recording,
        engine,
        record=populations(bundle),
        states=states,
        decay=how,
        progress=progress,
    )


def _rows(
    bundle: Bundle,
    recording: Recording,
    model: Trace,
    traces: Mapping[str, Trace],
    labels: Labels | None,
) -> Iterator[Row]:
    vendors = {sdk.name for sdk in target_of(bundle).sdks}
    simulator = next((e for e in traces if e in vendors), None)
    late = latency(bundle, "emulator")
    for engine, trace in traces.items():
        beside = None
        if simulator not in (None, engine):
            assert simulator is not None
            beside = compared(bundle, recording, (trace, traces[simulator]), engine, late)
        yield Row(
            chip=bundle.chip,
            engine=engine,
            arithmetic=_arithmetic(bundle, trace),
            spikes=_spikes(bundle, trace),
            against=compared(bundle, recording, (trace, model), engine, {}),
            simulator=simulator,
            alike=beside is not None
            and simulator is not None
            and _arithmetic(bundle, trace) == _arithmetic(bundle, traces[simulator]),
            vendor=beside,
            task=task(
                bundle,
                (trace.outputs, model.outputs),
                (engine, REFERENCE),
                (late, {}),
                recording,
                labels,
            ),
            silicon=silicon(bundle),
        )


def _arithmetic(bundle: Bundle, trace: Trace) -> str:
    return str(trace.notes.get(ARITHMETIC, bundle.program.arithmetic))


def _spikes(bundle: Bundle, trace: Trace) -> dict[str, int]:
    """Return the spikes by layer; a value of n is n spikes, or one if values are not spikes."""
    return {
        n: int(r.value.sum()) if spiking(bundle, n) else len(r.index)
        for n in populations(bundle)
        if (r := trace.outputs.get(n)) is not None
    }


def _advice(bundle: Bundle, engine: str) -> Advice:
    way = attributing(bundle, engine, REFERENCE)
    return Advice(ways(bundle), f"{way} (of one bundle)" if way else "")


def _judged(row: Row, limits: Limits, known: Advice) -> Iterator[Finding]:
    errors = [f for f in judge(row.against, limits, known) if f.severity == "error"]
    if row.vendor is not None and row.alike:
        exact = Limits(exact=True)
        errors += [f for f in judge(row.vendor, exact) if f.severity == "error"]
    if row.task is not None:
        errors += [
            *judge_task(row.task, limits, known),
            *row.task.findings(known.farthest()),
        ]
    for f in errors:
        yield replace(f, what=f"{row.name}: {f.what}")


def _lacking(finding: Finding, bundle: Bundle, engine: str) -> Finding:
    """Return an engine's failure: an info if its SDK is missing, otherwise a warning."""
    say = info if finding.code == "SDK-MISSING" else warning
    what = f"{bundle.chip} {engine} was left out: {finding.what}"
    return say(finding.code, what, why=finding.why, fix=finding.fix, layer=finding.layer)


def as_json(engines_result: Engines) -> dict[str, Any]:
    document: dict[str, Any] = plain(
        {
            "passed": engines_result.passed,
            "chain": [link.as_json() for link in engines_result.chain],
            "trained": trained_json(engines_result.trained),
            "layers": engines_result.layers,
            "reference": {
                "spikes": engines_result.spikes,
                "answer": None
                if engines_result.answer is None
                else dataclasses.asdict(engines_result.answer),
            },
            "engines": [_row_json(row) for row in engines_result.rows],
            "findings": [f.as_json() for f in engines_result.findings],
        }
    )
    return document


def _row_json(row: Row) -> dict[str, Any]:
    return {
        "chip": row.chip,
        "engine": row.engine,
        "arithmetic": row.arithmetic,
        "spikes": dict(row.spikes),
        "against_reference": comparison_json(row.against),
        "simulator": row.simulator,
        "same_arithmetic": row.alike,
        "against_simulator": None if row.vendor is None else comparison_json(row.vendor),
        "agrees": row.agrees,
        "task": None if row.task is None else dataclasses.asdict(row.task),
    }
