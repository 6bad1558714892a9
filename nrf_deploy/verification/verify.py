"""Verification: run a bundle twice, compare the runs, and judge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from nrf_deploy import __version__
from nrf_deploy.bundle.bundle import Bundle
from nrf_deploy.bundle.inputs import as_bundle, as_recording, decay_faults
from nrf_deploy.bundle.pipeline import latency, populations, silicon, target_of
from nrf_deploy.bundle.run_bundle import run_engine
from nrf_deploy.compare.compare import compare
from nrf_deploy.compare.comparison import Comparison
from nrf_deploy.diagnostics.argument_types import engine_name, whole
from nrf_deploy.diagnostics.findings import Finding, UsageError, info, refuse
from nrf_deploy.diagnostics.progress import Progress, quiet
from nrf_deploy.engines.reference.neurons import Decay
from nrf_deploy.io.labels import Labels
from nrf_deploy.io.model import Model, rule_findings
from nrf_deploy.io.recordings.model_fit import other_steps, without_steps
from nrf_deploy.ir.network import Array, Population, gives_values
from nrf_deploy.ir.recording import Recording, Trace
from nrf_deploy.witness.origin import trained_of
from nrf_deploy.witness.reading import replayed

from .activity import activity
from .advice import Advice, attributing, reason, ways
from .attribution.attribution_run import attributed, dequantising, in_isolation
from .attribution.incoming_events import arrivals
from .engine_pair import OWN, pair_faults
from .judge import judge, judge_task, silent
from .limits import Limits, unknown_layers
from .options import as_labels, chosen_limits
from .recorded import about_no_recording, is_recording, recorded
from .report.chain import chain
from .report.report import Report
from .task.task import kind_of, limit_faults, task

STATE_BYTES = 512 * 2**20
"""Limit of the memory in which states of both runs are kept and compared."""


def verify(
    bundle: Bundle | str | Path,
    input: Recording,
    engine: str = "emulator",
    against: str | Path = "reference",
    *,
    limit: float | None = None,
    exact: bool = False,
    limits: Limits | str | Path | None = None,
    labels: Labels | str | Path | None = None,
    layer: str | None = None,
    behind: int = 0,
    attribute: bool = False,
    decay: Decay = "euler",
    witness: str | Path | None = None,
    context: Mapping[str, Any] | None = None,
    progress: Progress = quiet,
) -> Report:
    """Run a bundle on two engines, compare them layer by layer, and judge.

    Where the two runs differ, the emulator's layers are also run in isolation, each on what
    the other run gave to it.

    Args:
        bundle: What `compile` returns, or the path of a .nrfb file.
        input: What `read_recording` returns.
        engine: The engine in question (`engines_of`). Default: "emulator".
        against: The engine to trust, or the path of a recording of one `layer` from silicon
            (.npz, states beside it in .states.npz). Default: "reference".
        limit: Largest relative error of a layer's spike count, 0.1 for 10 %. Default: 0.1
            against the reference; between integer engines every value must be equal.
        exact: Every spike must be equal. Default: False.
        limits: Limits, or the path of a .toml file with them (docs/report-schema.md), in
            place of `limit` and `exact`. Default: none.
        labels: What the recording shows (`parse_labels`), or the path of a .csv file: the
            error of both runs is judged too. Default: none.
        layer: Of a recording from silicon: the layer that it is of.
        behind: Of a recording from silicon: by how many steps it is later than the model.
            Default: 0.
        attribute: Divide each layer's error against the reference among its causes.
            Default: False.
        decay: How the reference steps: "euler" or "exact", as in `run`. Default: "euler".
        witness: The path of a recording from the training framework (.npz), which the float
            model must give: it makes the first link of the chain exact. Default: none.
        context: Plain data for the report, such as the names of files. Default: none.
        progress: Called as progress(done, of) with steps of each run. Default: silent.

    Returns:
        The Report: `passed`, the verdict, the numbers of each layer, and the findings.

    Raises:
        UsageError: Engines, limits, labels or a layer that do not fit (a ValueError), or an
            argument of a wrong type (a TypeError).
        InputError: A file that cannot be read, or a recording that does not fit.
        MissingError: The SDK of an engine is missing or fails.
    """
    bundle, recording = as_bundle(bundle), as_recording(input)
    if witness is not None:
        model = Model(bundle.network, bundle.findings, bundle.source_sha256)
        bundle = replace(bundle, trained=trained_of(replayed(model, witness)))
    engine, against = engine_name("engine", engine), engine_name("against", against)
    refuse(
        (*pair_faults(engine, against, attribute), *decay_faults(decay, (engine, against))),
        UsageError,
    )
    limits = chosen_limits(engine, against, exact=exact, limit=limit, limits=limits)
    labels, behind = as_labels(labels), whole("behind", behind)
    names = populations(bundle)
    faults = (
        *unknown_layers(limits, names),
        *limit_faults(kind_of(bundle, labels), labels, limits),
    )
    refuse(faults, UsageError)
    if attribute:
        dequantising(bundle)
    from_file = is_recording(bundle, against)
    if not from_file:
        refuse(about_no_recording(against, layer, behind), UsageError)
    kept, findings = states_kept(bundle, recording, names)
    paced = other_steps(bundle.network, recording)
    findings = [*rule_findings(bundle.findings), *paced, *findings]
    traces: list[Trace] = []
    messages: list[Finding] = []
    for which in (engine, against):
        if which == against and from_file:
            trace, remarks = recorded(bundle, against, recording, behind, layer)
            traces.append(trace)
            findings += remarks
            continue
        progress(0, recording.steps)  # a new stage, even if an engine reports only its end
        how: Decay = decay if which == "reference" else "euler"
        trace = run_engine(
            bundle, recording, which, record=names, states=kept, decay=how, progress=progress
        )
        traces.append(trace)
        messages += without_steps(trace.findings)
    left, right = traces
    late = dict.fromkeys(names, behind) if from_file else latency(bundle, against)
    comparison = compared(bundle, recording, traces, engine, late)
    answers = task(
        bundle,
        [t.outputs for t in traces],
        (engine, against),
        (latency(bundle, engine), late),
        recording,
        labels,
    )
    isolated, left_out = None, list[Finding]()
    if engine == "emulator" and not comparison.exact:
        isolated, left_out = in_isolation(bundle, recording, right, late, scales(bundle), progress)
    shares = attributed(bundle, recording, progress) if attribute else None
    advice = Advice(
        ways(bundle),
        "" if attribute else attributing(bundle, engine, against),
        shares if (engine, against) == OWN else None,
        isolated,
        from_file,
        reason(bundle, engine, against),
    )
    findings += judge(comparison, limits, advice)
    if not silent(comparison):
        findings += activity(
            left,
            reference=right if against == "reference" else None,
            order=names,
            graded=[n for n in names if not spiking(bundle, n)],
            cause=advice.cause,
        )
    if answers is not None:
        findings += [*judge_task(answers, limits, advice), *answers.findings(advice.farthest())]
    findings += left_out
    findings += [] if shares is None else shares.findings()
    report = Report(
        comparison,
        limits,
        tuple(findings),
        {
            "chip": bundle.chip,
            **({"silicon": follows} if (follows := silicon(bundle)) else {}),
            "model_sha256": bundle.source_sha256,
            "tool_version": __version__,
            "steps": recording.steps,
            "input_events": recording.events,
            **({"input_made": list(recording.made)} if recording.made else {}),
            **(context or {}),
        },
        said=tuple(messages),
        traces=(replace(left, states={}), replace(right, states={})),
        alone=isolated,
        attribution=shares,
        task=answers,
        trained=bundle.trained,
    )
    vendor = target_of(bundle).engines
    return replace(report, chain=chain(bundle, (engine, against), report.state, tuple(vendor)))


def compared(
    bundle: Bundle,
    recording: Recording,
    traces: Sequence[Trace],
    engine: str,
    late: Mapping[str, int],
) -> Comparison:
    """Compare the run of `engine` with another one, whose layers are `late`."""
    left, right = traces
    names = populations(bundle)
    arithmetic = target_of(bundle).arithmetics[bundle.program.arithmetic]
    return compare(
        left,
        right,
        order=names,
        latency_left=latency(bundle, engine),
        latency_right=late,
        scale=scales(bundle),
        states={n: arithmetic.states[bundle.program.population(n).model] for n in names},
        counts=[n for n in names if spiking(bundle, n)],
        inputs=None if engine == "reference" else arrivals(bundle.program, recording, left),
    )


def spiking(bundle: Bundle, name: str) -> bool:
    return not gives_values(bundle.network[name])


def scales(bundle: Bundle) -> dict[str, Mapping[str, Array]]:
    """Return the value of 1 of the model in each state that has the same origin as the model's."""
    origins = (o for o in bundle.program.origins if o.node in bundle.network)  # not of a rewrite
    return {o.node: o.scale for o in origins if not _shifted(bundle, o.node)}


def _shifted(bundle: Bundle, name: str) -> bool:
    """Return whether the chip's potential of this population has another origin."""
    node = bundle.network[name]
    return type(node) is Population and bool(np.any(node.rule.origin))


def states_kept(
    bundle: Bundle, recording: Recording, names: tuple[str, ...]
) -> tuple[tuple[str, ...], list[Finding]]:
    """Return the populations if their states fit into memory; otherwise none and an info."""
    neurons = sum(bundle.program.population(n).size for n in names)
    needed = 2 * 2 * 8 * neurons * (recording.steps + bundle.program.latency)
    if needed <= STATE_BYTES:
        return names, []
    return (), [
        info(
            "VERIFY-STATES-LEFT-OUT",
            f"only spikes are compared: the states would take {needed / 2**30:.1f} GiB",
            fix="verify a shorter recording to compare every state",
        )
    ]
