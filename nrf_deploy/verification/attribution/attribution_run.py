"""Explanation of a bundle's errors: each layer in isolation, and cause by cause."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from nrf_deploy.bundle.bundle import Bundle
from nrf_deploy.bundle.pipeline import latency, populations, target_of
from nrf_deploy.bundle.run_bundle import emulate
from nrf_deploy.compare.compare import compare
from nrf_deploy.compare.comparison import Comparison
from nrf_deploy.compiler.abilities import Dequantising, HasStepSums
from nrf_deploy.diagnostics.findings import Finding, UsageError, error, info
from nrf_deploy.diagnostics.progress import Progress, quiet
from nrf_deploy.ir.network import Array, gives_values
from nrf_deploy.ir.program import Program
from nrf_deploy.ir.recording import Recording, Trace

from ..advice import ways
from .attribution import attribute
from .causes import Attribution
from .isolated_layer import Run, each, unrecorded


def emulating(bundle: Bundle, progress: Progress = quiet) -> Run:
    """Return a function that runs parts of the bundle's program as its emulator does."""

    def run(program: Program, recording: Recording, steps: int) -> Trace:
        part = replace(bundle, program=program)
        return emulate(part, target_of(part), recording, program.outputs, (), steps, progress)

    return run


def in_isolation(
    bundle: Bundle,
    recording: Recording,
    right: Trace,
    latency_right: Mapping[str, int],
    scale: Mapping[str, Mapping[str, Array]],
    progress: Progress = quiet,
) -> tuple[Comparison | None, list[Finding]]:
    """Compare each layer of the emulator in isolation, fed by the right run, with that run.

    A recording may have one layer only. Fed by the emulator's run, that layer would repeat the
    whole run, so a layer whose inputs are not in the right run is left out, with a finding. The
    comparison is None if no layer is left.
    """
    model = replace(
        right, outputs={n: _early(r, latency_right.get(n, 0)) for n, r in right.outputs.items()}
    )
    steps = recording.steps + bundle.program.latency
    outputs = dict(
        each(bundle.program, recording, model, steps, emulating(bundle, progress), progress)
    )
    findings = [
        _left_out(right.engine, name, lacking)
        for name in model.outputs
        if name not in outputs and (lacking := unrecorded(bundle.program, name, model))
    ]
    if not outputs:
        return None, findings
    comparison = compare(
        Trace("emulator, each layer alone", outputs, {}, {}),
        Trace(right.engine, right.outputs, {}, {}),
        order=populations(bundle),
        latency_left=latency(bundle, "emulator"),
        latency_right=latency_right,
        scale=scale,
        counts=[n for n in populations(bundle) if not gives_values(bundle.network[n])],
    )
    return comparison, findings


def _left_out(engine: str, layer: str, lacking: Sequence[str]) -> Finding:
    sources = ", ".join(map(repr, lacking))
    return info(
        "VERIFY-ALONE-LEFT-OUT",
        "the layer was not run in isolation",
        why=f"{engine} does not hold the outputs of the layers that feed it ({sources})",
        layer=layer,
    )


def attributed(bundle: Bundle, recording: Recording, progress: Progress = quiet) -> Attribution:
    target = dequantising(bundle)
    program, network = bundle.program, bundle.network
    numbers = target.dequantised(program)
    summed = target.summed.get(program.arithmetic) if isinstance(target, HasStepSums) else None
    run = emulating(bundle, progress)
    attribution = attribute(
        network, bundle.steps, program, numbers, recording, run, summed, progress
    )
    return replace(attribution, ways=ways(bundle))


def dequantising(bundle: Bundle) -> Dequantising:
    """Return the target's function for the values of its integers; called before a long run."""
    target = target_of(bundle)
    if not isinstance(target, Dequantising):
        raise UsageError(
            error(
                "VERIFY-ATTRIBUTE",
                f"the target {target.name} does not state the values of its integers",
                why="each cause is a number of the chip that replaces the model's",
                fix="leave --attribute out; the report still has the error of layers in isolation",
            )
        )
    return target


def _early(recording: Recording, steps: int) -> Recording:
    return recording.shifted(steps) if steps else recording
