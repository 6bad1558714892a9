"""Run of the cases of a kit on a back end, and their comparison with the expected traces."""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from nrf_deploy.bundle.bundle import Bundle
from nrf_deploy.bundle.flash import image
from nrf_deploy.bundle.pipeline import compile
from nrf_deploy.bundle.run_bundle import run_engine
from nrf_deploy.compare.compare import compare
from nrf_deploy.compare.comparison import Comparison
from nrf_deploy.compiler.abilities import Coarse, Conforming
from nrf_deploy.compiler.target import Target, chip_named
from nrf_deploy.diagnostics.argument_types import listed, names
from nrf_deploy.diagnostics.findings import (
    Finding,
    InputError,
    MissingError,
    NrfError,
    UsageError,
    error,
    info,
    refuse,
)
from nrf_deploy.diagnostics.progress import Progress, quiet
from nrf_deploy.ir.program import MISSING_SCALE
from nrf_deploy.ir.recording import Trace
from nrf_deploy.verification.judge import silent

from . import declared, unknown
from .case import Case, Kit
from .model_units import in_its_units
from .result import Conformance, Result
from .store import read_kit
from .suspects import hint, likely
from .variants import declared as declared_by

LEFT_OUT = "CONFORMANCE-IMAGE-LEFT-OUT"


@cache
def model_kit() -> Kit:
    """Return the kit of models that every target can run."""
    return read_kit(Path(str(files(__package__).joinpath("kit"))))


@dataclass(frozen=True, eq=False)
class Task:
    """A chip, an engine, and the cases that concern them."""

    target: Target
    chip: str
    engine: str
    cases: tuple[Case, ...]


def kits_of(target: Target) -> list[Kit]:
    return [model_kit(), *([read_kit(target.kit)] if isinstance(target, Conforming) else [])]


def task(
    chip: str,
    engine: str = "emulator",
    folders: Iterable[str | Path] = (),
    only: Sequence[str] = (),
) -> Task:
    """Return the cases of the models, of the target and of these folders that an engine can run.

    `only`: the names of the cases to keep; empty for all.
    """
    target, chip = chip_named(chip)
    known = ("emulator", *target.engines)
    if engine not in known:
        raise UsageError(
            error(
                "ENGINE-UNKNOWN",
                f"there is no engine {engine!r} for {chip}",
                why="models are compared with the reference" * (engine == "reference"),
                fix=f"choose one of: {', '.join(known)}",
            )
        )
    every = [
        case
        for kit in (*kits_of(target), *map(read_kit, folders))
        for case in declared_by(kit.cases, target.accepts(chip))
        if _concerns(case, target, kit.engines.get(engine))
    ]
    cases = [*every, *([unknown.CASE, declared.CASE] if engine == "emulator" else [])]
    refuse(_unknown(only, cases), UsageError)
    return Task(
        target, chip, engine, tuple(c for c in cases if not only or {c.name, c.title} & {*only})
    )


def _concerns(case: Case, target: Target, follows: str | None) -> bool:
    if case.arithmetic is None:
        return True
    return case.arithmetic in target.arithmetics and follows in (None, case.arithmetic)


def _unknown(only: Sequence[str], cases: Sequence[Case]) -> Iterator[Finding]:
    for name in only:
        if not any(name in (case.name, case.title) for case in cases):
            yield error(
                "CASE-UNKNOWN",
                f"there is no case {name!r} for this chip and engine",
                fix=f"choose from: {', '.join(c.title for c in cases)}",
            )


def run_conformance(
    target: str,
    engine: str = "emulator",
    *,
    kit: Iterable[str | Path] = (),
    case: Iterable[str] = (),
    progress: Progress = quiet,
) -> Conformance:
    """Run the cases of the conformance kits on a chip's engine.

    Args:
        target: The name of a chip (`targets`).
        engine: The engine in question: "emulator" or one of the vendor's. Default:
            "emulator".
        kit: Folders of further kits (docs/conformance.md). Default: none.
        case: Names of the only cases to run. Default: all that concern this engine.
        progress: Called as progress(done, of) with cases. Default: silent.

    Returns:
        The Conformance: the result of each case, and the likely cause of a difference.

    Raises:
        UsageError: An unknown chip, engine or case, or a kit that does not exist.
        InputError: A kit that is damaged.
    """
    plan = task(target, engine, listed("kit", kit), names("case", case))
    results = []
    for done, each in enumerate(plan.cases):
        progress(done, len(plan.cases))
        results.append(run_case(plan, each))
    return Conformance(plan.chip, engine, tuple(with_cause(plan, r, results) for r in results))


def with_cause(plan: Task, result: Result, results: Iterable[Result]) -> Result:
    """Add the likely cause to a bad result, or else a hint from the results of the other cases."""
    if not result.bad:
        return result
    cause = likely(plan.target, result)
    return replace(result, cause=cause, hint="" if cause else hint(result, results))


