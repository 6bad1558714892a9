"""The verbs, in Python. The command line parses, calls these, and prints.

read -> legalise -> quantise -> lower -> place -> save, and then run and verify: each is
one function of its room; here they only follow one another.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from . import __version__, plugins
from .bundle import Bundle
from .emulator import golden
from .emulator.events_golden import EventRule
from .emulator.golden import Arithmetic
from .emulator.soundness import demand_sound
from .findings import Finding, InputError, TargetError, UsageError, error, info, refuse
from .given import as_bundle, as_recording, decay_faults, input_faults, other_steps
from .model import Model, as_model
from .network import Array, Network, Population
from .program import OUTPUT, spread
from .progress import Progress, quiet
from .quantise.rules import Rules
from .quantise.scheme import single
from .recording import Recording, Trace
from .reference.neurons import Decay
from .stages import Verdict, stages
from .target import GROUP, Exporter, HasArtefacts, Silicon, Target, chip_named, targets
from .typed import demand, names, whole


def check(
    model: Model | Network | str | Path,
    chip: str,
    calibration: Recording | None = None,
    rules: Rules | None = None,
    progress: Progress = quiet,
    allow: Collection[str] = (),
    *,
    reset: str | None = None,
    fires: str | None = None,
) -> Verdict:
    """Every layer's verdict, without writing anything: the real stages run, and none is skipped.

    `reset` and `fires` are of a .nir file that does not state them: see `read`.
    """
    model = as_model(model, reset, fires)
    if calibration is not None:
        calibration = as_recording(calibration)
    fix = "pass what nrf_deploy.quantise.rules.parse_rules(text) gives, or leave rules out"
    rules = Rules() if rules is None else demand(rules, Rules, "rules", fix)
    allowed = names("allow", allow)
    return stages(model.network, model.findings, chip, calibration, rules, progress, allowed)


def compile(
    model: Model | Network | str | Path,
    chip: str,
    calibration: Recording | None = None,
    rules: Rules | None = None,
    progress: Progress = quiet,
    allow: Collection[str] = (),
    *,
    reset: str | None = None,
    fires: str | None = None,
) -> Bundle:
    """A bundle for this chip, or a TargetError with every reason why not.

    `reset` and `fires` are of a .nir file that does not state them: see `read`.
    """
    model = as_model(model, reset, fires)
    return bundled(model, chip, check(model, chip, calibration, rules, progress, allow))


def bundled(model: Model, chip: str, verdict: Verdict) -> Bundle:
    """What `check` made of the model, to be kept; a TargetError where it refused."""
    refuse(verdict.findings, TargetError)
    assert verdict.scheme is not None
    assert verdict.program is not None
    assert verdict.placement is not None
    target, _ = chip_named(chip)
    program, placement = verdict.program, verdict.placement
    return Bundle(
        network=model.network,
        source_sha256=model.sha256,
        target=target.name,
        chip=verdict.chip,
        steps=verdict.steps,
        scheme=verdict.scheme,
        program=program,
        placement=placement,
        findings=verdict.findings,
        tool_version=__version__,
        artefacts=target.artefacts(program, placement) if isinstance(target, HasArtefacts) else {},
    )


def emit(bundle: Bundle | str | Path, form: str, folder: str | Path) -> None:
    """Write the compiled network to `folder` in a vendor's own terms, such as "lava"."""
    bundle = as_bundle(bundle)
    target = target_of(bundle)
    write = exporter(target, form)
    demand_sound(bundle.program, arithmetic_of(bundle, target))
    write(bundle.program, Path(folder))


def exporter(target: Target, form: str) -> Exporter:
    """What writes this target's programs in that form."""
    if form not in target.exporters:
        known = ", ".join(target.exporters)
        raise UsageError(
            error(
                "FORM-UNKNOWN",
                f"the target {target.name} cannot write a network as {form!r}",
                fix=f"choose one of: {known}"
                if known
                else "it has no other form; nrf-deploy targets says which targets have one",
            )
        )
    return target.exporters[form]


