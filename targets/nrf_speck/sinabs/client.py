"""Client of sinabs: the same cores on the vendor's simulator (worker_sinabs.py).

sinabs simulates in time steps: it sums the input of a step, adds the bias, emits
trunc(v / threshold) spikes, and clamps once. Programs that it cannot represent are refused
here, before it starts.

`run_steps` is the engine "steps": the same integers by our rules in time steps, as sinabs
simulates them. A model in time steps is closer to these rules than to the chip.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from nrf_deploy.diagnostics.findings import Finding, TargetError, error, refuse
from nrf_deploy.diagnostics.progress import Progress, quiet
from nrf_deploy.engines.emulator.soundness import demand_sound
from nrf_deploy.engines.sdk.reply import Expected, Numbers, Upto
from nrf_deploy.engines.sdk.sdk import Sdk
from nrf_deploy.engines.sdk.worker import call
from nrf_deploy.ir.network import Array
from nrf_deploy.ir.program import Program
from nrf_deploy.ir.recording import Recording, Trace

from ..arithmetic.kernels import StepsKernels
from ..arithmetic.rules import StepsArithmetic
from ..compile import core_form
from ..compile.core_form import cores
from ..configuration.configuration import Configuration, Core
from ..configuration.image import entries, to_cores

HERE = Path(__file__).parent
sdk = Sdk(
    name="sinabs",
    about="SynSense's sinabs 3.1: simulates Speck's cores in time steps",
    python="3.11",
    requirements=HERE / "requirements_sinabs.txt",
    worker=HERE / "worker_sinabs.py",
    module="sinabs",
)
PATIENCE_S = 1800.0


def engine(
    program: Program,
    recording: Recording,
    *,
    record: Iterable[str] | None = None,
    states: Iterable[str] = (),
    steps: int | None = None,
    progress: Progress = quiet,
) -> Trace:
    """Run a program on sinabs, as emulator.golden.run with "speck.steps".

    Progress is reported once, at the end. A "merge" has no neurons and no spikes to record.
    """
    demand_sound(program, StepsArithmetic())
    refuse([*core_form.faults(program), *_program_faults(program)], TargetError)
    places = {layer.name: number for number, layer in enumerate(cores(program))}
    record = list(places) if record is None else [n for n in record if n in places]
    states = [name for name in states if name in places]
    job = Job(
        cores=to_cores(program, places),
        entries=[places[name] for name in entries(program)],
        recording=recording,
        record=[places[name] for name in record],
        states=[places[name] for name in states],
        steps=recording.steps if steps is None else steps,
    )
    (ran,) = run_jobs([job])
    progress(job.steps, job.steps)
    shapes = {p.name: p.shape for p in program.populations}
    return Trace(
        engine="sinabs",
        outputs={n: replace(ran.spikes[places[n]], shape=shapes[n]) for n in record},
        states={n: {"v": ran.membranes[places[n]].reshape(job.steps, *shapes[n])} for n in states},
        notes={"sinabs": "3.1.3", "arithmetic": "speck.steps"},
    )


@dataclass(frozen=True, eq=False, kw_only=True)
class Job:
    """Cores to run on one recording, which is sent to each core in `entries`, in their shape."""

    cores: Sequence[Core]
    entries: Sequence[int]
    recording: Recording
    record: Sequence[int]
    states: Sequence[int] = ()
    steps: int


@dataclass(frozen=True, eq=False, kw_only=True)
class Ran:
    """Results by core: spikes as a recording, membranes as (steps, f, y, x)."""

    spikes: Mapping[int, Recording]
    membranes: Mapping[int, Array]


def run_jobs(jobs: Sequence[Job]) -> list[Ran]:
    """Run all jobs with one start of the worker."""
    refuse((f for job in jobs for f in _job_faults(job)), TargetError)
    arrays_of = dict(e for number, job in enumerate(jobs) for e in _expected(job, number))
    expected = Expected({"answers": ({}, len(jobs))}, arrays_of)
    _, arrays = _ask([(_run(job), _events(job) | _arrays(job.cores)) for job in jobs], expected)
    return [_ran(job, arrays, f"{number}/") for number, job in enumerate(jobs)]


def configure(configurations: Sequence[Configuration]) -> list[dict[str, Any]]:
    """Return the settings that sinabs' builder makes on each chip, by samna's names."""
    refuse((f for c in configurations for f in faults(c.cores, ())), TargetError)
    requests = [
        {
            "action": "configure",
            "chip": c.chip,
            "cores": [_core(core, c.cores) for core in c.cores],
            "monitored": [core.index for core in c.cores if core.monitored],
        }
        for c in configurations
    ]
    arrays = [_arrays(c.cores) for c in configurations]
    expected = Expected({"answers": ({"tree": dict}, len(requests))})
    answers, _ = _ask(list(zip(requests, arrays, strict=True)), expected)
    return [answer["tree"] for answer in answers]


def _ask(
    jobs: Sequence[tuple[Any, Mapping[str, Array]]], expected: Expected
) -> tuple[list[Any], dict[str, Array]]:
    request = {"jobs": [job for job, _ in jobs]}
    arrays = {f"{n}/{key}": a for n, (_, inputs) in enumerate(jobs) for key, a in inputs.items()}
    reply, answer = call(sdk, request, expected, arrays, PATIENCE_S)
    return reply["answers"], answer


# --- what sinabs cannot do ----------------------------------------------------


def faults(cores: Sequence[Core], entries: Sequence[int]) -> Iterator[Finding]:
    for core in cores:
        targets = [d.core for d in core.destinations]
        if len(set(targets)) < len(targets):
            yield error(
                "SINABS-WIRE-TWICE",
                "sends to the same core twice; sinabs has one wire between two layers",
                layer=core.layer,
            )
        if core.index in entries and any(core.index in _targets(other) for other in cores):
            yield error(
                "SINABS-INPUT-JOINED",
                "takes the input and another layer's spikes; sinabs would add them",
                layer=core.layer,
                fix="run the emulator instead",
            )


def _job_faults(job: Job) -> Iterator[Finding]:
    if job.steps < 1:
        fix = "use a longer recording"
        yield error(
            "SINABS-STEPS", f"sinabs is given {job.steps} steps; expected 1 or more", fix=fix
        )
    yield from faults(job.cores, job.entries)


def _program_faults(program: Program) -> Iterator[Finding]:
    if len(program.ports) != 1:
        yield error("SINABS-PORTS", f"{len(program.ports)} inputs; sinabs' networks have one")
    ports = {port.name for port in program.ports}
    for layer in cores(program):
        for wire in layer.wires:
            if wire.source in ports and (wire.pooling, wire.shift) != (1, 0):
                yield error(
                    "SINABS-INPUT-POOLED",
                    f"takes the input pooled by {wire.pooling}, from feature {wire.shift} on",
                    layer=layer.name,
                    fix="run the emulator instead",
                )


def _targets(core: Core) -> set[int]:
    return {d.core for d in core.destinations}


# --- to JSON and arrays, and back ---------------------------------------------------


def _run(job: Job) -> dict[str, Any]:
    shapes = {core.input_shape for core in job.cores if core.index in job.entries}
    (shape,) = shapes
    return {
        "action": "run",
        "cores": [_core(core, job.cores) for core in job.cores],
        "entries": list(job.entries),
        "shape": shape,
        "steps": job.steps,
        "record": list(job.record),
        "states": list(job.states),
    }


def _events(job: Job) -> dict[str, Array]:
    return {n: np.asarray(getattr(job.recording, n), np.int64) for n in ("step", "index", "value")}


def _expected(job: Job, number: int) -> Iterator[tuple[str, Numbers]]:
    shapes = {core.index: core.output_shape for core in job.cores}
    for core in dict.fromkeys(job.record):
        size, place = math.prod(shapes[core]), f"{number}/{core}/output"
        events = Upto(place, job.steps * size)
        yield f"{place}/step", Numbers((events,), low=0, high=job.steps - 1)
        yield f"{place}/index", Numbers((events,), low=0, high=size - 1)
        yield f"{place}/value", Numbers((events,), low=-(2**31), high=2**31 - 1)
    for core in dict.fromkeys(job.states):
        yield f"{number}/{core}/v", Numbers((job.steps, *shapes[core]))


def _ran(job: Job, answer: Mapping[str, Array], place: str) -> Ran:
    shapes = {core.index: core.output_shape for core in job.cores}

    def spikes(index: int) -> Recording:
        step, at, value = (
            answer[f"{place}{index}/output/{part}"] for part in ("step", "index", "value")
        )
        return Recording.from_events(step, at, value, shapes[index], job.steps, job.recording.dt)

    return Ran(
        spikes={index: spikes(index) for index in job.record},
        membranes={index: answer[f"{place}{index}/v"] for index in job.states},
    )


def _core(core: Core, cores: Sequence[Core]) -> dict[str, Any]:
    takes = {other.index: other.input_shape[0] for other in cores}
    return {
        "index": core.index,
        "input_shape": core.input_shape,
        "output_shape": core.output_shape,
        "kernel": core.kernel,
        "stride": core.stride,
        "padding": core.padding,
        "threshold_high": core.threshold_high,
        "threshold_low": core.threshold_low,
        "returns_to_zero": core.returns_to_zero,
        "destinations": [
            {
                "core": d.core,
                "pooling": d.pooling,
                "span": [d.shift, takes[d.core] - d.shift - core.output_shape[0]],
            }
            for d in core.destinations
        ],
    }


def _arrays(cores: Sequence[Core]) -> dict[str, Array]:
    return {
        f"{name}{core.index}": np.asarray(getattr(core, name), np.int64)
        for core in cores
        for name in ("weights", "biases", "initial")
    }


def run_steps(
    program: Program,
    recording: Recording,
    *,
    record: Iterable[str] | None = None,
    states: Iterable[str] = (),
    steps: int | None = None,
    progress: Progress = quiet,
) -> Trace:
    from nrf_deploy.engines.emulator.engine import Engine  # loads numba, which checks do not need

    engine = Engine(program, StepsArithmetic(), StepsKernels())
    trace = engine.run(recording, record, states, steps, progress)
    notes = {**trace.notes, "arithmetic": StepsArithmetic.name}
    return Trace("steps", trace.outputs, trace.states, notes)
