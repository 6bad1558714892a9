"""The verbs, in Python. The command line parses, calls these, and prints.

read -> legalise -> quantise -> lower -> place -> save, and then run and verify: each is
one function of its room; here they only follow one another.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from . import __version__
from .bundle import Bundle
from .emulator import golden
from .findings import Finding, InputError, NrfError, TargetError, UsageError, error, refuse
from .given import as_bundle, as_recording, input_faults
from .kinds import demand_kind
from .legalise import Step
from .legalise.choice import legalise
from .network import Network, Population
from .place.placement import Placement
from .program import Program
from .quantise.rules import Rules
from .quantise.scheme import Scheme
from .recording import Recording, Trace
from .target import Target, target_of_chip, targets

Progress = Callable[[int, int], None]


def quiet(done: int, of: int) -> None:
    pass


@dataclass(frozen=True, eq=False)
class Model:
    """A network as it was read, with what reading had to say and the hash of its file."""

    network: Network
    findings: tuple[Finding, ...] = ()
    sha256: str | None = None

    def __repr__(self) -> str:
        return f"<Model of {self.network!r}, {len(self.findings)} findings>"


def as_model(given: object) -> Model:
    """A Model, a Network as one, or the one in a .nir file that states its time step."""
    if isinstance(given, Model):
        return given
    if isinstance(given, Network):
        return Model(given)
    if isinstance(given, str | Path):
        return read(given)
    raise UsageError(
        error(
            "ARGUMENT-TYPE",
            f"{given!r:.80} ({type(given).__name__}) is not a model",
            fix="pass what nrf_deploy.read(path, dt=...) gives, or a .nir path",
        )
    )


def read(path: str | Path, dt: float | None = None) -> Model:
    """Read a .nir file. It must state its time step, or `dt` must."""
    from . import nir_io

    demand_kind(path, "graph")
    try:
        network, findings = nir_io.read(path, dt=dt)
    except NrfError as refusal:
        raise type(refusal)(_named(f, str(path)) for f in refusal.findings) from refusal
    digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    return Model(network, tuple(findings), digest)


def _named(finding: Finding, path: str) -> Finding:
    """With the file's name, where neither a layer nor the finding itself says where."""
    if finding.layer is not None or Path(path).name in finding.what:
        return finding
    return replace(finding, what=f"{path}: {finding.what}")


@dataclass(frozen=True, eq=False)
class Verdict:
    """What a target says of a model. Later stages are None where an earlier one refused."""

    network: Network
    steps: tuple[Step, ...]
    findings: tuple[Finding, ...]
    scheme: Scheme | None = None
    program: Program | None = None
    placement: Placement | None = None
    model: Network | None = None  # as it was read, before any rewrite

    def __repr__(self) -> str:
        errors = sum(f.severity == "error" for f in self.findings)
        said = f"refused for {errors} reasons" if errors else "fits"
        return f"<Verdict: {said}, {len(self.findings)} findings>"


def check(
    model: Model | Network | str | Path,
    chip: str,
    calibration: Recording | None = None,
    rules: Rules | None = None,
    progress: Progress = quiet,
    allow: Collection[str] = (),
) -> Verdict:
    """Every layer's verdict, without writing anything: the real stages run, and none is skipped."""
    model = as_model(model)
    verdict = _stages(model, chip, calibration, rules or Rules(), progress, allow)
    return replace(verdict, model=model.network)


def _stages(
    model: Model,
    chip: str,
    calibration: Recording | None,
    rules: Rules,
    progress: Progress,
    allow: Collection[str],
) -> Verdict:
    """As far as the stages go: the first that finds an error is the last."""
    target = target_of_chip(chip)
    network, steps = legalise(model.network, target.passes(chip, allow), calibration)
    findings = [*model.findings, *(f for step in steps for f in step.findings)]

    def stopped() -> bool:
        return any(f.severity == "error" for f in findings)

    findings += target.check(network, chip)
    if stopped():
        return Verdict(network, steps, tuple(findings))
    scheme, said = target.quantise(network, chip, calibration, rules, progress)
    findings += said
    if stopped():
        return Verdict(network, steps, tuple(findings), scheme)
    program, said = target.lower(network, scheme, chip)
    findings += said
    if stopped():
        return Verdict(network, steps, tuple(findings), scheme, program)
    try:
        placement = target.place(program, chip)
    except TargetError as refusal:
        findings += refusal.findings
        return Verdict(network, steps, tuple(findings), scheme, program)
    return Verdict(network, steps, tuple(findings), scheme, program, placement)