def engines(bundle: Bundle) -> tuple[str, ...]:
    """Who can run this bundle."""
    return engines_of(target_of(bundle))


def engines_of(target: Target) -> tuple[str, ...]:
    """Return the engines for the bundles of a target."""
    return ("reference", "emulator", *target.engines)


def silicon(bundle: Bundle) -> str:
    """Return which engine the silicon follows; empty where the target does not say so."""
    target = target_of(bundle)
    return target.silicon if isinstance(target, Silicon) else ""


def target_of(bundle: Bundle) -> Target:
    """The target that made it."""
    shelf = targets()
    if bundle.target not in shelf:
        plugins.demand_sound(GROUP, bundle.target)
        raise UsageError(
            error(
                "TARGET-MISSING",
                f"the bundle was made by the target {bundle.target!r}, which is not installed",
                fix="install the plug-in that brings it",
            )
        )
    return shelf[bundle.target]


def arithmetic_of(bundle: Bundle, target: Target) -> Arithmetic | EventRule:
    """Return the rules of its target that give the bundle's integers their meaning."""
    name = bundle.program.arithmetic
    if name not in target.arithmetics:
        raise TargetError(
            error(
                "ARITHMETIC-UNKNOWN",
                f"the target {target.name} has no arithmetic {name!r:.80}",
                fix=f"use one of: {', '.join(target.arithmetics)}",
            )
        )
    return target.arithmetics[name]


def run(
    bundle: Bundle | str | Path,
    recording: Recording,
    engine: str = "emulator",
    *,
    record: Iterable[str] | None = None,
    states: Iterable[str] = (),
    steps: int | None = None,
    decay: Decay = "euler",
    progress: Progress = quiet,
) -> Trace:
    """Run a bundle. Integer engines run `latency` steps longer, until the last answer is out.

    `decay` is how the reference steps: "euler" as Norse, "exact" by the exact solution.
    What there is to say of the run, as of a recording in other steps than the model's, is in the
    trace (`said_by`).
    """
    bundle, recording = as_bundle(bundle), as_recording(recording)
    target = target_of(bundle)
    known = engines_of(target)
    if engine not in known:
        raise UsageError(
            error(
                "ENGINE-UNKNOWN",
                f"there is no engine {engine!r} for {bundle.chip}",
                fix=f"choose one of: {', '.join(known)}",
            )
        )
    record = None if record is None else names("record", record)
    states = names("states", states)
    refuse(_asked_faults(bundle, engine, record or [], states), UsageError)
    steps = None if steps is None else _length(steps)
    refuse(decay_faults(decay, (engine,)), UsageError)
    refuse(input_faults(bundle, recording, integers=engine != "reference"), InputError)
    if engine == "reference":
        from .reference import run as run_reference

        trace = run_reference(
            bundle.network,
            recording,
            record=record,
            states=states,
            steps=steps,
            decay=decay,
            progress=progress,
        )
        return _noted(trace, other_steps(bundle.network, recording))
    steps = recording.steps + bundle.program.latency if steps is None else steps
    if engine == "emulator":
        trace = emulate(bundle, target, recording, record, states, steps, progress)
    else:
        demand_sound(bundle.program, arithmetic_of(bundle, target))
        trace = target.engines[engine](
            bundle.program, recording, record=record, states=states, steps=steps, progress=progress
        )
    return _noted(trace, other_steps(bundle.network, recording))


def _noted(trace: Trace, said: Collection[Finding]) -> Trace:
    """The trace with these findings among its own."""
    if not said:
        return trace
    found = [*trace.notes.get("findings", ()), *(f.as_json() for f in said)]
    return replace(trace, notes={**trace.notes, "findings": found})


def _length(steps: object) -> int:
    given = whole("steps", steps)
    if given < 0:
        what = f"steps is {given}; expected 0 or more"
        raise UsageError(error("RUN-STEPS", what, fix="leave it out to run the whole recording"))
    return given