def run_case(plan: Task, case: Case) -> Result:
    """Run one case; an exception of the back end that is not a refusal becomes a finding on it."""
    try:
        return _ran(plan, case)
    except MissingError as missing:
        return Result(case, "missing", findings=missing.findings)
    except NrfError as refusal:
        forgotten = any(f.code == MISSING_SCALE for f in refusal.findings)
        return Result(case, "broke" if forgotten else "refused", findings=refusal.findings)
    except Exception as bug:
        at = traceback.extract_tb(bug.__traceback__)[-1]
        what = f"{type(bug).__name__}: {bug}"
        where = f"{Path(at.filename).name}, line {at.lineno}"
        return Result(case, "broke", findings=(error("CONFORMANCE-BROKE", what, why=where),))


def _ran(plan: Task, case: Case) -> Result:
    if case.judge is not None:
        wrong = case.judge(plan.target, plan.chip)
        return Result(case, "differs" if wrong else "ok", findings=tuple(wrong))
    bundle = case.subject
    if not isinstance(bundle, Bundle):
        bundle = compile(bundle, plan.chip, calibrate=case.recording)
    raw = _run(bundle, case, plan.engine)
    left = in_its_units(bundle, case, raw)
    try:
        comparison = _compared(plan, case, bundle, left)
    except InputError as misfit:  # the trace has another form than the expected one
        return Result(case, "differs", None, misfit.findings, bundle, raw)
    unseen = _unseen(case, comparison)
    result = Result(case, "ok", comparison, (), bundle, raw, unseen)
    if lacking := _lacking(comparison):
        return replace(result, status="differs", findings=tuple(lacking))
    if silent(comparison) and not any(x.state_mismatches for x in comparison.layers):
        return replace(result, **_nothing(unseen))
    pictures = tuple(_image(bundle, case)) if plan.engine == "emulator" else ()
    differ = any(layer.first is not None for layer in comparison.layers)
    differ |= any(f.severity == "error" for f in pictures)
    if differ and case.arithmetic is None and (narrow := _narrow(plan.target, bundle)):
        return replace(result, status="refused", findings=narrow)
    return replace(result, status="differs" if differ else "ok", findings=pictures)


def _narrow(target: Target, bundle: Bundle) -> tuple[Finding, ...]:
    codes = target.coarse if isinstance(target, Coarse) else ()
    return tuple(f for f in bundle.findings if f.code in codes)


def _compared(plan: Task, case: Case, bundle: Bundle, left: Trace) -> Comparison:
    rules = plan.target.arithmetics[bundle.program.arithmetic]
    models = {p.name: p.model for p in bundle.program.populations}
    return compare(
        left,
        case.shown(left),
        order=case.layers,
        latency_right=dict.fromkeys(case.layers, case.behind),
        states={n: rules.states[models[n]] for n in case.layers},
    )


def _unseen(case: Case, comparison: Comparison) -> tuple[str, ...]:
    seen = {x.layer: x.state_mismatches for x in comparison.layers}
    missed = [
        v
        for n, variables in case.expected.states.items()
        for v in variables
        if v not in seen.get(n, ())
    ]
    return tuple(dict.fromkeys(missed))


def _nothing(unseen: tuple[str, ...]) -> dict[str, Any]:
    """Return the result of a case without spikes and states to compare."""
    if unseen:
        what = f"the engine does not show {', '.join(unseen)}, and this case has no spikes"
        return {"status": "refused", "findings": (error("CONFORMANCE-UNSEEN", what),)}
    what = "no layer gave anything"
    return {"status": "differs", "findings": (error("CONFORMANCE-SILENT", what),)}


def _run(bundle: Bundle, case: Case, engine: str) -> Trace:
    with_states = [n for n in case.layers if case.expected.states.get(n)]
    steps = max(r.steps for r in case.expected.outputs.values()) - case.behind
    latency = bundle.program.latency
    return run_engine(
        bundle,
        case.recording,
        engine,
        record=case.layers,
        states=with_states,
        steps=steps + latency,
    )


def _image(bundle: Bundle, case: Case) -> list[Finding]:
    """Compare the image for a board with the expected one; without its SDK, say that it was not."""
    if case.image is None:
        return []
    try:
        digest = image(bundle).as_json()["sha256"]
    except MissingError as missing:
        why = "; ".join(f.what for f in missing.findings)
        return [info(LEFT_OUT, "the image was not compared", why=why)]
    if digest == case.image.sha256:
        return []
    return [
        error(
            "CONFORMANCE-IMAGE",
            f"the image has the SHA-256 {digest}; {case.image.sha256} is expected",
            why=f"by {case.image.made_by}",
            fix="another version of the SDK may write it differently; else the conversion of a "
            "program to its image has changed",
        )
    ]


def _lacking(comparison: Comparison) -> list[Finding]:
    """Return errors for layers without an output of the back end, or without a step."""
    findings = [
        error("CONFORMANCE-LACKING", "the engine gave no output of it", layer=name)
        for name, sides in comparison.uncompared.items()
        if "left" in sides
    ]
    findings += [
        error("CONFORMANCE-STEPS", "the engine gave no step to compare", layer=layer.layer)
        for layer in comparison.layers
        if not layer.steps
    ]
    return findings
