"""The engine "lava": our programs on the vendor's simulator.

Lava runs in a separate environment (worker_lava.py); this module is the client. Programs that
its simulator would change or cannot express are refused before it starts:

- a Conv stores its groups, stride, padding, dilation and kernel size as int8; beyond 127 they
  overflow without an error;
- a Conv pads both sides equally. Unequal padding is converted to rows and columns of zeros
  before or after the kernel, which gives exactly the same sum;
- a Conv has one step of delay, Dense and Sparse at most 64.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nrf_deploy.diagnostics.findings import Finding, TargetError, UsageError, error, refuse
from nrf_deploy.diagnostics.progress import Progress, quiet
from nrf_deploy.engines.emulator.soundness import demand_sound
from nrf_deploy.engines.sdk.reply import Expected, Numbers, Upto
from nrf_deploy.engines.sdk.sdk import Sdk
from nrf_deploy.engines.sdk.worker import call
from nrf_deploy.ir.network import Array
from nrf_deploy.ir.program import Conv, Dense, Population, Program, Sparse, Synapses
from nrf_deploy.ir.recording import Recording, Trace

from ..arithmetic.neurons import MODELS, Absent, Lava, parameters
from ..arithmetic.rules import LoihiArithmetic
from .window import INT8_MAX, window, with_equal_padding

HERE = Path(__file__).parent
sdk = Sdk(
    name="lava",
    about="Intel's Lava 0.10: the simulator that defines Loihi's integer arithmetic",
    python="3.10",
    requirements=HERE / "requirements.txt",
    worker=HERE / "worker_lava.py",
    module="lava",
)

PATIENCE_S = 1800.0
DELAY_MAX = 64
"""Steps from a spike to its arrival: one, which Lava always takes, and a delay of 0 to 63."""


@dataclass(frozen=True, eq=False)
class Job:
    """One program, its input and the parts of the run to record (see `run`)."""

    program: Program
    recording: Recording
    record: Sequence[str]
    states: Sequence[str]
    steps: int

    @staticmethod
    def of(
        program: Program,
        recording: Recording,
        record: Iterable[str] | None = None,
        states: Iterable[str] = (),
        steps: int | None = None,
    ) -> Job:
        names = [p.name for p in program.populations]
        return Job(
            program,
            recording,
            names if record is None else list(record),
            list(states),
            recording.steps if steps is None else steps,
        )


def run(
    program: Program,
    recording: Recording,
    *,
    record: Iterable[str] | None = None,
    states: Iterable[str] = (),
    steps: int | None = None,
    progress: Progress = quiet,
) -> Trace:
    """Run a program on Lava, as emulator.golden.run; progress is reported once, at the end."""
    (trace,) = run_jobs([Job.of(program, recording, record, states, steps)])
    steps = recording.steps if steps is None else steps
    progress(steps, steps)
    return trace


def run_many(pairs: Iterable[tuple[Program, Recording]]) -> list[Trace]:
    """Return all outputs and states of several programs, with one start of the worker."""
    return run_jobs(
        [Job.of(p, r, states=[population.name for population in p.populations]) for p, r in pairs]
    )


def run_jobs(jobs: Sequence[Job], timeout_s: float = PATIENCE_S) -> list[Trace]:
    for job in jobs:
        demand_sound(job.program, LoihiArithmetic())
    refuse((f for job in jobs for f in faults(job)), TargetError)
    arrays: dict[str, Array] = {}

    def keep(array: Any) -> str:
        key = f"a{len(arrays)}"
        arrays[key] = np.asarray(array, np.int64)
        return key

    request = {"jobs": [_job(job, keep) for job in jobs]}
    expected = Expected(arrays=dict(e for n, job in enumerate(jobs) for e in _expected(job, n)))
    _, answer = call(sdk, request, expected, arrays, timeout_s)
    return [_trace(job, number, answer) for number, job in enumerate(jobs)]


# --- what Lava cannot do -------------------------------------------------


def faults(job: Job) -> Iterator[Finding]:
    program = job.program
    if job.recording.size != sum(math.prod(p.shape) for p in program.ports):
        raise UsageError(
            error(
                "RECORDING-SHAPE",
                f"the recording has {job.recording.size} elements a step, the program takes "
                f"{sum(math.prod(p.shape) for p in program.ports)}",
            )
        )
    if job.steps < 1:
        yield error("LAVA-STEPS", "Lava runs at least one step", fix="use a longer recording")
    for p in program.populations:
        values = parameters(p)
        yield from absent(p)
        spread = [n for n in sorted(once(p)) if np.unique(values[n]).size != 1]
        if spread:
            yield error(
                "LAVA-PARAMETER-SPREAD",
                f"{', '.join(spread)} differ between neurons; Lava has one for the population",
                layer=p.name,
                fix="split the population",
            )
    for s in program.synapses:
        yield from _conv_faults(s) if isinstance(s, Conv) else _delay_faults(s)


def absent(population: Population) -> Iterator[Finding]:
    """Refuse a model that Lava does not have in integers."""
    lava = MODELS[population.model].lava
    if isinstance(lava, Absent):
        yield error(
            lava.code,
            lava.what,
            layer=population.name,
            fix="run the emulator, whose rules for it are in docs/semantics.md",
        )


def once(population: Population) -> frozenset[str]:
    """Return the parameters of which Lava has one value for all neurons."""
    lava = MODELS[population.model].lava
    return lava.once if isinstance(lava, Lava) else frozenset()


def _conv_faults(conv: Conv) -> Iterator[Finding]:
    if conv.delay != 1:
        yield error(
            "LAVA-CONV-DELAY",
            f"a delay of {conv.delay} steps; Lava's Conv has exactly 1",
            layer=conv.name,
        )
    for name, value in window(conv).too_large().items():
        yield error(
            "LAVA-CONV-INT8",
            f"{name} {value} of a convolution; Lava holds at most {INT8_MAX}",
            why="its Conv stores these numbers as int8 and would compute something else",
            layer=conv.name,
            fix="run the emulator instead, or split the convolution",
        )


def _delay_faults(s: Synapses) -> Iterator[Finding]:
    delays = s.delay + (s.delays if isinstance(s, Dense) and s.delays is not None else np.zeros(1))
    if delays.min(initial=s.delay) < 1 or delays.max(initial=s.delay) > DELAY_MAX:
        yield error(
            "LAVA-DELAY",
            f"delays from {int(delays.min())} to {int(delays.max())} steps; Lava has 1 to "
            f"{DELAY_MAX}",
            layer=s.name,
        )
    if isinstance(s, Sparse):
        places = np.stack([s.row, s.column])
        if np.unique(places, axis=1).shape[1] != places.shape[1]:
            yield error(
                "LAVA-SPARSE-TWICE",
                "two synapses between the same two neurons; Lava adds their weights before it "
                "clips them, a chip does not",
                layer=s.name,
                fix="merge them into one weight, or use two connections",
            )


# --- to JSON and arrays, and back ----------------------------------------

Keep = Callable[[Any], str]


def _job(job: Job, keep: Keep) -> dict[str, Any]:
    return {
        "steps": job.steps,
        "ports": list(_ports(job.program, job.recording, keep)),
        "populations": [_population(p, job, keep) for p in job.program.populations],
        "synapses": [_synapses(s, keep) for s in job.program.synapses],
    }


def _population(p: Population, job: Job, keep: Keep) -> dict[str, Any]:
    """Return the description of a population for the worker, which cannot import MODELS."""
    model = MODELS[p.model]
    return {
        "name": p.name,
        "shape": p.shape,
        "process": model.lava.process if isinstance(model.lava, Lava) else None,
        "port": model.lava.port if isinstance(model.lava, Lava) else None,
        "params": {
            name: keep(value.ravel()[0] if name in once(p) else value)
            for name, value in parameters(p).items()
        },
        "record": p.name in job.record,
        "states": model.states if p.name in job.states else (),
    }


def _ports(program: Program, recording: Recording, keep: Keep) -> Iterator[dict[str, Any]]:
    first = 0
    for port in program.ports:
        size = math.prod(port.shape)
        inside = (recording.index >= first) & (recording.index < first + size)
        per_step = np.bincount(recording.step[inside], minlength=recording.steps)
        yield {
            "name": port.name,
            "shape": port.shape,
            "start": keep(np.concatenate([[0], np.cumsum(per_step)])),
            "index": keep(recording.index[inside] - first),
            "value": keep(recording.value[inside]),
        }
        first += size


def _synapses(s: Synapses, keep: Keep) -> dict[str, Any]:
    request = {
        "name": s.name,
        "kind": s.kind,
        "source": s.source,
        "targets": s.targets,
        "delay": s.delay,
        "params": {name: int(value) for name, value in s.params.items()},
    }
    if isinstance(s, Conv):
        s = with_equal_padding(s)
        request |= {
            "input_shape": s.input_shape,
            "stride": s.stride,
            "padding": tuple(before for before, _ in s.padding),
            "dilation": s.dilation,
            "groups": s.groups,
        }
    elif isinstance(s, Dense):
        if s.delays is not None:
            request["delays"] = keep(s.delay - 1 + s.delays)
    elif isinstance(s, Sparse):
        request |= {"row": keep(s.row), "column": keep(s.column)}
        request |= {"outputs": math.prod(s.shape), "inputs": math.prod(s.input_shape)}
    return request | {"weight": keep(s.weight)}


def _expected(job: Job, number: int) -> Iterator[tuple[str, Numbers]]:
    """Yield the expected arrays: events of each output and states of each step."""
    for name in dict.fromkeys(job.record):
        size, place = job.program.population(name).size, f"{number}/{name}/output"
        events = Upto(place, job.steps * size)
        yield f"{place}/step", Numbers((events,), low=0, high=job.steps - 1)
        yield f"{place}/index", Numbers((events,), low=0, high=size - 1)
        yield f"{place}/value", Numbers((events,), low=-(2**31), high=2**31 - 1)
    for name in dict.fromkeys(job.states):
        population = job.program.population(name)
        for variable in MODELS[population.model].states:
            shape = (job.steps, *population.shape)
            yield f"{number}/{name}/{variable}", Numbers(shape)


def _trace(job: Job, number: int, answer: Mapping[str, Array]) -> Trace:
    shapes = {p.name: p.shape for p in job.program.populations}

    def output(name: str) -> Recording:
        step, index, value = (
            answer[f"{number}/{name}/output/{part}"] for part in ("step", "index", "value")
        )
        return Recording.from_events(step, index, value, shapes[name], job.steps, job.recording.dt)

    return Trace(
        engine="lava",
        outputs={name: output(name) for name in job.record},
        states={
            name: {
                variable: answer[f"{number}/{name}/{variable}"].astype(np.int64)
                for variable in MODELS[job.program.population(name).model].states
            }
            for name in job.states
        },
        notes={"lava-nc": "0.10.0", "models": "fixed_pt"},
    )
