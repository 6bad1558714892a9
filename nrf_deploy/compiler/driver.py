"""Driver of the compiler: the stages legalise, check, quantise, lower, place; the verdict."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from nrf_deploy.diagnostics.findings import (
    Finding,
    InputError,
    TargetError,
    UsageError,
    error,
    refuse,
)
from nrf_deploy.diagnostics.progress import Progress
from nrf_deploy.io.recordings.model_fit import other_steps
from nrf_deploy.ir import network_faults
from nrf_deploy.ir.capabilities import ours, unknown, unrun
from nrf_deploy.ir.network import Network
from nrf_deploy.ir.program import Program
from nrf_deploy.ir.recording import Recording
from nrf_deploy.ir.time_constants import timeless

from .abilities import HasMethods, Settling
from .lowering import missing_scales
from .passes import Step
from .passes.approximate import legalise
from .place.placement import Placement
from .quantize.rule_checks import foreign_methods, misplaced
from .quantize.rules import Rules
from .quantize.scheme import Scheme
from .target import chip_named
from .threshold_lint import thresholds


@dataclass(frozen=True, eq=False)
class Verdict:
    """The verdict of a chip on a model. Later stages are None where an earlier one refused.

    Attributes:
        network: The network after the rewrites.
        steps: The rewrites, each with its findings.
        findings: The findings of every stage; an error for each reason of a refusal.
        scheme: The integers by connection and population.
        program: The program of the chip.
        placement: The part of the program that each core holds.
        model: The network that was read, before any rewrite.
        chip: The full name of the chip, with the settings chosen for the model.
    """

    network: Network
    steps: tuple[Step, ...]
    findings: tuple[Finding, ...]
    scheme: Scheme | None = None
    program: Program | None = None
    placement: Placement | None = None
    model: Network | None = None
    chip: str = ""

    @property
    def refused(self) -> bool:
        """True if a finding is an error."""
        return any(f.severity == "error" for f in self.findings)

    @property
    def fits(self) -> bool:
        """True if the model can be compiled for this chip."""
        return self.placement is not None and not self.refused

    def __repr__(self) -> str:
        errors = sum(f.severity == "error" for f in self.findings)
        verdict = f"refused for {errors} reasons" if errors else "fits"
        return f"<Verdict: {verdict}, {len(self.findings)} findings>"

    def with_(self, findings: Iterable[Finding], **results: Any) -> Verdict:
        """Add the findings and the results of one more stage."""
        return replace(self, findings=(*self.findings, *findings), **results)


def _uncalibrated(calibration: Recording | None) -> Iterator[Finding]:
    """Refuse a calibration recording without a step: it yields no statistics."""
    if calibration is not None and not calibration.steps:
        yield error(
            "CALIBRATION-EMPTY",
            "the calibration recording has 0 steps; expected at least 1",
            why="the integers are fitted to the signals of the layers on it",
            fix="give a recording with events in it, or compile without calibration; look at "
            "whether --crop, --from and --until leave anything",
        )


def _unsound(model: Network) -> Iterator[Finding]:
    """Yield an error for each reason why no file can hold this network.

    Kinds that are not ours are refused later.
    """
    known = all(ours(node) for node in model.nodes)
    for fault in network_faults.faults(model) if known else ():
        yield error("NETWORK-FAULT", fault, fix="build the network as nrf_deploy.read would")


def stages(
    model: Network,
    read: Sequence[Finding],
    chip: str,
    calibration: Recording | None,
    rules: Rules,
    progress: Progress,
    allow: Collection[str],
) -> Verdict:
    """Run the stages in order; stop after the first that reports an error.

    `read` holds the findings of reading the model.
    """
    target, chip = chip_named(chip)
    refuse(_uncalibrated(calibration), InputError)
    if calibration is not None:
        read = [*read, *other_steps(model, calibration, "the calibration recording")]
    if wrong := timeless(model):
        return Verdict(model, (), (*read, *wrong), model=model)
    refuse(_unsound(model), UsageError)
    network, steps = legalise(model, target.passes(chip, allow), calibration)
    findings = [*read, *(f for step in steps for f in step.findings)]
    methods = target.methods if isinstance(target, HasMethods) else ()
    findings += foreign_methods(rules, methods, chip)
    findings += [*misplaced(rules, network, calibration), *thresholds(model)]
    domain = target.accepts(chip)
    if foreign := unknown(network, domain, chip):
        return Verdict(network, steps, (*findings, *foreign), model=model)
    checked = (*findings, *target.check(network, chip))
    verdict = Verdict(network, steps, checked, model=model, chip=chip)
    if not verdict.refused:
        verdict = verdict.with_(unrun(network, domain, chip))
    if verdict.refused:
        return verdict
    if isinstance(target, Settling):
        chip, chosen = target.settled(network, chip, calibration, rules)
        verdict = verdict.with_(chosen, chip=chip)
    scheme, reported = target.quantise(network, chip, calibration, rules, progress)
    verdict = verdict.with_(reported, scheme=scheme)
    if verdict.refused:
        return verdict
    program, reported = target.lower(network, scheme, chip)
    reported = [*reported, *missing_scales((model, network), program)]
    verdict = verdict.with_(reported, program=program)
    if verdict.refused:
        return verdict
    try:
        return verdict.with_((), placement=target.place(program, chip))
    except TargetError as refusal:
        return verdict.with_(refusal.findings)