def compile(
    model: Model | Network | str | Path,
    chip: str,
    calibration: Recording | None = None,
    rules: Rules | None = None,
    progress: Progress = quiet,
    allow: Collection[str] = (),
) -> Bundle:
    """A bundle for this chip, or a TargetError with every reason why not."""
    model = as_model(model)
    verdict = check(model, chip, calibration, rules, progress, allow)
    refuse(verdict.findings, TargetError)
    assert verdict.scheme is not None
    assert verdict.program is not None
    assert verdict.placement is not None
    return Bundle(
        network=model.network,
        source_sha256=model.sha256,
        target=target_of_chip(chip).name,
        chip=chip,
        steps=verdict.steps,
        scheme=verdict.scheme,
        program=verdict.program,
        placement=verdict.placement,
        findings=verdict.findings,
        tool_version=__version__,
        artefacts={},
    )


def engines(bundle: Bundle) -> tuple[str, ...]:
    """Who can run this bundle."""
    return ("reference", "emulator", *target_of(bundle).engines)


def target_of(bundle: Bundle) -> Target:
    """The target that made it."""
    shelf = targets()
    if bundle.target not in shelf:
        raise UsageError(
            error(
                "TARGET-MISSING",
                f"the bundle was made by the target {bundle.target!r}, which is not installed",
                fix="install the plug-in that brings it",
            )
        )
    return shelf[bundle.target]


def run(
    bundle: Bundle | str | Path,
    recording: Recording,
    engine: str = "emulator",
    *,
    record: Iterable[str] | None = None,
    states: Iterable[str] = (),
    steps: int | None = None,
    progress: Progress = quiet,
) -> Trace:
    """Run a bundle. Integer engines run `latency` steps longer, until the last answer is out."""
    bundle, recording = as_bundle(bundle), as_recording(recording)
    if engine not in engines(bundle):
        raise UsageError(
            error(
                "ENGINE-UNKNOWN",
                f"there is no engine {engine!r} for {bundle.chip}",
                fix=f"choose one of: {', '.join(engines(bundle))}",
            )
        )
    refuse(input_faults(bundle, recording, integers=engine != "reference"), InputError)
    if engine == "reference":
        from .reference import run as run_reference

        return run_reference(
            bundle.network,
            recording,
            record=record,
            states=states,
            steps=steps,
            progress=progress,
        )
    steps = recording.steps + bundle.program.latency if steps is None else steps
    if engine == "emulator":
        return _emulate(bundle, recording, record, states, steps, progress)
    return target_of(bundle).engines[engine](
        bundle.program, recording, record=record, states=states, steps=steps, progress=progress
    )


def _emulate(
    bundle: Bundle,
    recording: Recording,
    record: Iterable[str] | None,
    states: Iterable[str],
    steps: int,
    progress: Progress,
) -> Trace:
    """The fast engine where the target gives kernels, else the plain one: the same bits."""
    name, program, target = bundle.program.arithmetic, bundle.program, target_of(bundle)
    if name in target.kernels:
        from .emulator.engine import Engine

        engine = Engine(program, target.arithmetics[name], target.kernels[name])
        return engine.run(recording, record, states, steps, progress)
    trace = golden.run(
        program, target.arithmetics[name], recording, record, states, steps, progress
    )
    return replace(trace, engine="emulator")


def latency(bundle: Bundle, engine: str) -> dict[str, int]:
    """How many steps each population is behind the model in this engine."""
    if engine == "reference":
        return {}
    return {o.population: o.latency for o in bundle.program.origins}


def populations(bundle: Bundle) -> tuple[str, ...]:
    """The populations that model and program have in common, in the network's order."""
    common = {o.population for o in bundle.program.origins}
    order = bundle.network.order
    return tuple(n for n in order if n in common and isinstance(bundle.network[n], Population))
