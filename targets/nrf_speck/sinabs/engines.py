"""The same integers by the rules in time steps: what sinabs simulates, and what a model in time
steps is nearer to than the chip is."""

from __future__ import annotations

from collections.abc import Iterable

from nrf_deploy.diagnostics.progress import Progress, quiet
from nrf_deploy.ir.program import Program
from nrf_deploy.ir.recording import Recording, Trace

from ..arithmetic.kernels import StepsKernels
from ..arithmetic.rules import StepsArithmetic


def run_steps(
    program: Program,
    recording: Recording,
    *,
    record: Iterable[str] | None = None,
    states: Iterable[str] = (),
    steps: int | None = None,
    progress: Progress = quiet,
) -> Trace:
    from nrf_deploy.engines.emulator.engine import Engine  # starts numba, which no check needs

    engine = Engine(program, StepsArithmetic(), StepsKernels())
    trace = engine.run(recording, record, states, steps, progress)
    notes = {**trace.notes, "arithmetic": StepsArithmetic.name}
    return Trace("steps", trace.outputs, trace.states, notes)