def _asked_faults(
    bundle: Bundle, engine: str, record: Collection[str], states: Collection[str]
) -> Iterator[Finding]:
    """Yield what is asked of layers that are not there, or that have no states."""
    if not record and not states:
        return
    if engine == "reference":
        known = [n.name for n in bundle.network.nodes]
        stateful = [n.name for n in bundle.network.of(Population)]
    else:
        known = stateful = [p.name for p in bundle.program.populations]
    for name in dict.fromkeys((*record, *states)):
        if name not in known:
            what = f"the bundle has no layer {name!r} for the engine {engine!r}"
            yield error("LAYER-UNKNOWN", what, fix=f"choose from: {', '.join(known)}")
        elif name in states and name not in stateful:
            what = f"{name!r} has no states"
            yield error("LAYER-STATELESS", what, fix=f"choose from: {', '.join(stateful)}")


def emulate(
    bundle: Bundle,
    target: Target,
    recording: Recording,
    record: Iterable[str] | None,
    states: Iterable[str],
    steps: int,
    progress: Progress,
) -> Trace:
    """The fast engine where the target gives kernels, else the plain one: the same bits."""
    program = bundle.program
    rules = arithmetic_of(bundle, target)
    kernels = cast(Any, target.kernels.get(program.arithmetic))
    if isinstance(rules, EventRule):
        from .emulator.events_engine import EventEngine

        if "engine" not in bundle.kept:
            bundle.kept["engine"] = EventEngine(program, rules, kernels)
        trace: Trace = bundle.kept["engine"].run(recording, record, states, steps, progress)
        return trace
    if kernels is not None:
        from .emulator.engine import Engine

        if "engine" not in bundle.kept:
            bundle.kept["engine"] = Engine(program, rules, kernels)
        trace = bundle.kept["engine"].run(recording, record, states, steps, progress)
        return trace
    trace = golden.run(program, rules, recording, record, states, steps, progress)
    return replace(trace, engine="emulator")


FIRST_RUN = "getting ready (the first run on a machine compiles the emulator: ~20 s)"


def waiting(*engines: str) -> list[str]:
    """For each engine, what explains a wait that a newcomer would take for a hang."""
    return [FIRST_RUN if engine == "emulator" else "" for engine in engines]


def said_by(trace: Trace) -> tuple[Finding, ...]:
    """What the engine had to say of this run: what it waited for, what it could not do fast."""
    said = [Finding(**f) for f in trace.notes.get("findings", ())]
    if reason := trace.notes.get("plain emulator"):
        said.append(
            info(
                "EMULATOR-PLAIN",
                "the plain emulator ran this program: the same bits, many times slower",
                why=str(reason),
            )
        )
    return tuple(said)


def latency(bundle: Bundle, engine: str) -> dict[str, int]:
    """How many steps each population is behind the model in this engine."""
    if engine == "reference":
        return {}
    return {o.population: o.latency for o in bundle.program.origins}


def unit(bundle: Bundle, layer: str, engine: str = "emulator") -> Array | None:
    """What 1 of the model is in the values that a layer gives, one number a neuron or for all;
    None where these are the model's own, or plain spikes."""
    node = next((n for n in bundle.network.nodes if n.name == layer), None)
    origin = next((o for o in bundle.program.origins if o.node == layer), None)
    if engine == "reference" or origin is None or getattr(node, "spikes", False):
        return None
    passes_spikes_on = not isinstance(node, Population) and OUTPUT not in origin.scale
    if passes_spikes_on:
        return None
    return single(spread(origin.unit, bundle.program.population(origin.population).shape))


def populations(bundle: Bundle) -> tuple[str, ...]:
    """The populations that model and program have in common, in the network's order."""
    common = {o.population for o in bundle.program.origins}
    order = bundle.network.order
    return tuple(n for n in order if n in common and isinstance(bundle.network[n], Population))
