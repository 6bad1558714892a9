"""Run of a bundle on an engine, and alignment of the trace with the model's time."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from nrf_deploy.compiler.target import Target
from nrf_deploy.diagnostics.argument_types import demand, engine_name, names, whole
from nrf_deploy.diagnostics.findings import Finding, InputError, UsageError, error, refuse, warning
from nrf_deploy.diagnostics.progress import Progress, quiet
from nrf_deploy.diagnostics.text import several
from nrf_deploy.engines.emulator import golden
from nrf_deploy.engines.emulator.events_golden import EventRule
from nrf_deploy.engines.emulator.soundness import demand_sound
from nrf_deploy.engines.reference.neurons import Decay
from nrf_deploy.io.recordings.model_fit import other_steps
from nrf_deploy.ir.network import Population
from nrf_deploy.ir.recording import Recording, Trace

from .bundle import Bundle
from .inputs import as_bundle, as_recording, decay_faults, input_faults
from .pipeline import arithmetic_of, latency, target_engines, target_of

ALIGNED = "aligned"
"""The note of a trace that `align` returned."""


def run(
    bundle: Bundle | str | Path,
    input: Recording,
    engine: str = "emulator",
    *,
    layer: str | Iterable[str] | None = None,
    states: bool | Iterable[str] = False,
    steps: int | None = None,
    decay: Decay = "euler",
    progress: Progress = quiet,
) -> Trace:
    """Run a bundle on a recording.

    Integer engines run longer than the input by the program's latency, until the last answer
    is out: their outputs are later than the model's (`align` takes that off).

    Args:
        bundle: What `compile` returns, or the path of a .nrfb file.
        input: What `read_recording` returns: the input, in steps of the model's dt. An
            integer engine takes integers.
        engine: "reference" (the float model), "emulator" (the chip's integers) or an engine
            of the vendor (`engines_of`). Default: "emulator".
        layer: The layers whose output is recorded, by name. Default: the outputs.
        states: The layers whose states (u, v) are recorded, by name; True for those of
            `layer`. Default: none.
        steps: How many steps to run, 0 or more. Default: all of the input, and the latency.
        decay: How the reference steps: "euler", as Norse does, or "exact", by the exact
            solution. Default: "euler".
        progress: Called as progress(done, of) with steps. Default: silent.

    Returns:
        The Trace: a Recording for each layer, states as (steps, *shape), and `findings` on
        the run, such as an input in other steps than the model's.

    Raises:
        UsageError: An unknown engine or layer (a ValueError), or an argument of a wrong type
            (a TypeError).
        InputError: A recording that does not fit the input of the model.
        MissingError: The SDK of the engine is missing or fails.
    """
    bundle = as_bundle(bundle)
    recorded = [layer] if isinstance(layer, str) else layer
    recorded = None if recorded is None else names("layer", recorded)
    logged: Iterable[str] = () if isinstance(states, bool) else states
    if states is True:
        logged = _with_states(bundle, engine, recorded)
    trace = run_engine(
        bundle,
        input,
        engine,
        record=recorded,
        states=logged,
        steps=steps,
        decay=decay,
        progress=progress,
    )
    return _noted(trace, list(_silent(trace)))


def _with_states(bundle: Bundle, engine: str, layers: Collection[str] | None) -> list[str]:
    """Return the layers whose states are meant by `states=True`."""
    if layers is not None:
        return list(layers)
    if engine != "reference":
        return list(bundle.program.outputs)
    populations = {n.name for n in bundle.network.of(Population)}
    return [n for n in bundle.program.outputs if n in populations]


def _silent(trace: Trace) -> Iterator[Finding]:
    """Warn of a trace without an event, which often comes from a wrong input or time step."""
    if trace.outputs and not any(len(r.index) for r in trace.outputs.values()):
        steps = max(r.steps for r in trace.outputs.values())
        yield warning(
            "RUN-NO-SPIKES",
            f"no recorded layer gave anything in {several(steps, 'step')}: "
            f"{', '.join(map(repr, trace.outputs))}",
            why="the input is too weak, too short, or on another scale of time than the model",
            fix="look at the layers before with --layer; compare --bin and --dt with the time "
            "constants (nrf-deploy inspect shows them)",
        )


def align(bundle: Bundle | str | Path, trace: Trace, steps: int | None = None) -> Trace:
    """Return a trace in the model's time: without the latency of the engine that ran it.

    Args:
        bundle: The bundle that was run, or the path of its .nrfb file.
        trace: What `run` returned for it.
        steps: The steps to keep, from the first on; those of the input, usually. Default: all
            that are left.

    Returns:
        The same outputs and states, each layer earlier by its latency (`latency`).

    Raises:
        UsageError: A trace that is aligned already (a ValueError), or an argument of a wrong
            type (a TypeError).
    """
    fix = "pass what nrf_deploy.run(bundle, recording) gives"
    bundle, trace = as_bundle(bundle), demand(trace, Trace, "a trace", fix)
    if ALIGNED in trace.notes:
        what = "the trace is aligned with the model already"
        raise UsageError(error("TRACE-ALIGNED", what, fix="align the trace of a run once"))
    length = None if steps is None else _length(steps)
    reference = trace.engine.startswith("reference")
    late = latency(bundle, "reference" if reference else "emulator")
    outputs = {n: r.shifted(late.get(n, 0)) for n, r in trace.outputs.items()}
    states = {
        n: {v: x[late.get(n, 0) :][:length] for v, x in of_layer.items()}
        for n, of_layer in trace.states.items()
    }
    if length is not None:
        outputs = {n: r.until(length) for n, r in outputs.items()}
    return replace(trace, outputs=outputs, states=states, notes={**trace.notes, ALIGNED: True})


def run_engine(
    bundle: Bundle,
    recording: Recording,
    engine: str = "emulator",
    *,
    record: Iterable[str] | None = None,
    states: Iterable[str] = (),
    steps: int | None = None,
    decay: Decay = "euler",
    progress: Progress = quiet,
) -> Trace:
    """Run a bundle as `run` does, without a remark on a silent trace."""
    recording = as_recording(recording)
    engine, target = engine_name("engine", engine), target_of(bundle)
    known = target_engines(target)
    if engine not in known:
        raise UsageError(
            error(
                "ENGINE-UNKNOWN",
                f"there is no engine {engine!r} for {bundle.chip}",
                fix=f"choose one of: {', '.join(known)}",
            )
        )
    record = None if record is None else names("layer", record)
    states = names("states", states)
    refuse(_layer_faults(bundle, engine, record or [], states), UsageError)
    steps = None if steps is None else _length(steps)
    refuse(decay_faults(decay, (engine,)), UsageError)
    refuse(input_faults(bundle, recording, integers=engine != "reference"), InputError)
    if engine == "reference":
        from nrf_deploy.engines.reference import run as run_reference

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


def _noted(trace: Trace, more: Collection[Finding]) -> Trace:
    """Add findings to those of a trace."""
    if not more:
        return trace
    findings = [*trace.notes.get("findings", ()), *(f.as_json() for f in more)]
    return replace(trace, notes={**trace.notes, "findings": findings})


def _length(steps: object) -> int:
    count = whole("steps", steps)
    if count < 0:
        what = f"steps is {count}; expected 0 or more"
        raise UsageError(error("RUN-STEPS", what, fix="leave it out to run the whole recording"))
    return count


def _layer_faults(
    bundle: Bundle, engine: str, record: Collection[str], states: Collection[str]
) -> Iterator[Finding]:
    """Refuse layers that do not exist, and states of layers that have none."""
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
    """Run on the compiled engine if the target has kernels, else on the plain one.

    Both give the same bits.
    """
    program = bundle.program
    rules = arithmetic_of(bundle, target)
    kernels = cast(Any, target.kernels.get(program.arithmetic))
    if isinstance(rules, EventRule):
        from nrf_deploy.engines.emulator.events_engine import EventEngine

        if "engine" not in bundle.kept:
            bundle.kept["engine"] = EventEngine(program, rules, kernels)
        trace: Trace = bundle.kept["engine"].run(recording, record, states, steps, progress)
        return trace
    if kernels is not None:
        from nrf_deploy.engines.emulator.engine import Engine

        if "engine" not in bundle.kept:
            bundle.kept["engine"] = Engine(program, rules, kernels)
        trace = bundle.kept["engine"].run(recording, record, states, steps, progress)
        return trace
    trace = golden.run(program, rules, recording, record, states, steps, progress)
    return replace(trace, engine="emulator")
